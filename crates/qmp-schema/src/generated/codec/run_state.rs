// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `run_state`.

use alloc::vec::Vec;

use crate::{
    Decode, Encode, Error, Event, GuestCrashloaded, GuestPanicAction, GuestPanicInformation,
    GuestPanicInformationHyperV, GuestPanicInformationS390, GuestPanicInformationSev, GuestPanicInformationTdx,
    GuestPanicInformationType, GuestPanicked, MemoryFailure, MemoryFailureAction, MemoryFailureFlags,
    MemoryFailureRecipient, Object, Reader, Reset, S390CrashReason, Shutdown, ShutdownCause, Watchdog, WatchdogAction,
    open_enum,
    record::{self, Members, Record, Take},
    value::own,
    wire::write_text,
};

impl Shutdown<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Shutdown<'static> {
        Shutdown { guest: self.guest, reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for Shutdown<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for Shutdown<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { guest: members.required(r#", "guest": "#), reason: members.required(r#", "reason": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Reset<'static> {
        Reset { guest: self.guest, reason: self.reason.into_owned() }
    }
}

impl<'a> Decode<'a> for Reset<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for Reset<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { guest: members.required(r#", "guest": "#), reason: members.required(r#", "reason": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Watchdog<'static> {
        Watchdog { action: self.action.into_owned() }
    }
}

impl<'a> Decode<'a> for Watchdog<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for Watchdog<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> GuestPanicked<'static> {
        GuestPanicked { action: self.action.into_owned(), info: self.info.map(GuestPanicInformation::into_owned) }
    }
}

impl<'a> Decode<'a> for GuestPanicked<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestPanicked<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#), info: members.optional(r#", "info": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> GuestCrashloaded<'static> {
        GuestCrashloaded { action: self.action.into_owned(), info: self.info.map(GuestPanicInformation::into_owned) }
    }
}

impl<'a> Decode<'a> for GuestCrashloaded<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestCrashloaded<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#), info: members.optional(r#", "info": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> MemoryFailure<'static> {
        MemoryFailure { recipient: self.recipient.into_owned(), action: self.action.into_owned(), flags: self.flags }
    }
}

impl<'a> Decode<'a> for MemoryFailure<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for MemoryFailure<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            flags: members.required(r#", "flags": "#),
            recipient: members.required(r#", "recipient": "#),
            action: members.required(r#", "action": "#),
        }
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
    #[inline]
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
        let value = Self::take(reader);
        reader.take_failure().map_or(Ok(value), Err)
    }
}

impl<'a> Take<'a> for GuestPanicInformation<'a> {
    fn take(reader: &mut Reader<'a>) -> Self {
        match &*reader.take_tag(r#", "type": "#) {
            "hyper-v" => Self::HyperV(reader.case(r#", "type": "#)),
            "s390" => Self::S390(reader.case(r#", "type": "#)),
            "tdx" => Self::Tdx(reader.case(r#", "type": "#)),
            "sev" => Self::Sev(reader.case(r#", "type": "#)),
            _ => Self::Other(Object::take(reader)),
        }
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestPanicInformationHyperV {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            arg5: members.required(r#", "arg5": "#),
            arg4: members.required(r#", "arg4": "#),
            arg3: members.required(r#", "arg3": "#),
            arg2: members.required(r#", "arg2": "#),
            arg1: members.required(r#", "arg1": "#),
        }
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
    #[inline]
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestPanicInformationS390<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            core: members.required(r#", "core": "#),
            psw_addr: members.required(r#", "psw-addr": "#),
            reason: members.required(r#", "reason": "#),
            psw_mask: members.required(r#", "psw-mask": "#),
        }
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestPanicInformationSev {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { code: members.required(r#", "code": "#), set: members.required(r#", "set": "#) }
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
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> GuestPanicInformationTdx<'static> {
        GuestPanicInformationTdx { error_code: self.error_code, message: own(self.message), gpa: self.gpa }
    }
}

impl<'a> Decode<'a> for GuestPanicInformationTdx<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for GuestPanicInformationTdx<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            error_code: members.required(r#", "error-code": "#),
            message: members.required(r#", "message": "#),
            gpa: members.optional(r#", "gpa": "#),
        }
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
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        record::read(reader)
    }
}

impl<'a> Record<'a> for MemoryFailureFlags {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            recursive: members.required(r#", "recursive": "#),
            action_required: members.required(r#", "action-required": "#),
        }
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
