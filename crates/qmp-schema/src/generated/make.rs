// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Any value of every type.

use arbitrary::{Result, Unstructured};

use crate::make::{Make, made, unknown_case, unknown_event};

impl Make for crate::GuestPanicInformation<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=4)? {
            0 => Self::HyperV(Make::make(u)?),
            1 => Self::S390(Make::make(u)?),
            2 => Self::Tdx(Make::make(u)?),
            3 => Self::Sev(Make::make(u)?),
            _ => Self::Other(unknown_case("type", u)?),
        })
    }
}

impl Make for crate::SocketAddress<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=4)? {
            0 => Self::Inet(Make::make(u)?),
            1 => Self::Unix(Make::make(u)?),
            2 => Self::Vsock(Make::make(u)?),
            3 => Self::Fd(Make::make(u)?),
            _ => Self::Other(unknown_case("type", u)?),
        })
    }
}

made! {
    Shutdown<'_> { guest reason }
    Reset<'_> { guest reason }
    Watchdog<'_> { action }
    GuestPanicked<'_> { action info }
    GuestCrashloaded<'_> { action info }
    MemoryFailure<'_> { recipient action flags }
    JobStatusChange<'_> { id status }
    BlockImageCorrupted<'_> { device node_name msg offset size fatal }
    BlockIoError<'_> { qom_path device node_name operation action nospace reason }
    BlockJobCompleted<'_> { r#type device len offset speed error }
    BlockJobCancelled<'_> { r#type device len offset speed }
    BlockJobError<'_> { device operation action }
    BlockJobReady<'_> { r#type device len offset speed }
    BlockJobPending<'_> { r#type id }
    BlockWriteThreshold<'_> { node_name amount_exceeded write_threshold }
    QuorumFailure<'_> { reference sector_num sectors_count }
    QuorumReportBad<'_> { r#type error node_name sector_num sectors_count }
    DeviceTrayMoved<'_> { device id tray_open }
    PrManagerStatusChanged<'_> { id connected }
    BlockExportDeleted<'_> { id }
    VserportChange<'_> { id open }
    DeviceDeleted<'_> { device path }
    DeviceUnplugGuestError<'_> { device path }
    MemUnplugError<'_> { device msg }
    AcpiDeviceOst<'_> { info }
    BalloonChange { actual }
    HvBalloonStatusReport { committed available }
    MemoryDeviceSizeChange<'_> { id size qom_path }
    RtcChange<'_> { offset qom_path }
    CpuPolarizationChange<'_> { polarization }
    VfuClientHangup<'_> { vfu_id vfu_qom_path dev_id dev_qom_path }
    NicRxFilterChanged<'_> { name path }
    FailoverNegotiated<'_> { device_id }
    UnplugPrimary<'_> { device_id }
    NetdevStreamConnected<'_> { netdev_id addr }
    NetdevStreamDisconnected<'_> { netdev_id }
    NetdevVhostUserConnected<'_> { netdev_id chardev_id }
    NetdevVhostUserDisconnected<'_> { netdev_id }
    RdmaGidStatusChanged<'_> { netdev gid_status subnet_prefix interface_id }
    SpiceConnected<'_> { server client }
    SpiceInitialized<'_> { server client }
    SpiceDisconnected<'_> { server client }
    VncConnected<'_> { server client }
    VncInitialized<'_> { server client }
    VncDisconnected<'_> { server client }
    Migration<'_> { status }
    MigrationPass { pass }
    ColoExit<'_> { mode reason }
    VfioMigration<'_> { device_id qom_path device_state }
    DumpCompleted<'_> { result error }
    AcpiostInfo<'_> { device slot slot_type source status }
    DumpQueryResult<'_> { status completed total }
    FdSocketAddress<'_> { str }
    GuestPanicInformationHyperV { arg1 arg2 arg3 arg4 arg5 }
    GuestPanicInformationS390<'_> { core psw_mask psw_addr reason }
    GuestPanicInformationSev { set code }
    GuestPanicInformationTdx<'_> { error_code message gpa }
    InetSocketAddress<'_> { host port numeric to ipv4 ipv6 keep_alive keep_alive_count keep_alive_idle keep_alive_interval mptcp }
    MemoryFailureFlags { action_required recursive }
    SpiceBasicInfo<'_> { host port family }
    SpiceChannel<'_> { host port family connection_id channel_type channel_id tls }
    SpiceInfo<'_> { enabled migrated host port tls_port auth compiled_version mouse_mode channels }
    SpiceServerInfo<'_> { host port family auth }
    UnixSocketAddress<'_> { path r#abstract tight }
    VersionInfo<'_> { qemu package }
    VersionTriple { major minor micro }
    VncBasicInfo<'_> { host service family websocket }
    VncClientInfo<'_> { host service family websocket x509_dname sasl_username }
    VncServerInfo<'_> { host service family websocket auth }
    VsockSocketAddress<'_> { cid port }
}

