// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Any value of every type.

use arbitrary::{Result, Unstructured};

use crate::make::{Make, unknown_case, unknown_event};

impl Make for crate::Shutdown<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { guest: Make::make(u)?, reason: Make::make(u)? })
    }
}

impl Make for crate::Reset<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { guest: Make::make(u)?, reason: Make::make(u)? })
    }
}

impl Make for crate::Watchdog<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { action: Make::make(u)? })
    }
}

impl Make for crate::GuestPanicked<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { action: Make::make(u)?, info: Make::make(u)? })
    }
}

impl Make for crate::GuestCrashloaded<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { action: Make::make(u)?, info: Make::make(u)? })
    }
}

impl Make for crate::MemoryFailure<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { recipient: Make::make(u)?, action: Make::make(u)?, flags: Make::make(u)? })
    }
}

impl Make for crate::JobStatusChange<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { id: Make::make(u)?, status: Make::make(u)? })
    }
}

impl Make for crate::BlockImageCorrupted<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            device: Make::make(u)?,
            node_name: Make::make(u)?,
            msg: Make::make(u)?,
            offset: Make::make(u)?,
            size: Make::make(u)?,
            fatal: Make::make(u)?,
        })
    }
}

impl Make for crate::BlockIoError<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            qom_path: Make::make(u)?,
            device: Make::make(u)?,
            node_name: Make::make(u)?,
            operation: Make::make(u)?,
            action: Make::make(u)?,
            nospace: Make::make(u)?,
            reason: Make::make(u)?,
        })
    }
}

impl Make for crate::BlockJobCompleted<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            r#type: Make::make(u)?,
            device: Make::make(u)?,
            len: Make::make(u)?,
            offset: Make::make(u)?,
            speed: Make::make(u)?,
            error: Make::make(u)?,
        })
    }
}

impl Make for crate::BlockJobCancelled<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            r#type: Make::make(u)?,
            device: Make::make(u)?,
            len: Make::make(u)?,
            offset: Make::make(u)?,
            speed: Make::make(u)?,
        })
    }
}

impl Make for crate::BlockJobError<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device: Make::make(u)?, operation: Make::make(u)?, action: Make::make(u)? })
    }
}

impl Make for crate::BlockJobReady<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            r#type: Make::make(u)?,
            device: Make::make(u)?,
            len: Make::make(u)?,
            offset: Make::make(u)?,
            speed: Make::make(u)?,
        })
    }
}

impl Make for crate::BlockJobPending<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { r#type: Make::make(u)?, id: Make::make(u)? })
    }
}

impl Make for crate::BlockWriteThreshold<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { node_name: Make::make(u)?, amount_exceeded: Make::make(u)?, write_threshold: Make::make(u)? })
    }
}

impl Make for crate::QuorumFailure<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { reference: Make::make(u)?, sector_num: Make::make(u)?, sectors_count: Make::make(u)? })
    }
}

impl Make for crate::QuorumReportBad<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            r#type: Make::make(u)?,
            error: Make::make(u)?,
            node_name: Make::make(u)?,
            sector_num: Make::make(u)?,
            sectors_count: Make::make(u)?,
        })
    }
}

impl Make for crate::DeviceTrayMoved<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device: Make::make(u)?, id: Make::make(u)?, tray_open: Make::make(u)? })
    }
}

impl Make for crate::PrManagerStatusChanged<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { id: Make::make(u)?, connected: Make::make(u)? })
    }
}

impl Make for crate::BlockExportDeleted<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { id: Make::make(u)? })
    }
}

impl Make for crate::VserportChange<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { id: Make::make(u)?, open: Make::make(u)? })
    }
}

impl Make for crate::DeviceDeleted<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device: Make::make(u)?, path: Make::make(u)? })
    }
}

impl Make for crate::DeviceUnplugGuestError<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device: Make::make(u)?, path: Make::make(u)? })
    }
}

impl Make for crate::MemUnplugError<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device: Make::make(u)?, msg: Make::make(u)? })
    }
}

impl Make for crate::AcpiDeviceOst<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { info: Make::make(u)? })
    }
}

impl Make for crate::BalloonChange {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { actual: Make::make(u)? })
    }
}

impl Make for crate::HvBalloonStatusReport {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { committed: Make::make(u)?, available: Make::make(u)? })
    }
}

impl Make for crate::MemoryDeviceSizeChange<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { id: Make::make(u)?, size: Make::make(u)?, qom_path: Make::make(u)? })
    }
}

impl Make for crate::RtcChange<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { offset: Make::make(u)?, qom_path: Make::make(u)? })
    }
}

impl Make for crate::CpuPolarizationChange<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { polarization: Make::make(u)? })
    }
}

impl Make for crate::VfuClientHangup<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            vfu_id: Make::make(u)?,
            vfu_qom_path: Make::make(u)?,
            dev_id: Make::make(u)?,
            dev_qom_path: Make::make(u)?,
        })
    }
}

impl Make for crate::NicRxFilterChanged<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { name: Make::make(u)?, path: Make::make(u)? })
    }
}

impl Make for crate::FailoverNegotiated<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device_id: Make::make(u)? })
    }
}

impl Make for crate::UnplugPrimary<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device_id: Make::make(u)? })
    }
}

impl Make for crate::NetdevStreamConnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { netdev_id: Make::make(u)?, addr: Make::make(u)? })
    }
}

impl Make for crate::NetdevStreamDisconnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { netdev_id: Make::make(u)? })
    }
}

