// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `run_state`.

use alloc::vec::Vec;

use crate::{
    Decode, Encode, Error, Event, GuestCrashloaded, GuestPanicAction, GuestPanicInformation,
    GuestPanicInformationHyperV, GuestPanicInformationS390, GuestPanicInformationSev, GuestPanicInformationTdx,
    GuestPanicInformationType, GuestPanicked, MemoryFailure, MemoryFailureAction, MemoryFailureFlags,
    MemoryFailureRecipient, Object, Reset, S390CrashReason, Shutdown, ShutdownCause, Watchdog, WatchdogAction,
    open_enum,
    reader::{Members, Reader, required},
    value::own,
    wire::write_text,
};

impl Shutdown<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Shutdown<'static> {
        Shutdown { guest: self.guest, reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for Shutdown<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "guest": "#, r#", "reason": "#])?;
        let mut guest = None;
        let mut reason = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => guest = Some(reader.value()?),
                _ => reason = Some(reader.value()?),
            }
        }
        Ok(Self { guest: required(guest, "guest", reader)?, reason: required(reason, "reason", reader)? })
    }
}

impl Encode for Shutdown<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"guest\": ");
        self.guest.write_to(out);
        out.extend_from_slice(b", \"reason\": ");
        self.reason.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<Shutdown<'a>> for Event<'a> {
    fn from(event: Shutdown<'a>) -> Self {
        Self::Shutdown(event)
    }
}

impl Reset<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Reset<'static> {
        Reset { guest: self.guest, reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for Reset<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "guest": "#, r#", "reason": "#])?;
        let mut guest = None;
        let mut reason = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => guest = Some(reader.value()?),
                _ => reason = Some(reader.value()?),
            }
        }
        Ok(Self { guest: required(guest, "guest", reader)?, reason: required(reason, "reason", reader)? })
    }
}

impl Encode for Reset<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"guest\": ");
        self.guest.write_to(out);
        out.extend_from_slice(b", \"reason\": ");
        self.reason.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<Reset<'a>> for Event<'a> {
    fn from(event: Reset<'a>) -> Self {
        Self::Reset(event)
    }
}

impl Watchdog<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Watchdog<'static> {
        Watchdog { action: self.action.into_owned() }
    }
}

impl<'a> Decode<'a> for Watchdog<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "action": "#])?;
        let mut action = None;
        while members.next(reader)?.is_some() {
            action = Some(reader.value()?);
        }
        Ok(Self { action: required(action, "action", reader)? })
    }
}

impl Encode for Watchdog<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"action\": ");
        self.action.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<Watchdog<'a>> for Event<'a> {
    fn from(event: Watchdog<'a>) -> Self {
        Self::Watchdog(event)
    }
}

impl GuestPanicked<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GuestPanicked<'static> {
        GuestPanicked { action: self.action.into_owned(), info: self.info.map(GuestPanicInformation::into_owned) }
    }
}

impl<'a> Decode<'a> for GuestPanicked<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "action": "#, r#", "info": "#])?;
        let mut action = None;
        let mut info = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => action = Some(reader.value()?),
                _ => info = Some(reader.value()?),
            }
        }
        Ok(Self { action: required(action, "action", reader)?, info })
    }
}

impl Encode for GuestPanicked<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"action\": ");
        self.action.write_to(out);
        if let Some(info) = &self.info {
            out.extend_from_slice(b", \"info\": ");
            info.write_to(out);
        }
        out.push(b'}');
    }
}

impl<'a> From<GuestPanicked<'a>> for Event<'a> {
    fn from(event: GuestPanicked<'a>) -> Self {
        Self::GuestPanicked(event)
    }
}

impl GuestCrashloaded<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GuestCrashloaded<'static> {
        GuestCrashloaded { action: self.action.into_owned(), info: self.info.map(GuestPanicInformation::into_owned) }
    }
}

