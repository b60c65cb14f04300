// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `devices`.

use crate::{
    AcpiDeviceOst, AcpiSlotType, AcpiostInfo, BalloonChange, CpuPolarizationChange, Decode, DeviceDeleted,
    DeviceUnplugGuestError, Error, Event, HvBalloonStatusReport, MemUnplugError, MemoryDeviceSizeChange, Reader,
    RtcChange, S390CpuPolarization, VfuClientHangup, VserportChange,
    fields::{self, Fields, Members},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

impl VserportChange<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VserportChange<'static> {
        VserportChange { id: own(self.id), open: self.open }
    }
}

impl<'a> Decode<'a> for VserportChange<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VserportChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { open: members.required(r#", "open": "#), id: members.required(r#", "id": "#) }
    }
}

impl Put for VserportChange<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"open": "#).value(&self.open).fixed(br#", "id": ""#).text(&self.id).fixed(br#""}"#)
    }
}

impl<'a> From<VserportChange<'a>> for Event<'a> {
    fn from(event: VserportChange<'a>) -> Self {
        Self::VserportChange(event)
    }
}

impl DeviceDeleted<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> DeviceDeleted<'static> {
        DeviceDeleted { device: self.device.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for DeviceDeleted<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for DeviceDeleted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.optional(r#", "device": "#), path: members.required(r#", "path": "#) }
    }
}

impl Put for DeviceDeleted<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(device) = &self.device {
            out = out.fixed(br#""device": ""#).text(device).fixed(br#"", "#);
        }
        out.fixed(br#""path": ""#).text(&self.path).fixed(br#""}"#)
    }
}

impl<'a> From<DeviceDeleted<'a>> for Event<'a> {
    fn from(event: DeviceDeleted<'a>) -> Self {
        Self::DeviceDeleted(event)
    }
}

impl DeviceUnplugGuestError<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> DeviceUnplugGuestError<'static> {
        DeviceUnplugGuestError { device: self.device.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for DeviceUnplugGuestError<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for DeviceUnplugGuestError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.optional(r#", "device": "#), path: members.required(r#", "path": "#) }
    }
}

impl Put for DeviceUnplugGuestError<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(device) = &self.device {
            out = out.fixed(br#""device": ""#).text(device).fixed(br#"", "#);
        }
        out.fixed(br#""path": ""#).text(&self.path).fixed(br#""}"#)
    }
}

impl<'a> From<DeviceUnplugGuestError<'a>> for Event<'a> {
    fn from(event: DeviceUnplugGuestError<'a>) -> Self {
        Self::DeviceUnplugGuestError(event)
    }
}

impl MemUnplugError<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> MemUnplugError<'static> {
        MemUnplugError { device: own(self.device), msg: own(self.msg) }
    }
}

impl<'a> Decode<'a> for MemUnplugError<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for MemUnplugError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.required(r#", "device": "#), msg: members.required(r#", "msg": "#) }
    }
}

impl Put for MemUnplugError<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device": ""#).text(&self.device).fixed(br#"", "msg": ""#).text(&self.msg).fixed(br#""}"#)
    }
}

impl<'a> From<MemUnplugError<'a>> for Event<'a> {
    fn from(event: MemUnplugError<'a>) -> Self {
        Self::MemUnplugError(event)
    }
}

impl AcpiDeviceOst<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> AcpiDeviceOst<'static> {
        AcpiDeviceOst { info: self.info.into_owned() }
    }
}

impl<'a> Decode<'a> for AcpiDeviceOst<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for AcpiDeviceOst<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { info: members.required(r#", "info": "#) }
    }
}

impl Put for AcpiDeviceOst<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"info": "#).value(&self.info).fixed(b"}")
    }
}

impl<'a> From<AcpiDeviceOst<'a>> for Event<'a> {
    fn from(event: AcpiDeviceOst<'a>) -> Self {
        Self::AcpiDeviceOst(event)
    }
}

impl<'a> Decode<'a> for BalloonChange {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BalloonChange {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { actual: members.required(r#", "actual": "#) }
    }
}

impl Put for BalloonChange {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"actual": "#).value(&self.actual).fixed(b"}")
    }
}

impl From<BalloonChange> for Event<'_> {
    fn from(event: BalloonChange) -> Self {
        Self::BalloonChange(event)
    }
}

impl<'a> Decode<'a> for HvBalloonStatusReport {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for HvBalloonStatusReport {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { available: members.required(r#", "available": "#), committed: members.required(r#", "committed": "#) }
    }
}

impl Put for HvBalloonStatusReport {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"available": "#)
            .value(&self.available)
            .fixed(br#", "committed": "#)
            .value(&self.committed)
            .fixed(b"}")
    }
}

impl From<HvBalloonStatusReport> for Event<'_> {
    fn from(event: HvBalloonStatusReport) -> Self {
        Self::HvBalloonStatusReport(event)
    }
}

impl MemoryDeviceSizeChange<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> MemoryDeviceSizeChange<'static> {
        MemoryDeviceSizeChange { id: self.id.map(own), size: self.size, qom_path: own(self.qom_path) }
    }
}

