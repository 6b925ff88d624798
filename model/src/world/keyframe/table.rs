//! Processes in columns, with what they executed: written in one pass, read row by row.

use std::{collections::BTreeMap, sync::Arc};

use afterimage_format::BootNanos;

use super::columns::{Alike, Column, Keys, Reader, Writer, difference};
use crate::{
    bytes::Bytes,
    codec::{SnapshotError, Stored, unzigzag, zigzag},
    process::{Apart, End, Exec, Inside, Process, ProcessKey},
    world::state::Map,
};

/// A row that was not read yet: what the next one is told by.
#[derive(Debug, Default)]
struct Before {
    key: (u32, u64),
    /// How far its id inside is from the one outside.
    inside: u64,
    pgid: Option<u32>,
    sid: Option<u32>,
    /// The place behind that of its last execution, and that of the one it was forked with.
    exec: usize,
    inherited: usize,
}

/// Most executions, and names, of one process; recorders keep far fewer.
const HISTORY: u64 = 1024;
/// How a process ended, without the time.
const RUNNING: u8 = 0;
const EXITED: u8 = 1;
const UNSEEN: u8 = 2;

/// Writes processes.
pub(super) struct TableWriter<'a> {
    out: Writer<'a>,
    places: Map<ProcessKey, usize>,
    others: Keys,
    execs: Map<u64, usize>,
    exec_times: Vec<u64>,
    kinds: Alike,
}