impl<'a> Decode<'a> for GuestCrashloaded<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "action": "#, r#", "info": "#])?;
        let mut action = None;
        let mut info = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => action = Some(reader.value()?),
                _ => info = Some(reader.value()?),
            }
        }
        Ok(Self { action: required(action, "action", reader)?, info })
    }
}

impl Encode for GuestCrashloaded<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"action\": ");
        self.action.write_to(out);
        if let Some(info) = &self.info {
            out.extend_from_slice(b", \"info\": ");
            info.write_to(out);
        }
        out.push(b'}');
    }
}

impl<'a> From<GuestCrashloaded<'a>> for Event<'a> {
    fn from(event: GuestCrashloaded<'a>) -> Self {
        Self::GuestCrashloaded(event)
    }
}

impl MemoryFailure<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> MemoryFailure<'static> {
        MemoryFailure { recipient: self.recipient.into_owned(), action: self.action.into_owned(), flags: self.flags }
    }
}

impl<'a> Decode<'a> for MemoryFailure<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "flags": "#, r#", "recipient": "#, r#", "action": "#])?;
        let mut flags = None;
        let mut recipient = None;
        let mut action = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => flags = Some(reader.value()?),
                1 => recipient = Some(reader.value()?),
                _ => action = Some(reader.value()?),
            }
        }
        Ok(Self {
            recipient: required(recipient, "recipient", reader)?,
            action: required(action, "action", reader)?,
            flags: required(flags, "flags", reader)?,
        })
    }
}

impl Encode for MemoryFailure<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"flags\": ");
        self.flags.write_to(out);
        out.extend_from_slice(b", \"recipient\": ");
        self.recipient.write_to(out);
        out.extend_from_slice(b", \"action\": ");
        self.action.write_to(out);
        out.push(b'}');
    }
}

impl<'a> From<MemoryFailure<'a>> for Event<'a> {
    fn from(event: MemoryFailure<'a>) -> Self {
        Self::MemoryFailure(event)
    }
}

open_enum! { GuestPanicAction { Pause = "pause",
Poweroff = "poweroff",
Run = "run",
 } }

impl GuestPanicInformation<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GuestPanicInformation<'static> {
        match self {
            Self::HyperV(case) => GuestPanicInformation::HyperV(case),
            Self::S390(case) => GuestPanicInformation::S390(case.into_owned()),
            Self::Tdx(case) => GuestPanicInformation::Tdx(case.into_owned()),
            Self::Sev(case) => GuestPanicInformation::Sev(case),
            Self::Other(members) => GuestPanicInformation::Other(members.into_owned()),
        }
    }
}

