// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `devices`.

use alloc::vec::Vec;

use crate::{
    AcpiDeviceOst, AcpiSlotType, AcpiostInfo, BalloonChange, CpuPolarizationChange, Decode, DeviceDeleted,
    DeviceUnplugGuestError, Encode, Error, Event, HvBalloonStatusReport, MemUnplugError, MemoryDeviceSizeChange,
    Reader, RtcChange, S390CpuPolarization, VfuClientHangup, VserportChange, open_enum,
    record::{self, Members, Record},
    value::own,
    wire::write_text,
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for VserportChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { open: members.required(r#", "open": "#), id: members.required(r#", "id": "#) }
    }
}

impl Encode for VserportChange<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"open\": ");
        self.open.write_to(out);
        out.extend_from_slice(b", \"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for DeviceDeleted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.optional(r#", "device": "#), path: members.required(r#", "path": "#) }
    }
}

impl Encode for DeviceDeleted<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(device) = &self.device {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"device\": \"");
            write_text(out, device);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"path\": \"");
        write_text(out, &self.path);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for DeviceUnplugGuestError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.optional(r#", "device": "#), path: members.required(r#", "path": "#) }
    }
}

impl Encode for DeviceUnplugGuestError<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(device) = &self.device {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"device\": \"");
            write_text(out, device);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"path\": \"");
        write_text(out, &self.path);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for MemUnplugError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { device: members.required(r#", "device": "#), msg: members.required(r#", "msg": "#) }
    }
}

impl Encode for MemUnplugError<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"msg\": \"");
        write_text(out, &self.msg);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for AcpiDeviceOst<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { info: members.required(r#", "info": "#) }
    }
}

impl Encode for AcpiDeviceOst<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"info\": ");
        self.info.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for BalloonChange {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { actual: members.required(r#", "actual": "#) }
    }
}

impl Encode for BalloonChange {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"actual\": ");
        self.actual.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for HvBalloonStatusReport {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { available: members.required(r#", "available": "#), committed: members.required(r#", "committed": "#) }
    }
}

impl Encode for HvBalloonStatusReport {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"available\": ");
        self.available.write_to(out);
        out.extend_from_slice(b", \"committed\": ");
        self.committed.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for MemoryDeviceSizeChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            size: members.required(r#", "size": "#),
            qom_path: members.required(r#", "qom-path": "#),
            id: members.optional(r#", "id": "#),
        }
    }
}

impl Encode for MemoryDeviceSizeChange<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"size\": ");
        self.size.write_to(out);
        out.extend_from_slice(b", \"qom-path\": \"");
        write_text(out, &self.qom_path);
        out.extend_from_slice(b"\"");
        if let Some(id) = &self.id {
            out.extend_from_slice(b", \"id\": \"");
            write_text(out, id);
            out.push(b'"');
        }
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for RtcChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { offset: members.required(r#", "offset": "#), qom_path: members.required(r#", "qom-path": "#) }
    }
}

impl Encode for RtcChange<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"offset\": ");
        self.offset.write_to(out);
        out.extend_from_slice(b", \"qom-path\": \"");
        write_text(out, &self.qom_path);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for CpuPolarizationChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { polarization: members.required(r#", "polarization": "#) }
    }
}

impl Encode for CpuPolarizationChange<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"polarization\": ");
        self.polarization.write_to(out);
        out.push(b'}');
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for VfuClientHangup<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            vfu_qom_path: members.required(r#", "vfu-qom-path": "#),
            vfu_id: members.required(r#", "vfu-id": "#),
            dev_qom_path: members.required(r#", "dev-qom-path": "#),
            dev_id: members.required(r#", "dev-id": "#),
        }
    }
}

impl Encode for VfuClientHangup<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"vfu-qom-path\": \"");
        write_text(out, &self.vfu_qom_path);
        out.extend_from_slice(b"\", \"vfu-id\": \"");
        write_text(out, &self.vfu_id);
        out.extend_from_slice(b"\", \"dev-qom-path\": \"");
        write_text(out, &self.dev_qom_path);
        out.extend_from_slice(b"\", \"dev-id\": \"");
        write_text(out, &self.dev_id);
        out.extend_from_slice(b"\"}");
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
        record::read(reader)
    }
}

impl<'a> Record<'a> for AcpiostInfo<'a> {
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

impl Encode for AcpiostInfo<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let mut separator: &[u8] = b"";
        if let Some(device) = &self.device {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"\"device\": \"");
            write_text(out, device);
            out.push(b'"');
            separator = b", ";
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(b"\"source\": ");
        self.source.write_to(out);
        out.extend_from_slice(b", \"status\": ");
        self.status.write_to(out);
        out.extend_from_slice(b", \"slot\": \"");
        write_text(out, &self.slot);
        out.extend_from_slice(b"\", \"slot-type\": ");
        self.slot_type.write_to(out);
        out.push(b'}');
    }
}

open_enum! { AcpiSlotType { Dimm = "DIMM",
Cpu = "CPU",
 } }

open_enum! { S390CpuPolarization { Horizontal = "horizontal",
Vertical = "vertical",
 } }
