// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.

//! Disks and the jobs that run on them.

use alloc::borrow::Cow;

/// The data of `JOB_STATUS_CHANGE`: a background job has changed its state.
///
/// Since QEMU 3.0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobStatusChange<'a> {
    /// The job's id.
    pub id: Cow<'a, str>,
    /// Its new state.
    pub status: JobStatus<'a>,
}

/// The data of `BLOCK_IMAGE_CORRUPTED`: a disk image was found to be corrupted.
///
/// Since QEMU 1.7.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockImageCorrupted<'a> {
    /// The block device; empty if the image has no device.
    pub device: Cow<'a, str>,
    /// The image's node in the block graph.
    ///
    /// Since QEMU 2.4.
    pub node_name: Option<Cow<'a, str>>,
    /// What is wrong, for people.
    pub msg: Cow<'a, str>,
    /// Where in the image, in bytes.
    pub offset: Option<i64>,
    /// How much of it, in bytes.
    pub size: Option<i64>,
    /// Whether the image is unusable from here on; if not, it was only marked as corrupt.
    pub fatal: bool,
}

/// The data of `BLOCK_IO_ERROR`: a disk operation of the guest has failed.
///
/// Since QEMU 0.13.
///
/// QEMU sends at most one a second for each `qom-path` (since 9.2): of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockIoError<'a> {
    /// The guest's device in QEMU's object tree.
    ///
    /// Since QEMU 9.2.
    pub qom_path: Option<Cow<'a, str>>,
    /// The block device; empty if there is only a node.
    pub device: Cow<'a, str>,
    /// The node that failed; absent if the disk is empty.
    ///
    /// Since QEMU 2.8.
    pub node_name: Option<Cow<'a, str>>,
    /// What failed.
    pub operation: IoOperationType<'a>,
    /// What QEMU does about it.
    pub action: BlockErrorAction<'a>,
    /// Whether it failed because the host has no space left. Only present if the machine was stopped.
    ///
    /// Since QEMU 2.2.
    pub nospace: Option<bool>,
    /// The error, for people: its text may change.
    ///
    /// Since QEMU 2.2.
    /// Older versions, which have no such member, are read too.
    pub reason: Option<Cow<'a, str>>,
}

/// The data of `BLOCK_JOB_COMPLETED`: a job on a disk has ended, successfully or with an error.
///
/// Since QEMU 1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockJobCompleted<'a> {
    /// What the job does.
    pub r#type: JobType<'a>,
    /// The job's id; the device's name for jobs started without one.
    pub device: Cow<'a, str>,
    /// The work in all, in the job's own unit, mostly bytes.
    pub len: i64,
    /// The work done, in the same unit.
    pub offset: i64,
    /// The limit on its speed, in bytes a second; 0 for no limit.
    pub speed: i64,
    /// What went wrong, for people; absent without an error.
    pub error: Option<Cow<'a, str>>,
}

/// The data of `BLOCK_JOB_CANCELLED`: a job on a disk was cancelled.
///
/// Since QEMU 1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockJobCancelled<'a> {
    /// What the job does.
    pub r#type: JobType<'a>,
    /// The job's id; the device's name for jobs started without one.
    pub device: Cow<'a, str>,
    /// The work in all, in the job's own unit, mostly bytes.
    pub len: i64,
    /// The work done, in the same unit.
    pub offset: i64,
    /// The limit on its speed, in bytes a second; 0 for no limit.
    pub speed: i64,
}

/// The data of `BLOCK_JOB_ERROR`: a job on a disk has met an error.
///
/// Since QEMU 1.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockJobError<'a> {
    /// The job's id; the device's name for jobs started without one.
    pub device: Cow<'a, str>,
    /// What failed.
    pub operation: IoOperationType<'a>,
    /// What the job does about it.
    pub action: BlockErrorAction<'a>,
}

/// The data of `BLOCK_JOB_READY`: a job on a disk is in step with its source and can be completed by `block-job-complete`.
///
/// Since QEMU 1.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockJobReady<'a> {
    /// What the job does.
    pub r#type: JobType<'a>,
    /// The job's id; the device's name for jobs started without one.
    pub device: Cow<'a, str>,
    /// The work in all, in the job's own unit, mostly bytes.
    pub len: i64,
    /// The work done, in the same unit.
    pub offset: i64,
    /// The limit on its speed, in bytes a second; 0 for no limit.
    pub speed: i64,
}

/// The data of `BLOCK_JOB_PENDING`: a job on a disk is done and waits to be finalized. Sent only where the job was started with `auto-finalize` off.
///
/// Since QEMU 2.12.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockJobPending<'a> {
    /// What the job does.
    pub r#type: JobType<'a>,
    /// The job's id.
    pub id: Cow<'a, str>,
}

/// The data of `BLOCK_WRITE_THRESHOLD`: a write has gone past the threshold set by `block-set-write-threshold`. The threshold is then off, so this comes once for each time that it is set.
///
/// Since QEMU 2.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockWriteThreshold<'a> {
    /// The node in the block graph.
    pub node_name: Cow<'a, str>,
    /// By how much the write went past it, in bytes.
    pub amount_exceeded: u64,
    /// The threshold, in bytes from the start of the image.
    pub write_threshold: u64,
}

