// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! The state of the guest: running, stopped, reset, panicked.

use alloc::borrow::Cow;

use crate::Object;

/// The data of `SHUTDOWN`: the virtual machine has shut down: execution stops, and QEMU is about to end unless it was started with `-no-shutdown`.
///
/// Since QEMU 0.12.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shutdown<'a> {
    /// Whether the guest itself asked for it.
    ///
    /// Since QEMU 2.10.
    /// Older versions, which have no such member, are read too.
    pub guest: Option<bool>,
    /// The cause.
    ///
    /// Since QEMU 4.0.
    /// Older versions, which have no such member, are read too.
    pub reason: Option<ShutdownCause<'a>>,
}

/// The data of `RESET`: the virtual machine was reset.
///
/// Since QEMU 0.12.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reset<'a> {
    /// Whether the guest itself asked for it.
    ///
    /// Since QEMU 2.10.
    /// Older versions, which have no such member, are read too.
    pub guest: Option<bool>,
    /// The cause.
    ///
    /// Since QEMU 4.0.
    /// Older versions, which have no such member, are read too.
    pub reason: Option<ShutdownCause<'a>>,
}

/// The data of `WATCHDOG`: the guest's watchdog device has run out.
///
/// Since QEMU 0.13.
///
/// QEMU sends at most one a second: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watchdog<'a> {
    /// What QEMU does about it.
    pub action: WatchdogAction<'a>,
}

/// The data of `GUEST_PANICKED`: the guest's kernel has panicked, and a device or a processor told QEMU.
///
/// Since QEMU 1.5.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestPanicked<'a> {
    /// What QEMU does about it.
    pub action: GuestPanicAction<'a>,
    /// Details, if the guest gave any.
    ///
    /// Since QEMU 2.9.
    pub info: Option<GuestPanicInformation<'a>>,
}

/// The data of `GUEST_CRASHLOADED`: the guest's kernel has crashed and is now running its crash kernel, which will deal with it.
///
/// Since QEMU 5.0.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestCrashloaded<'a> {
    /// What QEMU does about it: at present always [`Run`](GuestPanicAction::Run).
    pub action: GuestPanicAction<'a>,
    /// Details, if the guest gave any.
    pub info: Option<GuestPanicInformation<'a>>,
}

/// The data of `MEMORY_FAILURE`: the host's hardware reported memory that has failed.
///
/// Since QEMU 5.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemoryFailure<'a> {
    /// Whose memory it is.
    pub recipient: MemoryFailureRecipient<'a>,
    /// What was done about it.
    pub action: MemoryFailureAction<'a>,
    /// More about it.
    pub flags: MemoryFailureFlags,
}

/// What QEMU does when a guest panics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuestPanicAction<'a> {
    /// `pause`: stops the machine.
    Pause,
    /// `poweroff`: ends the machine.
    ///
    /// Since QEMU 2.8.
    Poweroff,
    /// `run`: nothing: the guest goes on.
    ///
    /// Since QEMU 5.0.
    Run,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Details of a guest's panic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GuestPanicInformation<'a> {
    /// `hyper-v`: from Hyper-V's crash registers.
    HyperV(GuestPanicInformationHyperV),
    /// `s390`: from an s390x processor.
    ///
    /// Since QEMU 2.12.
    S390(GuestPanicInformationS390<'a>),
    /// `tdx`: from an Intel TDX guest.
    ///
    /// Since QEMU 10.1.
    Tdx(GuestPanicInformationTdx<'a>),
    /// `sev`: from an AMD SEV guest.
    ///
    /// Since QEMU 11.0.
    Sev(GuestPanicInformationSev),
    /// An unknown case: all of its members.
    Other(Object<'a>),
}

/// Hyper-V's five crash registers, whose meaning is the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestPanicInformationHyperV {
    /// The first register: for Windows the bug check code.
    pub arg1: u64,
    /// The second register.
    pub arg2: u64,
    /// The third register.
    pub arg3: u64,
    /// The fourth register.
    pub arg4: u64,
    /// The fifth register.
    pub arg5: u64,
}

/// An s390x processor at the time of the crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GuestPanicInformationS390<'a> {
    /// The processor's number.
    pub core: u32,
    /// Control bits of the program status word.
    pub psw_mask: u64,
    /// Instruction address of the program status word.
    pub psw_addr: u64,
    /// Why it gave up.
    pub reason: S390CrashReason<'a>,
}

/// Why an AMD SEV guest asked to be terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestPanicInformationSev {
    /// The set that the reason code belongs to.
    pub set: u32,
    /// The reason code within the set.
    pub code: u32,
}