impl<'a> Decode<'a> for GuestPanicInformation<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match &*reader.look_for_tag(r#", "type": "#)? {
            "hyper-v" => Self::HyperV(reader.case(r#", "type": "#)?),
            "s390" => Self::S390(reader.case(r#", "type": "#)?),
            "tdx" => Self::Tdx(reader.case(r#", "type": "#)?),
            "sev" => Self::Sev(reader.case(r#", "type": "#)?),
            _ => Self::Other(Object::read(reader)?),
        })
    }
}

impl Encode for GuestPanicInformation<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::HyperV(case) => {
                out.extend_from_slice(b"{\"arg5\": ");
                case.arg5.write_to(out);
                out.extend_from_slice(b", \"arg4\": ");
                case.arg4.write_to(out);
                out.extend_from_slice(b", \"arg3\": ");
                case.arg3.write_to(out);
                out.extend_from_slice(b", \"arg2\": ");
                case.arg2.write_to(out);
                out.extend_from_slice(b", \"arg1\": ");
                case.arg1.write_to(out);
                out.extend_from_slice(b", \"type\": \"hyper-v\"}");
            }
            Self::S390(case) => {
                out.extend_from_slice(b"{\"core\": ");
                case.core.write_to(out);
                out.extend_from_slice(b", \"psw-addr\": ");
                case.psw_addr.write_to(out);
                out.extend_from_slice(b", \"reason\": ");
                case.reason.write_to(out);
                out.extend_from_slice(b", \"psw-mask\": ");
                case.psw_mask.write_to(out);
                out.extend_from_slice(b", \"type\": \"s390\"}");
            }
            Self::Tdx(case) => {
                out.extend_from_slice(b"{\"error-code\": ");
                case.error_code.write_to(out);
                out.extend_from_slice(b", \"message\": \"");
                write_text(out, &case.message);
                out.extend_from_slice(b"\", \"type\": \"tdx\"");
                if let Some(gpa) = &case.gpa {
                    out.extend_from_slice(b", \"gpa\": ");
                    gpa.write_to(out);
                }
                out.push(b'}');
            }
            Self::Sev(case) => {
                out.extend_from_slice(b"{\"code\": ");
                case.code.write_to(out);
                out.extend_from_slice(b", \"set\": ");
                case.set.write_to(out);
                out.extend_from_slice(b", \"type\": \"sev\"}");
            }
            Self::Other(members) => members.write_to(out),
        }
    }
}
impl<'a> Decode<'a> for GuestPanicInformationHyperV {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(
            reader,
            &[r#", "arg5": "#, r#", "arg4": "#, r#", "arg3": "#, r#", "arg2": "#, r#", "arg1": "#],
        )?;
        let mut arg5 = None;
        let mut arg4 = None;
        let mut arg3 = None;
        let mut arg2 = None;
        let mut arg1 = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => arg5 = Some(reader.value()?),
                1 => arg4 = Some(reader.value()?),
                2 => arg3 = Some(reader.value()?),
                3 => arg2 = Some(reader.value()?),
                _ => arg1 = Some(reader.value()?),
            }
        }
        Ok(Self {
            arg1: required(arg1, "arg1", reader)?,
            arg2: required(arg2, "arg2", reader)?,
            arg3: required(arg3, "arg3", reader)?,
            arg4: required(arg4, "arg4", reader)?,
            arg5: required(arg5, "arg5", reader)?,
        })
    }
}

impl Encode for GuestPanicInformationHyperV {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"arg5\": ");
        self.arg5.write_to(out);
        out.extend_from_slice(b", \"arg4\": ");
        self.arg4.write_to(out);
        out.extend_from_slice(b", \"arg3\": ");
        self.arg3.write_to(out);
        out.extend_from_slice(b", \"arg2\": ");
        self.arg2.write_to(out);
        out.extend_from_slice(b", \"arg1\": ");
        self.arg1.write_to(out);
        out.push(b'}');
    }
}

impl GuestPanicInformationS390<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GuestPanicInformationS390<'static> {
        GuestPanicInformationS390 {
            core: self.core,
            psw_mask: self.psw_mask,
            psw_addr: self.psw_addr,
            reason: self.reason.into_owned(),
        }
    }
}

impl<'a> Decode<'a> for GuestPanicInformationS390<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members =
            Members::open(reader, &[r#", "core": "#, r#", "psw-addr": "#, r#", "reason": "#, r#", "psw-mask": "#])?;
        let mut core = None;
        let mut psw_addr = None;
        let mut reason = None;
        let mut psw_mask = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => core = Some(reader.value()?),
                1 => psw_addr = Some(reader.value()?),
                2 => reason = Some(reader.value()?),
                _ => psw_mask = Some(reader.value()?),
            }
        }
        Ok(Self {
            core: required(core, "core", reader)?,
            psw_mask: required(psw_mask, "psw-mask", reader)?,
            psw_addr: required(psw_addr, "psw-addr", reader)?,
            reason: required(reason, "reason", reader)?,
        })
    }
}

impl Encode for GuestPanicInformationS390<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"core\": ");
        self.core.write_to(out);
        out.extend_from_slice(b", \"psw-addr\": ");
        self.psw_addr.write_to(out);
        out.extend_from_slice(b", \"reason\": ");
        self.reason.write_to(out);
        out.extend_from_slice(b", \"psw-mask\": ");
        self.psw_mask.write_to(out);
        out.push(b'}');
    }
}

