// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! The types as data.

use crate::qapi::{Member, Type, Variant};

impl crate::Shutdown<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("guest", Type::Bool), Member::required("reason", crate::ShutdownCause::TYPE)]);
}

impl crate::Reset<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("guest", Type::Bool), Member::required("reason", crate::ShutdownCause::TYPE)]);
}

impl crate::Watchdog<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("action", crate::WatchdogAction::TYPE)]);
}

impl crate::GuestPanicked<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("action", crate::GuestPanicAction::TYPE),
        Member::optional("info", crate::GuestPanicInformation::TYPE),
    ]);
}

impl crate::GuestCrashloaded<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("action", crate::GuestPanicAction::TYPE),
        Member::optional("info", crate::GuestPanicInformation::TYPE),
    ]);
}

impl crate::MemoryFailure<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("recipient", crate::MemoryFailureRecipient::TYPE),
        Member::required("action", crate::MemoryFailureAction::TYPE),
        Member::required("flags", crate::MemoryFailureFlags::TYPE),
    ]);
}

impl crate::JobStatusChange<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("id", Type::Str), Member::required("status", crate::JobStatus::TYPE)]);
}

impl crate::BlockImageCorrupted<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("device", Type::Str),
        Member::optional("node-name", Type::Str),
        Member::required("msg", Type::Str),
        Member::optional("offset", Type::Int),
        Member::optional("size", Type::Int),
        Member::required("fatal", Type::Bool),
    ]);
}

impl crate::BlockIoError<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("qom-path", Type::Str),
        Member::required("device", Type::Str),
        Member::optional("node-name", Type::Str),
        Member::required("operation", crate::IoOperationType::TYPE),
        Member::required("action", crate::BlockErrorAction::TYPE),
        Member::optional("nospace", Type::Bool),
        Member::required("reason", Type::Str),
    ]);
}

impl crate::BlockJobCompleted<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("type", crate::JobType::TYPE),
        Member::required("device", Type::Str),
        Member::required("len", Type::Int),
        Member::required("offset", Type::Int),
        Member::required("speed", Type::Int),
        Member::optional("error", Type::Str),
    ]);
}

impl crate::BlockJobCancelled<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("type", crate::JobType::TYPE),
        Member::required("device", Type::Str),
        Member::required("len", Type::Int),
        Member::required("offset", Type::Int),
        Member::required("speed", Type::Int),
    ]);
}

impl crate::BlockJobError<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("device", Type::Str),
        Member::required("operation", crate::IoOperationType::TYPE),
        Member::required("action", crate::BlockErrorAction::TYPE),
    ]);
}

impl crate::BlockJobReady<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("type", crate::JobType::TYPE),
        Member::required("device", Type::Str),
        Member::required("len", Type::Int),
        Member::required("offset", Type::Int),
        Member::required("speed", Type::Int),
    ]);
}

impl crate::BlockJobPending<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("type", crate::JobType::TYPE), Member::required("id", Type::Str)]);
}

impl crate::BlockWriteThreshold<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("node-name", Type::Str),
        Member::required("amount-exceeded", Type::Uint64),
        Member::required("write-threshold", Type::Uint64),
    ]);
}

impl crate::QuorumFailure<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("reference", Type::Str),
        Member::required("sector-num", Type::Int),
        Member::required("sectors-count", Type::Int),
    ]);
}

impl crate::QuorumReportBad<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("type", crate::QuorumOpType::TYPE),
        Member::optional("error", Type::Str),
        Member::required("node-name", Type::Str),
        Member::required("sector-num", Type::Int),
        Member::required("sectors-count", Type::Int),
    ]);
}

impl crate::DeviceTrayMoved<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("device", Type::Str),
        Member::required("id", Type::Str),
        Member::required("tray-open", Type::Bool),
    ]);
}

impl crate::PrManagerStatusChanged<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("id", Type::Str), Member::required("connected", Type::Bool)]);
}

impl crate::BlockExportDeleted<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("id", Type::Str)]);
}

impl crate::VserportChange<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("id", Type::Str), Member::required("open", Type::Bool)]);
}

