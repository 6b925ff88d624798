//! The state at the playhead: the process tree, the event in full, and its process as it was then.

use std::sync::Arc;

use afterimage_format::{
    Anchor, ContainerUid, Direction, Event, EventFlags, EventId, FieldFlags, OwnedEvent, Query, ReadError,
};
use afterimage_model::{
    TreeRow, World,
    budget::Overflow,
    describe, event_name,
    process::Process,
    streams, syscalls,
    text::{Safe, escape},
};

use super::{Job, film::Film};
use crate::{
    time::human,
    trace::Trace,
    tui::{
        feed::{Branches, Center, DetailLine, Moment, MomentKey, ProcessRow},
        text::{bytes, capabilities_held, counted, safe},
    },
};

/// Descriptors shown in the detail.
const DESCRIPTORS: usize = 32;
/// Lines of arguments that come before the process: an execution tells some 40 numbers, most of which the process tells too.
const MOST_ARGUMENTS: usize = 12;
/// Ancestors shown in the detail.
const ANCESTORS: usize = 12;

/// The state just after the event of the key; `None` when nobody waits for it any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn moment(
    trace: &Trace,
    film: &mut Film,
    key: &MomentKey,
    job: &Job<'_>,
) -> Result<Option<Moment>, ReadError> {
    let Center::Event(id) = key.at else { return Ok(Some(Moment::default())) };
    let Some(event) = event(trace, key.uid, id)? else { return Ok(Some(Moment::default())) };
    let of = (key.uid, key.generation);
    // What an event is about is described by the state that it found: a closed descriptor is known no more after it.
    let Some(before) = film.before(trace, of, id, job)? else { return Ok(None) };
    let mut detail = Vec::new();
    about_event(trace, before, &event, &mut detail);
    let mut arguments = arguments(&event, before);
    if arguments.len() <= MOST_ARGUMENTS {
        detail.append(&mut arguments);
    }
    let Some(world) = film.after(trace, of, id, job)? else { return Ok(None) };
    if let Some(process) = world.process_of_task(event.task) {
        about_process(world, process, &mut detail);
    }
    detail.append(&mut arguments);
    let overflow = world.overflow(key.uid);
    if let Some(lacking) = lacking(&overflow) {
        detail.insert(0, DetailLine::Warn(lacking));
    }
    let forgotten = overflow.forgotten.saturating_add(overflow.processes);
    Ok(Some(Moment { tree: tree(world, key.uid), forgotten, detail, pid: Some(event.task.tgid) }))
}

/// What of the state did not fit into memory besides processes, which the tree tells: what it says of the others may be too little.
fn lacking(overflow: &Overflow) -> Option<Safe> {
    let Overflow { descriptors, strings, others, .. } = *overflow;
    let kinds = [(descriptors, "descriptor"), (strings, "text"), (others, "other thing")];
    let told: Vec<String> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what).to_string())
        .collect();
    (!told.is_empty())
        .then(|| safe!("not all of this state fitted into memory: {} left out", told.join(", ")))
}

/// The event itself.
pub(super) fn event(trace: &Trace, uid: ContainerUid, id: EventId) -> Result<Option<OwnedEvent>, ReadError> {
    let query = Query { containers: vec![uid], begin: Some(id.time), end: Some(id.time) };
    let mut from = Anchor::Time(id.time);
    loop {
        let page = trace.recording.page(&query, from, Direction::Forward, 64, &mut |_, _| true)?;
        let Some((last, ..)) = page.last() else { return Ok(None) };
        from = Anchor::Event(*last);
        if let Some((_, _, event)) = page.into_iter().find(|(at, ..)| *at == id) {
            return Ok(Some(event));
        }
    }
}

fn add(out: &mut Vec<DetailLine>, key: &'static str, value: Safe) {
    out.push(DetailLine::Pair(Safe::literal(key), value));
}

