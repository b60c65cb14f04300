// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `block`.

use alloc::vec::Vec;

use crate::{
    BlockErrorAction, BlockExportDeleted, BlockImageCorrupted, BlockIoError, BlockJobCancelled, BlockJobCompleted,
    BlockJobError, BlockJobPending, BlockJobReady, BlockWriteThreshold, Decode, DeviceTrayMoved, Encode, Error, Event,
    IoOperationType, JobStatus, JobStatusChange, JobType, PrManagerStatusChanged, QuorumFailure, QuorumOpType,
    QuorumReportBad, open_enum,
    reader::{Members, Reader, required},
    value::own,
    wire::write_text,
};

impl JobStatusChange<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> JobStatusChange<'static> {
        JobStatusChange { id: own(self.id), status: self.status.into_owned() }
    }
}

impl<'a> Decode<'a> for JobStatusChange<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "status": "#, r#", "id": "#])?;
        let mut status = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => status = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { id: required(id, "id", reader)?, status: required(status, "status", reader)? })
    }
}

impl Encode for JobStatusChange<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"status\": ");
        self.status.write_to(out);
        out.extend_from_slice(b", \"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<JobStatusChange<'a>> for Event<'a> {
    fn from(event: JobStatusChange<'a>) -> Self {
        Self::JobStatusChange(event)
    }
}

impl BlockImageCorrupted<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockImageCorrupted<'static> {
        BlockImageCorrupted {
            device: own(self.device),
            node_name: self.node_name.map(own),
            msg: own(self.msg),
            offset: self.offset,
            size: self.size,
            fatal: self.fatal,
        }
    }
}

impl<'a> Decode<'a> for BlockImageCorrupted<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[
                r#", "device": "#,
                r#", "msg": "#,
                r#", "offset": "#,
                r#", "node-name": "#,
                r#", "fatal": "#,
                r#", "size": "#,
            ],
        )?;
        let mut device = None;
        let mut msg = None;
        let mut offset = None;
        let mut node_name = None;
        let mut fatal = None;
        let mut size = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => msg = Some(reader.value()?),
                2 => offset = Some(reader.value()?),
                3 => node_name = Some(reader.value()?),
                4 => fatal = Some(reader.value()?),
                _ => size = Some(reader.value()?),
            }
        }
        Ok(Self {
            device: required(device, "device", reader)?,
            node_name,
            msg: required(msg, "msg", reader)?,
            offset,
            size,
            fatal: required(fatal, "fatal", reader)?,
        })
    }
}

impl Encode for BlockImageCorrupted<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"msg\": \"");
        write_text(out, &self.msg);
        out.extend_from_slice(b"\"");
        if let Some(offset) = &self.offset {
            out.extend_from_slice(b", \"offset\": ");
            offset.write_to(out);
        }
        if let Some(node_name) = &self.node_name {
            out.extend_from_slice(b", \"node-name\": \"");
            write_text(out, node_name);
            out.push(b'"');
        }
        out.extend_from_slice(b", \"fatal\": ");
        self.fatal.write_to(out);
        if let Some(size) = &self.size {
            out.extend_from_slice(b", \"size\": ");
            size.write_to(out);
        }
        out.push(b'}');
    }
}

impl<'a> From<BlockImageCorrupted<'a>> for Event<'a> {
    fn from(event: BlockImageCorrupted<'a>) -> Self {
        Self::BlockImageCorrupted(event)
    }
}

impl BlockIoError<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockIoError<'static> {
        BlockIoError {
            qom_path: self.qom_path.map(own),
            device: own(self.device),
            node_name: self.node_name.map(own),
            operation: self.operation.into_owned(),
            action: self.action.into_owned(),
            nospace: self.nospace,
            reason: own(self.reason),
        }
    }
}

