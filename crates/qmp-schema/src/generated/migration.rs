// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Migration, dumps of memory, fault tolerance.

use alloc::borrow::Cow;

/// The data of `MIGRATION`: a migration has changed its state. Sent only where the migration capability `events` is on.
///
/// Since QEMU 2.4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Migration<'a> {
    /// The new state.
    pub status: MigrationStatus<'a>,
}

/// The data of `MIGRATION_PASS`: the source of a migration begins another pass over the guest's memory. Sent only where the migration capability `events` is on.
///
/// Since QEMU 2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MigrationPass {
    /// The number of the pass, the first being 1.
    pub pass: i64,
}

/// The data of `COLO_EXIT`: a machine has left its fault-tolerant pair.
///
/// Since QEMU 3.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColoExit<'a> {
    /// Which half it was.
    pub mode: ColoMode<'a>,
    /// Why it left.
    pub reason: ColoExitReason<'a>,
}

/// The data of `VFIO_MIGRATION`: a host device that is passed to the guest has changed its state in a migration. Sent only for devices with `migration-events` on.
///
/// Since QEMU 9.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VfioMigration<'a> {
    /// The device's id.
    pub device_id: Cow<'a, str>,
    /// Its path in QEMU's object tree.
    pub qom_path: Cow<'a, str>,
    /// The new state.
    pub device_state: QapiVfioMigrationState<'a>,
}

/// The data of `DUMP_COMPLETED`: a dump of the guest's memory that ran in the background has ended, successfully or with an error.
///
/// Since QEMU 2.6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DumpCompleted<'a> {
    /// How far it came.
    pub result: DumpQueryResult<'a>,
    /// What went wrong, for people; absent without an error.
    pub error: Option<Cow<'a, str>>,
}

/// Why a fault-tolerant pair broke up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColoExitReason<'a> {
    /// `none`: it did not.
    None,
    /// `request`: it was asked to.
    Request,
    /// `error`: an error.
    Error,
    /// `processing`: it is still doing so.
    Processing,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Which half of a fault-tolerant pair a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColoMode<'a> {
    /// `none`: none.
    None,
    /// `primary`: the one that serves.
    Primary,
    /// `secondary`: the one in reserve.
    Secondary,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// How far a dump of the guest's memory has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DumpQueryResult<'a> {
    /// Where it stands.
    pub status: DumpStatus<'a>,
    /// What is written, in bytes.
    pub completed: i64,
    /// What there is to write, in bytes.
    pub total: i64,
}

/// Where a dump of the guest's memory stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DumpStatus<'a> {
    /// `none`: there has not been one.
    None,
    /// `active`: it is being written.
    Active,
    /// `completed`: it is done.
    Completed,
    /// `failed`: it failed.
    Failed,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Where a migration stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MigrationStatus<'a> {
    /// `none`: there has not been one.
    None,
    /// `setup`: it is being prepared.
    Setup,
    /// `cancelling`: it is being cancelled.
    Cancelling,
    /// `cancelled`: it was cancelled.
    Cancelled,
    /// `active`: it copies the memory of a running guest.
    Active,
    /// `postcopy-device`: the target loads the devices and does not run the guest yet.
    ///
    /// Since QEMU 10.2.
    PostcopyDevice,
    /// `postcopy-active`: the target runs the guest and fetches what is missing.
    ///
    /// Since QEMU 2.5.
    PostcopyActive,
    /// `postcopy-paused`: as postcopy-active, but the connection broke.
    ///
    /// Since QEMU 3.0.
    PostcopyPaused,
    /// `postcopy-recover-setup`: a new connection for the rest is being prepared.
    ///
    /// Since QEMU 9.1.
    PostcopyRecoverSetup,
    /// `postcopy-recover`: the rest is about to go over a new connection.
    ///
    /// Since QEMU 3.0.
    PostcopyRecover,
    /// `completed`: it is done.
    Completed,
    /// `failing`: it has failed and is being cleaned up.
    ///
    /// Seen in QEMU 11.1.
    Failing,
    /// `failed`: it failed.
    Failed,
    /// `colo`: source and target run in step, for fault tolerance.
    ///
    /// Since QEMU 2.8.
    Colo,
    /// `pre-switchover`: the guest is stopped and the switch waits for `migrate-continue`.
    ///
    /// Since QEMU 2.11.
    PreSwitchover,
    /// `device`: the devices are being copied.
    ///
    /// Since QEMU 2.11.
    Device,
    /// `wait-unplug`: it waits for the guest to let go of a network card.
    ///
    /// Since QEMU 4.2.
    WaitUnplug,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Where a host device that is passed to the guest stands in a migration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QapiVfioMigrationState<'a> {
    /// `stop`: it is stopped.
    Stop,
    /// `running`: it runs.
    Running,
    /// `stop-copy`: it is stopped and its state is being read.
    StopCopy,
    /// `resuming`: it is stopped and its state is being written.
    Resuming,
    /// `running-p2p`: it runs but does not speak to other devices.
    RunningP2p,
    /// `pre-copy`: it runs, and its state is being read.
    PreCopy,
    /// `pre-copy-p2p`: as pre-copy, but it does not speak to other devices.
    PreCopyP2p,
    /// `pre-copy-p2p-prepare`: it is about to enter pre-copy-p2p.
    ///
    /// Since QEMU 11.0.
    PreCopyP2pPrepare,
    /// An unknown value.
    Other(Cow<'a, str>),
}