fn about_event(trace: &Trace, world: &World, owned: &OwnedEvent, out: &mut Vec<DetailLine>) {
    owned.with(|event| {
        add(out, "event", safe!("{} {}", event_name(event.code), describe::detail(event, Some(world))));
        let result = describe::result(event);
        if !result.as_str().is_empty() {
            add(out, "result", result);
        }
        if let Some(nanos) = event.duration {
            add(out, "took", safe!("{}", human(nanos)));
        }
        if let Some(time) = trace.clock.rfc3339(event.time) {
            // Apart: together they are wider than the pane at 120 columns.
            match time.as_str().trim_end_matches('Z').split_once('T') {
                Some((date, clock)) => {
                    add(out, "time", safe!("{clock} UTC"));
                    add(out, "date", safe!("{date}"));
                }
                None => add(out, "time", time),
            }
        }
        let thread = if event.task.tid == event.task.tgid {
            Safe::default()
        } else {
            safe!(", thread {}", event.task.tid)
        };
        add(out, "process", safe!("{}{thread}, cpu {}", event.task.tgid, event.cpu));
        for warning in warnings(event) {
            out.push(DetailLine::Warn(Safe::literal(warning)));
        }
        for field in event.fields.iter().filter(|f| f.flags.contains(FieldFlags::TRUNCATED)) {
            let text = safe!("truncated: {} of {} bytes were kept", field.bytes.len(), field.full_len);
            out.push(DetailLine::Warn(text));
        }
    });
}

/// What the event was told with, under a heading; nothing where that is nothing.
fn arguments(owned: &OwnedEvent, world: &World) -> Vec<DetailLine> {
    owned.with(|event| {
        let (args, tasks) = (describe::args(event), describe::tasks(event, world));
        let heading = (!args.is_empty()).then_some(DetailLine::Section("arguments"));
        let pairs = args.into_iter().map(|(name, value)| {
            // As signals have it, minus means a group.
            let sign = if value.as_str().starts_with('-') { "-" } else { "" };
            let value = match tasks.iter().find(|task| task.name == name) {
                Some(task) => safe!("{sign}{task}"),
                None => value,
            };
            DetailLine::Pair(safe!("{name}"), value)
        });
        heading.into_iter().chain(pairs).collect()
    })
}