impl<'a> Decode<'a> for BlockIoError<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[
                r#", "device": "#,
                r#", "nospace": "#,
                r#", "node-name": "#,
                r#", "qom-path": "#,
                r#", "reason": "#,
                r#", "operation": "#,
                r#", "action": "#,
            ],
        )?;
        let mut device = None;
        let mut nospace = None;
        let mut node_name = None;
        let mut qom_path = None;
        let mut reason = None;
        let mut operation = None;
        let mut action = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => nospace = Some(reader.value()?),
                2 => node_name = Some(reader.value()?),
                3 => qom_path = Some(reader.value()?),
                4 => reason = Some(reader.value()?),
                5 => operation = Some(reader.value()?),
                _ => action = Some(reader.value()?),
            }
        }
        Ok(Self {
            qom_path,
            device: required(device, "device", reader)?,
            node_name,
            operation: required(operation, "operation", reader)?,
            action: required(action, "action", reader)?,
            nospace,
            reason: required(reason, "reason", reader)?,
        })
    }
}

impl Encode for BlockIoError<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\"");
        if let Some(nospace) = &self.nospace {
            out.extend_from_slice(b", \"nospace\": ");
            nospace.write_to(out);
        }
        if let Some(node_name) = &self.node_name {
            out.extend_from_slice(b", \"node-name\": \"");
            write_text(out, node_name);
            out.push(b'"');
        }
        if let Some(qom_path) = &self.qom_path {
            out.extend_from_slice(b", \"qom-path\": \"");
            write_text(out, qom_path);
            out.push(b'"');
        }
        out.extend_from_slice(b", \"reason\": \"");
        write_text(out, &self.reason);
        out.extend_from_slice(b"\", \"operation\": ");
        self.operation.write_to(out);
        out.extend_from_slice(b", \"action\": ");
        self.action.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<BlockIoError<'a>> for Event<'a> {
    fn from(event: BlockIoError<'a>) -> Self {
        Self::BlockIoError(event)
    }
}

impl BlockJobCompleted<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockJobCompleted<'static> {
        BlockJobCompleted {
            r#type: self.r#type.into_owned(),
            device: own(self.device),
            len: self.len,
            offset: self.offset,
            speed: self.speed,
            error: self.error.map(own),
        }
    }
}

impl<'a> Decode<'a> for BlockJobCompleted<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[
                r#", "device": "#,
                r#", "len": "#,
                r#", "offset": "#,
                r#", "speed": "#,
                r#", "type": "#,
                r#", "error": "#,
            ],
        )?;
        let mut device = None;
        let mut len = None;
        let mut offset = None;
        let mut speed = None;
        let mut r#type = None;
        let mut error = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => len = Some(reader.value()?),
                2 => offset = Some(reader.value()?),
                3 => speed = Some(reader.value()?),
                4 => r#type = Some(reader.value()?),
                _ => error = Some(reader.value()?),
            }
        }
        Ok(Self {
            r#type: required(r#type, "type", reader)?,
            device: required(device, "device", reader)?,
            len: required(len, "len", reader)?,
            offset: required(offset, "offset", reader)?,
            speed: required(speed, "speed", reader)?,
            error,
        })
    }
}

impl Encode for BlockJobCompleted<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"len\": ");
        self.len.write_to(out);
        out.extend_from_slice(b", \"offset\": ");
        self.offset.write_to(out);
        out.extend_from_slice(b", \"speed\": ");
        self.speed.write_to(out);
        out.extend_from_slice(b", \"type\": ");
        self.r#type.write_to(out);
        if let Some(error) = &self.error {
            out.extend_from_slice(b", \"error\": \"");
            write_text(out, error);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

impl<'a> From<BlockJobCompleted<'a>> for Event<'a> {
    fn from(event: BlockJobCompleted<'a>) -> Self {
        Self::BlockJobCompleted(event)
    }
}

impl BlockJobCancelled<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockJobCancelled<'static> {
        BlockJobCancelled {
            r#type: self.r#type.into_owned(),
            device: own(self.device),
            len: self.len,
            offset: self.offset,
            speed: self.speed,
        }
    }
}