impl<'a> TableWriter<'a> {
    /// The processes, in this order; `live` with what only those have that did not end.
    pub(super) fn new(processes: &[&'a Process], live: bool) -> Self {
        let mut this = Self {
            out: Writer::new(),
            places: processes.iter().enumerate().map(|(place, process)| (process.key, place)).collect(),
            others: Keys::default(),
            execs: Map::default(),
            exec_times: Vec::new(),
            kinds: Alike::new(Column::Kinds),
        };
        this.put_execs(processes);
        let mut before = Before::default();
        for (place, process) in processes.iter().enumerate() {
            this.put_process(place, process, &mut before);
            if let Some(inside) = process.inside() {
                this.out.put(Column::Inside, &(place as u64));
                this.out.put(Column::Inside, &inside);
            }
            if live {
                this.put_live(place, process);
            }
        }
        this
    }

    /// What they executed, each execution once, the newest first.
    fn put_execs(&mut self, processes: &[&'a Process]) {
        let all = processes.iter().flat_map(|p| p.execs.iter().chain(&p.inherited));
        let mut execs: Vec<&Exec> = all.map(Arc::as_ref).collect();
        execs.sort_unstable_by_key(|exec| std::cmp::Reverse(exec.id));
        execs.dedup_by_key(|exec| exec.id);
        let mut kinds = Alike::new(Column::ExecKinds);
        let (mut id, mut time) = (0, 0);
        for (place, exec) in execs.into_iter().enumerate() {
            let mut record = Vec::new();
            for string in [&exec.image, &exec.filename, &exec.interpreter] {
                self.out.number(string).put(&mut record);
            }
            exec.argv_cut.put(&mut record);
            exec.flags.put(&mut record);
            for number in [exec.inode, exec.device, exec.size, exec.mode, exec.ctime, exec.mtime] {
                number.put(&mut record);
            }
            exec.setup.put(&mut record);
            exec.snapshot.put(&mut record);
            let kind = self.out.alike(&mut kinds, record);
            self.out.put(Column::ExecKind, &kind);
            self.out.put(Column::ExecIds, &difference(exec.id, id));
            self.out.put(Column::ExecTimes, &difference(exec.time.0, time));
            self.out.string(Column::ExecArguments, Some(&exec.argv));
            (id, time) = (exec.id, exec.time.0);
            self.execs.insert(exec.id, place);
            self.exec_times.push(time);
        }
    }

    fn put_process(&mut self, place: usize, process: &'a Process, before: &mut Before) {
        let kind = self.kind(process);
        self.out.put(Column::Kind, &kind);
        let (tgid, start) = (process.key.tgid, process.key.start.0);
        self.out.put(Column::Tgid, &(i64::from(tgid) - i64::from(before.key.0)));
        self.out.put(Column::Start, &difference(start, before.key.1));
        before.key = (tgid, start);
        self.put_parent(process.parent, place);
        if let Some(vpid) = process.vpid {
            let inside = u64::from(vpid).wrapping_sub(tgid.into());
            self.out.put(Column::Vpid, &difference(inside, before.inside));
            before.inside = inside;
        }
        self.put_group(Column::Pgid, process.pgid, tgid, before.pgid);
        self.put_group(Column::Sid, process.sid, tgid, before.sid);
        (before.pgid, before.sid) = (process.pgid.or(before.pgid), process.sid.or(before.sid));
        let (first, last) = (process.first_seen.0, process.last_seen.0);
        let end = process.ended().map_or(first, |end| end.0);
        self.out.put(Column::FirstSeen, &difference(first, start));
        if !process.is_running() {
            self.out.put(Column::End, &difference(end, first));
        }
        self.out.put(Column::LastSeen, &difference(last, end));
        self.put_execs_of(process, before);
        self.put_names(process);
        self.out.string(Column::Cwd, process.cwd.as_deref());
        self.out.put(Column::Events, &process.events);
        for bytes in [process.bytes_sent, process.bytes_received, process.bytes_written] {
            self.out.put(Column::Bytes, &bytes);
        }
    }

    /// What many processes have alike.
    fn kind(&mut self, process: &'a Process) -> u64 {
        let mut record = Vec::new();
        process.origin.put(&mut record);
        process.tty.put(&mut record);
        match process.end {
            End::Running => RUNNING.put(&mut record),
            End::Exited { status, raw, .. } => {
                EXITED.put(&mut record);
                status.put(&mut record);
                raw.put(&mut record);
            }
            End::Unseen { .. } => UNSEEN.put(&mut record),
        }
        process.setup.put(&mut record);
        process.payload.put(&mut record);
        process.execs_dropped.put(&mut record);
        process.credentials.put(&mut record);
        process.namespaces.put(&mut record);
        process.root.as_ref().map(|root| self.out.number(root)).put(&mut record);
        process.threads_seen.put(&mut record);
        process.hardening.put(&mut record);
        for is_known in [process.vpid.is_some(), process.pgid.is_some(), process.sid.is_some()] {
            is_known.put(&mut record);
        }
        (process.comms.len() as u64).put(&mut record);
        (process.execs.len() as u64).put(&mut record);
        process.inherited.is_some().put(&mut record);
        self.out.alike(&mut self.kinds, record)
    }

    /// 0: its own id, 1: that of the process before, else the difference to its own id, zigzag, and 2.
    fn put_group(&mut self, column: Column, id: Option<u32>, own: u32, before: Option<u32>) {
        let Some(id) = id else { return };
        let told = match id {
            _ if id == own => 0,
            _ if Some(id) == before => 1,
            _ => zigzag(i64::from(id) - i64::from(own)) + 2,
        };
        self.out.put(column, &told);
    }

    /// 0: none; even: how far in the table, zigzag, doubled, and 2; odd: the place among those that are not in it, doubled, and 1.
    fn put_parent(&mut self, key: Option<ProcessKey>, here: usize) {
        let told = match key.map(|key| (key, self.places.get(&key))) {
            None => 0,
            Some((_, Some(&there))) => zigzag(there as i64 - here as i64) * 2 + 2,
            Some((key, None)) => self.out.key(&mut self.others, key) * 2 + 1,
        };
        self.out.put(Column::Parent, &told);
    }

    fn put_execs_of(&mut self, process: &Process, before: &mut Before) {
        let mut put = |column, exec: &Exec, near: &mut usize| {
            let place = self.execs.get(&exec.id).copied().unwrap_or_default();
            self.out.put(column, &(place as i64 - *near as i64));
            *near = place;
        };
        for exec in &process.execs {
            put(Column::Execs, exec, &mut before.exec);
        }
        before.exec += usize::from(!process.execs.is_empty());
        if let Some(exec) = &process.inherited {
            put(Column::Inherited, exec, &mut before.inherited);
        }
    }

    /// A name's time is that at which the process was first seen, that of one of its executions, or any.
    fn put_names(&mut self, process: &'a Process) {
        let time_of = |exec: &Arc<Exec>| Some(*self.exec_times.get(*self.execs.get(&exec.id)?)?);
        let known: Vec<Option<u64>> = process.execs.iter().map(time_of).collect();
        for (time, name) in &process.comms {
            let told = match known.iter().position(|known| *known == Some(time.0)) {
                _ if *time == process.first_seen => 0,
                Some(place) => place as u64 + 1,
                None => zigzag(difference(time.0, process.first_seen.0)).wrapping_add(known.len() as u64 + 1),
            };
            self.out.put(Column::CommTimes, &told);
            self.out.string(Column::CommNames, Some(name));
        }
    }

    fn put_live(&mut self, place: usize, process: &'a Process) {
        if process.is_apart() {
            self.out.put(Column::Apart, &(place as u64));
            self.out.put(Column::Apart, &process.apart);
            self.out.put(Column::Apart, &process.shares);
        }
        self.out.string(Column::Environment, process.environment.as_deref());
        self.out.put(Column::Table, &process.table);
        self.out.put(Column::Threads, &process.threads);
    }

    /// Whether each of the processes is the last that had its id.
    pub(super) fn put_holder(&mut self, holds: bool) {
        self.out.put(Column::Holder, &holds);
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        self.out.finish(out);
    }
}

/// What many processes have alike.
struct Kind {
    /// Without what only one has.
    process: Process,
    end: u8,
    has_vpid: bool,
    has_pgid: bool,
    has_sid: bool,
    comms: u64,
    execs: u64,
    is_forked: bool,
}

/// Reads processes, row by row.
pub(super) struct TableReader<'a> {
    columns: Reader<'a>,
    keys: Vec<(u32, u64)>,
    others: Vec<(u32, u64)>,
    execs: Vec<(u64, Arc<Exec>)>,
    kinds: Vec<Kind>,
    /// By the place of the process.
    inside: Map<usize, Inside>,
    at: usize,
    before: Before,
    /// When the process that is being read executed what it did.
    exec_times: Vec<u64>,
}

impl<'a> TableReader<'a> {
    /// The rest of `input`; `blank` is a process of its container of which nothing is known. What it executed that is in `known` is that.
    pub(super) fn new(
        columns: Reader<'a>,
        blank: &Process,
        known: impl Fn(u64) -> Option<Arc<Exec>>,
    ) -> Result<Self, SnapshotError> {
        let mut this = Self {
            columns,
            keys: Vec::new(),
            others: Vec::new(),
            execs: Vec::new(),
            kinds: Vec::new(),
            inside: Map::default(),
            at: 0,
            before: Before::default(),
            exec_times: Vec::new(),
        };
        this.read_execs(known)?;
        this.read_kinds(blank)?;
        this.read_inside()?;
        this.keys = this.columns.keys(Column::Tgid, Column::Start)?;
        this.others = this.columns.keys(Column::Keys, Column::Keys)?;
        Ok(this)
    }

