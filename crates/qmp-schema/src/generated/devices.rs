// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Devices, memory, clocks and processors.

use alloc::borrow::Cow;

/// The data of `VSERPORT_CHANGE`: the guest has opened or closed a virtio-serial port.
///
/// Since QEMU 2.1.
///
/// QEMU sends at most one a second for each `id`: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VserportChange<'a> {
    /// The port's device id.
    pub id: Cow<'a, str>,
    /// Whether the guest has it open.
    pub open: bool,
}

/// The data of `DEVICE_DELETED`: a device is gone: the guest has let go of it and QEMU has removed it.
///
/// Since QEMU 1.5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceDeleted<'a> {
    /// The device's id; absent if it has none.
    pub device: Option<Cow<'a, str>>,
    /// Its path in QEMU's object tree.
    pub path: Cow<'a, str>,
}

/// The data of `DEVICE_UNPLUG_GUEST_ERROR`: the guest has refused to let go of a device.
///
/// Since QEMU 6.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceUnplugGuestError<'a> {
    /// The device's id; absent if it has none.
    pub device: Option<Cow<'a, str>>,
    /// Its path in QEMU's object tree.
    pub path: Cow<'a, str>,
}

/// The data of `MEM_UNPLUG_ERROR`: the guest has refused to let go of a memory device. [`DeviceUnplugGuestError`] has taken its place.
///
/// Since QEMU 2.4, removed in 9.1. Deprecated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemUnplugError<'a> {
    /// The device's id.
    pub device: Cow<'a, str>,
    /// Why, for people.
    pub msg: Cow<'a, str>,
}

/// The data of `ACPI_DEVICE_OST`: the guest has told what became of a plug or unplug request, by ACPI's `_OST` method.
///
/// Since QEMU 2.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcpiDeviceOst<'a> {
    /// What it said.
    pub info: AcpiostInfo<'a>,
}

/// The data of `BALLOON_CHANGE`: the guest has changed the size of its memory balloon.
///
/// Since QEMU 1.2.
///
/// QEMU sends at most one a second: of several within a second it sends the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BalloonChange {
    /// The memory that is left to the guest, in bytes.
    pub actual: i64,
}

/// The data of `HV_BALLOON_STATUS_REPORT`: a guest with the Hyper-V balloon has reported its memory.
///
/// Since QEMU 8.2.
///
/// QEMU sends at most one a second: of several within a second it sends the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HvBalloonStatusReport {
    /// Memory that it has promised to its processes, in bytes.
    pub committed: u64,
    /// Memory that it could use, in bytes.
    pub available: u64,
}

/// The data of `MEMORY_DEVICE_SIZE_CHANGE`: the guest has changed the size of a memory device, such as virtio-mem.
///
/// Since QEMU 5.1.
///
/// QEMU sends at most one a second for each `qom-path`: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemoryDeviceSizeChange<'a> {
    /// The device's id; absent if it has none.
    pub id: Option<Cow<'a, str>>,
    /// Its new size, in bytes.
    pub size: u64,
    /// Its path in QEMU's object tree.
    ///
    /// Since QEMU 6.2.
    pub qom_path: Cow<'a, str>,
}

/// The data of `RTC_CHANGE`: the guest has set its real-time clock.
///
/// Since QEMU 0.13.
///
/// QEMU sends at most one a second: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RtcChange<'a> {
    /// How far the guest's clock is now ahead of the one that it was started with, in seconds.
    pub offset: i64,
    /// The clock's path in QEMU's object tree.
    pub qom_path: Cow<'a, str>,
}

/// The data of `CPU_POLARIZATION_CHANGE`: the guest of an s390x machine asks for another way to spread work over its processors.
///
/// Since QEMU 8.2. Unstable: QEMU may change it at any time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CpuPolarizationChange<'a> {
    /// The way that it asks for.
    pub polarization: S390CpuPolarization<'a>,
}

/// The data of `VFU_CLIENT_HANGUP`: the client of a vfio-user server has gone.
///
/// Since QEMU 7.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VfuClientHangup<'a> {
    /// The server object's id.
    pub vfu_id: Cow<'a, str>,
    /// The server object's path in QEMU's object tree.
    pub vfu_qom_path: Cow<'a, str>,
    /// The id of the device that it serves.
    pub dev_id: Cow<'a, str>,
    /// That device's path in QEMU's object tree.
    pub dev_qom_path: Cow<'a, str>,
}

/// What a guest says about a slot through ACPI's `_OST` method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcpiostInfo<'a> {
    /// The id of the device in the slot; absent if it has none or the slot is empty.
    pub device: Option<Cow<'a, str>>,
    /// The slot's number.
    pub slot: Cow<'a, str>,
    /// What the slot holds.
    pub slot_type: AcpiSlotType<'a>,
    /// Which event the guest speaks of: `_OST`'s first argument.
    pub source: i64,
    /// What has become of it: `_OST`'s second argument; 0 is success.
    pub status: i64,
}

/// What an ACPI slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AcpiSlotType<'a> {
    /// `DIMM`: memory.
    Dimm,
    /// `CPU`: a processor.
    Cpu,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// How an s390x machine spreads work over its processors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum S390CpuPolarization<'a> {
    /// `horizontal`: evenly.
    Horizontal,
    /// `vertical`: unevenly: some processors are favoured.
    Vertical,
    /// An unknown value.
    Other(Cow<'a, str>),
}
