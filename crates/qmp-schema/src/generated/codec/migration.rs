// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `migration`.

use crate::{
    ColoExit, ColoExitReason, ColoMode, Decode, DumpCompleted, DumpQueryResult, DumpStatus, Error, Event, Migration,
    MigrationPass, MigrationStatus, QapiVfioMigrationState, Reader, VfioMigration,
    fields::{self, Fields, Members},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

impl Migration<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Migration<'static> {
        Migration { status: self.status.into_owned() }
    }
}

impl<'a> Decode<'a> for Migration<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Migration<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { status: members.required(r#", "status": "#) }
    }
}

impl Put for Migration<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"status": "#).value(&self.status).fixed(b"}")
    }
}

impl<'a> From<Migration<'a>> for Event<'a> {
    fn from(event: Migration<'a>) -> Self {
        Self::Migration(event)
    }
}

impl<'a> Decode<'a> for MigrationPass {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for MigrationPass {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { pass: members.required(r#", "pass": "#) }
    }
}

impl Put for MigrationPass {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"pass": "#).value(&self.pass).fixed(b"}")
    }
}

impl From<MigrationPass> for Event<'_> {
    fn from(event: MigrationPass) -> Self {
        Self::MigrationPass(event)
    }
}

impl ColoExit<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> ColoExit<'static> {
        ColoExit { mode: self.mode.into_owned(), reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for ColoExit<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for ColoExit<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { mode: members.required(r#", "mode": "#), reason: members.required(r#", "reason": "#) }
    }
}

impl Put for ColoExit<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"mode": "#).value(&self.mode).fixed(br#", "reason": "#).value(&self.reason).fixed(b"}")
    }
}

impl<'a> From<ColoExit<'a>> for Event<'a> {
    fn from(event: ColoExit<'a>) -> Self {
        Self::ColoExit(event)
    }
}

impl VfioMigration<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> VfioMigration<'static> {
        VfioMigration {
            device_id: own(self.device_id),
            qom_path: own(self.qom_path),
            device_state: self.device_state.into_owned(),
        }
    }
}

impl<'a> Decode<'a> for VfioMigration<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for VfioMigration<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            device_state: members.required(r#", "device-state": "#),
            device_id: members.required(r#", "device-id": "#),
            qom_path: members.required(r#", "qom-path": "#),
        }
    }
}

impl Put for VfioMigration<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"device-state": "#)
            .value(&self.device_state)
            .fixed(br#", "device-id": ""#)
            .text(&self.device_id)
            .fixed(br#"", "qom-path": ""#)
            .text(&self.qom_path)
            .fixed(br#""}"#)
    }
}

impl<'a> From<VfioMigration<'a>> for Event<'a> {
    fn from(event: VfioMigration<'a>) -> Self {
        Self::VfioMigration(event)
    }
}

impl DumpCompleted<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> DumpCompleted<'static> {
        DumpCompleted { result: self.result.into_owned(), error: self.error.map(own) }
    }
}

impl<'a> Decode<'a> for DumpCompleted<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for DumpCompleted<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { result: members.required(r#", "result": "#), error: members.optional(r#", "error": "#) }
    }
}

impl Put for DumpCompleted<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(br#"{"result": "#).value(&self.result);
        if let Some(error) = &self.error {
            out = out.fixed(br#", "error": ""#).text(error).fixed(b"\"");
        }
        out.fixed(b"}")
    }
}

impl<'a> From<DumpCompleted<'a>> for Event<'a> {
    fn from(event: DumpCompleted<'a>) -> Self {
        Self::DumpCompleted(event)
    }
}

open_enum! { ColoExitReason { None = "none",
Request = "request",
Error = "error",
Processing = "processing",
 } }

open_enum! { ColoMode { None = "none",
Primary = "primary",
Secondary = "secondary",
 } }

impl DumpQueryResult<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> DumpQueryResult<'static> {
        DumpQueryResult { status: self.status.into_owned(), completed: self.completed, total: self.total }
    }
}

impl<'a> Decode<'a> for DumpQueryResult<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for DumpQueryResult<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            total: members.required(r#", "total": "#),
            status: members.required(r#", "status": "#),
            completed: members.required(r#", "completed": "#),
        }
    }
}

impl Put for DumpQueryResult<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"total": "#)
            .value(&self.total)
            .fixed(br#", "status": "#)
            .value(&self.status)
            .fixed(br#", "completed": "#)
            .value(&self.completed)
            .fixed(b"}")
    }
}

open_enum! { DumpStatus { None = "none",
Active = "active",
Completed = "completed",
Failed = "failed",
 } }

open_enum! { MigrationStatus { None = "none",
Setup = "setup",
Cancelling = "cancelling",
Cancelled = "cancelled",
Active = "active",
PostcopyDevice = "postcopy-device",
PostcopyActive = "postcopy-active",
PostcopyPaused = "postcopy-paused",
PostcopyRecoverSetup = "postcopy-recover-setup",
PostcopyRecover = "postcopy-recover",
Completed = "completed",
Failing = "failing",
Failed = "failed",
Colo = "colo",
PreSwitchover = "pre-switchover",
Device = "device",
WaitUnplug = "wait-unplug",
 } }

open_enum! { QapiVfioMigrationState { Stop = "stop",
Running = "running",
StopCopy = "stop-copy",
Resuming = "resuming",
RunningP2p = "running-p2p",
PreCopy = "pre-copy",
PreCopyP2p = "pre-copy-p2p",
PreCopyP2pPrepare = "pre-copy-p2p-prepare",
 } }
