//! How fast a recording answers questions: `cargo xtask bench query [-- EVENTS [RULES.yaml]]`.
//!
//! Makes a store of so many events (two million where not said otherwise) of containers of 20,000 each, whose last one
//! alone has what the rare filters look for, and asks it on one thread as `afterimage grep --count` does: blocks are
//! selected, columns asked, and where these leave rows in doubt, events are read with the state at them, few where only processes are
//! asked. Times are of
//! the thread's CPU.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    path::Path,
};

use afterimage_detect::{
    Bits, Blocks, ByProcess, Ended, EventContext, Filter, Frame, OfProcess, RowFilter, Rows, RuleSet, Sieve,
    Tracker,
};
use afterimage_format::{
    BlockInfo, BootNanos, Columns, ContainerRecord, ContainerUid, Event, EventId, FieldTag, Origin,
    OwnedEvent, Query, Recording, StoreOptions, StoreWriter, TaskKey, Visitor,
};
use mix::{EVENTS, machine, mix, on_cpu};

#[path = "../bench/mix.rs"]
mod mix;

/// What only the last container has.
const RARE: &[u8] = b"/root/.ssh/id_rsa_of_the_bench";

const FILTERS: [(&str, &str); 9] = [
    ("rare: a path", "fd.name contains id_rsa_of_the_bench"),
    ("rare: a call", "evt.type=ptrace"),
    ("rare: an address", "fd.rip=203.0.113.77"),
    ("rare: a process", "proc.name=xmrig-of-the-bench"),
    ("two fields", "evt.type=openat and evt.failed=true"),
    ("two fields", "thread.tid=105 and evt.rawres>4000"),
    ("a process and a call", "proc.name=nginx and evt.type=openat"),
    ("a parent and a call", "proc.pname=sh and evt.type=connect"),
    ("two fields of state", "proc.name=nginx and fd.name startswith /etc"),
];

fn main() {
    println!("{}", machine());
    let mut args = std::env::args().skip(1);
    let events: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let dir = std::env::temp_dir().join(format!("afterimage-bench-query-{}", std::process::id()));
    make(&dir, events.div_ceil(EVENTS));
    forget_peak();
    let (open, recording) = timed(|| Recording::open(&dir).expect("the store made a moment ago"));
    let total: u64 = recording.blocks().iter().map(|block| u64::from(block.rows)).sum();
    println!("{total} events in {} blocks; opened in {:.1} ms", recording.blocks().len(), open * 1e3);
    for (what, text) in FILTERS {
        ask(&recording, total, what, text);
    }
    if let Some(path) = args.next().or_else(|| std::env::var("AFTERIMAGE_FALCO_RULES").ok()) {
        judge(&recording, total, &path);
    }
    println!(
        "peak resident of reading: {} MiB, of it at the end {} MiB the program's own and {} MiB the files' pages",
        status("VmHWM:") / 1024,
        status("RssAnon:") / 1024,
        status("RssFile:") / 1024,
    );
    std::fs::remove_dir_all(&dir).expect("the store made a moment ago");
}

/// Seconds of CPU that something took.
fn timed<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let begin = on_cpu();
    let result = work();
    ((on_cpu() - begin) as f64 / 1e9, result)
}

fn make(dir: &Path, containers: usize) {
    let origin =
        Origin { store_uuid: [1; 16], boot_id: [2; 16], hostname: b"bench".to_vec(), ..Origin::default() };
    let options = StoreOptions { block_age: 60_000_000_000, ..StoreOptions::default() };
    let mut writer = StoreWriter::open(dir, origin, options).expect("a new store");
    let (events, record) = mix();
    for number in 0..containers {
        let uid = ContainerUid(number as u64 + 1);
        writer.put_container(&ContainerRecord { uid, ..record.clone() }).expect("written");
        for event in &events {
            let mut event = event.clone();
            let ahead = (number * EVENTS * 1000) as u64;
            event.time.0 += ahead;
            let first = 1000 * number as u32;
            let TaskKey { tgid, tid, start } = event.task;
            event.task = TaskKey { tgid: tgid + first, tid: tid + first, start: BootNanos(start.0 + ahead) };
            event.with(|event| writer.push(uid, event)).expect("written");
        }
        if number + 1 == containers {
            rare(events.last(), number, uid, &mut writer);
        }
        writer.finish_container(uid).expect("written");
        writer.commit(BootNanos(((number + 1) * EVENTS * 1000) as u64)).expect("written");
    }
    writer.seal().expect("sealed");
}

