// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `migration`.

use alloc::vec::Vec;

use crate::{
    ColoExit, ColoExitReason, ColoMode, Decode, DumpCompleted, DumpQueryResult, DumpStatus, Encode, Error, Event,
    Migration, MigrationPass, MigrationStatus, QapiVfioMigrationState, VfioMigration, open_enum,
    reader::{Members, Reader, required},
    value::own,
    wire::write_text,
};

impl Migration<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Migration<'static> {
        Migration { status: self.status.into_owned() }
    }
}

impl<'a> Decode<'a> for Migration<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "status": "#])?;
        let mut status = None;
        while members.next(reader)?.is_some() {
            status = Some(reader.value()?);
        }
        Ok(Self { status: required(status, "status", reader)? })
    }
}

impl Encode for Migration<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"status\": ");
        self.status.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<Migration<'a>> for Event<'a> {
    fn from(event: Migration<'a>) -> Self {
        Self::Migration(event)
    }
}

impl<'a> Decode<'a> for MigrationPass {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "pass": "#])?;
        let mut pass = None;
        while members.next(reader)?.is_some() {
            pass = Some(reader.value()?);
        }
        Ok(Self { pass: required(pass, "pass", reader)? })
    }
}

impl Encode for MigrationPass {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"pass\": ");
        self.pass.write_to(out);
        out.push(b'}');
    }
}

impl From<MigrationPass> for Event<'_> {
    fn from(event: MigrationPass) -> Self {
        Self::MigrationPass(event)
    }
}

impl ColoExit<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> ColoExit<'static> {
        ColoExit { mode: self.mode.into_owned(), reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for ColoExit<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "mode": "#, r#", "reason": "#])?;
        let mut mode = None;
        let mut reason = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => mode = Some(reader.value()?),
                _ => reason = Some(reader.value()?),
            }
        }
        Ok(Self { mode: required(mode, "mode", reader)?, reason: required(reason, "reason", reader)? })
    }
}

impl Encode for ColoExit<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"mode\": ");
        self.mode.write_to(out);
        out.extend_from_slice(b", \"reason\": ");
        self.reason.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<ColoExit<'a>> for Event<'a> {
    fn from(event: ColoExit<'a>) -> Self {
        Self::ColoExit(event)
    }
}

impl VfioMigration<'_> {
    /// A copy that borrows nothing.
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
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "device-state": "#, r#", "device-id": "#, r#", "qom-path": "#])?;
        let mut device_state = None;
        let mut device_id = None;
        let mut qom_path = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => device_state = Some(reader.value()?),
                1 => device_id = Some(reader.value()?),
                _ => qom_path = Some(reader.value()?),
            }
        }
        Ok(Self {
            device_id: required(device_id, "device-id", reader)?,
            qom_path: required(qom_path, "qom-path", reader)?,
            device_state: required(device_state, "device-state", reader)?,
        })
    }
}

impl Encode for VfioMigration<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"device-state\": ");
        self.device_state.write_to(out);
        out.extend_from_slice(b", \"device-id\": \"");
        write_text(out, &self.device_id);
        out.extend_from_slice(b"\", \"qom-path\": \"");
        write_text(out, &self.qom_path);
        out.extend_from_slice(b"\"}");
    }
}

impl<'a> From<VfioMigration<'a>> for Event<'a> {
    fn from(event: VfioMigration<'a>) -> Self {
        Self::VfioMigration(event)
    }
}

impl DumpCompleted<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> DumpCompleted<'static> {
        DumpCompleted { result: self.result.into_owned(), error: self.error.map(own) }
    }
}

impl<'a> Decode<'a> for DumpCompleted<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "result": "#, r#", "error": "#])?;
        let mut result = None;
        let mut error = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => result = Some(reader.value()?),
                _ => error = Some(reader.value()?),
            }
        }
        Ok(Self { result: required(result, "result", reader)?, error })
    }
}

impl Encode for DumpCompleted<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"result\": ");
        self.result.write_to(out);
        if let Some(error) = &self.error {
            out.extend_from_slice(b", \"error\": \"");
            write_text(out, error);
            out.push(b'"');
        }
        out.push(b'}');
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
    #[must_use]
    pub fn into_owned(self) -> DumpQueryResult<'static> {
        DumpQueryResult { status: self.status.into_owned(), completed: self.completed, total: self.total }
    }
}

impl<'a> Decode<'a> for DumpQueryResult<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "total": "#, r#", "status": "#, r#", "completed": "#])?;
        let mut total = None;
        let mut status = None;
        let mut completed = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => total = Some(reader.value()?),
                1 => status = Some(reader.value()?),
                _ => completed = Some(reader.value()?),
            }
        }
        Ok(Self {
            status: required(status, "status", reader)?,
            completed: required(completed, "completed", reader)?,
            total: required(total, "total", reader)?,
        })
    }
}

impl Encode for DumpQueryResult<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"total\": ");
        self.total.write_to(out);
        out.extend_from_slice(b", \"status\": ");
        self.status.write_to(out);
        out.extend_from_slice(b", \"completed\": ");
        self.completed.write_to(out);
        out.push(b'}');
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
 } }