impl<'a> Decode<'a> for GuestPanicInformationSev {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "code": "#, r#", "set": "#])?;
        let mut code = None;
        let mut set = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => code = Some(reader.value()?),
                _ => set = Some(reader.value()?),
            }
        }
        Ok(Self { set: required(set, "set", reader)?, code: required(code, "code", reader)? })
    }
}

impl Encode for GuestPanicInformationSev {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\": ");
        self.code.write_to(out);
        out.extend_from_slice(b", \"set\": ");
        self.set.write_to(out);
        out.push(b'}');
    }
}

impl GuestPanicInformationTdx<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GuestPanicInformationTdx<'static> {
        GuestPanicInformationTdx { error_code: self.error_code, message: own(self.message), gpa: self.gpa }
    }
}

impl<'a> Decode<'a> for GuestPanicInformationTdx<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "error-code": "#, r#", "message": "#, r#", "gpa": "#])?;
        let mut error_code = None;
        let mut message = None;
        let mut gpa = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => error_code = Some(reader.value()?),
                1 => message = Some(reader.value()?),
                _ => gpa = Some(reader.value()?),
            }
        }
        Ok(Self {
            error_code: required(error_code, "error-code", reader)?,
            message: required(message, "message", reader)?,
            gpa,
        })
    }
}

impl Encode for GuestPanicInformationTdx<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"error-code\": ");
        self.error_code.write_to(out);
        out.extend_from_slice(b", \"message\": \"");
        write_text(out, &self.message);
        out.extend_from_slice(b"\"");
        if let Some(gpa) = &self.gpa {
            out.extend_from_slice(b", \"gpa\": ");
            gpa.write_to(out);
        }
        out.push(b'}');
    }
}

open_enum! { GuestPanicInformationType { HyperV = "hyper-v",
S390 = "s390",
Tdx = "tdx",
Sev = "sev",
 } }

open_enum! { MemoryFailureAction { Ignore = "ignore",
Inject = "inject",
Fatal = "fatal",
Reset = "reset",
 } }

impl<'a> Decode<'a> for MemoryFailureFlags {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut members = Members::open(reader, &[r#", "recursive": "#, r#", "action-required": "#])?;
        let mut recursive = None;
        let mut action_required = None;
        while let Some(member) = members.next(reader)? {
            match member {
                0 => recursive = Some(reader.value()?),
                _ => action_required = Some(reader.value()?),
            }
        }
        Ok(Self {
            action_required: required(action_required, "action-required", reader)?,
            recursive: required(recursive, "recursive", reader)?,
        })
    }
}

impl Encode for MemoryFailureFlags {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"recursive\": ");
        self.recursive.write_to(out);
        out.extend_from_slice(b", \"action-required\": ");
        self.action_required.write_to(out);
        out.push(b'}');
    }
}

open_enum! { MemoryFailureRecipient { Hypervisor = "hypervisor",
Guest = "guest",
 } }

open_enum! { S390CrashReason { Unknown = "unknown",
DisabledWait = "disabled-wait",
ExtintLoop = "extint-loop",
PgmintLoop = "pgmint-loop",
OpintLoop = "opint-loop",
 } }

open_enum! { ShutdownCause { None = "none",
HostError = "host-error",
HostQmpQuit = "host-qmp-quit",
HostQmpSystemReset = "host-qmp-system-reset",
HostSignal = "host-signal",
HostUi = "host-ui",
GuestShutdown = "guest-shutdown",
GuestReset = "guest-reset",
GuestPanic = "guest-panic",
SubsystemReset = "subsystem-reset",
SnapshotLoad = "snapshot-load",
 } }

open_enum! { WatchdogAction { Reset = "reset",
Shutdown = "shutdown",
Poweroff = "poweroff",
Pause = "pause",
Debug = "debug",
None = "none",
InjectNmi = "inject-nmi",
 } }
