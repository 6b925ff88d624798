//! Acts that deceive recorders, each in a container, and what the recording must say of it.
//!
//! The acts are in `tests/evasion/acts.c`; the letters are those of the design's list of evasions.

use std::{
    os::fd::AsFd as _,
    path::Path,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use afterimage_format::{
    ContainerUid, EventCode, EventFlags, FieldFlags, FieldTag, Loss, LossCause, OwnedEvent, layout,
};
use afterimage_launch::{ExitStatus, Launcher, Outcome, Root, Stdio, Style, rootfs};
use afterimage_model::{World, describe, files::Files, syscalls};
use tempfile::TempDir;

use crate::harness::{Running, alone, container, events, open, unified, wait_until};

/// A busybox root with the acts in it, made once.
fn root() -> &'static Path {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        rootfs::busybox(dir.path()).unwrap();
        build_acts(&dir.path().join("bin/acts"));
        dir
    })
    .path()
}

/// Builds the acts, static.
pub(crate) fn build_acts(program: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evasion/acts.c");
    let built = Command::new("gcc")
        .args(["-O1", "-static", "-no-pie", "-pthread", "-o"])
        .arg(program)
        .arg(source)
        .status()
        .unwrap();
    assert!(built.success());
}

fn launcher() -> Launcher {
    Launcher::new(Style::Docker, Root::Overlay(root().to_owned())).unwrap()
}

fn launch(argv: &[&str]) -> Outcome {
    launcher().run(argv, Stdio::default()).unwrap()
}

/// Runs one act and gives its payload's events.
fn act(argv: &[&str]) -> (Vec<OwnedEvent>, ExitStatus) {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let outcome = launch(&[&["/bin/acts"], argv].concat());
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let uid = container(&recording, &outcome.id.to_string()).record.uid;
    let mut all = events(&recording, uid);
    all.retain(|event| !event.flags.contains(EventFlags::SETUP));
    (all, outcome.status)
}

fn calls<'a>(events: &'a [OwnedEvent], name: &str) -> Vec<&'a OwnedEvent> {
    events.iter().filter(|e| e.code.as_syscall().is_some() && syscalls::name(e.code) == name).collect()
}