/// What an Intel TDX guest reported as a fatal error. All of it is the guest's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GuestPanicInformationTdx<'a> {
    /// The guest's error code; 0 is a panic.
    pub error_code: u32,
    /// Text for people. Not to be trusted.
    pub message: Cow<'a, str>,
    /// Guest-physical address of a page with more text; absent if the guest gave none.
    pub gpa: Option<u64>,
}

/// How a panic's details are given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuestPanicInformationType<'a> {
    /// `hyper-v`: Hyper-V's crash registers.
    HyperV,
    /// `s390`: an s390x processor's state.
    ///
    /// Since QEMU 2.12.
    S390,
    /// `tdx`: the report of an Intel TDX guest.
    ///
    /// Since QEMU 10.1.
    Tdx,
    /// `sev`: the report of an AMD SEV guest.
    ///
    /// Since QEMU 11.0.
    Sev,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// What was done about failed memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryFailureAction<'a> {
    /// `ignore`: nothing: the failure can wait.
    Ignore,
    /// `inject`: the guest was told by a machine-check exception.
    Inject,
    /// `fatal`: nothing could be done; QEMU ends.
    Fatal,
    /// `reset`: the guest could not be told; the machine is reset.
    Reset,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// More about failed memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryFailureFlags {
    /// The failed memory was being accessed, so something must be done at once.
    pub action_required: bool,
    /// Another failure came before the first one was dealt with.
    pub recursive: bool,
}

/// Whose memory has failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryFailureRecipient<'a> {
    /// `hypervisor`: the hypervisor's own.
    Hypervisor,
    /// `guest`: the guest's.
    Guest,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Why an s390x guest's processor gave up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum S390CrashReason<'a> {
    /// `unknown`: no reason is known.
    Unknown,
    /// `disabled-wait`: it waits with all interrupts off.
    DisabledWait,
    /// `extint-loop`: external interrupts in a loop.
    ExtintLoop,
    /// `pgmint-loop`: program interrupts in a loop.
    PgmintLoop,
    /// `opint-loop`: operation exceptions in a loop.
    OpintLoop,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Why a guest was shut down or reset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShutdownCause<'a> {
    /// `none`: no request yet; events do not carry it.
    None,
    /// `host-error`: a failure of the host or of QEMU itself.
    HostError,
    /// `host-qmp-quit`: the `quit` command.
    HostQmpQuit,
    /// `host-qmp-system-reset`: the `system_reset` command.
    HostQmpSystemReset,
    /// `host-signal`: a signal to QEMU, such as SIGINT.
    HostSignal,
    /// `host-ui`: the user interface: its window was closed.
    HostUi,
    /// `guest-shutdown`: the guest asked for it, through ACPI or another way.
    GuestShutdown,
    /// `guest-reset`: the guest asked for a reset. A SHUTDOWN carries it where QEMU was told to end instead of resetting.
    GuestReset,
    /// `guest-panic`: the guest panicked.
    GuestPanic,
    /// `subsystem-reset`: a part of the machine reset it; s390x only.
    SubsystemReset,
    /// `snapshot-load`: a snapshot is being loaded; the guest need not be told.
    ///
    /// Since QEMU 7.2.
    SnapshotLoad,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// What QEMU does when a guest's watchdog runs out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchdogAction<'a> {
    /// `reset`: resets the machine.
    Reset,
    /// `shutdown`: asks the guest to shut down.
    Shutdown,
    /// `poweroff`: ends the machine at once.
    Poweroff,
    /// `pause`: stops the machine.
    Pause,
    /// `debug`: prints a message and goes on.
    Debug,
    /// `none`: nothing.
    None,
    /// `inject-nmi`: sends the guest a non-maskable interrupt.
    ///
    /// Since QEMU 2.4.
    InjectNmi,
    /// An unknown value.
    Other(Cow<'a, str>),
}