impl crate::DeviceDeleted<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::optional("device", Type::Str), Member::required("path", Type::Str)]);
}

impl crate::DeviceUnplugGuestError<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::optional("device", Type::Str), Member::required("path", Type::Str)]);
}

impl crate::MemUnplugError<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("device", Type::Str), Member::required("msg", Type::Str)]);
}

impl crate::AcpiDeviceOst<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("info", crate::AcpiostInfo::TYPE)]);
}

impl crate::BalloonChange {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("actual", Type::Int)]);
}

impl crate::HvBalloonStatusReport {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("committed", Type::Uint64), Member::required("available", Type::Uint64)]);
}

impl crate::MemoryDeviceSizeChange<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::optional("id", Type::Str),
        Member::required("size", Type::Uint64),
        Member::required("qom-path", Type::Str),
    ]);
}

impl crate::RtcChange<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("offset", Type::Int), Member::required("qom-path", Type::Str)]);
}

impl crate::CpuPolarizationChange<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("polarization", crate::S390CpuPolarization::TYPE)]);
}

impl crate::VfuClientHangup<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("vfu-id", Type::Str),
        Member::required("vfu-qom-path", Type::Str),
        Member::required("dev-id", Type::Str),
        Member::required("dev-qom-path", Type::Str),
    ]);
}

impl crate::NicRxFilterChanged<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::optional("name", Type::Str), Member::required("path", Type::Str)]);
}

impl crate::FailoverNegotiated<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("device-id", Type::Str)]);
}

impl crate::UnplugPrimary<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("device-id", Type::Str)]);
}

impl crate::NetdevStreamConnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("netdev-id", Type::Str), Member::required("addr", crate::SocketAddress::TYPE)]);
}

impl crate::NetdevStreamDisconnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("netdev-id", Type::Str)]);
}

impl crate::NetdevVhostUserConnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("netdev-id", Type::Str), Member::required("chardev-id", Type::Str)]);
}

impl crate::NetdevVhostUserDisconnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("netdev-id", Type::Str)]);
}

impl crate::RdmaGidStatusChanged<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("netdev", Type::Str),
        Member::required("gid-status", Type::Bool),
        Member::required("subnet-prefix", Type::Uint64),
        Member::required("interface-id", Type::Uint64),
    ]);
}

impl crate::SpiceConnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::SpiceBasicInfo::TYPE),
        Member::required("client", crate::SpiceBasicInfo::TYPE),
    ]);
}

impl crate::SpiceInitialized<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::SpiceServerInfo::TYPE),
        Member::required("client", crate::SpiceChannel::TYPE),
    ]);
}

impl crate::SpiceDisconnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::SpiceBasicInfo::TYPE),
        Member::required("client", crate::SpiceBasicInfo::TYPE),
    ]);
}

impl crate::VncConnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::VncServerInfo::TYPE),
        Member::required("client", crate::VncBasicInfo::TYPE),
    ]);
}

impl crate::VncInitialized<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::VncServerInfo::TYPE),
        Member::required("client", crate::VncClientInfo::TYPE),
    ]);
}

impl crate::VncDisconnected<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("server", crate::VncServerInfo::TYPE),
        Member::required("client", crate::VncClientInfo::TYPE),
    ]);
}

impl crate::Migration<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("status", crate::MigrationStatus::TYPE)]);
}

impl crate::MigrationPass {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("pass", Type::Int)]);
}

impl crate::ColoExit<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("mode", crate::ColoMode::TYPE),
        Member::required("reason", crate::ColoExitReason::TYPE),
    ]);
}

impl crate::VfioMigration<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("device-id", Type::Str),
        Member::required("qom-path", Type::Str),
        Member::required("device-state", crate::QapiVfioMigrationState::TYPE),
    ]);
}

impl crate::DumpCompleted<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("result", crate::DumpQueryResult::TYPE), Member::optional("error", Type::Str)]);
}

impl crate::AcpiostInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::optional("device", Type::Str),
        Member::required("slot", Type::Str),
        Member::required("slot-type", crate::AcpiSlotType::TYPE),
        Member::required("source", Type::Int),
        Member::required("status", Type::Int),
    ]);
}