fn warnings(event: &Event<'_>) -> impl Iterator<Item = &'static str> {
    let flags = event.flags;
    let incomplete = if is_partly_told(event) {
        "not all that the call did is recorded"
    } else {
        "something of it could not be read"
    };
    let texts = [
        (EventFlags::DIFFERS, "what the program claimed and what the kernel did differ"),
        (EventFlags::INCOMPLETE, incomplete),
        (EventFlags::SETUP, "the container was still being set up"),
        (EventFlags::KERNEL_WORKER, "done by a kernel thread for this process"),
    ];
    texts.into_iter().filter(move |(flag, _)| flags.contains(*flag)).map(|(_, text)| text)
}

/// Calls of many messages are incomplete whenever there are some behind the first, as every look-up of a name sends two: this
/// is no fault.
fn is_partly_told(event: &Event<'_>) -> bool {
    let many = streams::counts_messages(syscalls::base_name(event.code));
    many && !event.fields.iter().any(|field| field.flags.contains(FieldFlags::FAULT))
}

fn about_process(world: &World, process: &Process, out: &mut Vec<DetailLine>) {
    out.push(DetailLine::Section("process then"));
    add(out, "command", process.title());
    if let Some(run) = process.exec() {
        let marks = describe::image_marks(run.flags);
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
        add(out, "program", safe!("{}{marks}", escape(run.program())));
        if let Some(size) = run.size {
            add(out, "size", bytes(size));
        }
    }
    if let Some(vpid) = process.vpid.filter(|vpid| *vpid != process.key.tgid) {
        add(out, "pid inside", safe!("{vpid}"));
    }
    let chain: Vec<String> = world
        .ancestors(process)
        .take(ANCESTORS)
        .map(|p| format!("{} {}", p.key.tgid, p.comm().map_or_else(Safe::default, escape)))
        .collect();
    if !chain.is_empty() {
        add(out, "parents", safe!("{}", chain.join(" < ")));
    }
    let rights = &process.credentials;
    let shown = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    add(
        out,
        "user",
        safe!("uid {} (effective {}) gid {}", shown(rights.uid), shown(rights.euid), shown(rights.gid)),
    );
    if let Some(caps) = rights.effective {
        add(out, "rights", capabilities_held(caps));
    }
    if let Some(cwd) = &process.cwd {
        add(out, "directory", escape(cwd));
    }
    if let Some(root) = process.other_root() {
        add(out, "root", root);
    }
    if process.hardening.seccomp_filters > 0 || process.hardening.seccomp_strict {
        add(out, "seccomp", safe!("{} filters", process.hardening.seccomp_filters));
    }
    descriptors(world, process, out);
}

fn descriptors(world: &World, process: &Process, out: &mut Vec<DetailLine>) {
    let all = world.fds(process);
    if all.is_empty() {
        return;
    }
    out.push(DetailLine::Section("descriptors then"));
    for (fd, _, info) in all.iter().take(DESCRIPTORS) {
        out.push(DetailLine::Pair(safe!("{fd}"), info.label()));
    }
    if all.len() > DESCRIPTORS {
        out.push(DetailLine::Pair(Safe::default(), safe!("and {} more", all.len() - DESCRIPTORS)));
    }
}

/// The rows of the tree; each knows which lines lead past it.
pub(super) fn tree(world: &World, uid: ContainerUid) -> Vec<ProcessRow> {
    let rows = world.tree(uid);
    let mut out: Vec<ProcessRow> = Vec::with_capacity(rows.len());
    // From below, a row is followed by a sibling where its depth was met since anything less deep.
    let mut open: Vec<bool> = Vec::new();
    for row in rows.iter().rev() {
        open.resize(row.depth + 1, false);
        out.push(process_row(row, Branches::new(row.depth, &open)));
        open[row.depth] = true;
    }
    out.reverse();
    out
}

fn process_row(row: &TreeRow<'_>, more: Branches) -> ProcessRow {
    ProcessRow {
        process: Arc::clone(row.process),
        pid: row.process.key.tgid,
        alive: row.process.is_running(),
        children: row.children > 0,
        depth: row.depth,
        more,
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{Abi, BootNanos, EventCode, Field, FieldTag, TaskKey};

    use super::*;
    use crate::tui::fixture;

    #[test]
    fn messages_behind_the_first_are_no_fault() {
        const SENDTO: EventCode = EventCode(44);
        const SENDMMSG: EventCode = EventCode(307);
        let said = |code: EventCode, field: FieldFlags| -> Vec<&str> {
            let fields = [Field { tag: FieldTag::PAYLOAD, flags: field, full_len: 1, bytes: b"x" }];
            let event = Event {
                time: BootNanos(1),
                duration: None,
                task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
                code,
                flags: EventFlags::INCOMPLETE,
                cpu: 0,
                ret: 2,
                args: &[3, 0, 2, 0],
                fields: &fields,
            };
            warnings(&event).collect()
        };
        let (partly, fault) = ("not all that the call did is recorded", "something of it could not be read");
        let i386 = EventCode::syscall(Abi::I386, 345).unwrap();
        assert_eq!([SENDMMSG, i386].map(|code| said(code, FieldFlags::default())), [[partly], [partly]]);
        assert_eq!(said(SENDMMSG, FieldFlags::FAULT), [fault]);
        assert_eq!(said(SENDTO, FieldFlags::default()), [fault]);
    }

    #[test]
    fn lines_lead_past_rows_with_later_siblings() {
        let mut world = World::new();
        for (uid, event) in fixture::staged().events {
            if uid == fixture::INCIDENT {
                event.with(|event| world.apply(uid, event));
            }
        }
        let rows = tree(&world, fixture::INCIDENT);
        let shape: Vec<(u32, Vec<bool>)> =
            rows.into_iter().map(|row| (row.pid, row.more.last(usize::MAX).collect())).collect();
        assert_eq!(
            shape,
            [
                (31_001, vec![]),
                (31_009, vec![true]),
                (31_398, vec![false]),
                (31_401, vec![false, true]),
                (31_402, vec![false, false]),
                (31_412, vec![false, false, false]),
                (31_418, vec![false, false, false, false]),
                (31_431, vec![false, false, false, false, true]),
                (31_433, vec![false, false, false, false, true]),
                (31_440, vec![false, false, false, false, false]),
            ]
        );
    }

    #[test]
    fn of_a_tree_deeper_than_any_screen_the_last_levels_are_known() {
        let mut open = vec![false; 101];
        (open[100], open[90]) = (true, true);
        let more = Branches::new(100, &open);
        let last: Vec<bool> = more.last(12).collect();
        assert_eq!((last.len(), last[11], last[1]), (12, true, true));
        assert_eq!(last.iter().filter(|more| **more).count(), 2);
        assert_eq!(more.last(usize::MAX).count(), 64);
        assert_eq!(Branches::new(0, &[true]).last(9).count(), 0);
    }

    #[test]
    fn what_of_the_state_was_left_out_is_told() {
        let told = |overflow: Overflow| lacking(&overflow).map(|text| text.to_string());
        assert_eq!(told(Overflow::default()), None);
        // The tree says so.
        assert_eq!(told(Overflow { forgotten: 3, processes: 1, ..Overflow::default() }), None);
        let some = Overflow { descriptors: 1_200, others: 1, ..Overflow::default() };
        let text = "not all of this state fitted into memory: 1,200 descriptors, 1 other thing left out";
        assert_eq!(told(some).as_deref(), Some(text));
    }
}
