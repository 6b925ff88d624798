//! Mounts made and taken away inside a container, in order. What was mounted before recording began, or by the
//! runtime outside the container's own calls, is not in the list.

use std::sync::Arc;

use afterimage_format::BootNanos;

use crate::{
    bytes::Bytes,
    codec::{stored_enum, stored_struct},
    process::ProcessKey,
};

/// Mount operations remembered.
const MOST: usize = 1024;
/// What an operation costs besides its strings.
const OPERATION: usize = size_of::<Mount>() + 16;

/// The operations of one container. Copies of a state share them until one of them knows of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    list: Arc<Vec<Mount>>,
}

/// One operation on the mount tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// When.
    pub time: BootNanos,
    /// By whom.
    pub by: ProcessKey,
    /// What was done.
    pub action: MountAction,
    /// Source, as claimed.
    pub source: Bytes,
    /// Target: as claimed, made absolute where the working directory is known.
    pub target: Bytes,
    /// File system type, where recorded.
    pub kind: Bytes,
    /// `MS_*` or `MNT_*` flags.
    pub flags: u64,
    /// It was part of the container's set-up.
    pub setup: bool,
}

/// What was done to the mount tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountAction {
    /// `mount` of something new, or a bind.
    Mount,
    /// `mount` with `MS_MOVE`, or `move_mount`.
    Move,
    /// `mount` with `MS_REMOUNT` or a change of propagation, or `mount_setattr`.
    Change,
    /// `umount2`.
    Unmount,
    /// `pivot_root`.
    Pivot,
}

stored_struct!(Mounts { list });
stored_struct!(Mount { time, by, action, source, target, kind, flags, setup });
stored_enum!(MountAction { 0 => Mount, 1 => Move, 2 => Change, 3 => Unmount, 4 => Pivot });

impl From<Vec<Mount>> for Mounts {
    fn from(list: Vec<Mount>) -> Self {
        Self { list: Arc::new(list) }
    }
}

impl Mounts {
    /// Every operation, in order.
    pub fn operations(&self) -> &[Mount] {
        &self.list
    }

    /// Targets mounted and not taken away again, the latest last.
    pub fn current(&self) -> Vec<&Mount> {
        let mut out: Vec<&Mount> = Vec::new();
        for operation in self.list.iter() {
            match operation.action {
                MountAction::Mount | MountAction::Move => out.push(operation),
                MountAction::Unmount => {
                    if let Some(at) = out.iter().rposition(|m| m.target == operation.target) {
                        out.remove(at);
                    }
                }
                MountAction::Change | MountAction::Pivot => {}
            }
        }
        out
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    pub(crate) fn push(&mut self, mount: Mount) {
        Arc::make_mut(&mut self.list).push(mount);
    }

    /// Operations that were before all others.
    pub(crate) fn put_before(&mut self, mut mounts: Vec<Mount>) {
        mounts.append(Arc::make_mut(&mut self.list));
        self.list = Arc::new(mounts);
    }

    pub(crate) fn cost(&self) -> usize {
        self.list.iter().map(Mount::cost).sum()
    }
}

impl Mount {
    pub(crate) fn cost(&self) -> usize {
        OPERATION + self.source.len() + self.target.len() + self.kind.len()
    }
}