/// One event that all but the last container lack: an open of a path that nobody else opens.
fn rare(last: Option<&OwnedEvent>, number: usize, uid: ContainerUid, writer: &mut StoreWriter) {
    let Some(last) = last else { return };
    let opened = mix::opened(last.task.tgid + 1000 * number as u32, 0);
    let mut event = OwnedEvent { time: BootNanos(((number + 1) * EVENTS * 1000) as u64), ..opened };
    for field in event.fields.iter_mut().filter(|f| [FieldTag::PATH, FieldTag::KPATH].contains(&f.tag)) {
        field.bytes = RARE.to_vec();
        field.full_len = RARE.len() as u32;
    }
    event.with(|event| writer.push(uid, event)).expect("written");
}

fn frame(recording: &Recording) -> Frame {
    Frame { range: recording.time_range(), ..Frame::default() }
}

/// Selects blocks, asks their columns, and where these do not suffice reads their containers, rolls the state, matches.
fn ask(recording: &Recording, total: u64, what: &str, text: &str) {
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let frame = frame(recording);
    let (select, selected) = timed(|| filter.prefilter(&frame).blocks(recording));
    if let Some(by_process) = ByProcess::new([&filter], &frame) {
        let (read, found) = timed(|| few_rows(recording, &by_process, &selected));
        println!(
            "{what}: {found} found, {} of {} blocks, selected in {:.1} ms, few rows in {:.1} ms, {:.2} M events/s  {text}",
            selected.len(),
            recording.blocks().len(),
            select * 1e3,
            read * 1e3,
            total as f64 / (select + read) / 1e6,
        );
        return;
    }
    let (rows, asked) = timed(|| by_columns(recording, &filter.row_filter(&frame), &selected));
    let decided = asked.values().all(|rows| rows.may == rows.sure);
    let mut found = asked.values().map(|rows| rows.sure.count()).sum::<usize>();
    let mut read = 0.0;
    if !decided {
        (read, found) = timed(|| by_events(recording, &filter, &asked));
    }
    println!(
        "{what}: {found} found, {} of {} blocks, selected in {:.1} ms, columns in {:.1} ms, events in {:.1} ms, {:.2} M \
         events/s  {text}",
        selected.len(),
        recording.blocks().len(),
        select * 1e3,
        rows * 1e3,
        read * 1e3,
        total as f64 / (select + rows + read) / 1e6,
    );
}

/// Asks processes only of rows that the columns leave.
fn few_rows(recording: &Recording, filter: &ByProcess<'_>, selected: &[usize]) -> u64 {
    let wanted: HashSet<u32> = selected.iter().filter_map(|index| u32::try_from(*index).ok()).collect();
    let containers: HashSet<ContainerUid> =
        selected.iter().map(|index| recording.blocks()[*index].container).collect();
    let reads = |block: &BlockInfo| containers.contains(&block.container);
    let wants = |block: u32| wanted.contains(&block);
    let mut found = 0;
    let lacked =
        filter.find(recording, &Query::default(), Blocks { read: &reads, wanted: &wants }, &mut |_, _| {
            found += 1;
            true
        });
    assert_eq!(lacked.expect("a readable store"), Some(false), "few rows suffice");
    found
}

fn by_columns(recording: &Recording, filter: &RowFilter<'_>, selected: &[usize]) -> HashMap<usize, Rows> {
    let mut reader = recording.column_reader();
    let asked = selected.iter().map(|index| {
        let columns = reader.read_of(*index, filter.wanted(), &|code| filter.admits_code(code));
        let columns = columns.expect("readable").expect("whole");
        let rows = filter.rows(&columns, None);
        reader.take_back(columns);
        (*index, rows)
    });
    asked.filter(|(_, rows)| !rows.may.is_none()).collect()
}