    /// How many processes are left.
    pub(super) fn left(&self) -> usize {
        self.keys.len().saturating_sub(self.at)
    }

    fn read_execs(&mut self, known: impl Fn(u64) -> Option<Arc<Exec>>) -> Result<(), SnapshotError> {
        let columns = &mut self.columns;
        let mut kinds = Vec::new();
        while columns.has_more(Column::ExecKinds) {
            columns.pay(size_of::<Exec>())?;
            kinds.push(read_exec_kind(columns)?);
        }
        let (mut id, mut time) = (0, 0);
        while columns.has_more(Column::ExecIds) {
            id = columns.after(Column::ExecIds, id)?;
            time = columns.after(Column::ExecTimes, time)?;
            let kind = columns.get::<u64>(Column::ExecKind)?;
            let kind = usize::try_from(kind).ok().and_then(|kind| kinds.get(kind));
            let kind: &Exec = kind.ok_or_else(|| columns.invalid(Column::ExecKind))?;
            let argv = columns.some_string(Column::ExecArguments)?;
            columns.pay(size_of::<Exec>() + kind.bytes())?;
            let exec = known(id)
                .unwrap_or_else(|| Arc::new(Exec { id, time: columns.time(time), argv, ..kind.clone() }));
            self.execs.push((time, exec));
        }
        Ok(())
    }

    fn read_kinds(&mut self, blank: &Process) -> Result<(), SnapshotError> {
        while self.columns.has_more(Column::Kinds) {
            self.columns.pay(size_of::<Kind>())?;
            let kind = read_kind(&mut self.columns, blank)?;
            self.kinds.push(kind);
        }
        Ok(())
    }

    fn read_inside(&mut self) -> Result<(), SnapshotError> {
        /// What a thread's id takes.
        const THREAD: usize = 16;
        const AT: Column = Column::Inside;
        while self.columns.has_more(AT) {
            let place = self.columns.get::<u64>(AT)?;
            let place = usize::try_from(place).map_err(|_| self.columns.invalid(AT))?;
            let inside: Inside = self.columns.get(AT)?;
            self.columns.pay(size_of::<(usize, Inside)>() + inside.threads.len() * THREAD)?;
            self.inside.insert(place, inside);
        }
        Ok(())
    }

