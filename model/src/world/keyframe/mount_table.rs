//! Mounts in columns.

use super::columns::{Alike, Column, Keys, Reader, Writer, difference};
use crate::{
    codec::{Input, SnapshotError, Stored},
    mounts::{Mount, MountAction},
    process::ProcessKey,
};

/// The mounts, in order.
pub(super) fn put(mounts: &[Mount], out: &mut Vec<u8>) {
    let mut columns = Writer::new();
    let (mut kinds, mut keys) = (Alike::new(Column::MountKinds), Keys::default());
    let mut before = 0;
    for mount in mounts {
        let mut record = Vec::new();
        mount.action.put(&mut record);
        for string in [&mount.source, &mount.target, &mount.kind] {
            columns.number(string).put(&mut record);
        }
        mount.flags.put(&mut record);
        mount.setup.put(&mut record);
        let kind = columns.alike(&mut kinds, record);
        columns.put(Column::MountKind, &kind);
        columns.put(Column::MountTimes, &difference(mount.time.0, before));
        before = mount.time.0;
        let by = columns.key(&mut keys, mount.by);
        columns.put(Column::MountBy, &by);
    }
    columns.finish(out);
}

/// What many mounts have alike; strings by number.
struct Kind {
    action: MountAction,
    source: u64,
    target: u64,
    kind: u64,
    flags: u64,
    setup: bool,
}

impl Kind {
    fn get(columns: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        const AT: Column = Column::MountKinds;
        columns.pay(size_of::<Self>())?;
        Ok(Self {
            action: columns.get(AT)?,
            source: columns.get(AT)?,
            target: columns.get(AT)?,
            kind: columns.get(AT)?,
            flags: columns.get(AT)?,
            setup: columns.get(AT)?,
        })
    }
}

/// As they were put: all of `input`.
pub(super) fn get(input: &mut Input<'_>) -> Result<Vec<Mount>, SnapshotError> {
    const KIND: Column = Column::MountKinds;
    let mut columns = Reader::new(input)?;
    let keys = columns.keys(Column::Keys, Column::Keys)?;
    let (mut kinds, mut mounts, mut time) = (Vec::new(), Vec::new(), 0);
    while columns.has_more(KIND) {
        kinds.push(Kind::get(&mut columns)?);
    }
    while columns.has_more(Column::MountKind) {
        columns.pay(size_of::<Mount>())?;
        let kind = usize::try_from(columns.get::<u64>(Column::MountKind)?).ok();
        let kind: Option<&Kind> = kind.and_then(|kind| kinds.get(kind));
        let kind = kind.ok_or_else(|| columns.invalid(Column::MountKind))?;
        time = columns.after(Column::MountTimes, time)?;
        let by = usize::try_from(columns.get::<u64>(Column::MountBy)?).ok();
        let by = by.and_then(|by| keys.get(by)).copied();
        let (tgid, start) = by.ok_or_else(|| columns.invalid(Column::MountBy))?;
        mounts.push(Mount {
            time: columns.time(time),
            by: ProcessKey { tgid, start: columns.time(start) },
            action: kind.action,
            source: columns.numbered(KIND, kind.source)?,
            target: columns.numbered(KIND, kind.target)?,
            kind: columns.numbered(KIND, kind.kind)?,
            flags: kind.flags,
            setup: kind.setup,
        });
    }
    if columns.is_done() { Ok(mounts) } else { Err(columns.invalid(KIND)) }
}