fn by_events(recording: &Recording, filter: &Filter, asked: &HashMap<usize, Rows>) -> usize {
    let containers: HashSet<ContainerUid> =
        asked.keys().map(|index| recording.blocks()[*index].container).collect();
    let reads = |block: &BlockInfo| containers.contains(&block.container);
    let wanted =
        |block: u32, columns: &Columns, _: Option<&ContainerRecord>| match asked.get(&(block as usize)) {
            Some(rows) => rows.may.clone(),
            None => Bits::none(columns.len()),
        };
    let mut found = 0;
    let asks = (&wanted as &Wants<'_>, Sieve::of([filter]), Some(filter.of_process()));
    walk(recording, &reads, asks, &mut |id, cx| {
        let sure = asked.get(&(id.block as usize)).is_some_and(|rows| rows.sure.has(id.row as usize));
        found += usize::from(sure || filter.matches(cx));
    });
    found
}

/// The rows of a block that are wanted.
type Wants<'w> = dyn Fn(u32, &Columns, Option<&ContainerRecord>) -> Bits + 'w;

/// A walk over events with the state, which passes over what neither changes it nor is wanted.
struct Walk<'w> {
    records: HashMap<ContainerUid, &'w ContainerRecord>,
    frame: Frame,
    tracker: Tracker,
    ended: Ended,
    sieve: Sieve,
    number: u64,
    wants: &'w Wants<'w>,
    of_process: Option<OfProcess<'w>>,
    visit: &'w mut dyn FnMut(EventId, &EventContext<'_>),
}

impl Visitor for Walk<'_> {
    fn open(&mut self, block: u32, columns: &Columns) {
        let record = self.records.get(&columns.container()).copied();
        self.sieve.open(block, columns, (self.wants)(block, columns, record));
    }

    fn passes(&mut self, id: EventId) -> bool {
        self.number += 1;
        self.sieve.passes(id, &self.tracker)
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        self.ended.make_room(&mut self.tracker, event.time);
        if self.sieve.apply(id, uid, event, &mut self.tracker) {
            let record = self.records.get(&uid).copied();
            let cx = EventContext::new(event, (uid, record), &self.tracker, &self.frame, self.number);
            if self.of_process.as_ref().is_some_and(|of| of.fails(&cx)) {
                self.sieve.misses(id, &self.tracker);
            } else {
                (self.visit)(id, &cx);
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, block: u32) {
        self.sieve.close(block);
    }
}

/// Every wanted event of the blocks that are read, with the state after it.
fn walk(
    recording: &Recording,
    reads: &dyn Fn(&BlockInfo) -> bool,
    (wants, sieve, of_process): (&Wants<'_>, Sieve, Option<OfProcess<'_>>),
    visit: &mut dyn FnMut(EventId, &EventContext<'_>),
) {
    let mut walk = Walk {
        records: recording.containers().iter().map(|s| (s.record.uid, &s.record)).collect(),
        frame: frame(recording),
        tracker: Tracker::new(),
        ended: Ended::new(recording),
        sieve,
        number: 0,
        wants,
        of_process,
        visit,
    };
    recording.show_blocks(&Query::default(), reads, &mut walk).expect("a readable store");
}

/// All rules in one pass, with the state.
fn judge(recording: &Recording, total: u64, path: &str) {
    let rules = RuleSet::load(&[path]).unwrap_or_else(|error| panic!("{error}"));
    let frame = frame(recording);
    let rows = rules.rows(&frame);
    let wants = |_: u32, columns: &Columns, record: Option<&ContainerRecord>| rows.may(columns, record);
    let (mut hits, mut looked) = (0, 0u64);
    let (seconds, ()) = timed(|| {
        walk(recording, &|_| true, (&wants, Sieve::new(), None), &mut |_, cx| {
            looked += 1;
            hits += rules.evaluate(cx).len();
        });
    });
    println!(
        "{} rules in one pass, reading and state included: {hits} hits, {looked} events looked at, {:.2} M events/s",
        rules.rules().len(),
        total as f64 / seconds / 1e6
    );
}

/// Kilobytes.
fn status(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What was taken for making the store does not count as reading.
fn forget_peak() {
    // Where it is refused, the figure is larger, never smaller.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
