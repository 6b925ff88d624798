//! What containers did, as whoever started them knows it, and whether the recording says the same.

use std::{collections::HashMap, ops::ControlFlow, process::Command, sync::OnceLock};

use afterimage_format::{
    ContainerUid, Engine, Event, EventCode, EventFlags, FactKey, Query, Recording, Role,
};
use afterimage_model::syscalls;

use super::lab::image;

/// How often a payload makes its mark.
pub(super) const CALLS: u64 = 50;
/// What a mark's argument begins with.
const MARK: u64 = 0x5a00_0000;

/// A container that ran and is gone.
pub(super) struct Made {
    /// The engine's id.
    pub(super) id: String,
    /// Which mark its payload made.
    pub(super) mark: u32,
    /// Its exit code.
    pub(super) code: u32,
    /// Its name, where it has one.
    pub(super) name: Option<String>,
    /// Its image, where the engine told anybody.
    pub(super) image: Option<String>,
}

/// The arguments of a payload that makes mark `mark` and exits with the code that is asked for here.
pub(super) fn payload(mark: u32) -> (Vec<String>, u32) {
    let code = 20 + mark % 50;
    let argv = ["/bin/acts", "mark"].map(str::to_owned).into_iter();
    (argv.chain([mark.to_string(), CALLS.to_string(), code.to_string()]).collect(), code)
}

/// How many calls the payload makes after its exec, by strace's count.
fn calls_of_payload() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let out = tempfile::NamedTempFile::new().unwrap();
        let (argv, code) = payload(0);
        let status = Command::new("strace")
            .arg("-o")
            .arg(out.path())
            .arg(image().0.join("bin/acts"))
            .args(&argv[1..])
            .status();
        assert_eq!(status.unwrap().code(), Some(code as i32));
        let text = std::fs::read_to_string(out.path()).unwrap();
        let call = |line: &&str| !["execve(", "exit_group(", "+++"].iter().any(|not| line.starts_with(not));
        text.lines().filter(call).count()
    })
}

/// What the recording has of one container.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Marks, and how often each was made.
    pub(super) marks: HashMap<u32, u64>,
    /// Calls of the payload, by process.
    pub(super) calls: HashMap<u32, usize>,
    /// Programs of the payload that were executed, by process.
    pub(super) execs: HashMap<u32, usize>,
    /// Calls of the set-up phase.
    pub(super) setup: usize,
}

/// The whole recording, looked through once.
pub(super) fn look(recording: &Recording) -> HashMap<ContainerUid, Seen> {
    let getpgid = syscalls::by_name("getpgid").unwrap();
    let mut all: HashMap<ContainerUid, Seen> = HashMap::new();
    recording
        .for_each(&Query::default(), &mut |uid, event: &Event<'_>| {
            let seen = all.entry(uid).or_default();
            if event.code == getpgid && event.args[0] & !0xff_ffff == MARK {
                *seen.marks.entry((event.args[0] & 0xff_ffff) as u32).or_default() += 1;
            }
            let call = event.code.as_syscall().is_some();
            if event.flags.contains(EventFlags::SETUP) {
                seen.setup += usize::from(call);
            } else if call {
                *seen.calls.entry(event.task.tgid).or_default() += 1;
            } else if event.code == EventCode::EXEC {
                *seen.execs.entry(event.task.tgid).or_default() += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// Every container is there once, with exactly its own calls, its names and its exit; and nobody else has any of them.
pub(super) fn check(recording: &Recording, engine: Engine, made: &[Made]) {
    let seen = look(recording);
    for one in made {
        let (id, mark) = (&one.id, one.mark);
        let found: Vec<_> = recording
            .containers()
            .iter()
            .filter(|c| c.record.id == id.as_bytes() && c.record.role == Role::Container)
            .collect();
        assert_eq!(found.len(), 1, "container {id} is listed");
        let (summary, record) = (found[0], &found[0].record);
        assert_eq!(record.engine, engine, "{id}");
        assert_eq!(summary.lost, 0, "{id}: lost");
        let own = &seen[&record.uid];
        assert_eq!(own.marks, HashMap::from([(mark, CALLS)]), "{id}: marks");
        assert_eq!(own.execs.values().collect::<Vec<_>>(), [&1], "{id}: one program, set-up aside: {own:?}");
        assert_eq!(own.calls.values().collect::<Vec<_>>(), [&calls_of_payload()], "{id}: calls: {own:?}");
        assert!(own.setup > 0, "{id}: the runtime's set-up is kept, and marked");
        assert_eq!(record.exited.map(|(_, raw)| raw), Some(one.code << 8), "{id}: exit");
        assert!(record.removed.is_some(), "{id}: deleted");
        let fact = |key| record.fact(key).map(|fact| String::from_utf8_lossy(&fact.value).into_owned());
        assert_eq!(fact(FactKey::Name), one.name, "{id}: {:?}", record.facts);
        if one.image.is_some() {
            assert_eq!(fact(FactKey::Image), one.image, "{id}: {:?}", record.facts);
        }
        let elsewhere =
            seen.iter().filter(|(uid, seen)| **uid != record.uid && seen.marks.contains_key(&mark));
        assert_eq!(elsewhere.count(), 0, "{id}: nobody else has its calls");
    }
}