impl crate::AcpiSlotType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["DIMM", "CPU"]);
}

impl crate::BlockErrorAction<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["ignore", "report", "stop"]);
}

impl crate::ColoExitReason<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["none", "request", "error", "processing"]);
}

impl crate::ColoMode<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["none", "primary", "secondary"]);
}

impl crate::DumpQueryResult<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("status", crate::DumpStatus::TYPE),
        Member::required("completed", Type::Int),
        Member::required("total", Type::Int),
    ]);
}

impl crate::DumpStatus<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["none", "active", "completed", "failed"]);
}

impl crate::FdSocketAddress<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("str", Type::Str)]);
}

impl crate::GuestPanicAction<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["pause", "poweroff", "run"]);
}

impl crate::GuestPanicInformation<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Union {
        tag: "type",
        variants: &[
            Variant::new("hyper-v", crate::GuestPanicInformationHyperV::TYPE),
            Variant::new("s390", crate::GuestPanicInformationS390::TYPE),
            Variant::new("tdx", crate::GuestPanicInformationTdx::TYPE),
            Variant::new("sev", crate::GuestPanicInformationSev::TYPE),
        ],
    };
}

impl crate::GuestPanicInformationHyperV {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("arg1", Type::Uint64),
        Member::required("arg2", Type::Uint64),
        Member::required("arg3", Type::Uint64),
        Member::required("arg4", Type::Uint64),
        Member::required("arg5", Type::Uint64),
    ]);
}

impl crate::GuestPanicInformationS390<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("core", Type::Uint32),
        Member::required("psw-mask", Type::Uint64),
        Member::required("psw-addr", Type::Uint64),
        Member::required("reason", crate::S390CrashReason::TYPE),
    ]);
}

impl crate::GuestPanicInformationSev {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("set", Type::Uint32), Member::required("code", Type::Uint32)]);
}

impl crate::GuestPanicInformationTdx<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("error-code", Type::Uint32),
        Member::required("message", Type::Str),
        Member::optional("gpa", Type::Uint64),
    ]);
}

impl crate::GuestPanicInformationType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["hyper-v", "s390", "tdx", "sev"]);
}

impl crate::InetSocketAddress<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("port", Type::Str),
        Member::optional("numeric", Type::Bool),
        Member::optional("to", Type::Uint16),
        Member::optional("ipv4", Type::Bool),
        Member::optional("ipv6", Type::Bool),
        Member::optional("keep-alive", Type::Bool),
        Member::optional("keep-alive-count", Type::Uint32),
        Member::optional("keep-alive-idle", Type::Uint32),
        Member::optional("keep-alive-interval", Type::Uint32),
        Member::optional("mptcp", Type::Bool),
    ]);
}

impl crate::IoOperationType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["read", "write"]);
}

impl crate::JobStatus<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&[
        "undefined",
        "created",
        "running",
        "paused",
        "ready",
        "standby",
        "waiting",
        "pending",
        "aborting",
        "concluded",
        "null",
    ]);
}

impl crate::JobType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&[
        "commit",
        "stream",
        "mirror",
        "backup",
        "create",
        "amend",
        "snapshot-load",
        "snapshot-save",
        "snapshot-delete",
    ]);
}

impl crate::MemoryFailureAction<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["ignore", "inject", "fatal", "reset"]);
}

impl crate::MemoryFailureFlags {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("action-required", Type::Bool), Member::required("recursive", Type::Bool)]);
}

impl crate::MemoryFailureRecipient<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["hypervisor", "guest"]);
}

impl crate::MigrationStatus<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&[
        "none",
        "setup",
        "cancelling",
        "cancelled",
        "active",
        "postcopy-device",
        "postcopy-active",
        "postcopy-paused",
        "postcopy-recover-setup",
        "postcopy-recover",
        "completed",
        "failing",
        "failed",
        "colo",
        "pre-switchover",
        "device",
        "wait-unplug",
    ]);
}