impl<'a> Decode<'a> for BlockJobCancelled<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "device": "#, r#", "len": "#, r#", "offset": "#, r#", "speed": "#, r#", "type": "#],
        )?;
        let mut device = None;
        let mut len = None;
        let mut offset = None;
        let mut speed = None;
        let mut r#type = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => len = Some(reader.value()?),
                2 => offset = Some(reader.value()?),
                3 => speed = Some(reader.value()?),
                _ => r#type = Some(reader.value()?),
            }
        }
        Ok(Self {
            r#type: required(r#type, "type", reader)?,
            device: required(device, "device", reader)?,
            len: required(len, "len", reader)?,
            offset: required(offset, "offset", reader)?,
            speed: required(speed, "speed", reader)?,
        })
    }
}

impl Encode for BlockJobCancelled<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"len\": ");
        self.len.write_to(out);
        out.extend_from_slice(b", \"offset\": ");
        self.offset.write_to(out);
        out.extend_from_slice(b", \"speed\": ");
        self.speed.write_to(out);
        out.extend_from_slice(b", \"type\": ");
        self.r#type.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<BlockJobCancelled<'a>> for Event<'a> {
    fn from(event: BlockJobCancelled<'a>) -> Self {
        Self::BlockJobCancelled(event)
    }
}

impl BlockJobError<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockJobError<'static> {
        BlockJobError {
            device: own(self.device),
            operation: self.operation.into_owned(),
            action: self.action.into_owned(),
        }
    }
}

impl<'a> Decode<'a> for BlockJobError<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device": "#, r#", "operation": "#, r#", "action": "#])?;
        let mut device = None;
        let mut operation = None;
        let mut action = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => operation = Some(reader.value()?),
                _ => action = Some(reader.value()?),
            }
        }
        Ok(Self {
            device: required(device, "device", reader)?,
            operation: required(operation, "operation", reader)?,
            action: required(action, "action", reader)?,
        })
    }
}

impl Encode for BlockJobError<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"operation\": ");
        self.operation.write_to(out);
        out.extend_from_slice(b", \"action\": ");
        self.action.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<BlockJobError<'a>> for Event<'a> {
    fn from(event: BlockJobError<'a>) -> Self {
        Self::BlockJobError(event)
    }
}

impl BlockJobReady<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockJobReady<'static> {
        BlockJobReady {
            r#type: self.r#type.into_owned(),
            device: own(self.device),
            len: self.len,
            offset: self.offset,
            speed: self.speed,
        }
    }
}

impl<'a> Decode<'a> for BlockJobReady<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "device": "#, r#", "len": "#, r#", "offset": "#, r#", "speed": "#, r#", "type": "#],
        )?;
        let mut device = None;
        let mut len = None;
        let mut offset = None;
        let mut speed = None;
        let mut r#type = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => len = Some(reader.value()?),
                2 => offset = Some(reader.value()?),
                3 => speed = Some(reader.value()?),
                _ => r#type = Some(reader.value()?),
            }
        }
        Ok(Self {
            r#type: required(r#type, "type", reader)?,
            device: required(device, "device", reader)?,
            len: required(len, "len", reader)?,
            offset: required(offset, "offset", reader)?,
            speed: required(speed, "speed", reader)?,
        })
    }
}

impl Encode for BlockJobReady<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"len\": ");
        self.len.write_to(out);
        out.extend_from_slice(b", \"offset\": ");
        self.offset.write_to(out);
        out.extend_from_slice(b", \"speed\": ");
        self.speed.write_to(out);
        out.extend_from_slice(b", \"type\": ");
        self.r#type.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<BlockJobReady<'a>> for Event<'a> {
    fn from(event: BlockJobReady<'a>) -> Self {
        Self::BlockJobReady(event)
    }
}

impl BlockJobPending<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockJobPending<'static> {
        BlockJobPending { r#type: self.r#type.into_owned(), id: own(self.id) }
    }
}

impl<'a> Decode<'a> for BlockJobPending<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "type": "#, r#", "id": "#])?;
        let mut r#type = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => r#type = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { r#type: required(r#type, "type", reader)?, id: required(id, "id", reader)? })
    }
}

impl Encode for BlockJobPending<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\": ");
        self.r#type.write_to(out);
        out.extend_from_slice(b", \"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<BlockJobPending<'a>> for Event<'a> {
    fn from(event: BlockJobPending<'a>) -> Self {
        Self::BlockJobPending(event)
    }
}

