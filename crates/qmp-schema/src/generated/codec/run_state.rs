// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing the types of `run_state`.

use crate::{
    Decode, Error, Event, GuestCrashloaded, GuestPanicAction, GuestPanicInformation, GuestPanicInformationHyperV,
    GuestPanicInformationS390, GuestPanicInformationSev, GuestPanicInformationTdx, GuestPanicInformationType,
    GuestPanicked, MemoryFailure, MemoryFailureAction, MemoryFailureFlags, MemoryFailureRecipient, Object, Reader,
    Reset, S390CrashReason, Shutdown, ShutdownCause, Watchdog, WatchdogAction,
    fields::{self, Fields, Members, Take},
    open_enum,
    slice_writer::{Put, SliceWriter},
    value::own,
};

impl Shutdown<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Shutdown<'static> {
        Shutdown { guest: self.guest, reason: self.reason.map(ShutdownCause::into_owned) }
    }
}

impl<'a> Decode<'a> for Shutdown<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Shutdown<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { guest: members.optional(r#", "guest": "#), reason: members.optional(r#", "reason": "#) }
    }
}

impl Put for Shutdown<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut comma: &[u8] = b"";
        let mut out = out.fixed(b"{");
        if let Some(guest) = &self.guest {
            out = out.bytes(comma).fixed(br#""guest": "#).value(guest);
            comma = b", ";
        }
        if let Some(reason) = &self.reason {
            out = out.bytes(comma).fixed(br#""reason": "#).value(reason);
        }
        out.fixed(b"}")
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
        Reset { guest: self.guest, reason: self.reason.map(ShutdownCause::into_owned) }
    }
}

impl<'a> Decode<'a> for Reset<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Reset<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { guest: members.optional(r#", "guest": "#), reason: members.optional(r#", "reason": "#) }
    }
}

impl Put for Reset<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut comma: &[u8] = b"";
        let mut out = out.fixed(b"{");
        if let Some(guest) = &self.guest {
            out = out.bytes(comma).fixed(br#""guest": "#).value(guest);
            comma = b", ";
        }
        if let Some(reason) = &self.reason {
            out = out.bytes(comma).fixed(br#""reason": "#).value(reason);
        }
        out.fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Watchdog<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#) }
    }
}

impl Put for Watchdog<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"action": "#).value(&self.action).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestPanicked<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#), info: members.optional(r#", "info": "#) }
    }
}

impl Put for GuestPanicked<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(br#"{"action": "#).value(&self.action);
        if let Some(info) = &self.info {
            out = out.fixed(br#", "info": "#).value(info);
        }
        out.fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestCrashloaded<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { action: members.required(r#", "action": "#), info: members.optional(r#", "info": "#) }
    }
}

impl Put for GuestCrashloaded<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out.fixed(br#"{"action": "#).value(&self.action);
        if let Some(info) = &self.info {
            out = out.fixed(br#", "info": "#).value(info);
        }
        out.fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for MemoryFailure<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            flags: members.required(r#", "flags": "#),
            recipient: members.required(r#", "recipient": "#),
            action: members.required(r#", "action": "#),
        }
    }
}

impl Put for MemoryFailure<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"flags": "#)
            .value(&self.flags)
            .fixed(br#", "recipient": "#)
            .value(&self.recipient)
            .fixed(br#", "action": "#)
            .value(&self.action)
            .fixed(b"}")
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

impl Put for GuestPanicInformation<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        match self {
            Self::HyperV(case) => out
                .fixed(br#"{"arg5": "#)
                .value(&case.arg5)
                .fixed(br#", "arg4": "#)
                .value(&case.arg4)
                .fixed(br#", "arg3": "#)
                .value(&case.arg3)
                .fixed(br#", "arg2": "#)
                .value(&case.arg2)
                .fixed(br#", "arg1": "#)
                .value(&case.arg1)
                .fixed(br#", "type": "hyper-v"}"#),
            Self::S390(case) => out
                .fixed(br#"{"core": "#)
                .value(&case.core)
                .fixed(br#", "psw-addr": "#)
                .value(&case.psw_addr)
                .fixed(br#", "reason": "#)
                .value(&case.reason)
                .fixed(br#", "psw-mask": "#)
                .value(&case.psw_mask)
                .fixed(br#", "type": "s390"}"#),
            Self::Tdx(case) => {
                let mut out = out
                    .fixed(br#"{"error-code": "#)
                    .value(&case.error_code)
                    .fixed(br#", "message": ""#)
                    .text(&case.message)
                    .fixed(br#"", "type": "tdx""#);
                if let Some(gpa) = &case.gpa {
                    out = out.fixed(br#", "gpa": "#).value(gpa);
                }
                out.fixed(b"}")
            }
            Self::Sev(case) => out
                .fixed(br#"{"code": "#)
                .value(&case.code)
                .fixed(br#", "set": "#)
                .value(&case.set)
                .fixed(br#", "type": "sev"}"#),
            Self::Other(members) => out.value(members),
        }
    }
}
impl<'a> Decode<'a> for GuestPanicInformationHyperV {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestPanicInformationHyperV {
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

impl Put for GuestPanicInformationHyperV {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"arg5": "#)
            .value(&self.arg5)
            .fixed(br#", "arg4": "#)
            .value(&self.arg4)
            .fixed(br#", "arg3": "#)
            .value(&self.arg3)
            .fixed(br#", "arg2": "#)
            .value(&self.arg2)
            .fixed(br#", "arg1": "#)
            .value(&self.arg1)
            .fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestPanicInformationS390<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            core: members.required(r#", "core": "#),
            psw_addr: members.required(r#", "psw-addr": "#),
            reason: members.required(r#", "reason": "#),
            psw_mask: members.required(r#", "psw-mask": "#),
        }
    }
}

impl Put for GuestPanicInformationS390<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"core": "#)
            .value(&self.core)
            .fixed(br#", "psw-addr": "#)
            .value(&self.psw_addr)
            .fixed(br#", "reason": "#)
            .value(&self.reason)
            .fixed(br#", "psw-mask": "#)
            .value(&self.psw_mask)
            .fixed(b"}")
    }
}

impl<'a> Decode<'a> for GuestPanicInformationSev {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestPanicInformationSev {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { code: members.required(r#", "code": "#), set: members.required(r#", "set": "#) }
    }
}

impl Put for GuestPanicInformationSev {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"code": "#).value(&self.code).fixed(br#", "set": "#).value(&self.set).fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for GuestPanicInformationTdx<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            error_code: members.required(r#", "error-code": "#),
            message: members.required(r#", "message": "#),
            gpa: members.optional(r#", "gpa": "#),
        }
    }
}

impl Put for GuestPanicInformationTdx<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let mut out = out
            .fixed(br#"{"error-code": "#)
            .value(&self.error_code)
            .fixed(br#", "message": ""#)
            .text(&self.message)
            .fixed(b"\"");
        if let Some(gpa) = &self.gpa {
            out = out.fixed(br#", "gpa": "#).value(gpa);
        }
        out.fixed(b"}")
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
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for MemoryFailureFlags {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self {
            recursive: members.required(r#", "recursive": "#),
            action_required: members.required(r#", "action-required": "#),
        }
    }
}

impl Put for MemoryFailureFlags {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        out.fixed(br#"{"recursive": "#)
            .value(&self.recursive)
            .fixed(br#", "action-required": "#)
            .value(&self.action_required)
            .fixed(b"}")
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
