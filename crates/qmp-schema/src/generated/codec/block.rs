// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `block`.

use crate::{
    BlockErrorAction, BlockExportDeleted, BlockImageCorrupted, BlockIoError, BlockJobCancelled, BlockJobCompleted,
    BlockJobError, BlockJobPending, BlockJobReady, BlockWriteThreshold, Decode, DeviceTrayMoved, Error, Event,
    IoOperationType, JobStatus, JobStatusChange, JobType, PrManagerStatusChanged, QuorumFailure, QuorumOpType,
    QuorumReportBad, Reader,
    fields::{self, Fields, Members},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

impl JobStatusChange<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> JobStatusChange<'static> {
        JobStatusChange { id: own(self.id), status: self.status.into_owned() }
    }
}

impl<'a> Decode<'a> for JobStatusChange<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for JobStatusChange<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { status: members.required(r#", "status": "#), id: members.required(r#", "id": "#) }
    }
}

impl Put for JobStatusChange<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"status": "#).value(&self.status).fixed(br#", "id": ""#).text(&self.id).fixed(br#""}"#)
    }
}

impl<'a> From<JobStatusChange<'a>> for Event<'a> {
    fn from(event: JobStatusChange<'a>) -> Self {
        Self::JobStatusChange(event)
    }
}