impl BlockWriteThreshold<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockWriteThreshold<'static> {
        BlockWriteThreshold {
            node_name: own(self.node_name),
            amount_exceeded: self.amount_exceeded,
            write_threshold: self.write_threshold,
        }
    }
}

impl<'a> Decode<'a> for BlockWriteThreshold<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members =
            Members::open(reader, &[r#", "node-name": "#, r#", "write-threshold": "#, r#", "amount-exceeded": "#])?;
        let mut node_name = None;
        let mut write_threshold = None;
        let mut amount_exceeded = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => node_name = Some(reader.value()?),
                1 => write_threshold = Some(reader.value()?),
                _ => amount_exceeded = Some(reader.value()?),
            }
        }
        Ok(Self {
            node_name: required(node_name, "node-name", reader)?,
            amount_exceeded: required(amount_exceeded, "amount-exceeded", reader)?,
            write_threshold: required(write_threshold, "write-threshold", reader)?,
        })
    }
}

impl Encode for BlockWriteThreshold<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"node-name\": \"");
        write_text(out, &self.node_name);
        out.extend_from_slice(b"\", \"write-threshold\": ");
        self.write_threshold.write_to(out);
        out.extend_from_slice(b", \"amount-exceeded\": ");
        self.amount_exceeded.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<BlockWriteThreshold<'a>> for Event<'a> {
    fn from(event: BlockWriteThreshold<'a>) -> Self {
        Self::BlockWriteThreshold(event)
    }
}

impl QuorumFailure<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> QuorumFailure<'static> {
        QuorumFailure { reference: own(self.reference), sector_num: self.sector_num, sectors_count: self.sectors_count }
    }
}

impl<'a> Decode<'a> for QuorumFailure<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members =
            Members::open(reader, &[r#", "reference": "#, r#", "sectors-count": "#, r#", "sector-num": "#])?;
        let mut reference = None;
        let mut sectors_count = None;
        let mut sector_num = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => reference = Some(reader.value()?),
                1 => sectors_count = Some(reader.value()?),
                _ => sector_num = Some(reader.value()?),
            }
        }
        Ok(Self {
            reference: required(reference, "reference", reader)?,
            sector_num: required(sector_num, "sector-num", reader)?,
            sectors_count: required(sectors_count, "sectors-count", reader)?,
        })
    }
}

impl Encode for QuorumFailure<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reference\": \"");
        write_text(out, &self.reference);
        out.extend_from_slice(b"\", \"sectors-count\": ");
        self.sectors_count.write_to(out);
        out.extend_from_slice(b", \"sector-num\": ");
        self.sector_num.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<QuorumFailure<'a>> for Event<'a> {
    fn from(event: QuorumFailure<'a>) -> Self {
        Self::QuorumFailure(event)
    }
}

impl QuorumReportBad<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> QuorumReportBad<'static> {
        QuorumReportBad {
            r#type: self.r#type.into_owned(),
            error: self.error.map(own),
            node_name: own(self.node_name),
            sector_num: self.sector_num,
            sectors_count: self.sectors_count,
        }
    }
}

impl<'a> Decode<'a> for QuorumReportBad<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "node-name": "#, r#", "sectors-count": "#, r#", "sector-num": "#, r#", "type": "#, r#", "error": "#],
        )?;
        let mut node_name = None;
        let mut sectors_count = None;
        let mut sector_num = None;
        let mut r#type = None;
        let mut error = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => node_name = Some(reader.value()?),
                1 => sectors_count = Some(reader.value()?),
                2 => sector_num = Some(reader.value()?),
                3 => r#type = Some(reader.value()?),
                _ => error = Some(reader.value()?),
            }
        }
        Ok(Self {
            r#type: required(r#type, "type", reader)?,
            error,
            node_name: required(node_name, "node-name", reader)?,
            sector_num: required(sector_num, "sector-num", reader)?,
            sectors_count: required(sectors_count, "sectors-count", reader)?,
        })
    }
}