fn text(event: &OwnedEvent, tag: FieldTag) -> String {
    let field = event.fields.iter().find(|field| field.tag == tag);
    field.map(|field| String::from_utf8_lossy(&field.bytes).into_owned()).unwrap_or_default()
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e1_a_path_in_an_untouched_page_is_read() {
    let (events, _) = act(&["untouched"]);
    assert!(calls(&events, "openat").iter().any(|e| text(e, FieldTag::PATH) == "/etc/passwd"));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e2_a_path_rewritten_during_the_call_is_kept_beside_the_kernels() {
    let (events, _) = act(&["rewritten"]);
    let lies: Vec<_> = calls(&events, "openat")
        .into_iter()
        .filter(|e| {
            text(e, FieldTag::KPATH) == "/tmp/evil_fifo" && text(e, FieldTag::PATH) == "/tmp/benign_name"
        })
        .collect();
    assert_eq!(lies.len(), 1);
    assert!(lies[0].flags.contains(EventFlags::DIFFERS));
    let honest = calls(&events, "openat").into_iter().find(|e| text(e, FieldTag::PATH) == "/tmp/evil_fifo");
    assert!(!honest.unwrap().flags.contains(EventFlags::DIFFERS));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn what_lies_behind_pointers_is_read() {
    let (events, status) = act(&["behind"]);
    assert!(status.success(), "{status}");
    let said = |name: &str| -> Vec<String> {
        let found = calls(&events, name).into_iter();
        found.map(|e| e.with(describe::args).iter().map(|(n, v)| format!("{n}={v} ")).collect()).collect()
    };
    let has = |name: &str, part: &str| {
        assert!(said(name).iter().any(|call| call.contains(part)), "{name}: no `{part}` in {:?}", said(name));
    };
    has("openat2", "how={flags=O_RDONLY|O_CLOEXEC, mode=000, resolve=RESOLVE_NO_SYMLINKS}");
    has("mount", "filesystemtype=\"cgroup\" mountflags=MS_NOSUID");
    has("mount", "filesystemtype=NULL mountflags=MS_BIND");
    has("setsockopt", "optname=SO_KEEPALIVE optval=[1]");
    has("setsockopt", "optname=SO_BINDTODEVICE optval=");
    has("prlimit64", "new_limit={rlim_cur=64, rlim_max=RLIM64_INFINITY}");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e5_a_call_by_the_32_bit_entry_is_decoded_by_its_own_table() {
    let (events, _) = act(&["compat"]);
    let open = calls(&events, "open(i386)");
    assert_eq!(open.len(), 1);
    assert_eq!(text(open[0], FieldTag::PATH), "/etc/group");
    assert_eq!(text(open[0], FieldTag::KPATH), "/etc/group");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e5_upper_halves_of_registers_hide_nothing_from_a_call_by_the_32_bit_entry() {
    let (events, status) = act(&["compat-upper"]);
    assert!(status.success(), "{status}");
    let one = |name: &str| -> &OwnedEvent {
        let found = calls(&events, name);
        assert_eq!(found.len(), 1, "{name}");
        assert!(!found[0].flags.contains(EventFlags::INCOMPLETE), "{:?}", found[0]);
        assert!(found[0].args.iter().all(|word| word >> 32 == 0), "{:?}", found[0]);
        found[0]
    };
    let open = one("open(i386)");
    assert_eq!(text(open, FieldTag::PATH), "/tmp/upper");
    assert_eq!(text(open, FieldTag::KPATH), "/tmp/upper");
    let write = one("write(i386)");
    assert_eq!((write.args[0] as i64, sent(write).1), (open.ret, "upper".to_owned()));
    let rename = one("rename(i386)");
    assert_eq!(text(rename, FieldTag::PATH), "/tmp/upper");
    assert_eq!(text(rename, FieldTag::PATH2), "/tmp/upper_moved");
    assert_eq!(text(one("unlink(i386)"), FieldTag::PATH), "/tmp/upper_moved");
    assert_eq!(sent(one("connect(i386)")).0, [17]);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_kernel_path_without_its_beginning_says_so() {
    let (events, status) = act(&["deep"]);
    assert!(status.success(), "{status}");
    let opened = |name: &str| -> (String, bool) {
        let opens = calls(&events, "openat");
        let event = opens.into_iter().find(|e| text(e, FieldTag::PATH) == name).unwrap();
        assert!(!event.flags.contains(EventFlags::DIFFERS), "{event:?}");
        let field = event.fields.iter().find(|field| field.tag == FieldTag::KPATH).unwrap();
        (text(event, FieldTag::KPATH), field.flags.contains(FieldFlags::TRUNCATED))
    };
    let (path, cut) = opened("shadow");
    assert!(path.starts_with(".../d/") && path.ends_with("/d/etc/shadow") && cut, "{path}");
    let (path, cut) = opened("long");
    assert!(path.starts_with(".../qqq") && path.ends_with("q/long") && cut, "{path}");
    assert!(path.len() > 3500, "as much as fits: {}", path.len());
}

/// The last parts of the addresses (all of 127.0.0.0) that a call named, and what it moved: what is kept, and how much it was.
fn sent(event: &OwnedEvent) -> (Vec<u8>, String, u32) {
    let of = |tag| event.fields.iter().filter(move |field| field.tag == tag);
    let addresses = of(FieldTag::SOCKADDR).map(|field| {
        assert_eq!(field.bytes[..7], [2, 0, 0x14, 0xe9, 127, 0, 0], "{field:?}");
        field.bytes[7]
    });
    let payload: Vec<u8> = of(FieldTag::PAYLOAD).flat_map(|field| field.bytes.clone()).collect();
    let length = of(FieldTag::PAYLOAD).map(|field| field.full_len).sum();
    (addresses.collect(), String::from_utf8(payload).unwrap(), length)
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn what_is_sent_under_long_addresses_behind_empty_vectors_and_in_further_messages_is_there() {
    let (events, status) = act(&["hidden"]);
    assert!(status.success(), "{status}");
    let one = |name: &str, at: usize| -> &OwnedEvent { calls(&events, name)[at] };
    assert_eq!(sent(one("sendmsg", 0)), (vec![9], "hidden".to_owned(), 6));
    let many = one("sendmmsg", 0);
    assert_eq!(sent(many), (vec![10, 11, 12], "hidden".to_owned(), 6));
    assert!(many.flags.contains(EventFlags::INCOMPLETE), "what the second and third said is not there");
    assert!(!one("sendmsg", 0).flags.contains(EventFlags::INCOMPLETE));
    assert_eq!(sent(one("writev", 0)), (vec![], "hidden".to_owned(), 6));
    let cut = one("writev", 1);
    assert_eq!(sent(cut), (vec![], "01234567".to_owned(), 10));
    let last = cut.fields.last().unwrap();
    assert!(last.flags.contains(FieldFlags::TRUNCATED) && last.bytes.is_empty() && last.full_len == 2);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e5_vectors_messages_and_socketcall_by_the_32_bit_entry_are_read_as_others() {
    let (events, status) = act(&["compat-net"]);
    assert!(status.success(), "{status}");
    let one = |name: &str| -> &OwnedEvent {
        let found = calls(&events, name);
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    };
    assert_eq!(sent(one("writev(i386)")), (vec![], "compat-vec".to_owned(), 10));
    assert_eq!(sent(one("sendmsg(i386)")), (vec![13], "compat-vec".to_owned(), 10));
    assert_eq!(sent(one("sendmmsg(i386)")), (vec![14, 15], "compat-vec".to_owned(), 10));
    let own = one("socket(i386)");
    assert_eq!(own.args, [2, 2, 0]);
    let connect = one("connect(i386)");
    assert_eq!((connect.args[0] as i64, sent(connect).0), (own.ret, vec![16]));
    assert!(connect.fields.iter().any(|field| field.tag == FieldTag::PEER), "by the kernel's socket too");
    let send = one("sendto(i386)");
    assert_eq!((sent(send), send.args[4]), ((vec![], "compat".to_owned(), 6), 0), "`send` has no address");
    assert_eq!(one("socketcall(i386)").args[0], 99, "what makes no call is what it is");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn processes_that_were_there_and_did_not_fit_the_ring_are_counted() {
    const CROWD: u64 = 4000;
    let _alone = alone();
    let running = launcher().spawn(&["/bin/acts", "crowd", &CROWD.to_string()], Stdio::default()).unwrap();
    let ready = format!("/proc/{}/root/tmp/ready", running.pid());
    wait_until("the crowd is there", || Path::new(&ready).exists());
    let tasks = format!("/proc/{0}/task/{0}/children", running.pid());
    wait_until("all of it waits", || {
        let waits = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let children = std::fs::read_to_string(&tasks).unwrap();
        children.split_whitespace().filter(|pid| waits(pid).starts_with("34 ")).count() as u64 == CROWD
    });
    let before = threads_and_forks();
    let (store, said) = Running::start(&["--control-ring", "1"]).stop();
    let forks = threads_and_forks().1 - before.1;
    running.kill().unwrap();
    running.wait().unwrap();
    let recording = open(store.path());
    let all: Vec<OwnedEvent> =
        recording.containers().iter().flat_map(|summary| events(&recording, summary.record.uid)).collect();
    let count = |code: EventCode| all.iter().filter(|event| event.code == code).count() as u64;
    // Each is a loss of its own, besides those that a full ring has anyway.
    let told = |what: &str| -> u64 {
        let Some((front, _)) = said.lines().find_map(|line| line.split_once(what)) else { return 0 };
        let number = front.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        let is_it = |loss: &Loss| loss.cause == LossCause::ControlRingFull && loss.count == Some(number);
        assert!(number > 0 && recording.losses().iter().any(is_it), "{number}: {said}");
        number
    };
    let unseen = told(" processes that were there before are not recorded");
    let found = count(EventCode::PROCESS);
    assert!(found > 0 && unseen > 0 && found + unseen > CROWD, "{found} found, {unseen} lost: {said}");
    // Besides the crowd there are the machine's own: no more than its threads, and what was made meanwhile.
    assert!(found + unseen <= before.0 + forks, "{found} found, {unseen} lost, {before:?} + {forks}: {said}");
    // What filled the ring is out of it when the calls that they wait in are looked at.
    let waiting = count(EventCode::IN_CALL);
    let unseen = told(" calls that have not returned are not recorded");
    assert!(waiting >= CROWD / 2 && waiting + unseen >= CROWD, "{waiting} waiting, {unseen} lost: {said}");
}

/// How many threads this machine has, and how often it has made one since it booted.
fn threads_and_forks() -> (u64, u64) {
    let [load, stat] = ["/proc/loadavg", "/proc/stat"].map(|path| std::fs::read_to_string(path).unwrap());
    let threads = load.split(['/', ' ']).nth(4).unwrap().parse().unwrap();
    let forks = stat.lines().find_map(|line| line.strip_prefix("processes ")).unwrap().parse().unwrap();
    (threads, forks)
}

/// What is done through a ring is there, with paths, and the program's.
fn check_ring(kind: &str) {
    const OPENAT: u64 = 18;
    const UNLINKAT: u64 = 36;
    let (events, status) = act(&[kind]);
    assert!(status.success());
    let requests = |code: EventCode, opcode: u64| {
        let mut found = events.iter().filter(|e| e.code == code && e.args[layout::uring::OPCODE] == opcode);
        let first = found.next().unwrap_or_else(|| panic!("{kind}: no {code:?} of operation {opcode}"));
        assert!(found.next().is_none());
        first
    };
    let open = requests(EventCode::URING_SUBMIT, OPENAT);
    assert_eq!(
        (open.args[layout::uring::USER_DATA], text(open, FieldTag::PATH)),
        (77, "/etc/passwd".to_owned())
    );
    let opened = requests(EventCode::URING_COMPLETE, OPENAT);
    assert!(opened.ret >= 0 && opened.args[layout::uring::USER_DATA] == 77);
    assert_eq!(text(opened, FieldTag::KPATH), "/etc/passwd");
    let unlink = requests(EventCode::URING_SUBMIT, UNLINKAT);
    assert_eq!(text(unlink, FieldTag::PATH), "/tmp/victim");
    assert_eq!(requests(EventCode::URING_COMPLETE, UNLINKAT).ret, 0);
    let program = events.iter().find(|e| e.code == EventCode::EXEC).unwrap().task.tgid;
    assert_eq!(open.task.tgid, program, "{kind}: whose request it is");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e7_what_is_done_through_io_uring_is_recorded() {
    check_ring("ring");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e8_what_the_rings_kernel_thread_does_is_its_owners() {
    check_ring("ring-thread");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e9_attempts_that_seccomp_refuses_are_kept_with_the_filter_noted() {
    let (events, _) = act(&["refused"]);
    let attempts = calls(&events, "unshare");
    assert_eq!(attempts.len(), 5);
    for attempt in attempts {
        assert_eq!((attempt.ret, attempt.args[0]), (-1, 0x1000_0000));
        assert!(attempt.flags.contains(EventFlags::SECCOMP));
    }
    let before = calls(&events, "prctl");
    assert!(!before[0].flags.contains(EventFlags::SECCOMP), "no filter was on before it was set");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e10_a_kill_by_seccomp_is_in_the_exit() {
    const SIGSYS: i64 = 31;
    const GETPPID: u64 = 110;
    let (events, _) = act(&["killed"]);
    let exit = events.iter().find(|e| e.code == EventCode::EXIT).unwrap();
    assert_eq!((exit.ret, exit.args[layout::exit::IN_CALL]), (-SIGSYS, GETPPID));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e11_a_call_cut_off_by_a_kill_is_there_with_the_exit_that_names_it() {
    const READ: u64 = 0;
    let (events, _) = act(&["waiting"]);
    let exit = events.iter().find(|e| e.code == EventCode::EXIT && e.ret == -9).unwrap();
    assert_eq!(exit.args[layout::exit::IN_CALL], READ);
    let cut = calls(&events, "read").into_iter().find(|e| e.task == exit.task && e.ret == -512).unwrap();
    assert!(cut.flags.contains(EventFlags::RESTART));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e13_a_program_in_memory_under_a_false_name_is_shown_for_what_it_is() {
    let (events, status) = act(&["memory"]);
    assert!(status.success());
    let exec = events.iter().rfind(|e| e.code == EventCode::EXEC).unwrap();
    assert_ne!(exec.args[layout::exec::EXE_FLAGS] & layout::exec::EXE_MEMFD, 0);
    assert_ne!(exec.args[layout::exec::EXE_FLAGS] & layout::exec::EXE_UNLINKED, 0);
    assert_ne!(exec.args[layout::exec::EXE_FLAGS] & layout::exec::EXE_FD, 0);
    assert_eq!(text(exec, FieldTag::KPATH), "memfd:payload");
    assert_eq!(text(exec, FieldTag::ARGV), "[kworker/u8:3-events]\0nothing\0");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e14_a_script_is_shown_with_its_interpreter() {
    let (events, _) = act(&["script"]);
    let exec = events.iter().rfind(|e| e.code == EventCode::EXEC).unwrap();
    assert_ne!(exec.args[layout::exec::EXE_FLAGS] & layout::exec::EXE_SCRIPT, 0);
    assert_eq!(text(exec, FieldTag::FILENAME), "/tmp/act.sh");
    assert_eq!(text(exec, FieldTag::INTERP), "/bin/sh");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e15_a_changed_name_is_in_the_call() {
    let (events, _) = act(&["rename"]);
    assert!(calls(&events, "prctl").iter().any(|e| text(e, FieldTag::DATA) == "kthreadd"));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e18_long_arguments_are_cut_with_their_true_length() {
    let (events, _) = act(&["many"]);
    let exec = events.iter().rfind(|e| e.code == EventCode::EXEC).unwrap();
    let argv = exec.fields.iter().find(|field| field.tag == FieldTag::ARGV).unwrap();
    assert!(argv.flags.contains(FieldFlags::TRUNCATED));
    assert_eq!((argv.bytes.len(), argv.full_len as usize), (4096, 5 + 2000 * 50));
    assert_eq!(exec.args[layout::exec::ARGC], 2001);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_program_from_the_upper_layer_is_marked_and_the_images_own_is_not() {
    let (events, _) = act(&["script"]);
    let bit = |e: &OwnedEvent, bit| e.args[layout::exec::EXE_FLAGS] & bit != 0;
    let first = events.iter().find(|e| e.code == EventCode::EXEC).unwrap();
    assert!(bit(first, layout::exec::EXE_LOWER_LAYER) && !bit(first, layout::exec::EXE_UPPER_LAYER));
    let _alone = alone();
    let recorder = Running::start(&["--host", "none"]);
    let outcome = launch(&["/bin/sh", "-c", "cp /bin/acts /tmp/.x && /tmp/.x nothing"]);
    let (store, _) = recorder.stop();
    let recording = open(store.path());
    let all = self::events(&recording, container(&recording, &outcome.id.to_string()).record.uid);
    let dropped = all.iter().find(|e| e.code == EventCode::EXEC && text(e, FieldTag::KPATH) == "/tmp/.x");
    assert!(bit(dropped.unwrap(), layout::exec::EXE_UPPER_LAYER));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e16_a_flood_costs_its_neighbours_nothing() {
    let _alone = alone();
    const CALLS: u64 = 3_000_000;
    let recorder = Running::start(&["--profile", "full", "--host", "none", "--data-ring", "1"]);
    let loud = launcher();
    let count = CALLS.to_string();
    let flood = loud.spawn(&["/bin/acts", "flood", count.as_str()], Stdio::default()).unwrap();
    let flooder = flood.id().to_string();
    let quiet: Vec<String> = (0..40).map(|_| launch(&["/bin/true"]).id.to_string()).collect();
    flood.wait().unwrap();
    let (store, said) = recorder.stop();
    let recording = open(store.path());
    for id in &quiet {
        let summary = container(&recording, id);
        assert_eq!(summary.lost, 0, "{id}: {said}");
        let kept = events(&recording, summary.record.uid);
        let payload =
            kept.iter().filter(|e| e.code.as_syscall().is_some() && !e.flags.contains(EventFlags::SETUP));
        assert_eq!(payload.count(), 15, "{id}");
    }
    // The flood itself: what is kept and what is booked as lost add up to what it did.
    let summary = container(&recording, &flooder);
    let kept = calls(&events(&recording, summary.record.uid), "getppid").len() as u64;
    assert!(kept + summary.lost >= 2 * CALLS, "{kept} kept, {} lost", summary.lost);
    assert!(kept + summary.lost < 2 * CALLS + 200, "{kept} kept, {} lost", summary.lost);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e21_what_a_stopped_recorder_loses_is_known_exactly() {
    let _alone = alone();
    const CALLS: u64 = 1_000_000;
    const STOPPED: Duration = Duration::from_secs(30);
    let recorder = Running::start(&["--profile", "full", "--host", "none", "--data-ring", "4"]);
    let pid = recorder.pid();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let stopped = Instant::now();
    let outcome = launch(&["/bin/acts", "flood", &CALLS.to_string()]);
    std::thread::sleep(STOPPED.saturating_sub(stopped.elapsed()));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    recorder.wait_for_round();
    let after = launch(&["/bin/true"]);
    let (store, said) = recorder.stop();
    let recording = open(store.path());
    let summary = container(&recording, &outcome.id.to_string());
    let all = events(&recording, summary.record.uid);
    let kept = calls(&all, "getppid").len() as u64;
    let others = all.iter().filter(|e| e.code.as_syscall().is_some()).count() as u64 - kept;
    assert!(summary.lost > 0, "{said}");
    // Besides the flood the program makes some calls of its own, kept or lost.
    let made = kept + summary.lost;
    assert!((2 * CALLS..2 * CALLS + 200).contains(&(made + others)), "{kept} + {} + {others}", summary.lost);
    assert_eq!(container(&recording, &after.id.to_string()).lost, 0, "recovered at once");
}

/// The marks that a payload made, in order, with the event of each.
fn marks(events: &[OwnedEvent]) -> Vec<(u64, &OwnedEvent)> {
    let said = calls(events, "getpgid").into_iter().filter(|e| e.args[0] >> 24 == 0x5a);
    said.map(|event| (event.args[0] & 0xff_ffff, event)).collect()
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e4_a_race_for_the_path_is_always_lost_to_the_kernels_own() {
    const TRIES: usize = 10_000;
    let (events, status) = act(&["race", &TRIES.to_string()]);
    assert!(status.success());
    let mut opened = None;
    let (mut tries, mut lies) = (0, 0);
    for event in &events {
        let name = if event.code.as_syscall().is_some() { syscalls::name(event.code) } else { continue };
        match name.as_ref() {
            "openat" if event.ret >= 0 => opened = Some(event),
            "getpgid" => {
                let truth = if event.args[0] & 0xff_ffff == 1 { "/tmp/race_a" } else { "/tmp/race_b" };
                let open: &OwnedEvent = opened.take().unwrap();
                assert_eq!(text(open, FieldTag::KPATH), truth, "try {tries}");
                let claims_another = text(open, FieldTag::PATH) != truth;
                assert_eq!(open.flags.contains(EventFlags::DIFFERS), claims_another, "try {tries}");
                lies += usize::from(claims_another);
                tries += 1;
            }
            _ => {}
        }
    }
    assert_eq!(tries, TRIES);
    println!("{lies} of {TRIES} opens claimed another file than the one that was opened");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e12_returns_from_signal_handlers_are_recorded_and_calls_without_a_return_are_no_loss() {
    const SIGNALS: usize = 1000;
    let (events, status) = act(&["signals", &SIGNALS.to_string()]);
    assert!(status.success());
    let returns = calls(&events, "rt_sigreturn");
    assert_eq!(returns.len(), SIGNALS);
    assert!(returns.iter().all(|e| e.flags.contains(EventFlags::SIGRETURN) && e.args.is_empty()));
    assert!(calls(&events, "exit_group").is_empty());
    assert_eq!(events.iter().filter(|e| e.code == EventCode::EXIT).count(), 1);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e17_every_process_of_a_fork_storm_is_there_from_its_making_to_its_end() {
    const CHILDREN: usize = 10_000;
    let (events, status) = act(&["storm", &CHILDREN.to_string()]);
    assert!(status.success());
    let made = events.iter().filter(|e| e.code == EventCode::FORK).count();
    let ends: Vec<i64> = events.iter().filter(|e| e.code == EventCode::EXIT).map(|e| e.ret).collect();
    assert_eq!((made, ends.len()), (CHILDREN, CHILDREN + 1));
    for (child, end) in ends[..CHILDREN].iter().enumerate() {
        assert_eq!(*end, child as i64 & 63);
    }
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e22_e23_programs_cannot_be_taken_off_their_hooks_and_the_attempt_is_recorded() {
    const LINK_DETACH: u64 = 34;
    const EOPNOTSUPP: i64 = 95;
    let (events, status) = act(&["detach"]);
    assert!(status.success());
    let attempts: Vec<_> =
        calls(&events, "bpf").into_iter().filter(|e| e.args[0] == LINK_DETACH).map(|e| e.ret).collect();
    assert!(!attempts.is_empty() && attempts.iter().all(|ret| *ret == -EOPNOTSUPP), "{attempts:?}");
    assert_eq!(marks(&events).len(), 1, "recorded afterwards as before");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e22_maps_that_steer_the_programs_are_frozen_or_restored_and_the_time_between_is_a_gap() {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let running = launcher().spawn(&["/bin/acts", "blind"], Stdio::default()).unwrap();
    let id = running.id().to_string();
    let root = format!("/proc/{}/root/tmp", running.pid());
    wait_until("it has tried what is frozen", || Path::new(&root).join("ready").exists());
    let list = std::fs::read_to_string(format!("/proc/{}/cgroup", running.pid())).unwrap();
    let path = list.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let cgroup = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(unified().join(path)).unwrap());
    // Whole at once: it is waited for.
    std::fs::write(format!("{root}/new"), format!("{} {cgroup}", running.pid())).unwrap();
    std::fs::rename(format!("{root}/new"), format!("{root}/go")).unwrap();
    let status = running.wait().unwrap().status;
    let (store, said) = recorder.stop();
    assert!(status.success(), "{status}: {said}");
    let recording = open(store.path());
    let events = events(&recording, container(&recording, &id).record.uid);
    let said_at =
        |which: u64| marks(&events).iter().find(|(said, _)| *said == which).map(|(_, event)| event.time);
    for which in [1, 2, 4, 6, 8, 10] {
        assert!(said_at(which).is_some(), "{which} was said before, or when all was restored: {said}");
    }
    let mut gaps: Vec<&Loss> =
        recording.losses().iter().filter(|loss| loss.cause == LossCause::MapsChanged).collect();
    gaps.sort_by_key(|gap| gap.from);
    // What was said while the recorder was blind is not there, and is in a gap: between what was said before and after.
    for (hidden, [before, after]) in [(3, [2, 4]), (5, [4, 6])] {
        assert_eq!(said_at(hidden), None, "the attack works: {said}");
        let [before, after] = [before, after].map(|which| said_at(which).unwrap());
        assert!(gaps.iter().any(|gap| before < gap.to && gap.from < after), "{hidden}: {gaps:?}");
    }
    for (what, around) in [("the shared ring", [6, 8]), ("the CPU's own", [8, 10])] {
        let [before, after] = around.map(|which| said_at(which).unwrap());
        assert!(gaps.iter().any(|gap| before < gap.to && gap.from < after), "{what}: {gaps:?}");
    }
    for name in ["LIVE", "POLICY", "DATA"] {
        assert!(said.contains(&format!("somebody else has changed the eBPF map {name}")), "{name}: {said}");
    }
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e24_another_time_inside_is_no_other_time_in_the_recording() {
    let (events, status) = act(&["elsewhen"]);
    assert!(status.success());
    let order: Vec<u64> = marks(&events).iter().map(|(which, _)| *which).collect();
    assert_eq!(order, [1, 2, 3]);
    let (first, last) = (events[0].time, events.last().unwrap().time);
    assert!(last.0 - first.0 < 100_000_000_000_000, "the offset is in no time: {first:?} to {last:?}");
    let child = marks(&events)[1].1;
    assert!(child.task.start >= first && child.task.start <= child.time, "{child:?}");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_processes_with_the_same_number_are_told_apart() {
    const TIMES: u64 = 20;
    let (events, status) = act(&["reuse", &TIMES.to_string()]);
    assert!(status.success());
    let said = marks(&events);
    assert_eq!(said.iter().map(|(which, _)| *which).collect::<Vec<_>>(), (0..TIMES).collect::<Vec<_>>());
    let pid = said[0].1.task.tgid;
    let mut starts: Vec<_> = said.iter().map(|(_, event)| event.task.start).collect();
    starts.dedup();
    assert_eq!(starts.len() as u64, TIMES, "as many processes");
    for (which, event) in said {
        assert_eq!(event.task.tgid, pid);
        let end = events.iter().find(|e| e.code == EventCode::EXIT && e.task == event.task).unwrap();
        assert_eq!(end.ret, which as i64);
    }
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_an_id_used_again_is_another_container() {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let (launcher, id) = (launcher(), afterimage_launch::ContainerId::random().unwrap());
    for which in 1..=3 {
        let argv = ["/bin/acts", "mark", &which.to_string(), "10", "0"];
        launcher.spawn_as(id, &argv, Stdio::default()).unwrap().wait().unwrap();
    }
    let (store, _) = recorder.stop();
    let recording = open(store.path());
    let lives: Vec<_> =
        recording.containers().iter().filter(|c| c.record.id == id.to_string().as_bytes()).collect();
    assert_eq!(lives.len(), 3);
    for (which, life) in (1..).zip(&lives) {
        let all = events(&recording, life.record.uid);
        assert_eq!(marks(&all).iter().map(|(which, _)| *which).collect::<Vec<_>>(), [which; 10]);
    }
}

/// Runs a container whose process is taken out of its cgroup before it goes on; what is done to the cgroup then.
fn moved_out(done: impl FnOnce(&Path)) -> (Outcome, TempDir, String) {
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let launcher = launcher();
    let running = launcher.spawn(&["/bin/acts", "moved"], Stdio::default()).unwrap();
    let inside = |name: &str| format!("/proc/{}/root/tmp/{name}", running.pid());
    wait_until("the act is ready", || Path::new(&inside("ready")).exists());
    let list = std::fs::read_to_string(format!("/proc/{}/cgroup", running.pid())).unwrap();
    let cgroup = unified().join(list.lines().find_map(|line| line.strip_prefix("0::/")).unwrap());
    std::fs::write(unified().join("cgroup.procs"), running.pid().to_string()).unwrap();
    done(&cgroup);
    std::fs::write(inside("go"), "").unwrap();
    let outcome = running.wait();
    let (store, said) = recorder.stop();
    (outcome.unwrap(), store, said)
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_who_is_moved_out_of_its_cgroup_stays_in_its_container() {
    let _alone = alone();
    let (outcome, store, said) = moved_out(|_| {});
    assert!(outcome.status.success());
    let recording = open(store.path());
    let uid = container(&recording, &outcome.id.to_string()).record.uid;
    let all = events(&recording, uid);
    assert_eq!(marks(&all).iter().map(|(which, _)| *which).collect::<Vec<_>>(), [1, 2, 3], "{said}");
    assert_eq!(all.iter().filter(|e| e.code == EventCode::EXIT).count(), 2);
    assert!(marks(&events(&recording, ContainerUid::HOST)).is_empty());
}

/// Its cgroup is removed when nobody is in it any more: the container was told as deleted then, and its pin ended.
#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_a_container_that_leaves_its_cgroup_lives_on() {
    let _alone = alone();
    let (outcome, store, said) =
        moved_out(|cgroup| wait_until("the cgroup is empty", || std::fs::remove_dir(cgroup).is_ok()));
    let recording = open(store.path());
    let life = container(&recording, &outcome.id.to_string());
    let all = events(&recording, life.record.uid);
    assert_eq!(marks(&all).iter().map(|(which, _)| *which).collect::<Vec<_>>(), [1, 2, 3], "{said}");
    let end = all.iter().rfind(|e| e.code == EventCode::EXIT).unwrap();
    assert!(life.record.removed.is_some_and(|removed| removed >= end.time), "{:?}", life.record);
}

/// A cgroup of the host's and a neighbour's: whoever was born there was in no container, or in its neighbour's set-up.
#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_who_is_born_in_another_cgroup_is_its_containers() {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let launcher = launcher();
    let neighbour = launcher.spawn(&["/bin/acts", "idle"], Stdio::default()).unwrap();
    let list = std::fs::read_to_string(format!("/proc/{}/cgroup", neighbour.pid())).unwrap();
    let of_neighbour = unified().join(list.lines().find_map(|line| line.strip_prefix("0::/")).unwrap());
    let of_host = unified().join(format!("afterimage-test-{}", std::process::id()));
    std::fs::create_dir(&of_host).unwrap();
    let born = [&of_host, &of_neighbour].map(|cgroup| {
        let directory = std::fs::File::open(cgroup).unwrap();
        let stdio = Stdio { stdin: Some(directory.as_fd()), ..Stdio::default() };
        let outcome = launcher.run(&["/bin/acts", "born"], stdio).unwrap();
        assert!(outcome.status.success(), "{outcome:?}");
        outcome.id.to_string()
    });
    std::fs::remove_dir(&of_host).unwrap();
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    let (store, said) = recorder.stop();
    let recording = open(store.path());
    for id in born {
        let all = events(&recording, container(&recording, &id).record.uid);
        assert_eq!(marks(&all).iter().map(|(which, _)| *which).collect::<Vec<_>>(), [1, 2, 3], "{said}");
        assert_eq!(all.iter().filter(|e| e.code == EventCode::EXIT).count(), 3);
        assert!(marks(&all).iter().all(|(_, event)| !event.flags.contains(EventFlags::SETUP)));
        // What is shared is the kernel's word: the call's own flags were overwritten.
        let forks: Vec<_> = all
            .iter()
            .filter(|e| e.code == EventCode::FORK && !e.flags.contains(EventFlags::SETUP))
            .collect();
        let shares: Vec<_> = forks.iter().map(|e| e.args[layout::fork::SHARES]).collect();
        assert_eq!(shares, [0x400, 0]);
    }
    assert!(marks(&events(&recording, ContainerUid::HOST)).is_empty());
}

/// A process that moved into a cgroup with a container's name was in that one's set-up until it executed something: hidden, and in no
/// finding.
#[test]
#[ignore = "needs root, eBPF and gcc"]
fn e25_nobody_hides_in_the_set_up_of_a_container_that_he_makes_up() {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let id = afterimage_launch::ContainerId::random().unwrap().to_string();
    let all = unified().join("docker");
    std::fs::create_dir_all(&all).unwrap();
    let directory = std::fs::File::open(&all).unwrap();
    let stdio = Stdio { stdin: Some(directory.as_fd()), ..Stdio::default() };
    let outcome = launcher().run(&["/bin/acts", "inner", &id], stdio).unwrap();
    wait_until("the cgroup is empty", || std::fs::remove_dir(all.join(&id)).is_ok());
    assert!(outcome.status.success(), "{outcome:?}");
    let (store, said) = recorder.stop();
    let recording = open(store.path());
    for (id, told) in [(outcome.id.to_string(), &[1][..]), (id, &[2, 3])] {
        let all = events(&recording, container(&recording, &id).record.uid);
        assert_eq!(marks(&all).iter().map(|(which, _)| *which).collect::<Vec<_>>(), told, "{said}");
        assert!(marks(&all).iter().all(|(_, event)| !event.flags.contains(EventFlags::SETUP)));
    }
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn numbers_of_pid_namespaces_tell_the_processes_that_are_meant() {
    let (all, status) = act(&["numbered"]);
    assert!(status.success(), "{status}");
    let mut world = World::new();
    // Each call with a number for a process: who made it, its name, the number, and whose it is.
    let mut told = Vec::new();
    for event in &all {
        event.with(|event| {
            world.apply(ContainerUid(1), event);
            for task in describe::tasks(event, &world) {
                let name = syscalls::name(event.code).into_owned();
                let describe::Named::Task { pid, .. } = task.task else {
                    panic!("{name}: {} is {:?}", task.number, task.task);
                };
                told.push((event.task.tgid, name, task.number, pid));
            }
        });
    }
    // Each says who it is, whichever of them comes first: the first of the inner namespace is 1 to itself.
    let selves = told.iter().filter(|(_, name, ..)| name == "getpid");
    let mut selves: Vec<(bool, u32)> = selves.map(|(by, _, number, _)| (*number == 1, *by)).collect();
    selves.sort_unstable();
    let [(false, plain), (true, nested)] = selves[..] else { panic!("{told:?}") };
    let root = all.iter().find(|event| event.code == EventCode::EXEC).unwrap().task.tgid;
    assert_eq!(all.iter().filter(|e| e.code == EventCode::FORK && e.task.tgid == root).count(), 2);
    let of = |caller: u32, wanted: &str| -> Vec<(u32, u32)> {
        let own = told.iter().filter(|(by, name, ..)| *by == caller && name == wanted);
        own.map(|(.., number, pid)| (*number, *pid)).collect()
    };
    let [(first, _), (second, _), ..] = of(root, "kill")[..] else { panic!("{told:?}") };
    let both = [(first, plain), (second, nested)];
    assert_eq!(of(root, "kill"), [both[0], both[1], both[1], both[0]]);
    assert!(of(root, "clone").contains(&both[1]), "{told:?}");
    assert!(both.iter().all(|waited| of(root, "wait4").contains(waited)), "{told:?}");
    // The first process of the inner namespace, and its child.
    let inner = told.iter().find(|(by, name, ..)| name == "kill" && *by != root).unwrap();
    assert_eq!((inner.2, inner.3), (1, nested));
    assert!(of(nested, "wait4").contains(&(2, inner.0)), "{told:?}");
    assert_ne!(second, 1, "its maker has another number for it");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_call_that_has_not_returned_when_recording_ends_is_told() {
    const PAUSE: u64 = 34;
    let _alone = alone();
    let recorder = Running::start(&["--host", "none"]);
    let launcher = launcher();
    let running = launcher.spawn(&["/bin/acts", "idle"], Stdio::default()).unwrap();
    let waiting = || std::fs::read_to_string(format!("/proc/{}/syscall", running.pid())).unwrap_or_default();
    wait_until("the act pauses", || waiting().starts_with("34 "));
    let id = running.id().to_string();
    let (store, _) = recorder.stop();
    running.kill().unwrap();
    running.wait().unwrap();
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let last = all.iter().rfind(|e| e.code == EventCode::IN_CALL).unwrap();
    assert_eq!(last.args, [PAUSE]);
    let detail = last.with(|event| describe::detail(event, None).into_string());
    assert_eq!(detail, "still in pause");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn what_is_done_in_another_root_table_or_directory_is_told_of_the_right_file() {
    let (events, status) = act(&["apart"]);
    assert!(status.success(), "{status}");
    let (mut world, mut files) = (World::new(), Files::new());
    let (uid, mut paths) = (ContainerUid(1), Vec::new());
    for event in &events {
        event.with(|event| {
            world.apply(uid, event);
            files.apply(&world, uid, event);
        });
        let name = syscalls::base_name(event.code);
        let own = |path: &Option<Vec<u8>>| path.clone().map(|path| String::from_utf8(path).unwrap());
        match name {
            "open" | "openat" | "unlink" => {
                paths.extend(
                    own(&event.with(|event| world.path_of(event))).map(|path| format!("{name} {path}")),
                );
            }
            "write" if event.args[0] == 51 => {
                let info = world.fd(event.task, 51).unwrap();
                paths.push(format!("write {} {}", info.label(), info.written));
            }
            _ => {}
        }
    }
    let wanted = [
        "openat /etc/secret",
        "unlink /etc/secret",
        "openat /tmp/jail/etc/passwd",
        "unlink /tmp/jail/etc/passwd",
        "openat /tmp/decoyfile",
        "write /tmp/realfile 6",
        "unlink /tmp/there/file",
    ];
    let mut rest = paths.iter();
    for line in wanted {
        assert!(rest.any(|path| path == line), "no `{line}` in its place: {paths:#?}");
    }
    assert_eq!(files.get(uid, b"/tmp/realfile").unwrap().bytes_written, 6);
    assert!(files.get(uid, b"/etc/passwd").is_none_or(|file| !file.was_changed()));
    assert!(!paths.iter().any(|path| path.contains("/tmp/here/file")), "{paths:#?}");
}

/// What the recorder kept of executed images: outcome, path, hash, bytes.
fn kept_images(events: &[OwnedEvent]) -> Vec<(u64, String, Vec<u8>, Vec<u8>)> {
    let mut images: Vec<(u64, String, Vec<u8>, Vec<u8>)> = Vec::new();
    for event in events.iter().filter(|e| e.code == EventCode::ARTIFACT) {
        let field = |tag| event.fields.iter().find(|f| f.tag == tag).map_or(&[][..], |f| &f.bytes);
        let offset = event.args[layout::artifact::OFFSET] as usize;
        if offset == 0 {
            let (path, hash) = (text(event, FieldTag::KPATH), field(FieldTag::HASH).to_vec());
            images.push((event.args[layout::artifact::OUTCOME], path, hash, Vec::new()));
        }
        let (.., bytes) = images.last_mut().unwrap();
        assert_eq!(bytes.len(), offset);
        bytes.extend_from_slice(field(FieldTag::CONTENT));
    }
    images
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn programs_that_are_not_of_the_image_are_kept_whole() {
    use sha2::{Digest as _, Sha256};
    let _alone = alone();
    let recorder = Running::start(&["--host", "none"]);
    // The first two live long enough to be looked at on the busiest machine. The last runs no longer than an exec and an
    // exit, and may be gone before anybody can look.
    let script = "cp /bin/busybox /tmp/sleep && /tmp/sleep 4 && /tmp/sleep 1; /bin/acts memory";
    let outcome = launch(&["/bin/sh", "-c", script]);
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &outcome.id.to_string()).record.uid);
    let images = kept_images(&all);
    let program = std::fs::read(root().join("bin/busybox")).unwrap();
    let hash = Sha256::digest(&program).to_vec();
    let told: Vec<_> = images.iter().map(|(outcome, path, ..)| (*outcome, path.as_str())).collect();
    let of = |path: &str| images.iter().filter(move |image| image.1 == path).collect::<Vec<_>>();
    let [first, again] = of("/tmp/sleep")[..] else { panic!("{told:?}") };
    assert_eq!((first.0, &first.2, &first.3), (layout::artifact::KEPT, &hash, &program));
    assert_eq!((again.0, &again.2, again.3.len()), (layout::artifact::KNOWN, &hash, 0), "its bytes once");
    let [memory] = of("memfd:payload")[..] else { panic!("{told:?}") };
    let possible = [layout::artifact::KEPT, layout::artifact::KNOWN, layout::artifact::GONE];
    assert!(possible.contains(&memory.0), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}