/// The data of `QUORUM_FAILURE`: a quorum of disks could not agree: too few of them gave the same answer.
///
/// Since QEMU 2.0.
///
/// QEMU sends at most one a second: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumFailure<'a> {
    /// The device, or the node if there is no device.
    pub reference: Cow<'a, str>,
    /// The first sector of the operation, counted in 512 bytes.
    pub sector_num: i64,
    /// Its length in sectors of 512 bytes.
    pub sectors_count: i64,
}

/// The data of `QUORUM_REPORT_BAD`: one disk of a quorum failed, or gave another answer than the others.
///
/// Since QEMU 2.0.
///
/// QEMU sends at most one a second for each `node-name`: of several within a second it sends the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumReportBad<'a> {
    /// What it was asked to do.
    ///
    /// Since QEMU 2.6.
    pub r#type: QuorumOpType<'a>,
    /// The error, for people; absent where the answer only differs.
    pub error: Option<Cow<'a, str>>,
    /// The disk's node in the block graph.
    pub node_name: Cow<'a, str>,
    /// The first sector of the operation, counted in 512 bytes.
    pub sector_num: i64,
    /// Its length in sectors of 512 bytes.
    pub sectors_count: i64,
}

/// The data of `DEVICE_TRAY_MOVED`: the tray of a removable disk was opened or closed, by the guest or by a command.
///
/// Since QEMU 1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceTrayMoved<'a> {
    /// The block device; empty if there is none.
    pub device: Cow<'a, str>,
    /// The guest's device, by its id or its path in QEMU's object tree.
    ///
    /// Since QEMU 2.8.
    /// Older versions, which have no such member, are read too.
    pub id: Option<Cow<'a, str>>,
    /// Whether it is open now.
    pub tray_open: bool,
}

/// The data of `PR_MANAGER_STATUS_CHANGED`: the helper process for persistent reservations has come or gone.
///
/// Since QEMU 3.0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrManagerStatusChanged<'a> {
    /// The manager object's id.
    pub id: Cow<'a, str>,
    /// Whether the helper is there.
    pub connected: bool,
}

/// The data of `BLOCK_EXPORT_DELETED`: an export of a disk is gone and its id can be used again.
///
/// Since QEMU 5.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockExportDeleted<'a> {
    /// The export's id.
    pub id: Cow<'a, str>,
}

/// What QEMU does about a failed operation on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockErrorAction<'a> {
    /// `ignore`: nothing: it goes on as though it had worked.
    Ignore,
    /// `report`: it tells the guest.
    Report,
    /// `stop`: it stops the machine, or the job.
    Stop,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// What an input or output operation does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IoOperationType<'a> {
    /// `read`: it reads.
    Read,
    /// `write`: it writes.
    Write,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// Where a background job stands in its life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobStatus<'a> {
    /// `undefined`: no job has it, because of a bug in QEMU.
    Undefined,
    /// `created`: it exists and has not begun.
    Created,
    /// `running`: it runs.
    Running,
    /// `paused`: it was running and is held, by the user or by QEMU.
    Paused,
    /// `ready`: it is in step with its source and waits to be completed.
    Ready,
    /// `standby`: it was ready and is held.
    Standby,
    /// `waiting`: it is done and waits for the other jobs of its transaction.
    Waiting,
    /// `pending`: all are done; it waits for `job-finalize`.
    Pending,
    /// `aborting`: it failed or was cancelled, and is cleaning up.
    Aborting,
    /// `concluded`: it is over and waits for `job-dismiss`.
    Concluded,
    /// `null`: it is being deleted: the last word on a job.
    Null,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// What a background job does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobType<'a> {
    /// `commit`: writes an overlay's changes into its base.
    Commit,
    /// `stream`: copies a base's data into its overlay.
    Stream,
    /// `mirror`: keeps a copy of a disk in step.
    Mirror,
    /// `backup`: copies a disk as it was at one moment.
    Backup,
    /// `create`: creates an image.
    ///
    /// Since QEMU 3.0.
    Create,
    /// `amend`: changes an image's options.
    ///
    /// Since QEMU 5.1.
    Amend,
    /// `snapshot-load`: loads a snapshot of the machine.
    ///
    /// Since QEMU 6.0.
    SnapshotLoad,
    /// `snapshot-save`: saves a snapshot of the machine.
    ///
    /// Since QEMU 6.0.
    SnapshotSave,
    /// `snapshot-delete`: deletes a snapshot of the machine.
    ///
    /// Since QEMU 6.0.
    SnapshotDelete,
    /// An unknown value.
    Other(Cow<'a, str>),
}

/// What a quorum of disks was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuorumOpType<'a> {
    /// `read`: read.
    Read,
    /// `write`: write.
    Write,
    /// `flush`: flush.
    Flush,
    /// An unknown value.
    Other(Cow<'a, str>),
}