impl BlockImageCorrupted<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockImageCorrupted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            msg: members.required(r#", "msg": "#),
            offset: members.optional(r#", "offset": "#),
            node_name: members.optional(r#", "node-name": "#),
            fatal: members.required(r#", "fatal": "#),
            size: members.optional(r#", "size": "#),
        }
    }
}

impl Put for BlockImageCorrupted<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out =
            out.fixed(br#"{"device": ""#).text(&self.device).fixed(br#"", "msg": ""#).text(&self.msg).fixed(b"\"");
        if let Some(offset) = &self.offset {
            out = out.fixed(br#", "offset": "#).value(offset);
        }
        if let Some(node_name) = &self.node_name {
            out = out.fixed(br#", "node-name": ""#).text(node_name).fixed(b"\"");
        }
        out = out.fixed(br#", "fatal": "#).value(&self.fatal);
        if let Some(size) = &self.size {
            out = out.fixed(br#", "size": "#).value(size);
        }
        out.fixed(b"}")
    }
}

impl<'a> From<BlockImageCorrupted<'a>> for Event<'a> {
    fn from(event: BlockImageCorrupted<'a>) -> Self {
        Self::BlockImageCorrupted(event)
    }
}

impl BlockIoError<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> BlockIoError<'static> {
        BlockIoError {
            qom_path: self.qom_path.map(own),
            device: own(self.device),
            node_name: self.node_name.map(own),
            operation: self.operation.into_owned(),
            action: self.action.into_owned(),
            nospace: self.nospace,
            reason: self.reason.map(own),
        }
    }
}

impl<'a> Decode<'a> for BlockIoError<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockIoError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            nospace: members.optional(r#", "nospace": "#),
            node_name: members.optional(r#", "node-name": "#),
            qom_path: members.optional(r#", "qom-path": "#),
            reason: members.optional(r#", "reason": "#),
            operation: members.required(r#", "operation": "#),
            action: members.required(r#", "action": "#),
        }
    }
}

impl Put for BlockIoError<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(br#"{"device": ""#).text(&self.device).fixed(b"\"");
        if let Some(nospace) = &self.nospace {
            out = out.fixed(br#", "nospace": "#).value(nospace);
        }
        if let Some(node_name) = &self.node_name {
            out = out.fixed(br#", "node-name": ""#).text(node_name).fixed(b"\"");
        }
        if let Some(qom_path) = &self.qom_path {
            out = out.fixed(br#", "qom-path": ""#).text(qom_path).fixed(b"\"");
        }
        if let Some(reason) = &self.reason {
            out = out.fixed(br#", "reason": ""#).text(reason).fixed(b"\"");
        }
        out.fixed(br#", "operation": "#)
            .value(&self.operation)
            .fixed(br#", "action": "#)
            .value(&self.action)
            .fixed(b"}")
    }
}

impl<'a> From<BlockIoError<'a>> for Event<'a> {
    fn from(event: BlockIoError<'a>) -> Self {
        Self::BlockIoError(event)
    }
}

impl BlockJobCompleted<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockJobCompleted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            len: members.required(r#", "len": "#),
            offset: members.required(r#", "offset": "#),
            speed: members.required(r#", "speed": "#),
            r#type: members.required(r#", "type": "#),
            error: members.optional(r#", "error": "#),
        }
    }
}

impl Put for BlockJobCompleted<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out
            .fixed(br#"{"device": ""#)
            .text(&self.device)
            .fixed(br#"", "len": "#)
            .value(&self.len)
            .fixed(br#", "offset": "#)
            .value(&self.offset)
            .fixed(br#", "speed": "#)
            .value(&self.speed)
            .fixed(br#", "type": "#)
            .value(&self.r#type);
        if let Some(error) = &self.error {
            out = out.fixed(br#", "error": ""#).text(error).fixed(b"\"");
        }
        out.fixed(b"}")
    }
}

impl<'a> From<BlockJobCompleted<'a>> for Event<'a> {
    fn from(event: BlockJobCompleted<'a>) -> Self {
        Self::BlockJobCompleted(event)
    }
}

impl BlockJobCancelled<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockJobCancelled<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            len: members.required(r#", "len": "#),
            offset: members.required(r#", "offset": "#),
            speed: members.required(r#", "speed": "#),
            r#type: members.required(r#", "type": "#),
        }
    }
}

impl Put for BlockJobCancelled<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device": ""#)
            .text(&self.device)
            .fixed(br#"", "len": "#)
            .value(&self.len)
            .fixed(br#", "offset": "#)
            .value(&self.offset)
            .fixed(br#", "speed": "#)
            .value(&self.speed)
            .fixed(br#", "type": "#)
            .value(&self.r#type)
            .fixed(b"}")
    }
}

impl<'a> From<BlockJobCancelled<'a>> for Event<'a> {
    fn from(event: BlockJobCancelled<'a>) -> Self {
        Self::BlockJobCancelled(event)
    }
}

impl BlockJobError<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockJobError<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            operation: members.required(r#", "operation": "#),
            action: members.required(r#", "action": "#),
        }
    }
}

impl Put for BlockJobError<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device": ""#)
            .text(&self.device)
            .fixed(br#"", "operation": "#)
            .value(&self.operation)
            .fixed(br#", "action": "#)
            .value(&self.action)
            .fixed(b"}")
    }
}

impl<'a> From<BlockJobError<'a>> for Event<'a> {
    fn from(event: BlockJobError<'a>) -> Self {
        Self::BlockJobError(event)
    }
}

impl BlockJobReady<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockJobReady<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            len: members.required(r#", "len": "#),
            offset: members.required(r#", "offset": "#),
            speed: members.required(r#", "speed": "#),
            r#type: members.required(r#", "type": "#),
        }
    }
}

impl Put for BlockJobReady<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device": ""#)
            .text(&self.device)
            .fixed(br#"", "len": "#)
            .value(&self.len)
            .fixed(br#", "offset": "#)
            .value(&self.offset)
            .fixed(br#", "speed": "#)
            .value(&self.speed)
            .fixed(br#", "type": "#)
            .value(&self.r#type)
            .fixed(b"}")
    }
}

impl<'a> From<BlockJobReady<'a>> for Event<'a> {
    fn from(event: BlockJobReady<'a>) -> Self {
        Self::BlockJobReady(event)
    }
}

impl BlockJobPending<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> BlockJobPending<'static> {
        BlockJobPending { r#type: self.r#type.into_owned(), id: own(self.id) }
    }
}

impl<'a> Decode<'a> for BlockJobPending<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockJobPending<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { r#type: members.required(r#", "type": "#), id: members.required(r#", "id": "#) }
    }
}

impl Put for BlockJobPending<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"type": "#).value(&self.r#type).fixed(br#", "id": ""#).text(&self.id).fixed(br#""}"#)
    }
}

impl<'a> From<BlockJobPending<'a>> for Event<'a> {
    fn from(event: BlockJobPending<'a>) -> Self {
        Self::BlockJobPending(event)
    }
}

impl BlockWriteThreshold<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockWriteThreshold<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            node_name: members.required(r#", "node-name": "#),
            write_threshold: members.required(r#", "write-threshold": "#),
            amount_exceeded: members.required(r#", "amount-exceeded": "#),
        }
    }
}

impl Put for BlockWriteThreshold<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"node-name": ""#)
            .text(&self.node_name)
            .fixed(br#"", "write-threshold": "#)
            .value(&self.write_threshold)
            .fixed(br#", "amount-exceeded": "#)
            .value(&self.amount_exceeded)
            .fixed(b"}")
    }
}

impl<'a> From<BlockWriteThreshold<'a>> for Event<'a> {
    fn from(event: BlockWriteThreshold<'a>) -> Self {
        Self::BlockWriteThreshold(event)
    }
}

impl QuorumFailure<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> QuorumFailure<'static> {
        QuorumFailure { reference: own(self.reference), sector_num: self.sector_num, sectors_count: self.sectors_count }
    }
}

impl<'a> Decode<'a> for QuorumFailure<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for QuorumFailure<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            reference: members.required(r#", "reference": "#),
            sectors_count: members.required(r#", "sectors-count": "#),
            sector_num: members.required(r#", "sector-num": "#),
        }
    }
}

impl Put for QuorumFailure<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"reference": ""#)
            .text(&self.reference)
            .fixed(br#"", "sectors-count": "#)
            .value(&self.sectors_count)
            .fixed(br#", "sector-num": "#)
            .value(&self.sector_num)
            .fixed(b"}")
    }
}

impl<'a> From<QuorumFailure<'a>> for Event<'a> {
    fn from(event: QuorumFailure<'a>) -> Self {
        Self::QuorumFailure(event)
    }
}

impl QuorumReportBad<'_> {
    /// A copy that borrows nothing.
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for QuorumReportBad<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            node_name: members.required(r#", "node-name": "#),
            sectors_count: members.required(r#", "sectors-count": "#),
            sector_num: members.required(r#", "sector-num": "#),
            r#type: members.required(r#", "type": "#),
            error: members.optional(r#", "error": "#),
        }
    }
}

impl Put for QuorumReportBad<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out
            .fixed(br#"{"node-name": ""#)
            .text(&self.node_name)
            .fixed(br#"", "sectors-count": "#)
            .value(&self.sectors_count)
            .fixed(br#", "sector-num": "#)
            .value(&self.sector_num)
            .fixed(br#", "type": "#)
            .value(&self.r#type);
        if let Some(error) = &self.error {
            out = out.fixed(br#", "error": ""#).text(error).fixed(b"\"");
        }
        out.fixed(b"}")
    }
}

impl<'a> From<QuorumReportBad<'a>> for Event<'a> {
    fn from(event: QuorumReportBad<'a>) -> Self {
        Self::QuorumReportBad(event)
    }
}

impl DeviceTrayMoved<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> DeviceTrayMoved<'static> {
        DeviceTrayMoved { device: own(self.device), id: self.id.map(own), tray_open: self.tray_open }
    }
}

impl<'a> Decode<'a> for DeviceTrayMoved<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for DeviceTrayMoved<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device: members.required(r#", "device": "#),
            tray_open: members.required(r#", "tray-open": "#),
            id: members.optional(r#", "id": "#),
        }
    }
}

impl Put for DeviceTrayMoved<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out =
            out.fixed(br#"{"device": ""#).text(&self.device).fixed(br#"", "tray-open": "#).value(&self.tray_open);
        if let Some(id) = &self.id {
            out = out.fixed(br#", "id": ""#).text(id).fixed(b"\"");
        }
        out.fixed(b"}")
    }
}

impl<'a> From<DeviceTrayMoved<'a>> for Event<'a> {
    fn from(event: DeviceTrayMoved<'a>) -> Self {
        Self::DeviceTrayMoved(event)
    }
}

impl PrManagerStatusChanged<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> PrManagerStatusChanged<'static> {
        PrManagerStatusChanged { id: own(self.id), connected: self.connected }
    }
}

impl<'a> Decode<'a> for PrManagerStatusChanged<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for PrManagerStatusChanged<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { connected: members.required(r#", "connected": "#), id: members.required(r#", "id": "#) }
    }
}

impl Put for PrManagerStatusChanged<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"connected": "#).value(&self.connected).fixed(br#", "id": ""#).text(&self.id).fixed(br#""}"#)
    }
}

impl<'a> From<PrManagerStatusChanged<'a>> for Event<'a> {
    fn from(event: PrManagerStatusChanged<'a>) -> Self {
        Self::PrManagerStatusChanged(event)
    }
}

impl BlockExportDeleted<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> BlockExportDeleted<'static> {
        BlockExportDeleted { id: own(self.id) }
    }
}

impl<'a> Decode<'a> for BlockExportDeleted<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for BlockExportDeleted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { id: members.required(r#", "id": "#) }
    }
}

impl Put for BlockExportDeleted<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"id": ""#).text(&self.id).fixed(br#""}"#)
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