    /// The next process, with the executions it refers to.
    pub(super) fn next(&mut self) -> Result<Arc<Process>, SnapshotError> {
        let here = self.at;
        self.at += 1;
        let number = self.columns.get::<u64>(Column::Kind)?;
        let kind = usize::try_from(number).ok().and_then(|number| self.kinds.get(number));
        let kind = kind.ok_or_else(|| self.columns.invalid(Column::Kind))?;
        let (tgid, start) = self.keys.get(here).copied().unwrap_or_default();
        let (columns, before) = (&mut self.columns, &mut self.before);
        columns.pay(size_of::<Process>() + kind.process.root.as_ref().map_or(0, |root| root.len()))?;
        let mut shared = Arc::new(kind.process.clone());
        // Not shared yet.
        let process = Arc::make_mut(&mut shared);
        process.key = ProcessKey { tgid, start: columns.time(start) };
        process.parent = read_parent(columns, here, &self.keys, &self.others)?;
        if kind.has_vpid {
            before.inside = columns.after(Column::Vpid, before.inside)?;
            let vpid = u32::try_from(before.inside.wrapping_add(tgid.into()));
            process.vpid = Some(vpid.map_err(|_| columns.invalid(Column::Vpid))?);
        }
        if kind.has_pgid {
            before.pgid = Some(read_group(columns, Column::Pgid, tgid, before.pgid)?);
            process.pgid = before.pgid;
        }
        if kind.has_sid {
            before.sid = Some(read_group(columns, Column::Sid, tgid, before.sid)?);
            process.sid = before.sid;
        }
        let first = columns.after(Column::FirstSeen, start)?;
        process.first_seen = columns.time(first);
        let mut last = first;
        if kind.end != RUNNING {
            last = columns.after(Column::End, first)?;
            process.end = ended(process.end, columns.time(last));
        }
        last = columns.after(Column::LastSeen, last)?;
        process.last_seen = columns.time(last);
        if kind.execs > HISTORY {
            return Err(columns.invalid(Column::Execs));
        }
        if kind.comms > HISTORY {
            return Err(columns.invalid(Column::CommNames));
        }
        process.execs.reserve_exact(kind.execs as usize);
        process.comms.reserve_exact(kind.comms as usize);
        self.exec_times.clear();
        for _ in 0..kind.execs {
            before.exec = columns.place(Column::Execs, before.exec, self.execs.len())?;
            let Some((time, exec)) = self.execs.get(before.exec) else { continue };
            self.exec_times.push(*time);
            process.execs.push(Arc::clone(exec));
        }
        before.exec += usize::from(kind.execs > 0);
        if kind.is_forked {
            before.inherited = columns.place(Column::Inherited, before.inherited, self.execs.len())?;
            process.inherited = self.execs.get(before.inherited).map(|(_, exec)| Arc::clone(exec));
        }
        for _ in 0..kind.comms {
            let time = read_name_time(columns, first, &self.exec_times)?;
            process.comms.push((time, columns.some_string(Column::CommNames)?));
        }
        process.cwd = columns.string(Column::Cwd)?;
        process.events = columns.get(Column::Events)?;
        process.bytes_sent = columns.get(Column::Bytes)?;
        process.bytes_received = columns.get(Column::Bytes)?;
        process.bytes_written = columns.get(Column::Bytes)?;
        process.outer = self.inside.get(&here).and_then(|inside| inside.outer);
        Ok(shared)
    }

    /// What a process has that did not end.
    pub(super) fn live(&mut self, process: &mut Process) -> Result<(), SnapshotError> {
        process.environment = self.columns.string(Column::Environment)?;
        process.table = self.columns.get(Column::Table)?;
        process.threads = self.columns.get(Column::Threads)?;
        // The row is that before the next one.
        if let Some(inside) = self.at.checked_sub(1).and_then(|here| self.inside.remove(&here)) {
            process.set_inside(inside);
        }
        Ok(())
    }

    /// The next process with threads that have something for themselves, or that shares directories: its place, that, and with
    /// whom. To be asked behind all processes.
    #[expect(clippy::type_complexity, reason = "three things of one row")]
    pub(super) fn apart(&mut self) -> Result<Option<(usize, BTreeMap<u32, Apart>, u64)>, SnapshotError> {
        if !self.columns.has_more(Column::Apart) {
            return Ok(None);
        }
        let place = self.columns.get::<u64>(Column::Apart)?;
        let place = usize::try_from(place).map_err(|_| self.columns.invalid(Column::Apart))?;
        Ok(Some((place, self.columns.get(Column::Apart)?, self.columns.get(Column::Apart)?)))
    }