impl Encode for QuorumReportBad<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"node-name\": \"");
        write_text(out, &self.node_name);
        out.extend_from_slice(b"\", \"sectors-count\": ");
        self.sectors_count.write_to(out);
        out.extend_from_slice(b", \"sector-num\": ");
        self.sector_num.write_to(out);
        out.extend_from_slice(b", \"type\": ");
        self.r#type.write_to(out);
        if let Some(error) = &self.error {
            out.extend_from_slice(b", \"error\": \"");
            write_text(out, error);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

impl<'a> From<QuorumReportBad<'a>> for Event<'a> {
    fn from(event: QuorumReportBad<'a>) -> Self {
        Self::QuorumReportBad(event)
    }
}

impl DeviceTrayMoved<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> DeviceTrayMoved<'static> {
        DeviceTrayMoved { device: own(self.device), id: own(self.id), tray_open: self.tray_open }
    }
}

impl<'a> Decode<'a> for DeviceTrayMoved<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device": "#, r#", "tray-open": "#, r#", "id": "#])?;
        let mut device = None;
        let mut tray_open = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device = Some(reader.value()?),
                1 => tray_open = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self {
            device: required(device, "device", reader)?,
            id: required(id, "id", reader)?,
            tray_open: required(tray_open, "tray-open", reader)?,
        })
    }
}

impl Encode for DeviceTrayMoved<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device\": \"");
        write_text(out, &self.device);
        out.extend_from_slice(b"\", \"tray-open\": ");
        self.tray_open.write_to(out);
        out.extend_from_slice(b", \"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<DeviceTrayMoved<'a>> for Event<'a> {
    fn from(event: DeviceTrayMoved<'a>) -> Self {
        Self::DeviceTrayMoved(event)
    }
}

impl PrManagerStatusChanged<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> PrManagerStatusChanged<'static> {
        PrManagerStatusChanged { id: own(self.id), connected: self.connected }
    }
}

impl<'a> Decode<'a> for PrManagerStatusChanged<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "connected": "#, r#", "id": "#])?;
        let mut connected = None;
        let mut id = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => connected = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { id: required(id, "id", reader)?, connected: required(connected, "connected", reader)? })
    }
}

impl Encode for PrManagerStatusChanged<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"connected\": ");
        self.connected.write_to(out);
        out.extend_from_slice(b", \"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<PrManagerStatusChanged<'a>> for Event<'a> {
    fn from(event: PrManagerStatusChanged<'a>) -> Self {
        Self::PrManagerStatusChanged(event)
    }
}

impl BlockExportDeleted<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> BlockExportDeleted<'static> {
        BlockExportDeleted { id: own(self.id) }
    }
}

impl<'a> Decode<'a> for BlockExportDeleted<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "id": "#])?;
        let mut id = None;
        while members.next(reader)?.is_some() {
            id = Some(reader.value()?);
        }
        Ok(Self { id: required(id, "id", reader)? })
    }
}

impl Encode for BlockExportDeleted<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\": \"");
        write_text(out, &self.id);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<BlockExportDeleted<'a>> for Event<'a> {
    fn from(event: BlockExportDeleted<'a>) -> Self {
        Self::BlockExportDeleted(event)
    }
}

open_enum! { BlockErrorAction { Ignore = "ignore",
Report = "report",
Stop = "stop",
 } }

open_enum! { IoOperationType { Read = "read",
Write = "write",
 } }

open_enum! { JobStatus { Undefined = "undefined",
Created = "created",
Running = "running",
Paused = "paused",
Ready = "ready",
Standby = "standby",
Waiting = "waiting",
Pending = "pending",
Aborting = "aborting",
Concluded = "concluded",
Null = "null",
 } }

open_enum! { JobType { Commit = "commit",
Stream = "stream",
Mirror = "mirror",
Backup = "backup",
Create = "create",
Amend = "amend",
SnapshotLoad = "snapshot-load",
SnapshotSave = "snapshot-save",
SnapshotDelete = "snapshot-delete",
 } }

open_enum! { QuorumOpType { Read = "read",
Write = "write",
Flush = "flush",
 } }
