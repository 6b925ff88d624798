//! The state at random moments against what `/proc` said at these moments, of real processes that change all the time.
//!
//! A moment counts when `/proc` said the same twice in a row and the process slept meanwhile: nothing of it was recorded
//! between, and the next thing recorded is its sleep's end. What differs is listed field by field and none is excused but
//! by name.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::ControlFlow,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use afterimage_format::{Event, EventCode, Query};
use afterimage_model::{
    World,
    fds::{FdKind, PipeId},
    process::Process,
    syscalls,
};

use crate::harness::{Running, alone, open, unified, wait_until};

/// Moments that are looked at.
const LOOKS: usize = 3_000;
/// Looks that found a process unchanged; when there are so many, no more are taken.
const WANTED: usize = 300;
/// Of these, so many have to count: a machine with much else to do spoils some.
const ENOUGH: usize = 60;

/// What `/proc` says of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Said {
    fds: BTreeMap<i32, Vec<u8>>,
    cwd: Vec<u8>,
    root: Vec<u8>,
    exe: Vec<u8>,
    cmdline: Vec<u8>,
    /// Lines of `status`.
    status: BTreeMap<String, String>,
    /// Parent, process group, session.
    ids: [u32; 3],
}

/// A moment at which a process was looked at.
struct Look {
    pid: u32,
    /// Nanoseconds since boot, before and after.
    from: u64,
    to: u64,
    said: Said,
}

fn link(path: String) -> Option<Vec<u8>> {
    Some(fs::read_link(path).ok()?.as_os_str().as_bytes().to_vec())
}

fn said(pid: u32) -> Option<Said> {
    let mut fds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        fds.insert(number, link(format!("/proc/{pid}/fd/{number}"))?);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let wanted = ["Name", "Threads", "Uid", "Gid", "CapInh", "CapPrm", "CapEff"];
    let status = status.lines().filter_map(|line| line.split_once(":\t"));
    let status = status.filter(|(key, _)| wanted.contains(key)).map(|(k, v)| (k.to_owned(), v.to_owned()));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut numbers = stat.rsplit_once(") ")?.1.split(' ').skip(1).map(|n| n.parse().unwrap_or(0));
    Some(Said {
        fds,
        cwd: link(format!("/proc/{pid}/cwd"))?,
        root: link(format!("/proc/{pid}/root"))?,
        exe: link(format!("/proc/{pid}/exe"))?,
        cmdline: fs::read(format!("/proc/{pid}/cmdline")).ok()?,
        status: status.collect(),
        ids: [numbers.next()?, numbers.next()?, numbers.next()?],
    })
}

fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// The processes below one.
fn below(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        at += 1;
    }
    all.remove(0);
    all
}

/// Looks at one of the processes at a moment; none where it changed meanwhile.
fn look(root: u32, dice: &mut u64) -> Option<Look> {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    std::thread::sleep(Duration::from_micros(*dice >> 33 & 0x1fff));
    let pids = below(root);
    let pid = *pids.get((*dice >> 40) as usize % pids.len().max(1))?;
    let from = now();
    let first = said(pid)?;
    let same = Some(&first) == said(pid).as_ref();
    same.then(|| Look { pid, from, to: now(), said: first })
}

/// What an open file is called without what `/proc` adds when it has no name any more.
fn named(link: &[u8]) -> &[u8] {
    link.strip_suffix(b" (deleted)").unwrap_or(link)
}

/// Whether a descriptor of the state is what `/proc` says it is.
fn is_same(kind: &FdKind, link: &[u8]) -> bool {
    let anonymous = |name: &[u8]| link == [b"anon_inode:", name].concat();
    match kind {
        FdKind::File { path, .. } => path == named(link),
        FdKind::Socket(_) => link.starts_with(b"socket:["),
        FdKind::Pipe(_) => link.starts_with(b"pipe:["),
        FdKind::Memfd { name } => named(link) == [b"/memfd:", name.as_slice()].concat(),
        FdKind::Epoll => anonymous(b"[eventpoll]"),
        FdKind::Eventfd => anonymous(b"[eventfd]"),
        FdKind::Timerfd => anonymous(b"[timerfd]"),
        FdKind::Inotify => anonymous(b"inotify"),
        FdKind::Other { target } => target == link,
        _ => false,
    }
}