impl<'a> Decode<'a> for MemoryDeviceSizeChange<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for MemoryDeviceSizeChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            size: members.required(r#", "size": "#),
            qom_path: members.required(r#", "qom-path": "#),
            id: members.optional(r#", "id": "#),
        }
    }
}

impl Put for MemoryDeviceSizeChange<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out =
            out.fixed(br#"{"size": "#).value(&self.size).fixed(br#", "qom-path": ""#).text(&self.qom_path).fixed(b"\"");
        if let Some(id) = &self.id {
            out = out.fixed(br#", "id": ""#).text(id).fixed(b"\"");
        }
        out.fixed(b"}")
    }
}

impl<'a> From<MemoryDeviceSizeChange<'a>> for Event<'a> {
    fn from(event: MemoryDeviceSizeChange<'a>) -> Self {
        Self::MemoryDeviceSizeChange(event)
    }
}

impl RtcChange<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> RtcChange<'static> {
        RtcChange { offset: self.offset, qom_path: own(self.qom_path) }
    }
}

impl<'a> Decode<'a> for RtcChange<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for RtcChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { offset: members.required(r#", "offset": "#), qom_path: members.required(r#", "qom-path": "#) }
    }
}

impl Put for RtcChange<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"offset": "#)
            .value(&self.offset)
            .fixed(br#", "qom-path": ""#)
            .text(&self.qom_path)
            .fixed(br#""}"#)
    }
}

impl<'a> From<RtcChange<'a>> for Event<'a> {
    fn from(event: RtcChange<'a>) -> Self {
        Self::RtcChange(event)
    }
}

impl CpuPolarizationChange<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> CpuPolarizationChange<'static> {
        CpuPolarizationChange { polarization: self.polarization.into_owned() }
    }
}

impl<'a> Decode<'a> for CpuPolarizationChange<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for CpuPolarizationChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { polarization: members.required(r#", "polarization": "#) }
    }
}

impl Put for CpuPolarizationChange<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"polarization": "#).value(&self.polarization).fixed(b"}")
    }
}

impl<'a> From<CpuPolarizationChange<'a>> for Event<'a> {
    fn from(event: CpuPolarizationChange<'a>) -> Self {
        Self::CpuPolarizationChange(event)
    }
}

impl VfuClientHangup<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VfuClientHangup<'static> {
        VfuClientHangup {
            vfu_id: own(self.vfu_id),
            vfu_qom_path: own(self.vfu_qom_path),
            dev_id: own(self.dev_id),
            dev_qom_path: own(self.dev_qom_path),
        }
    }
}

impl<'a> Decode<'a> for VfuClientHangup<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VfuClientHangup<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            vfu_qom_path: members.required(r#", "vfu-qom-path": "#),
            vfu_id: members.required(r#", "vfu-id": "#),
            dev_qom_path: members.required(r#", "dev-qom-path": "#),
            dev_id: members.required(r#", "dev-id": "#),
        }
    }
}

impl Put for VfuClientHangup<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"vfu-qom-path": ""#)
            .text(&self.vfu_qom_path)
            .fixed(br#"", "vfu-id": ""#)
            .text(&self.vfu_id)
            .fixed(br#"", "dev-qom-path": ""#)
            .text(&self.dev_qom_path)
            .fixed(br#"", "dev-id": ""#)
            .text(&self.dev_id)
            .fixed(br#""}"#)
    }
}

impl<'a> From<VfuClientHangup<'a>> for Event<'a> {
    fn from(event: VfuClientHangup<'a>) -> Self {
        Self::VfuClientHangup(event)
    }
}

impl AcpiostInfo<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> AcpiostInfo<'static> {
        AcpiostInfo {
            device: self.device.map(own),
            slot: own(self.slot),
            slot_type: self.slot_type.into_owned(),
            source: self.source,
            status: self.status,
        }
    }
}

impl<'a> Decode<'a> for AcpiostInfo<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for AcpiostInfo<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.optional(r#", "device": "#),
            source: members.required(r#", "source": "#),
            status: members.required(r#", "status": "#),
            slot: members.required(r#", "slot": "#),
            slot_type: members.required(r#", "slot-type": "#),
        }
    }
}

impl Put for AcpiostInfo<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(b"{");
        if let Some(device) = &self.device {
            out = out.fixed(br#""device": ""#).text(device).fixed(br#"", "#);
        }
        out.fixed(br#""source": "#)
            .value(&self.source)
            .fixed(br#", "status": "#)
            .value(&self.status)
            .fixed(br#", "slot": ""#)
            .text(&self.slot)
            .fixed(br#"", "slot-type": "#)
            .value(&self.slot_type)
            .fixed(b"}")
    }
}

open_enum! { AcpiSlotType { Dimm = "DIMM",
Cpu = "CPU",
 } }

open_enum! { S390CpuPolarization { Horizontal = "horizontal",
Vertical = "vertical",
 } }