impl Make for crate::NetdevVhostUserConnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { netdev_id: Make::make(u)?, chardev_id: Make::make(u)? })
    }
}

impl Make for crate::NetdevVhostUserDisconnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { netdev_id: Make::make(u)? })
    }
}

impl Make for crate::RdmaGidStatusChanged<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            netdev: Make::make(u)?,
            gid_status: Make::make(u)?,
            subnet_prefix: Make::make(u)?,
            interface_id: Make::make(u)?,
        })
    }
}

impl Make for crate::SpiceConnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::SpiceInitialized<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::SpiceDisconnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::VncConnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::VncInitialized<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::VncDisconnected<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { server: Make::make(u)?, client: Make::make(u)? })
    }
}

impl Make for crate::Migration<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { status: Make::make(u)? })
    }
}

impl Make for crate::MigrationPass {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { pass: Make::make(u)? })
    }
}

impl Make for crate::ColoExit<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { mode: Make::make(u)?, reason: Make::make(u)? })
    }
}

impl Make for crate::VfioMigration<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { device_id: Make::make(u)?, qom_path: Make::make(u)?, device_state: Make::make(u)? })
    }
}

impl Make for crate::DumpCompleted<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { result: Make::make(u)?, error: Make::make(u)? })
    }
}

impl Make for crate::AcpiostInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            device: Make::make(u)?,
            slot: Make::make(u)?,
            slot_type: Make::make(u)?,
            source: Make::make(u)?,
            status: Make::make(u)?,
        })
    }
}

impl Make for crate::DumpQueryResult<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { status: Make::make(u)?, completed: Make::make(u)?, total: Make::make(u)? })
    }
}

impl Make for crate::FdSocketAddress<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { str: Make::make(u)? })
    }
}

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

impl Make for crate::GuestPanicInformationHyperV {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            arg1: Make::make(u)?,
            arg2: Make::make(u)?,
            arg3: Make::make(u)?,
            arg4: Make::make(u)?,
            arg5: Make::make(u)?,
        })
    }
}

impl Make for crate::GuestPanicInformationS390<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { core: Make::make(u)?, psw_mask: Make::make(u)?, psw_addr: Make::make(u)?, reason: Make::make(u)? })
    }
}

impl Make for crate::GuestPanicInformationSev {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { set: Make::make(u)?, code: Make::make(u)? })
    }
}

impl Make for crate::GuestPanicInformationTdx<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { error_code: Make::make(u)?, message: Make::make(u)?, gpa: Make::make(u)? })
    }
}

impl Make for crate::InetSocketAddress<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            host: Make::make(u)?,
            port: Make::make(u)?,
            numeric: Make::make(u)?,
            to: Make::make(u)?,
            ipv4: Make::make(u)?,
            ipv6: Make::make(u)?,
            keep_alive: Make::make(u)?,
            keep_alive_count: Make::make(u)?,
            keep_alive_idle: Make::make(u)?,
            keep_alive_interval: Make::make(u)?,
            mptcp: Make::make(u)?,
        })
    }
}

impl Make for crate::MemoryFailureFlags {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { action_required: Make::make(u)?, recursive: Make::make(u)? })
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

impl Make for crate::SpiceBasicInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { host: Make::make(u)?, port: Make::make(u)?, family: Make::make(u)? })
    }
}

impl Make for crate::SpiceChannel<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            host: Make::make(u)?,
            port: Make::make(u)?,
            family: Make::make(u)?,
            connection_id: Make::make(u)?,
            channel_type: Make::make(u)?,
            channel_id: Make::make(u)?,
            tls: Make::make(u)?,
        })
    }
}

impl Make for crate::SpiceInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            enabled: Make::make(u)?,
            migrated: Make::make(u)?,
            host: Make::make(u)?,
            port: Make::make(u)?,
            tls_port: Make::make(u)?,
            auth: Make::make(u)?,
            compiled_version: Make::make(u)?,
            mouse_mode: Make::make(u)?,
            channels: Make::make(u)?,
        })
    }
}

impl Make for crate::SpiceServerInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { host: Make::make(u)?, port: Make::make(u)?, family: Make::make(u)?, auth: Make::make(u)? })
    }
}

impl Make for crate::UnixSocketAddress<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { path: Make::make(u)?, r#abstract: Make::make(u)?, tight: Make::make(u)? })
    }
}

impl Make for crate::VersionInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { qemu: Make::make(u)?, package: Make::make(u)? })
    }
}

impl Make for crate::VersionTriple {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { major: Make::make(u)?, minor: Make::make(u)?, micro: Make::make(u)? })
    }
}

impl Make for crate::VncBasicInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { host: Make::make(u)?, service: Make::make(u)?, family: Make::make(u)?, websocket: Make::make(u)? })
    }
}

impl Make for crate::VncClientInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            host: Make::make(u)?,
            service: Make::make(u)?,
            family: Make::make(u)?,
            websocket: Make::make(u)?,
            x509_dname: Make::make(u)?,
            sasl_username: Make::make(u)?,
        })
    }
}

impl Make for crate::VncServerInfo<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            host: Make::make(u)?,
            service: Make::make(u)?,
            family: Make::make(u)?,
            websocket: Make::make(u)?,
            auth: Make::make(u)?,
        })
    }
}

impl Make for crate::VsockSocketAddress<'_> {
    fn make(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self { cid: Make::make(u)?, port: Make::make(u)? })
    }
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