    pub(super) fn holder(&mut self) -> Result<bool, SnapshotError> {
        self.columns.get(Column::Holder)
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.columns.is_done()
    }
}

fn ended(end: End, at: BootNanos) -> End {
    match end {
        End::Exited { status, raw, .. } => End::Exited { time: at, status, raw },
        End::Running | End::Unseen { .. } => End::Unseen { before: at },
    }
}

fn read_exec_kind(columns: &mut Reader<'_>) -> Result<Exec, SnapshotError> {
    const AT: Column = Column::ExecKinds;
    let mut strings = [const { Bytes::new() }; 3];
    for string in &mut strings {
        let number = columns.get(AT)?;
        *string = columns.numbered(AT, number)?;
    }
    let [image, filename, interpreter] = strings;
    Ok(Exec {
        image,
        filename,
        interpreter,
        argv_cut: columns.get(AT)?,
        flags: columns.get(AT)?,
        inode: columns.get(AT)?,
        device: columns.get(AT)?,
        size: columns.get(AT)?,
        mode: columns.get(AT)?,
        ctime: columns.get(AT)?,
        mtime: columns.get(AT)?,
        setup: columns.get(AT)?,
        snapshot: columns.get(AT)?,
        ..Exec::default()
    })
}

fn read_kind(columns: &mut Reader<'_>, blank: &Process) -> Result<Kind, SnapshotError> {
    const AT: Column = Column::Kinds;
    let mut process = blank.clone();
    process.origin = columns.get(AT)?;
    process.tty = columns.get(AT)?;
    let end = columns.get(AT)?;
    process.end = match end {
        RUNNING => End::Running,
        EXITED => End::Exited { time: BootNanos(0), status: columns.get(AT)?, raw: columns.get(AT)? },
        UNSEEN => End::Unseen { before: BootNanos(0) },
        _ => return Err(columns.invalid(AT)),
    };
    process.setup = columns.get(AT)?;
    process.payload = columns.get(AT)?;
    process.execs_dropped = columns.get(AT)?;
    process.credentials = columns.get(AT)?;
    process.namespaces = columns.get(AT)?;
    let root = columns.get::<Option<u64>>(AT)?;
    process.root = root.map(|root| columns.numbered(AT, root)).transpose()?;
    process.threads_seen = columns.get(AT)?;
    process.hardening = columns.get(AT)?;
    Ok(Kind {
        process,
        end,
        has_vpid: columns.get(AT)?,
        has_pgid: columns.get(AT)?,
        has_sid: columns.get(AT)?,
        comms: columns.get(AT)?,
        execs: columns.get(AT)?,
        is_forked: columns.get(AT)?,
    })
}

fn read_group(
    columns: &mut Reader<'_>,
    column: Column,
    own: u32,
    before: Option<u32>,
) -> Result<u32, SnapshotError> {
    let id = match columns.get::<u64>(column)? {
        0 => Some(own),
        1 => before,
        far => u32::try_from(u64::from(own).wrapping_add(unzigzag(far - 2).cast_unsigned())).ok(),
    };
    id.ok_or_else(|| columns.invalid(column))
}

fn read_parent(
    columns: &mut Reader<'_>,
    here: usize,
    keys: &[(u32, u64)],
    others: &[(u32, u64)],
) -> Result<Option<ProcessKey>, SnapshotError> {
    let Some(told) = columns.get::<u64>(Column::Parent)?.checked_sub(1) else { return Ok(None) };
    let found = if told % 2 == 0 {
        usize::try_from(told / 2).ok().and_then(|place| others.get(place))
    } else {
        let place = (here as u64).wrapping_add(unzigzag(told / 2).cast_unsigned());
        usize::try_from(place).ok().and_then(|place| keys.get(place))
    };
    let (tgid, start) = *found.ok_or_else(|| columns.invalid(Column::Parent))?;
    Ok(Some(ProcessKey { tgid, start: columns.time(start) }))
}

fn read_name_time(columns: &mut Reader<'_>, first: u64, execs: &[u64]) -> Result<BootNanos, SnapshotError> {
    let told = columns.get::<u64>(Column::CommTimes)?;
    let Some(place) = told.checked_sub(1) else { return Ok(columns.time(first)) };
    let raw = match usize::try_from(place).ok().and_then(|place| execs.get(place)) {
        Some(exec) => *exec,
        None => first.wrapping_add(unzigzag(place - execs.len() as u64).cast_unsigned()),
    };
    Ok(columns.time(raw))
}
