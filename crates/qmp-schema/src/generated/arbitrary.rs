// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Generates any value of every type.

use ::arbitrary::{Result, Unstructured};

use crate::arbitrary::{Generate, generate_structs, unknown_case, unknown_event};

impl Generate for crate::GuestPanicInformation<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=4)? {
            0 => Self::HyperV(Generate::generate(u)?),
            1 => Self::S390(Generate::generate(u)?),
            2 => Self::Tdx(Generate::generate(u)?),
            3 => Self::Sev(Generate::generate(u)?),
            _ => Self::Other(unknown_case("type", u)?),
        })
    }
}

impl Generate for crate::SocketAddress<'_> {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=4)? {
            0 => Self::Inet(Generate::generate(u)?),
            1 => Self::Unix(Generate::generate(u)?),
            2 => Self::Vsock(Generate::generate(u)?),
            3 => Self::Fd(Generate::generate(u)?),
            _ => Self::Other(unknown_case("type", u)?),
        })
    }
}

generate_structs! {
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
    Version<'_> { qemu package }
    VersionTriple { major minor micro }
    VncBasicInfo<'_> { host service family websocket }
    VncClientInfo<'_> { host service family websocket x509_dname sasl_username }
    VncServerInfo<'_> { host service family websocket auth }
    VsockSocketAddress<'_> { cid port }
}

impl crate::Event<'_> {
    /// Generates an event of this name, or an untyped event if the name is unknown.
    pub(crate) fn generate_named(name: &str, u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match name {
            "SHUTDOWN" => Self::Shutdown(Generate::generate(u)?),
            "POWERDOWN" => Self::Powerdown,
            "RESET" => Self::Reset(Generate::generate(u)?),
            "STOP" => Self::Stop,
            "RESUME" => Self::Resume,
            "SUSPEND" => Self::Suspend,
            "SUSPEND_DISK" => Self::SuspendDisk,
            "WAKEUP" => Self::Wakeup,
            "WATCHDOG" => Self::Watchdog(Generate::generate(u)?),
            "GUEST_PANICKED" => Self::GuestPanicked(Generate::generate(u)?),
            "GUEST_CRASHLOADED" => Self::GuestCrashloaded(Generate::generate(u)?),
            "GUEST_PVSHUTDOWN" => Self::GuestPvshutdown,
            "MEMORY_FAILURE" => Self::MemoryFailure(Generate::generate(u)?),
            "JOB_STATUS_CHANGE" => Self::JobStatusChange(Generate::generate(u)?),
            "BLOCK_IMAGE_CORRUPTED" => Self::BlockImageCorrupted(Generate::generate(u)?),
            "BLOCK_IO_ERROR" => Self::BlockIoError(Generate::generate(u)?),
            "BLOCK_JOB_COMPLETED" => Self::BlockJobCompleted(Generate::generate(u)?),
            "BLOCK_JOB_CANCELLED" => Self::BlockJobCancelled(Generate::generate(u)?),
            "BLOCK_JOB_ERROR" => Self::BlockJobError(Generate::generate(u)?),
            "BLOCK_JOB_READY" => Self::BlockJobReady(Generate::generate(u)?),
            "BLOCK_JOB_PENDING" => Self::BlockJobPending(Generate::generate(u)?),
            "BLOCK_WRITE_THRESHOLD" => Self::BlockWriteThreshold(Generate::generate(u)?),
            "QUORUM_FAILURE" => Self::QuorumFailure(Generate::generate(u)?),
            "QUORUM_REPORT_BAD" => Self::QuorumReportBad(Generate::generate(u)?),
            "DEVICE_TRAY_MOVED" => Self::DeviceTrayMoved(Generate::generate(u)?),
            "PR_MANAGER_STATUS_CHANGED" => Self::PrManagerStatusChanged(Generate::generate(u)?),
            "BLOCK_EXPORT_DELETED" => Self::BlockExportDeleted(Generate::generate(u)?),
            "VSERPORT_CHANGE" => Self::VserportChange(Generate::generate(u)?),
            "DEVICE_DELETED" => Self::DeviceDeleted(Generate::generate(u)?),
            "DEVICE_UNPLUG_GUEST_ERROR" => Self::DeviceUnplugGuestError(Generate::generate(u)?),
            "MEM_UNPLUG_ERROR" => Self::MemUnplugError(Generate::generate(u)?),
            "ACPI_DEVICE_OST" => Self::AcpiDeviceOst(Generate::generate(u)?),
            "BALLOON_CHANGE" => Self::BalloonChange(Generate::generate(u)?),
            "HV_BALLOON_STATUS_REPORT" => Self::HvBalloonStatusReport(Generate::generate(u)?),
            "MEMORY_DEVICE_SIZE_CHANGE" => Self::MemoryDeviceSizeChange(Generate::generate(u)?),
            "RTC_CHANGE" => Self::RtcChange(Generate::generate(u)?),
            "CPU_POLARIZATION_CHANGE" => Self::CpuPolarizationChange(Generate::generate(u)?),
            "SCLP_CPI_INFO_AVAILABLE" => Self::SclpCpiInfoAvailable,
            "VFU_CLIENT_HANGUP" => Self::VfuClientHangup(Generate::generate(u)?),
            "NIC_RX_FILTER_CHANGED" => Self::NicRxFilterChanged(Generate::generate(u)?),
            "FAILOVER_NEGOTIATED" => Self::FailoverNegotiated(Generate::generate(u)?),
            "UNPLUG_PRIMARY" => Self::UnplugPrimary(Generate::generate(u)?),
            "NETDEV_STREAM_CONNECTED" => Self::NetdevStreamConnected(Generate::generate(u)?),
            "NETDEV_STREAM_DISCONNECTED" => Self::NetdevStreamDisconnected(Generate::generate(u)?),
            "NETDEV_VHOST_USER_CONNECTED" => Self::NetdevVhostUserConnected(Generate::generate(u)?),
            "NETDEV_VHOST_USER_DISCONNECTED" => Self::NetdevVhostUserDisconnected(Generate::generate(u)?),
            "RDMA_GID_STATUS_CHANGED" => Self::RdmaGidStatusChanged(Generate::generate(u)?),
            "SPICE_CONNECTED" => Self::SpiceConnected(Generate::generate(u)?),
            "SPICE_INITIALIZED" => Self::SpiceInitialized(Generate::generate(u)?),
            "SPICE_DISCONNECTED" => Self::SpiceDisconnected(Generate::generate(u)?),
            "SPICE_MIGRATE_COMPLETED" => Self::SpiceMigrateCompleted,
            "VNC_CONNECTED" => Self::VncConnected(Generate::generate(u)?),
            "VNC_INITIALIZED" => Self::VncInitialized(Generate::generate(u)?),
            "VNC_DISCONNECTED" => Self::VncDisconnected(Generate::generate(u)?),
            "MIGRATION" => Self::Migration(Generate::generate(u)?),
            "MIGRATION_PASS" => Self::MigrationPass(Generate::generate(u)?),
            "COLO_EXIT" => Self::ColoExit(Generate::generate(u)?),
            "VFIO_MIGRATION" => Self::VfioMigration(Generate::generate(u)?),
            "DUMP_COMPLETED" => Self::DumpCompleted(Generate::generate(u)?),
            _ => Self::Other(unknown_event(u)?),
        })
    }
}