/// The fields in which state and `/proc` differ, each with both.
fn differences(world: &World, process: &Process, said: &Said) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |what: &str, own: String, theirs: String| {
        if own != theirs {
            out.push(format!("{what}: recorded {own}, /proc {theirs}"));
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fds = world.fds(process);
    let numbers: Vec<i32> = fds.iter().map(|(fd, ..)| *fd).collect();
    compare("descriptors", format!("{numbers:?}"), format!("{:?}", said.fds.keys().collect::<Vec<_>>()));
    let mut pipes: HashMap<PipeId, &[u8]> = HashMap::new();
    for (fd, _, info) in &fds {
        let Some(link) = said.fds.get(fd) else { continue };
        if !is_same(&info.kind, link) {
            compare("descriptor", format!("{fd} {:?}", info.kind), format!("{fd} {}", text(link)));
        }
        if let FdKind::Pipe(pipe) = &info.kind {
            let known = *pipes.entry(pipe.id).or_insert(link);
            compare(
                "pipe",
                format!("{:?} {}", pipe.id, text(known)),
                format!("{:?} {}", pipe.id, text(link)),
            );
        }
    }
    compare("cwd", process.cwd.as_deref().map(text).unwrap_or_default(), text(&said.cwd));
    compare("root", process.root.as_deref().map_or("/".to_owned(), text), text(&said.root));
    let exec = process.exec();
    compare("exe", exec.map(|exec| text(&exec.image)).unwrap_or_default(), text(named(&said.exe)));
    compare("cmdline", exec.map(|exec| text(&exec.argv)).unwrap_or_default(), text(&said.cmdline));
    let status = |key: &str| said.status.get(key).cloned().unwrap_or_default();
    compare("name", process.comm().map(text).unwrap_or_default(), status("Name"));
    compare("threads", (process.threads.len() + 1).to_string(), status("Threads"));
    let rights = &process.credentials;
    let ids = |ids: [Option<u32>; 3]| ids.map(|id| id.map_or("?".to_owned(), |id| id.to_string())).join("\t");
    let first_three = |line: String| line.split('\t').take(3).collect::<Vec<_>>().join("\t");
    compare("uid", ids([rights.uid, rights.euid, rights.suid]), first_three(status("Uid")));
    compare("gid", ids([rights.gid, rights.egid, rights.sgid]), first_three(status("Gid")));
    let caps = |caps: Option<u64>| caps.map_or("?".to_owned(), |caps| format!("{caps:016x}"));
    compare("inheritable", caps(rights.inheritable), status("CapInh"));
    compare("permitted", caps(rights.permitted), status("CapPrm"));
    compare("effective", caps(rights.effective), status("CapEff"));
    let id = |id: Option<u32>| id.map_or("?".to_owned(), |id| id.to_string());
    let [parent, group, session] = said.ids;
    // A child whose parent has ended has the reaper for a parent; the state says who made it.
    if world.parent(process).is_some_and(Process::is_running) {
        compare("parent", id(process.parent.map(|parent| parent.tgid)), parent.to_string());
    }
    compare("group", id(process.pgid), group.to_string());
    compare("session", id(process.sid), session.to_string());
    out
}

/// Runs the workload under a recorder and looks at it; what was seen, and the recording's store.
fn record(dir: &Path) -> (Vec<Look>, usize, tempfile::TempDir) {
    let program = dir.join("workload");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proc_states/workload.c");
    assert!(
        Command::new("gcc")
            .args(["-O1", "-pthread", "-o"])
            .arg(&program)
            .arg(source)
            .status()
            .unwrap()
            .success()
    );
    let base = dir.join("base");
    fs::create_dir(&base).unwrap();
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&base, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    // In a cgroup as Docker names them, so that of the machine only this is recorded; what it has open is opened there.
    let cgroup = unified().join(format!("docker-{:064x}.scope", u64::from(std::process::id()) | 1 << 60));
    fs::create_dir(&cgroup).unwrap();
    let join = "echo $$ > \"$0/cgroup.procs\"; exec < /dev/null > /dev/null 2>&1; exec \"$@\"";
    let mut workload = Command::new("/bin/sh")
        .args(["-c", join])
        .arg(&cgroup)
        .arg(&program)
        .arg(&base)
        .arg("7")
        .spawn()
        .unwrap();
    wait_until("the workload's processes", || below(workload.id()).len() >= 6);
    let mut dice = 5;
    let mut tried = 0;
    let taken = (0..LOOKS).inspect(|_| tried += 1).filter_map(|_| look(workload.id(), &mut dice));
    let looks: Vec<Look> = taken.take(WANTED).collect();
    fs::write(base.join("STOP"), "").unwrap();
    workload.wait().unwrap();
    wait_until("the workload's end", || fs::remove_dir(&cgroup).is_ok());
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let changed = tried - looks.len();
    (looks, changed, store)
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn state_at_any_moment_is_what_proc_said() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (mut looks, changed, store) = record(dir.path());
    looks.sort_by_key(|look| look.to);
    let recording = open(store.path());
    let (mut world, mut next) = (World::new(), looks.iter().peekable());
    // Looks whose process has to be seen to have slept, with what differed.
    let mut open: HashMap<u32, Vec<(u64, Vec<String>)>> = HashMap::new();
    let mut last: HashMap<u32, u64> = HashMap::new();
    let (mut same, mut awake, mut differing) = (0, 0, Vec::new());
    recording
        .for_each(&Query::default(), &mut |uid, event: &Event<'_>| {
            while let Some(look) = next.next_if(|look| look.to < event.time.0) {
                let slept = last.get(&look.pid).is_some_and(|at| *at < look.from);
                match world.process_by_pid(look.pid) {
                    Some(process) if slept => {
                        let differ = differences(&world, process, &look.said);
                        open.entry(look.pid).or_default().push((look.to, differ));
                    }
                    _ => awake += 1,
                }
            }
            let pid = event.task.tgid;
            let call = event.code.as_syscall().map(|_| syscalls::name(event.code));
            for (at, differ) in open.remove(&pid).into_iter().flatten() {
                if !matches!(call.as_deref(), Some("clock_nanosleep" | "nanosleep")) {
                    awake += 1;
                } else if differ.is_empty() {
                    same += 1;
                } else {
                    differing.push(format!("process {pid} at {at}: {}", differ.join("; ")));
                }
            }
            if event.code != EventCode::OPEN_FD {
                last.insert(pid, event.time.0);
            }
            world.apply(uid, event);
            ControlFlow::Continue(())
        })
        .unwrap();
    println!(
        "{same} the same, {} different, {awake} not asleep, {changed} changed meanwhile",
        differing.len()
    );
    assert!(
        differing.is_empty(),
        "{} of {}:\n{}",
        differing.len(),
        same + differing.len(),
        differing.join("\n")
    );
    assert!(same >= ENOUGH, "only {same} moments count");
    // The workload is what it is meant to be: without threads, rights and sockets that change nothing was shown.
    let any = |what: &str, has: &dyn Fn(&Said) -> bool| {
        let count = looks.iter().filter(|look| has(&look.said)).count();
        println!("{count} looks with {what}");
        assert!(count > 0, "no process with {what} was looked at");
    };
    let status = |said: &Said, key: &str| said.status.get(key).cloned().unwrap_or_default();
    any("threads", &|said| status(said, "Threads") != "1");
    any("another user", &|said| !status(said, "Uid").starts_with("0\t0\t0"));
    any("a name of its own", &|said| status(said, "Name").starts_with("name"));
    any("sockets", &|said| said.fds.values().any(|link| link.starts_with(b"socket:")));
    any("pipes", &|said| said.fds.values().any(|link| link.starts_with(b"pipe:")));
    any("a program executed anew", &|said| said.cmdline.starts_with(b"workload-again"));
}