impl crate::NetworkAddressFamily<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["ipv4", "ipv6", "unix", "vsock", "unknown"]);
}

impl crate::Capability<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["oob"]);
}

impl crate::ErrorClass<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Enum(&["GenericError", "CommandNotFound", "DeviceNotActive", "DeviceNotFound", "KVMMissingCap"]);
}

impl crate::QapiVfioMigrationState<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&[
        "stop",
        "running",
        "stop-copy",
        "resuming",
        "running-p2p",
        "pre-copy",
        "pre-copy-p2p",
        "pre-copy-p2p-prepare",
    ]);
}

impl crate::QuorumOpType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["read", "write", "flush"]);
}

impl crate::S390CpuPolarization<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["horizontal", "vertical"]);
}

impl crate::S390CrashReason<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["unknown", "disabled-wait", "extint-loop", "pgmint-loop", "opint-loop"]);
}

impl crate::ShutdownCause<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&[
        "none",
        "host-error",
        "host-qmp-quit",
        "host-qmp-system-reset",
        "host-signal",
        "host-ui",
        "guest-shutdown",
        "guest-reset",
        "guest-panic",
        "subsystem-reset",
        "snapshot-load",
    ]);
}

impl crate::SocketAddress<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Union {
        tag: "type",
        variants: &[
            Variant::new("inet", crate::InetSocketAddress::TYPE),
            Variant::new("unix", crate::UnixSocketAddress::TYPE),
            Variant::new("vsock", crate::VsockSocketAddress::TYPE),
            Variant::new("fd", crate::FdSocketAddress::TYPE),
        ],
    };
}

impl crate::SocketAddressType<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["inet", "unix", "vsock", "fd"]);
}

impl crate::SpiceBasicInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("port", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
    ]);
}

impl crate::SpiceChannel<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("port", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
        Member::required("connection-id", Type::Int),
        Member::required("channel-type", Type::Int),
        Member::required("channel-id", Type::Int),
        Member::required("tls", Type::Bool),
    ]);
}

impl crate::SpiceInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("enabled", Type::Bool),
        Member::required("migrated", Type::Bool),
        Member::optional("host", Type::Str),
        Member::optional("port", Type::Int),
        Member::optional("tls-port", Type::Int),
        Member::optional("auth", Type::Str),
        Member::optional("compiled-version", Type::Str),
        Member::required("mouse-mode", crate::SpiceQueryMouseMode::TYPE),
        Member::optional("channels", Type::Array(&crate::SpiceChannel::TYPE)),
    ]);
}

impl crate::SpiceQueryMouseMode<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["client", "server", "unknown"]);
}

impl crate::SpiceServerInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("port", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
        Member::optional("auth", Type::Str),
    ]);
}

impl crate::UnixSocketAddress<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("path", Type::Str),
        Member::optional("abstract", Type::Bool),
        Member::optional("tight", Type::Bool),
    ]);
}

impl crate::Version<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type =
        Type::Struct(&[Member::required("qemu", crate::VersionTriple::TYPE), Member::required("package", Type::Str)]);
}

impl crate::VersionTriple {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("major", Type::Int),
        Member::required("minor", Type::Int),
        Member::required("micro", Type::Int),
    ]);
}

impl crate::VncBasicInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("service", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
        Member::required("websocket", Type::Bool),
    ]);
}

impl crate::VncClientInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("service", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
        Member::required("websocket", Type::Bool),
        Member::optional("x509_dname", Type::Str),
        Member::optional("sasl_username", Type::Str),
    ]);
}

impl crate::VncServerInfo<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[
        Member::required("host", Type::Str),
        Member::required("service", Type::Str),
        Member::required("family", crate::NetworkAddressFamily::TYPE),
        Member::required("websocket", Type::Bool),
        Member::optional("auth", Type::Str),
    ]);
}

impl crate::VsockSocketAddress<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Struct(&[Member::required("cid", Type::Str), Member::required("port", Type::Str)]);
}

impl crate::WatchdogAction<'_> {
    /// The type as QAPI declares it.
    pub const TYPE: Type = Type::Enum(&["reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"]);
}
