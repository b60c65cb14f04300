// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Every event of QEMU, and facts about each.

use crate::{EventInfo, OtherEvent};

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod block;
mod codec;
mod control;
mod descriptors;
mod devices;
mod display;
mod migration;
mod net;
mod run_state;
pub use block::*;
pub use control::*;
pub use devices::*;
pub use display::*;
pub use migration::*;
pub use net::*;
pub use run_state::*;

/// An event: every one that a QEMU of version 7.2 … 11.1 can send, and any other.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// `SHUTDOWN`: The virtual machine has shut down: execution stops, and QEMU is about to end unless it was started with `-no-shutdown`.
    ///
    /// Since QEMU 0.12.
    Shutdown(Shutdown<'a>),
    /// `POWERDOWN`: The guest was asked to power down, as by a press of the power button. Whether it does is up to the guest.
    ///
    /// Since QEMU 0.12.
    Powerdown,
    /// `RESET`: The virtual machine was reset.
    ///
    /// Since QEMU 0.12.
    Reset(Reset<'a>),
    /// `STOP`: The virtual machine has stopped: its processors do not run.
    ///
    /// Since QEMU 0.12.
    Stop,
    /// `RESUME`: The virtual machine runs again.
    ///
    /// Since QEMU 0.12.
    Resume,
    /// `SUSPEND`: The guest has entered a suspended state, such as S3, and waits for a wake-up.
    ///
    /// Since QEMU 1.1.
    Suspend,
    /// `SUSPEND_DISK`: The guest has suspended to disk (S4). QEMU also shuts down, so a SHUTDOWN follows.
    ///
    /// Since QEMU 1.2.
    SuspendDisk,
    /// `WAKEUP`: The guest has woken up from its suspended state.
    ///
    /// Since QEMU 1.1.
    Wakeup,
    /// `WATCHDOG`: The guest's watchdog device has run out.
    ///
    /// Since QEMU 0.13.
    ///
    /// QEMU sends at most one a second: of several within a second it sends the last one.
    Watchdog(Watchdog<'a>),
    /// `GUEST_PANICKED`: The guest's kernel has panicked, and a device or a processor told QEMU.
    ///
    /// Since QEMU 1.5.
    GuestPanicked(GuestPanicked<'a>),
    /// `GUEST_CRASHLOADED`: The guest's kernel has crashed and is now running its crash kernel, which will deal with it.
    ///
    /// Since QEMU 5.0.
    GuestCrashloaded(GuestCrashloaded<'a>),
    /// `GUEST_PVSHUTDOWN`: The guest has shut down and said so through its pvpanic device.
    ///
    /// Since QEMU 9.1.
    GuestPvshutdown,
    /// `MEMORY_FAILURE`: The host's hardware reported memory that has failed.
    ///
    /// Since QEMU 5.2.
    MemoryFailure(MemoryFailure<'a>),
    /// `JOB_STATUS_CHANGE`: A background job has changed its state.
    ///
    /// Since QEMU 3.0.
    JobStatusChange(JobStatusChange<'a>),
    /// `BLOCK_IMAGE_CORRUPTED`: A disk image was found to be corrupted.
    ///
    /// Since QEMU 1.7.
    BlockImageCorrupted(BlockImageCorrupted<'a>),
    /// `BLOCK_IO_ERROR`: A disk operation of the guest has failed.
    ///
    /// Since QEMU 0.13.
    ///
    /// QEMU sends at most one a second for each `qom-path` (since 9.2): of several within a second it sends the last one.
    BlockIoError(BlockIoError<'a>),
    /// `BLOCK_JOB_COMPLETED`: A job on a disk has ended, successfully or with an error.
    ///
    /// Since QEMU 1.1.
    BlockJobCompleted(BlockJobCompleted<'a>),
    /// `BLOCK_JOB_CANCELLED`: A job on a disk was cancelled.
    ///
    /// Since QEMU 1.1.
    BlockJobCancelled(BlockJobCancelled<'a>),
    /// `BLOCK_JOB_ERROR`: A job on a disk has met an error.
    ///
    /// Since QEMU 1.3.
    BlockJobError(BlockJobError<'a>),
    /// `BLOCK_JOB_READY`: A job on a disk is in step with its source and can be completed by `block-job-complete`.
    ///
    /// Since QEMU 1.3.
    BlockJobReady(BlockJobReady<'a>),
    /// `BLOCK_JOB_PENDING`: A job on a disk is done and waits to be finalized. Sent only where the job was started with `auto-finalize` off.
    ///
    /// Since QEMU 2.12.
    BlockJobPending(BlockJobPending<'a>),
    /// `BLOCK_WRITE_THRESHOLD`: A write has gone past the threshold set by `block-set-write-threshold`. The threshold is then off, so this comes once for each time that it is set.
    ///
    /// Since QEMU 2.3.
    BlockWriteThreshold(BlockWriteThreshold<'a>),
    /// `QUORUM_FAILURE`: A quorum of disks could not agree: too few of them gave the same answer.
    ///
    /// Since QEMU 2.0.
    ///
    /// QEMU sends at most one a second: of several within a second it sends the last one.
    QuorumFailure(QuorumFailure<'a>),
    /// `QUORUM_REPORT_BAD`: One disk of a quorum failed, or gave another answer than the others.
    ///
    /// Since QEMU 2.0.
    ///
    /// QEMU sends at most one a second for each `node-name`: of several within a second it sends the last one.
    QuorumReportBad(QuorumReportBad<'a>),
    /// `DEVICE_TRAY_MOVED`: The tray of a removable disk was opened or closed, by the guest or by a command.
    ///
    /// Since QEMU 1.1.
    DeviceTrayMoved(DeviceTrayMoved<'a>),
    /// `PR_MANAGER_STATUS_CHANGED`: The helper process for persistent reservations has come or gone.
    ///
    /// Since QEMU 3.0.
    PrManagerStatusChanged(PrManagerStatusChanged<'a>),
    /// `BLOCK_EXPORT_DELETED`: An export of a disk is gone and its id can be used again.
    ///
    /// Since QEMU 5.2.
    BlockExportDeleted(BlockExportDeleted<'a>),
    /// `VSERPORT_CHANGE`: The guest has opened or closed a virtio-serial port.
    ///
    /// Since QEMU 2.1.
    ///
    /// QEMU sends at most one a second for each `id`: of several within a second it sends the last one.
    VserportChange(VserportChange<'a>),
    /// `DEVICE_DELETED`: A device is gone: the guest has let go of it and QEMU has removed it.
    ///
    /// Since QEMU 1.5.
    DeviceDeleted(DeviceDeleted<'a>),
    /// `DEVICE_UNPLUG_GUEST_ERROR`: The guest has refused to let go of a device.
    ///
    /// Since QEMU 6.2.
    DeviceUnplugGuestError(DeviceUnplugGuestError<'a>),
    /// `MEM_UNPLUG_ERROR`: The guest has refused to let go of a memory device. [`DeviceUnplugGuestError`] has taken its place.
    ///
    /// Since QEMU 2.4, removed in 9.1. Deprecated.
    MemUnplugError(MemUnplugError<'a>),
    /// `ACPI_DEVICE_OST`: The guest has told what became of a plug or unplug request, by ACPI's `_OST` method.
    ///
    /// Since QEMU 2.1.
    AcpiDeviceOst(AcpiDeviceOst<'a>),
    /// `BALLOON_CHANGE`: The guest has changed the size of its memory balloon.
    ///
    /// Since QEMU 1.2.
    ///
    /// QEMU sends at most one a second: of several within a second it sends the last one.
    BalloonChange(BalloonChange),
    /// `HV_BALLOON_STATUS_REPORT`: A guest with the Hyper-V balloon has reported its memory.
    ///
    /// Since QEMU 8.2.
    ///
    /// QEMU sends at most one a second: of several within a second it sends the last one.
    HvBalloonStatusReport(HvBalloonStatusReport),
    /// `MEMORY_DEVICE_SIZE_CHANGE`: The guest has changed the size of a memory device, such as virtio-mem.
    ///
    /// Since QEMU 5.1.
    ///
    /// QEMU sends at most one a second for each `qom-path`: of several within a second it sends the last one.
    MemoryDeviceSizeChange(MemoryDeviceSizeChange<'a>),
    /// `RTC_CHANGE`: The guest has set its real-time clock.
    ///
    /// Since QEMU 0.13.
    ///
    /// QEMU sends at most one a second: of several within a second it sends the last one.
    RtcChange(RtcChange<'a>),
    /// `CPU_POLARIZATION_CHANGE`: The guest of an s390x machine asks for another way to spread work over its processors.
    ///
    /// Since QEMU 8.2. Unstable: QEMU may change it at any time.
    CpuPolarizationChange(CpuPolarizationChange<'a>),
    /// `SCLP_CPI_INFO_AVAILABLE`: The guest of an s390x machine has identified itself. The data is in QEMU's object tree.
    ///
    /// Since QEMU 10.2. Unstable: QEMU may change it at any time.
    SclpCpiInfoAvailable,
    /// `VFU_CLIENT_HANGUP`: The client of a vfio-user server has gone.
    ///
    /// Since QEMU 7.1.
    VfuClientHangup(VfuClientHangup<'a>),
    /// `NIC_RX_FILTER_CHANGED`: The guest has changed a network card's receive filter. It comes once; the next one is sent only after `query-rx-filter` was asked.
    ///
    /// Since QEMU 1.6.
    NicRxFilterChanged(NicRxFilterChanged<'a>),
    /// `FAILOVER_NEGOTIATED`: The guest's driver supports failover, so the primary network card can now be plugged.
    ///
    /// Since QEMU 4.2.
    FailoverNegotiated(FailoverNegotiated<'a>),
    /// `UNPLUG_PRIMARY`: A migration waits for the guest to let go of a failover pair's primary network card.
    ///
    /// Since QEMU 4.2.
    UnplugPrimary(UnplugPrimary<'a>),
    /// `NETDEV_STREAM_CONNECTED`: A stream network back end is connected to its peer.
    ///
    /// Since QEMU 7.2.
    NetdevStreamConnected(NetdevStreamConnected<'a>),
    /// `NETDEV_STREAM_DISCONNECTED`: A stream network back end has lost its peer.
    ///
    /// Since QEMU 7.2.
    NetdevStreamDisconnected(NetdevStreamDisconnected<'a>),
    /// `NETDEV_VHOST_USER_CONNECTED`: A vhost-user network back end is connected to its peer.
    ///
    /// Since QEMU 10.0.
    NetdevVhostUserConnected(NetdevVhostUserConnected<'a>),
    /// `NETDEV_VHOST_USER_DISCONNECTED`: A vhost-user network back end has lost its peer.
    ///
    /// Since QEMU 10.0.
    NetdevVhostUserDisconnected(NetdevVhostUserDisconnected<'a>),
    /// `RDMA_GID_STATUS_CHANGED`: The guest's RDMA device has added or removed an address of its table.
    ///
    /// Since QEMU 4.0, removed in 9.1.
    RdmaGidStatusChanged(RdmaGidStatusChanged<'a>),
    /// `SPICE_CONNECTED`: The SPICE server has accepted a connection. Nothing was read from it yet.
    ///
    /// Since QEMU 0.14.
    SpiceConnected(SpiceConnected<'a>),
    /// `SPICE_INITIALIZED`: A SPICE channel is linked and its client is authenticated.
    ///
    /// Since QEMU 0.14.
    SpiceInitialized(SpiceInitialized<'a>),
    /// `SPICE_DISCONNECTED`: A connection of the SPICE server is gone, whether or not a channel came of it.
    ///
    /// Since QEMU 0.14.
    SpiceDisconnected(SpiceDisconnected<'a>),
    /// `SPICE_MIGRATE_COMPLETED`: The SPICE server has done its part in a migration. Where no client was connected it comes after a failed migration too.
    ///
    /// Since QEMU 1.3.
    SpiceMigrateCompleted,
    /// `VNC_CONNECTED`: The VNC server has accepted a connection.
    ///
    /// Since QEMU 0.13.
    VncConnected(VncConnected<'a>),
    /// `VNC_INITIALIZED`: A VNC client is authenticated and its session begins.
    ///
    /// Since QEMU 0.13.
    VncInitialized(VncInitialized<'a>),
    /// `VNC_DISCONNECTED`: A VNC connection is gone.
    ///
    /// Since QEMU 0.13.
    VncDisconnected(VncDisconnected<'a>),
    /// `MIGRATION`: A migration has changed its state. Sent only where the migration capability `events` is on.
    ///
    /// Since QEMU 2.4.
    Migration(Migration<'a>),
    /// `MIGRATION_PASS`: The source of a migration begins another pass over the guest's memory. Sent only where the migration capability `events` is on.
    ///
    /// Since QEMU 2.6.
    MigrationPass(MigrationPass),
    /// `COLO_EXIT`: A machine has left its fault-tolerant pair.
    ///
    /// Since QEMU 3.1.
    ColoExit(ColoExit<'a>),
    /// `VFIO_MIGRATION`: A host device that is passed to the guest has changed its state in a migration. Sent only for devices with `migration-events` on.
    ///
    /// Since QEMU 9.1.
    VfioMigration(VfioMigration<'a>),
    /// `DUMP_COMPLETED`: A dump of the guest's memory that ran in the background has ended, successfully or with an error.
    ///
    /// Since QEMU 2.6.
    DumpCompleted(DumpCompleted<'a>),
    /// An event of an unknown name, or one whose data does not fit the schema: its name and data, and the reason.
    Other(OtherEvent<'a>),
}

/// All events that have a type.
pub(crate) static EVENTS: &[EventInfo] = &[
    EventInfo::new("SHUTDOWN", "0.12").data(Shutdown::TYPE),
    EventInfo::new("POWERDOWN", "0.12"),
    EventInfo::new("RESET", "0.12").data(Reset::TYPE),
    EventInfo::new("STOP", "0.12"),
    EventInfo::new("RESUME", "0.12"),
    EventInfo::new("SUSPEND", "1.1"),
    EventInfo::new("SUSPEND_DISK", "1.2"),
    EventInfo::new("WAKEUP", "1.1"),
    EventInfo::new("WATCHDOG", "0.13").data(Watchdog::TYPE).limited(None, None),
    EventInfo::new("GUEST_PANICKED", "1.5").data(GuestPanicked::TYPE),
    EventInfo::new("GUEST_CRASHLOADED", "5.0").data(GuestCrashloaded::TYPE),
    EventInfo::new("GUEST_PVSHUTDOWN", "9.1"),
    EventInfo::new("MEMORY_FAILURE", "5.2").data(MemoryFailure::TYPE),
    EventInfo::new("JOB_STATUS_CHANGE", "3.0").data(JobStatusChange::TYPE),
    EventInfo::new("BLOCK_IMAGE_CORRUPTED", "1.7").data(BlockImageCorrupted::TYPE),
    EventInfo::new("BLOCK_IO_ERROR", "0.13").data(BlockIoError::TYPE).limited(Some("qom-path"), Some("9.2")),
    EventInfo::new("BLOCK_JOB_COMPLETED", "1.1").data(BlockJobCompleted::TYPE),
    EventInfo::new("BLOCK_JOB_CANCELLED", "1.1").data(BlockJobCancelled::TYPE),
    EventInfo::new("BLOCK_JOB_ERROR", "1.3").data(BlockJobError::TYPE),
    EventInfo::new("BLOCK_JOB_READY", "1.3").data(BlockJobReady::TYPE),
    EventInfo::new("BLOCK_JOB_PENDING", "2.12").data(BlockJobPending::TYPE),
    EventInfo::new("BLOCK_WRITE_THRESHOLD", "2.3").data(BlockWriteThreshold::TYPE),
    EventInfo::new("QUORUM_FAILURE", "2.0").data(QuorumFailure::TYPE).limited(None, None),
    EventInfo::new("QUORUM_REPORT_BAD", "2.0").data(QuorumReportBad::TYPE).limited(Some("node-name"), None),
    EventInfo::new("DEVICE_TRAY_MOVED", "1.1").data(DeviceTrayMoved::TYPE),
    EventInfo::new("PR_MANAGER_STATUS_CHANGED", "3.0").data(PrManagerStatusChanged::TYPE),
    EventInfo::new("BLOCK_EXPORT_DELETED", "5.2").data(BlockExportDeleted::TYPE),
    EventInfo::new("VSERPORT_CHANGE", "2.1").data(VserportChange::TYPE).limited(Some("id"), None),
    EventInfo::new("DEVICE_DELETED", "1.5").data(DeviceDeleted::TYPE),
    EventInfo::new("DEVICE_UNPLUG_GUEST_ERROR", "6.2").data(DeviceUnplugGuestError::TYPE),
    EventInfo::new("MEM_UNPLUG_ERROR", "2.4").data(MemUnplugError::TYPE).until("9.1").deprecated(),
    EventInfo::new("ACPI_DEVICE_OST", "2.1").data(AcpiDeviceOst::TYPE),
    EventInfo::new("BALLOON_CHANGE", "1.2").data(BalloonChange::TYPE).limited(None, None),
    EventInfo::new("HV_BALLOON_STATUS_REPORT", "8.2").data(HvBalloonStatusReport::TYPE).limited(None, None),
    EventInfo::new("MEMORY_DEVICE_SIZE_CHANGE", "5.1")
        .data(MemoryDeviceSizeChange::TYPE)
        .limited(Some("qom-path"), None),
    EventInfo::new("RTC_CHANGE", "0.13").data(RtcChange::TYPE).limited(None, None),
    EventInfo::new("CPU_POLARIZATION_CHANGE", "8.2").data(CpuPolarizationChange::TYPE).unstable(),
    EventInfo::new("SCLP_CPI_INFO_AVAILABLE", "10.2").unstable(),
    EventInfo::new("VFU_CLIENT_HANGUP", "7.1").data(VfuClientHangup::TYPE),
    EventInfo::new("NIC_RX_FILTER_CHANGED", "1.6").data(NicRxFilterChanged::TYPE),
    EventInfo::new("FAILOVER_NEGOTIATED", "4.2").data(FailoverNegotiated::TYPE),
    EventInfo::new("UNPLUG_PRIMARY", "4.2").data(UnplugPrimary::TYPE),
    EventInfo::new("NETDEV_STREAM_CONNECTED", "7.2").data(NetdevStreamConnected::TYPE),
    EventInfo::new("NETDEV_STREAM_DISCONNECTED", "7.2").data(NetdevStreamDisconnected::TYPE),
    EventInfo::new("NETDEV_VHOST_USER_CONNECTED", "10.0").data(NetdevVhostUserConnected::TYPE),
    EventInfo::new("NETDEV_VHOST_USER_DISCONNECTED", "10.0").data(NetdevVhostUserDisconnected::TYPE),
    EventInfo::new("RDMA_GID_STATUS_CHANGED", "4.0").data(RdmaGidStatusChanged::TYPE).until("9.1"),
    EventInfo::new("SPICE_CONNECTED", "0.14").data(SpiceConnected::TYPE),
    EventInfo::new("SPICE_INITIALIZED", "0.14").data(SpiceInitialized::TYPE),
    EventInfo::new("SPICE_DISCONNECTED", "0.14").data(SpiceDisconnected::TYPE),
    EventInfo::new("SPICE_MIGRATE_COMPLETED", "1.3"),
    EventInfo::new("VNC_CONNECTED", "0.13").data(VncConnected::TYPE),
    EventInfo::new("VNC_INITIALIZED", "0.13").data(VncInitialized::TYPE),
    EventInfo::new("VNC_DISCONNECTED", "0.13").data(VncDisconnected::TYPE),
    EventInfo::new("MIGRATION", "2.4").data(Migration::TYPE),
    EventInfo::new("MIGRATION_PASS", "2.6").data(MigrationPass::TYPE),
    EventInfo::new("COLO_EXIT", "3.1").data(ColoExit::TYPE),
    EventInfo::new("VFIO_MIGRATION", "9.1").data(VfioMigration::TYPE),
    EventInfo::new("DUMP_COMPLETED", "2.6").data(DumpCompleted::TYPE),
];

/// Passes the name of every type to a macro: first those with a lifetime, then those without.
macro_rules! with_all_types {
    ($then:ident) => {
        $then! {
        Shutdown
        Reset
        Watchdog
        GuestPanicked
        GuestCrashloaded
        MemoryFailure
        JobStatusChange
        BlockImageCorrupted
        BlockIoError
        BlockJobCompleted
        BlockJobCancelled
        BlockJobError
        BlockJobReady
        BlockJobPending
        BlockWriteThreshold
        QuorumFailure
        QuorumReportBad
        DeviceTrayMoved
        PrManagerStatusChanged
        BlockExportDeleted
        VserportChange
        DeviceDeleted
        DeviceUnplugGuestError
        MemUnplugError
        AcpiDeviceOst
        MemoryDeviceSizeChange
        RtcChange
        CpuPolarizationChange
        VfuClientHangup
        NicRxFilterChanged
        FailoverNegotiated
        UnplugPrimary
        NetdevStreamConnected
        NetdevStreamDisconnected
        NetdevVhostUserConnected
        NetdevVhostUserDisconnected
        RdmaGidStatusChanged
        SpiceConnected
        SpiceInitialized
        SpiceDisconnected
        VncConnected
        VncInitialized
        VncDisconnected
        Migration
        ColoExit
        VfioMigration
        DumpCompleted
        AcpiostInfo
        AcpiSlotType
        BlockErrorAction
        ColoExitReason
        ColoMode
        DumpQueryResult
        DumpStatus
        FdSocketAddress
        GuestPanicAction
        GuestPanicInformation
        GuestPanicInformationS390
        GuestPanicInformationTdx
        GuestPanicInformationType
        InetSocketAddress
        IoOperationType
        JobStatus
        JobType
        MemoryFailureAction
        MemoryFailureRecipient
        MigrationStatus
        NetworkAddressFamily
        Capability
        ErrorClass
        QapiVfioMigrationState
        QuorumOpType
        S390CpuPolarization
        S390CrashReason
        ShutdownCause
        SocketAddress
        SocketAddressType
        SpiceBasicInfo
        SpiceChannel
        SpiceInfo
        SpiceQueryMouseMode
        SpiceServerInfo
        UnixSocketAddress
        Version
        VncBasicInfo
        VncClientInfo
        VncServerInfo
        VsockSocketAddress
        WatchdogAction;
        BalloonChange
        HvBalloonStatusReport
        MigrationPass
        GuestPanicInformationHyperV
        GuestPanicInformationSev
        MemoryFailureFlags
        VersionTriple
        }
    };
}
pub(crate) use with_all_types;