impl crate::Event<'_> {
    /// Any event of this name; an event without a type where there is none.
    pub(crate) fn make_named(name: &str, u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match name {
            "SHUTDOWN" => Self::Shutdown(Make::make(u)?),
            "POWERDOWN" => Self::Powerdown,
            "RESET" => Self::Reset(Make::make(u)?),
            "STOP" => Self::Stop,
            "RESUME" => Self::Resume,
            "SUSPEND" => Self::Suspend,
            "SUSPEND_DISK" => Self::SuspendDisk,
            "WAKEUP" => Self::Wakeup,
            "WATCHDOG" => Self::Watchdog(Make::make(u)?),
            "GUEST_PANICKED" => Self::GuestPanicked(Make::make(u)?),
            "GUEST_CRASHLOADED" => Self::GuestCrashloaded(Make::make(u)?),
            "GUEST_PVSHUTDOWN" => Self::GuestPvshutdown,
            "MEMORY_FAILURE" => Self::MemoryFailure(Make::make(u)?),
            "JOB_STATUS_CHANGE" => Self::JobStatusChange(Make::make(u)?),
            "BLOCK_IMAGE_CORRUPTED" => Self::BlockImageCorrupted(Make::make(u)?),
            "BLOCK_IO_ERROR" => Self::BlockIoError(Make::make(u)?),
            "BLOCK_JOB_COMPLETED" => Self::BlockJobCompleted(Make::make(u)?),
            "BLOCK_JOB_CANCELLED" => Self::BlockJobCancelled(Make::make(u)?),
            "BLOCK_JOB_ERROR" => Self::BlockJobError(Make::make(u)?),
            "BLOCK_JOB_READY" => Self::BlockJobReady(Make::make(u)?),
            "BLOCK_JOB_PENDING" => Self::BlockJobPending(Make::make(u)?),
            "BLOCK_WRITE_THRESHOLD" => Self::BlockWriteThreshold(Make::make(u)?),
            "QUORUM_FAILURE" => Self::QuorumFailure(Make::make(u)?),
            "QUORUM_REPORT_BAD" => Self::QuorumReportBad(Make::make(u)?),
            "DEVICE_TRAY_MOVED" => Self::DeviceTrayMoved(Make::make(u)?),
            "PR_MANAGER_STATUS_CHANGED" => Self::PrManagerStatusChanged(Make::make(u)?),
            "BLOCK_EXPORT_DELETED" => Self::BlockExportDeleted(Make::make(u)?),
            "VSERPORT_CHANGE" => Self::VserportChange(Make::make(u)?),
            "DEVICE_DELETED" => Self::DeviceDeleted(Make::make(u)?),
            "DEVICE_UNPLUG_GUEST_ERROR" => Self::DeviceUnplugGuestError(Make::make(u)?),
            "MEM_UNPLUG_ERROR" => Self::MemUnplugError(Make::make(u)?),
            "ACPI_DEVICE_OST" => Self::AcpiDeviceOst(Make::make(u)?),
            "BALLOON_CHANGE" => Self::BalloonChange(Make::make(u)?),
            "HV_BALLOON_STATUS_REPORT" => Self::HvBalloonStatusReport(Make::make(u)?),
            "MEMORY_DEVICE_SIZE_CHANGE" => Self::MemoryDeviceSizeChange(Make::make(u)?),
            "RTC_CHANGE" => Self::RtcChange(Make::make(u)?),
            "CPU_POLARIZATION_CHANGE" => Self::CpuPolarizationChange(Make::make(u)?),
            "SCLP_CPI_INFO_AVAILABLE" => Self::SclpCpiInfoAvailable,
            "VFU_CLIENT_HANGUP" => Self::VfuClientHangup(Make::make(u)?),
            "NIC_RX_FILTER_CHANGED" => Self::NicRxFilterChanged(Make::make(u)?),
            "FAILOVER_NEGOTIATED" => Self::FailoverNegotiated(Make::make(u)?),
            "UNPLUG_PRIMARY" => Self::UnplugPrimary(Make::make(u)?),
            "NETDEV_STREAM_CONNECTED" => Self::NetdevStreamConnected(Make::make(u)?),
            "NETDEV_STREAM_DISCONNECTED" => Self::NetdevStreamDisconnected(Make::make(u)?),
            "NETDEV_VHOST_USER_CONNECTED" => Self::NetdevVhostUserConnected(Make::make(u)?),
            "NETDEV_VHOST_USER_DISCONNECTED" => Self::NetdevVhostUserDisconnected(Make::make(u)?),
            "RDMA_GID_STATUS_CHANGED" => Self::RdmaGidStatusChanged(Make::make(u)?),
            "SPICE_CONNECTED" => Self::SpiceConnected(Make::make(u)?),
            "SPICE_INITIALIZED" => Self::SpiceInitialized(Make::make(u)?),
            "SPICE_DISCONNECTED" => Self::SpiceDisconnected(Make::make(u)?),
            "SPICE_MIGRATE_COMPLETED" => Self::SpiceMigrateCompleted,
            "VNC_CONNECTED" => Self::VncConnected(Make::make(u)?),
            "VNC_INITIALIZED" => Self::VncInitialized(Make::make(u)?),
            "VNC_DISCONNECTED" => Self::VncDisconnected(Make::make(u)?),
            "MIGRATION" => Self::Migration(Make::make(u)?),
            "MIGRATION_PASS" => Self::MigrationPass(Make::make(u)?),
            "COLO_EXIT" => Self::ColoExit(Make::make(u)?),
            "VFIO_MIGRATION" => Self::VfioMigration(Make::make(u)?),
            "DUMP_COMPLETED" => Self::DumpCompleted(Make::make(u)?),
            _ => Self::Other(unknown_event(u)?),
        })
    }
}
