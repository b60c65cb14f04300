// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Reading and writing events: from a name to its type and back.

use alloc::borrow::Cow;

use crate::{
    Error, ErrorKind, Event, Reader,
    fields::{Fields, Members, Take},
    slice_writer::Put,
};

mod block;
mod control;
mod devices;
mod display;
mod migration;
mod net;
mod run_state;

impl<'a> Event<'a> {
    /// The event's name in QMP: `SPICE_CONNECTED`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Shutdown(_) => "SHUTDOWN",
            Self::Powerdown => "POWERDOWN",
            Self::Reset(_) => "RESET",
            Self::Stop => "STOP",
            Self::Resume => "RESUME",
            Self::Suspend => "SUSPEND",
            Self::SuspendDisk => "SUSPEND_DISK",
            Self::Wakeup => "WAKEUP",
            Self::Watchdog(_) => "WATCHDOG",
            Self::GuestPanicked(_) => "GUEST_PANICKED",
            Self::GuestCrashloaded(_) => "GUEST_CRASHLOADED",
            Self::GuestPvshutdown => "GUEST_PVSHUTDOWN",
            Self::MemoryFailure(_) => "MEMORY_FAILURE",
            Self::JobStatusChange(_) => "JOB_STATUS_CHANGE",
            Self::BlockImageCorrupted(_) => "BLOCK_IMAGE_CORRUPTED",
            Self::BlockIoError(_) => "BLOCK_IO_ERROR",
            Self::BlockJobCompleted(_) => "BLOCK_JOB_COMPLETED",
            Self::BlockJobCancelled(_) => "BLOCK_JOB_CANCELLED",
            Self::BlockJobError(_) => "BLOCK_JOB_ERROR",
            Self::BlockJobReady(_) => "BLOCK_JOB_READY",
            Self::BlockJobPending(_) => "BLOCK_JOB_PENDING",
            Self::BlockWriteThreshold(_) => "BLOCK_WRITE_THRESHOLD",
            Self::QuorumFailure(_) => "QUORUM_FAILURE",
            Self::QuorumReportBad(_) => "QUORUM_REPORT_BAD",
            Self::DeviceTrayMoved(_) => "DEVICE_TRAY_MOVED",
            Self::PrManagerStatusChanged(_) => "PR_MANAGER_STATUS_CHANGED",
            Self::BlockExportDeleted(_) => "BLOCK_EXPORT_DELETED",
            Self::VserportChange(_) => "VSERPORT_CHANGE",
            Self::DeviceDeleted(_) => "DEVICE_DELETED",
            Self::DeviceUnplugGuestError(_) => "DEVICE_UNPLUG_GUEST_ERROR",
            Self::MemUnplugError(_) => "MEM_UNPLUG_ERROR",
            Self::AcpiDeviceOst(_) => "ACPI_DEVICE_OST",
            Self::BalloonChange(_) => "BALLOON_CHANGE",
            Self::HvBalloonStatusReport(_) => "HV_BALLOON_STATUS_REPORT",
            Self::MemoryDeviceSizeChange(_) => "MEMORY_DEVICE_SIZE_CHANGE",
            Self::RtcChange(_) => "RTC_CHANGE",
            Self::CpuPolarizationChange(_) => "CPU_POLARIZATION_CHANGE",
            Self::SclpCpiInfoAvailable => "SCLP_CPI_INFO_AVAILABLE",
            Self::VfuClientHangup(_) => "VFU_CLIENT_HANGUP",
            Self::NicRxFilterChanged(_) => "NIC_RX_FILTER_CHANGED",
            Self::FailoverNegotiated(_) => "FAILOVER_NEGOTIATED",
            Self::UnplugPrimary(_) => "UNPLUG_PRIMARY",
            Self::NetdevStreamConnected(_) => "NETDEV_STREAM_CONNECTED",
            Self::NetdevStreamDisconnected(_) => "NETDEV_STREAM_DISCONNECTED",
            Self::NetdevVhostUserConnected(_) => "NETDEV_VHOST_USER_CONNECTED",
            Self::NetdevVhostUserDisconnected(_) => "NETDEV_VHOST_USER_DISCONNECTED",
            Self::RdmaGidStatusChanged(_) => "RDMA_GID_STATUS_CHANGED",
            Self::SpiceConnected(_) => "SPICE_CONNECTED",
            Self::SpiceInitialized(_) => "SPICE_INITIALIZED",
            Self::SpiceDisconnected(_) => "SPICE_DISCONNECTED",
            Self::SpiceMigrateCompleted => "SPICE_MIGRATE_COMPLETED",
            Self::VncConnected(_) => "VNC_CONNECTED",
            Self::VncInitialized(_) => "VNC_INITIALIZED",
            Self::VncDisconnected(_) => "VNC_DISCONNECTED",
            Self::Migration(_) => "MIGRATION",
            Self::MigrationPass(_) => "MIGRATION_PASS",
            Self::ColoExit(_) => "COLO_EXIT",
            Self::VfioMigration(_) => "VFIO_MIGRATION",
            Self::DumpCompleted(_) => "DUMP_COMPLETED",
            Self::Other(event) => &event.name,
        }
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Shutdown(event) => Event::Shutdown(event.into_owned()),
            Self::Powerdown => Event::Powerdown,
            Self::Reset(event) => Event::Reset(event.into_owned()),
            Self::Stop => Event::Stop,
            Self::Resume => Event::Resume,
            Self::Suspend => Event::Suspend,
            Self::SuspendDisk => Event::SuspendDisk,
            Self::Wakeup => Event::Wakeup,
            Self::Watchdog(event) => Event::Watchdog(event.into_owned()),
            Self::GuestPanicked(event) => Event::GuestPanicked(event.into_owned()),
            Self::GuestCrashloaded(event) => Event::GuestCrashloaded(event.into_owned()),
            Self::GuestPvshutdown => Event::GuestPvshutdown,
            Self::MemoryFailure(event) => Event::MemoryFailure(event.into_owned()),
            Self::JobStatusChange(event) => Event::JobStatusChange(event.into_owned()),
            Self::BlockImageCorrupted(event) => Event::BlockImageCorrupted(event.into_owned()),
            Self::BlockIoError(event) => Event::BlockIoError(event.into_owned()),
            Self::BlockJobCompleted(event) => Event::BlockJobCompleted(event.into_owned()),
            Self::BlockJobCancelled(event) => Event::BlockJobCancelled(event.into_owned()),
            Self::BlockJobError(event) => Event::BlockJobError(event.into_owned()),
            Self::BlockJobReady(event) => Event::BlockJobReady(event.into_owned()),
            Self::BlockJobPending(event) => Event::BlockJobPending(event.into_owned()),
            Self::BlockWriteThreshold(event) => Event::BlockWriteThreshold(event.into_owned()),
            Self::QuorumFailure(event) => Event::QuorumFailure(event.into_owned()),
            Self::QuorumReportBad(event) => Event::QuorumReportBad(event.into_owned()),
            Self::DeviceTrayMoved(event) => Event::DeviceTrayMoved(event.into_owned()),
            Self::PrManagerStatusChanged(event) => Event::PrManagerStatusChanged(event.into_owned()),
            Self::BlockExportDeleted(event) => Event::BlockExportDeleted(event.into_owned()),
            Self::VserportChange(event) => Event::VserportChange(event.into_owned()),
            Self::DeviceDeleted(event) => Event::DeviceDeleted(event.into_owned()),
            Self::DeviceUnplugGuestError(event) => Event::DeviceUnplugGuestError(event.into_owned()),
            Self::MemUnplugError(event) => Event::MemUnplugError(event.into_owned()),
            Self::AcpiDeviceOst(event) => Event::AcpiDeviceOst(event.into_owned()),
            Self::BalloonChange(event) => Event::BalloonChange(event),
            Self::HvBalloonStatusReport(event) => Event::HvBalloonStatusReport(event),
            Self::MemoryDeviceSizeChange(event) => Event::MemoryDeviceSizeChange(event.into_owned()),
            Self::RtcChange(event) => Event::RtcChange(event.into_owned()),
            Self::CpuPolarizationChange(event) => Event::CpuPolarizationChange(event.into_owned()),
            Self::SclpCpiInfoAvailable => Event::SclpCpiInfoAvailable,
            Self::VfuClientHangup(event) => Event::VfuClientHangup(event.into_owned()),
            Self::NicRxFilterChanged(event) => Event::NicRxFilterChanged(event.into_owned()),
            Self::FailoverNegotiated(event) => Event::FailoverNegotiated(event.into_owned()),
            Self::UnplugPrimary(event) => Event::UnplugPrimary(event.into_owned()),
            Self::NetdevStreamConnected(event) => Event::NetdevStreamConnected(event.into_owned()),
            Self::NetdevStreamDisconnected(event) => Event::NetdevStreamDisconnected(event.into_owned()),
            Self::NetdevVhostUserConnected(event) => Event::NetdevVhostUserConnected(event.into_owned()),
            Self::NetdevVhostUserDisconnected(event) => Event::NetdevVhostUserDisconnected(event.into_owned()),
            Self::RdmaGidStatusChanged(event) => Event::RdmaGidStatusChanged(event.into_owned()),
            Self::SpiceConnected(event) => Event::SpiceConnected(event.into_owned()),
            Self::SpiceInitialized(event) => Event::SpiceInitialized(event.into_owned()),
            Self::SpiceDisconnected(event) => Event::SpiceDisconnected(event.into_owned()),
            Self::SpiceMigrateCompleted => Event::SpiceMigrateCompleted,
            Self::VncConnected(event) => Event::VncConnected(event.into_owned()),
            Self::VncInitialized(event) => Event::VncInitialized(event.into_owned()),
            Self::VncDisconnected(event) => Event::VncDisconnected(event.into_owned()),
            Self::Migration(event) => Event::Migration(event.into_owned()),
            Self::MigrationPass(event) => Event::MigrationPass(event),
            Self::ColoExit(event) => Event::ColoExit(event.into_owned()),
            Self::VfioMigration(event) => Event::VfioMigration(event.into_owned()),
            Self::DumpCompleted(event) => Event::DumpCompleted(event.into_owned()),
            Self::Other(event) => Event::Other(event.into_owned()),
        }
    }

    /// Reads the data of the event of this name.
    pub(crate) fn read_data(name: &str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let event = match name {
            "SHUTDOWN" => Self::Shutdown(Take::take(reader)),
            "POWERDOWN" => {
                NoData::take(reader);
                Self::Powerdown
            }
            "RESET" => Self::Reset(Take::take(reader)),
            "STOP" => {
                NoData::take(reader);
                Self::Stop
            }
            "RESUME" => {
                NoData::take(reader);
                Self::Resume
            }
            "SUSPEND" => {
                NoData::take(reader);
                Self::Suspend
            }
            "SUSPEND_DISK" => {
                NoData::take(reader);
                Self::SuspendDisk
            }
            "WAKEUP" => {
                NoData::take(reader);
                Self::Wakeup
            }
            "WATCHDOG" => Self::Watchdog(Take::take(reader)),
            "GUEST_PANICKED" => Self::GuestPanicked(Take::take(reader)),
            "GUEST_CRASHLOADED" => Self::GuestCrashloaded(Take::take(reader)),
            "GUEST_PVSHUTDOWN" => {
                NoData::take(reader);
                Self::GuestPvshutdown
            }
            "MEMORY_FAILURE" => Self::MemoryFailure(Take::take(reader)),
            "JOB_STATUS_CHANGE" => Self::JobStatusChange(Take::take(reader)),
            "BLOCK_IMAGE_CORRUPTED" => Self::BlockImageCorrupted(Take::take(reader)),
            "BLOCK_IO_ERROR" => Self::BlockIoError(Take::take(reader)),
            "BLOCK_JOB_COMPLETED" => Self::BlockJobCompleted(Take::take(reader)),
            "BLOCK_JOB_CANCELLED" => Self::BlockJobCancelled(Take::take(reader)),
            "BLOCK_JOB_ERROR" => Self::BlockJobError(Take::take(reader)),
            "BLOCK_JOB_READY" => Self::BlockJobReady(Take::take(reader)),
            "BLOCK_JOB_PENDING" => Self::BlockJobPending(Take::take(reader)),
            "BLOCK_WRITE_THRESHOLD" => Self::BlockWriteThreshold(Take::take(reader)),
            "QUORUM_FAILURE" => Self::QuorumFailure(Take::take(reader)),
            "QUORUM_REPORT_BAD" => Self::QuorumReportBad(Take::take(reader)),
            "DEVICE_TRAY_MOVED" => Self::DeviceTrayMoved(Take::take(reader)),
            "PR_MANAGER_STATUS_CHANGED" => Self::PrManagerStatusChanged(Take::take(reader)),
            "BLOCK_EXPORT_DELETED" => Self::BlockExportDeleted(Take::take(reader)),
            "VSERPORT_CHANGE" => Self::VserportChange(Take::take(reader)),
            "DEVICE_DELETED" => Self::DeviceDeleted(Take::take(reader)),
            "DEVICE_UNPLUG_GUEST_ERROR" => Self::DeviceUnplugGuestError(Take::take(reader)),
            "MEM_UNPLUG_ERROR" => Self::MemUnplugError(Take::take(reader)),
            "ACPI_DEVICE_OST" => Self::AcpiDeviceOst(Take::take(reader)),
            "BALLOON_CHANGE" => Self::BalloonChange(Take::take(reader)),
            "HV_BALLOON_STATUS_REPORT" => Self::HvBalloonStatusReport(Take::take(reader)),
            "MEMORY_DEVICE_SIZE_CHANGE" => Self::MemoryDeviceSizeChange(Take::take(reader)),
            "RTC_CHANGE" => Self::RtcChange(Take::take(reader)),
            "CPU_POLARIZATION_CHANGE" => Self::CpuPolarizationChange(Take::take(reader)),
            "SCLP_CPI_INFO_AVAILABLE" => {
                NoData::take(reader);
                Self::SclpCpiInfoAvailable
            }
            "VFU_CLIENT_HANGUP" => Self::VfuClientHangup(Take::take(reader)),
            "NIC_RX_FILTER_CHANGED" => Self::NicRxFilterChanged(Take::take(reader)),
            "FAILOVER_NEGOTIATED" => Self::FailoverNegotiated(Take::take(reader)),
            "UNPLUG_PRIMARY" => Self::UnplugPrimary(Take::take(reader)),
            "NETDEV_STREAM_CONNECTED" => Self::NetdevStreamConnected(Take::take(reader)),
            "NETDEV_STREAM_DISCONNECTED" => Self::NetdevStreamDisconnected(Take::take(reader)),
            "NETDEV_VHOST_USER_CONNECTED" => Self::NetdevVhostUserConnected(Take::take(reader)),
            "NETDEV_VHOST_USER_DISCONNECTED" => Self::NetdevVhostUserDisconnected(Take::take(reader)),
            "RDMA_GID_STATUS_CHANGED" => Self::RdmaGidStatusChanged(Take::take(reader)),
            "SPICE_CONNECTED" => Self::SpiceConnected(Take::take(reader)),
            "SPICE_INITIALIZED" => Self::SpiceInitialized(Take::take(reader)),
            "SPICE_DISCONNECTED" => Self::SpiceDisconnected(Take::take(reader)),
            "SPICE_MIGRATE_COMPLETED" => {
                NoData::take(reader);
                Self::SpiceMigrateCompleted
            }
            "VNC_CONNECTED" => Self::VncConnected(Take::take(reader)),
            "VNC_INITIALIZED" => Self::VncInitialized(Take::take(reader)),
            "VNC_DISCONNECTED" => Self::VncDisconnected(Take::take(reader)),
            "MIGRATION" => Self::Migration(Take::take(reader)),
            "MIGRATION_PASS" => Self::MigrationPass(Take::take(reader)),
            "COLO_EXIT" => Self::ColoExit(Take::take(reader)),
            "VFIO_MIGRATION" => Self::VfioMigration(Take::take(reader)),
            "DUMP_COMPLETED" => Self::DumpCompleted(Take::take(reader)),
            _ => return Err(Error::new(ErrorKind::UnknownEvent, reader.lexer.offset())),
        };
        reader.take_failure().map_or(Ok(event), Err)
    }

    /// The event of this name, without data.
    pub(crate) fn without_data(name: &Cow<'a, str>, offset: usize) -> Self {
        match &**name {
            "POWERDOWN" => Self::Powerdown,
            "STOP" => Self::Stop,
            "RESUME" => Self::Resume,
            "SUSPEND" => Self::Suspend,
            "SUSPEND_DISK" => Self::SuspendDisk,
            "WAKEUP" => Self::Wakeup,
            "GUEST_PVSHUTDOWN" => Self::GuestPvshutdown,
            "SCLP_CPI_INFO_AVAILABLE" => Self::SclpCpiInfoAvailable,
            "SPICE_MIGRATE_COMPLETED" => Self::SpiceMigrateCompleted,
            "SHUTDOWN" => Self::Shutdown(crate::Shutdown { guest: None, reason: None }),
            "RESET" => Self::Reset(crate::Reset { guest: None, reason: None }),

            _ => Self::other_without_data(name, offset),
        }
    }

    /// The event's data. `None`: it has none.
    pub(crate) fn data(&self) -> Option<&dyn Put> {
        Some(match self {
            Self::Shutdown(crate::Shutdown { guest: None, reason: None })
            | Self::Reset(crate::Reset { guest: None, reason: None }) => return None,
            Self::Shutdown(data) => data,
            Self::Reset(data) => data,
            Self::Watchdog(data) => data,
            Self::GuestPanicked(data) => data,
            Self::GuestCrashloaded(data) => data,
            Self::MemoryFailure(data) => data,
            Self::JobStatusChange(data) => data,
            Self::BlockImageCorrupted(data) => data,
            Self::BlockIoError(data) => data,
            Self::BlockJobCompleted(data) => data,
            Self::BlockJobCancelled(data) => data,
            Self::BlockJobError(data) => data,
            Self::BlockJobReady(data) => data,
            Self::BlockJobPending(data) => data,
            Self::BlockWriteThreshold(data) => data,
            Self::QuorumFailure(data) => data,
            Self::QuorumReportBad(data) => data,
            Self::DeviceTrayMoved(data) => data,
            Self::PrManagerStatusChanged(data) => data,
            Self::BlockExportDeleted(data) => data,
            Self::VserportChange(data) => data,
            Self::DeviceDeleted(data) => data,
            Self::DeviceUnplugGuestError(data) => data,
            Self::MemUnplugError(data) => data,
            Self::AcpiDeviceOst(data) => data,
            Self::BalloonChange(data) => data,
            Self::HvBalloonStatusReport(data) => data,
            Self::MemoryDeviceSizeChange(data) => data,
            Self::RtcChange(data) => data,
            Self::CpuPolarizationChange(data) => data,
            Self::VfuClientHangup(data) => data,
            Self::NicRxFilterChanged(data) => data,
            Self::FailoverNegotiated(data) => data,
            Self::UnplugPrimary(data) => data,
            Self::NetdevStreamConnected(data) => data,
            Self::NetdevStreamDisconnected(data) => data,
            Self::NetdevVhostUserConnected(data) => data,
            Self::NetdevVhostUserDisconnected(data) => data,
            Self::RdmaGidStatusChanged(data) => data,
            Self::SpiceConnected(data) => data,
            Self::SpiceInitialized(data) => data,
            Self::SpiceDisconnected(data) => data,
            Self::VncConnected(data) => data,
            Self::VncInitialized(data) => data,
            Self::VncDisconnected(data) => data,
            Self::Migration(data) => data,
            Self::MigrationPass(data) => data,
            Self::ColoExit(data) => data,
            Self::VfioMigration(data) => data,
            Self::DumpCompleted(data) => data,

            Self::Other(event) => event.data.as_ref()?,
            _ => return None,
        })
    }
}

/// The data of an event without data: an empty object, if it is present.
struct NoData;

impl<'a> Fields<'a> for NoData {
    fn build(_: &mut Members<'_, 'a>) -> Self {
        Self
    }
}
