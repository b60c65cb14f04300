// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `devices`.

use alloc::vec::Vec;

use crate::{
    AcpiDeviceOst, AcpiSlotType, AcpiostInfo, BalloonChange, CpuPolarizationChange, Decode, DeviceDeleted,
    DeviceUnplugGuestError, Encode, Error, Event, HvBalloonStatusReport, MemUnplugError, MemoryDeviceSizeChange,
    RtcChange, S390CpuPolarization, VfuClientHangup, VserportChange, open_enum,
    reader::{Members, Reader, required},
    value::own,
    wire::write_text,
};

impl VserportChange<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> VserportChange<'static> {
        VserportChange { id: own(self.id), open: self.open }
    }
}

impl<'a> Decode<'a> for VserportChange<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "open": "#, r#", "id": "#])?;
        let mut open = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => open = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { id: required(id, "id", reader)?, open: required(open, "open", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> DeviceDeleted<'static> {
        DeviceDeleted { device: self.device.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for DeviceDeleted<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device": "#, r#", "path": "#])?;
        let mut device = None;
        let mut path = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                _ => path = Some(reader.value()?),
            }
        }
        Ok(Self { device, path: required(path, "path", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> DeviceUnplugGuestError<'static> {
        DeviceUnplugGuestError { device: self.device.map(own), path: own(self.path) }
    }
}

impl<'a> Decode<'a> for DeviceUnplugGuestError<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device": "#, r#", "path": "#])?;
        let mut device = None;
        let mut path = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                _ => path = Some(reader.value()?),
            }
        }
        Ok(Self { device, path: required(path, "path", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> MemUnplugError<'static> {
        MemUnplugError { device: own(self.device), msg: own(self.msg) }
    }
}

impl<'a> Decode<'a> for MemUnplugError<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device": "#, r#", "msg": "#])?;
        let mut device = None;
        let mut msg = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                _ => msg = Some(reader.value()?),
            }
        }
        Ok(Self { device: required(device, "device", reader)?, msg: required(msg, "msg", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> AcpiDeviceOst<'static> {
        AcpiDeviceOst { info: self.info.into_owned() }
    }
}

impl<'a> Decode<'a> for AcpiDeviceOst<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "info": "#])?;
        let mut info = None;
        while members.next(reader)?.is_some() {
            info = Some(reader.value()?);
        }
        Ok(Self { info: required(info, "info", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "actual": "#])?;
        let mut actual = None;
        while members.next(reader)?.is_some() {
            actual = Some(reader.value()?);
        }
        Ok(Self { actual: required(actual, "actual", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "available": "#, r#", "committed": "#])?;
        let mut available = None;
        let mut committed = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => available = Some(reader.value()?),
                _ => committed = Some(reader.value()?),
            }
        }
        Ok(Self {
            committed: required(committed, "committed", reader)?,
            available: required(available, "available", reader)?,
        })
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
    #[must_use]
    pub fn into_owned(self) -> MemoryDeviceSizeChange<'static> {
        MemoryDeviceSizeChange { id: self.id.map(own), size: self.size, qom_path: own(self.qom_path) }
    }
}

impl<'a> Decode<'a> for MemoryDeviceSizeChange<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "size": "#, r#", "qom-path": "#, r#", "id": "#])?;
        let mut size = None;
        let mut qom_path = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => size = Some(reader.value()?),
                1 => qom_path = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { id, size: required(size, "size", reader)?, qom_path: required(qom_path, "qom-path", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> RtcChange<'static> {
        RtcChange { offset: self.offset, qom_path: own(self.qom_path) }
    }
}

impl<'a> Decode<'a> for RtcChange<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "offset": "#, r#", "qom-path": "#])?;
        let mut offset = None;
        let mut qom_path = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => offset = Some(reader.value()?),
                _ => qom_path = Some(reader.value()?),
            }
        }
        Ok(Self { offset: required(offset, "offset", reader)?, qom_path: required(qom_path, "qom-path", reader)? })
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
    #[must_use]
    pub fn into_owned(self) -> CpuPolarizationChange<'static> {
        CpuPolarizationChange { polarization: self.polarization.into_owned() }
    }
}

impl<'a> Decode<'a> for CpuPolarizationChange<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "polarization": "#])?;
        let mut polarization = None;
        while members.next(reader)?.is_some() {
            polarization = Some(reader.value()?);
        }
        Ok(Self { polarization: required(polarization, "polarization", reader)? })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "vfu-qom-path": "#, r#", "vfu-id": "#, r#", "dev-qom-path": "#, r#", "dev-id": "#],
        )?;
        let mut vfu_qom_path = None;
        let mut vfu_id = None;
        let mut dev_qom_path = None;
        let mut dev_id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => vfu_qom_path = Some(reader.value()?),
                1 => vfu_id = Some(reader.value()?),
                2 => dev_qom_path = Some(reader.value()?),
                _ => dev_id = Some(reader.value()?),
            }
        }
        Ok(Self {
            vfu_id: required(vfu_id, "vfu-id", reader)?,
            vfu_qom_path: required(vfu_qom_path, "vfu-qom-path", reader)?,
            dev_id: required(dev_id, "dev-id", reader)?,
            dev_qom_path: required(dev_qom_path, "dev-qom-path", reader)?,
        })
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "device": "#, r#", "source": "#, r#", "status": "#, r#", "slot": "#, r#", "slot-type": "#],
        )?;
        let mut device = None;
        let mut source = None;
        let mut status = None;
        let mut slot = None;
        let mut slot_type = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => source = Some(reader.value()?),
                2 => status = Some(reader.value()?),
                3 => slot = Some(reader.value()?),
                _ => slot_type = Some(reader.value()?),
            }
        }
        Ok(Self {
            device,
            slot: required(slot, "slot", reader)?,
            slot_type: required(slot_type, "slot-type", reader)?,
            source: required(source, "source", reader)?,
            status: required(status, "status", reader)?,
        })
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
