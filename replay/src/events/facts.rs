//! What an event's row says by its meaning: [`Facts`] of an event, the state after it, and the recording.

mod act;
mod talk;

use std::{collections::HashMap, sync::Arc};

use afterimage_format::{
    BootNanos, ContainerUid, Engine, Event, EventCode, EventFlags, FactKey, FieldTag, Loss, TaskKey, layout,
};
use afterimage_model::{
    World, artifacts, describe, paths,
    process::{Exec, Process, ProcessKey},
    symbols, syscalls,
    text::{Safe, escape},
};

pub(crate) use talk::record_type;

use crate::{
    output::facts::{self, Act, Facts, File, More, Outcome},
    trace::{self, Trace},
};

/// Results of calls that go on: not known yet how they end.
const GOING_ON: [&str; 3] = ["EINPROGRESS", "EALREADY", "EINTR"];

/// Tells facts of a recording.
#[derive(Debug)]
pub struct Teller<'a> {
    trace: &'a Trace,
    host: Arc<facts::Host>,
    containers: HashMap<ContainerUid, Option<Arc<facts::Container>>>,
}

impl<'a> Teller<'a> {
    /// Of this recording.
    pub fn new(trace: &'a Trace) -> Self {
        let origin = trace.recording.origin();
        let host = facts::Host {
            name: known(&origin.hostname),
            kernel: known(&origin.kernel),
            store: Safe::format(format_args!("{}", artifacts::hex(&origin.store_uuid))),
            recorder: known(&origin.recorder),
        };
        Self { trace, host: Arc::new(host), containers: HashMap::new() }
    }

    /// Facts of an event; `world` has applied it.
    pub fn event(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) -> Box<Facts> {
        let (act, code) = act::of(world, event);
        let mut facts = self.begin(act, uid, event.time);
        facts.action = act::name(event);
        (facts.outcome, facts.error) = outcome(event, code);
        let call = event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN);
        facts.ret = call.then_some(event.ret);
        facts.duration = event.duration;
        facts.thread = Some(event.task.tid);
        self.people(&mut facts, world, event);
        (facts.file, facts.other_file) = files(world, event, act, code);
        if let (Act::Artifact, Some(file)) = (act, &mut facts.file) {
            let hash = event.bytes(FieldTag::HASH).map(artifacts::hex);
            file.sha256 = hash.map(|hash| Safe::format(format_args!("{hash}")));
        }
        if let Act::Connect | Act::Accept | Act::Listen | Act::Traffic | Act::Socket = act {
            let (talk, dns) = talk::of(world, event, act, code);
            if let Some(dns) = dns {
                facts.act = if dns.is_answer { Act::DnsAnswer } else { Act::DnsQuery };
                facts.dns = Some(dns);
            }
            facts.talk = talk;
        }
        if let Act::Allocate | Act::Map | Act::Protect | Act::MakeExecutable | Act::Unmap = act {
            let protection = event.args.get(2).copied().filter(|_| !matches!(act, Act::Unmap));
            let sized = syscalls::base_name(code) != "brk" && event.args.len() > 1;
            facts.memory = event.args.get(1).filter(|_| sized).map(|&size| (size, protection));
        }
        facts
    }

    /// Facts of what was found by an event.
    pub fn finding(
        &mut self,
        world: &World,
        uid: ContainerUid,
        event: &Event<'_>,
        finding: facts::Finding,
    ) -> Box<Facts> {
        Box::new(Facts { more: More::Finding(Box::new(finding)), ..*self.event(world, uid, event) })
    }

    /// Facts of a gap.
    pub fn loss(&mut self, loss: &Loss, whose: Option<ContainerUid>) -> Box<Facts> {
        let uid = loss.container.or(whose);
        let mut facts = self.begin(Act::Lost, uid.unwrap_or(ContainerUid::HOST), loss.from);
        facts.action = Safe::literal(loss.cause.word());
        let span = [self.at(loss.from), self.at(loss.to)];
        facts.more = More::Loss { count: loss.count, cause: loss.cause.as_str(), span };
        facts
    }

    /// Facts of something at a moment, of which nothing else is known yet.
    pub fn begin(&mut self, act: Act, uid: ContainerUid, at: BootNanos) -> Box<Facts> {
        let container = self.container(uid);
        Box::new(Facts {
            act,
            action: Safe::default(),
            moment: self.trace.clock.rfc3339(at),
            time: self.trace.clock.map().real(at),
            boot: at.0,
            outcome: Outcome::None,
            ret: None,
            error: None,
            duration: None,
            host: Arc::clone(&self.host),
            container,
            process: None,
            actor: None,
            thread: None,
            file: None,
            other_file: None,
            talk: None,
            dns: None,
            memory: None,
            more: More::Nothing,
        })
    }

    /// A process by its identity alone, with its name where that is known.
    pub fn identity(&self, key: ProcessKey, name: Option<Safe>) -> facts::Process {
        let known = key.start.0 != 0;
        let id = format_args!("{}-{}-{}", self.host.store, key.tgid, key.start.0);
        facts::Process {
            pid: key.tgid,
            id: known.then(|| Safe::format(id)),
            start: known.then(|| self.at(key.start)).flatten(),
            name,
            ..facts::Process::default()
        }
    }

    fn at(&self, at: BootNanos) -> Option<(Safe, i64)> {
        let clock = &self.trace.clock;
        Some((clock.rfc3339(at)?, clock.map().real(at)?.div_euclid(1_000_000)))
    }

    /// Whom an event is about, and who did it.
    fn people(&self, facts: &mut Facts, world: &World, event: &Event<'_>) {
        let own = self.of_task(world, event.task);
        match event.code {
            EventCode::FORK if facts.act == Act::Fork => {
                let number = |at| event.number(at).and_then(|n| u32::try_from(n).ok());
                let child = number(layout::fork::CHILD_TGID);
                let key = child.map(|tgid| ProcessKey {
                    tgid,
                    start: BootNanos(event.number(layout::fork::CHILD_START).unwrap_or(0)),
                });
                facts.process = key.map(|key| match world.process(key) {
                    Some(child) => self.process(world, child),
                    None => self.identity(key, None),
                });
                facts.thread = number(layout::fork::CHILD_TID);
                facts.actor = Some(own);
            }
            EventCode::EXEC => {
                facts.actor = world.process_of_task(event.task).map(|process| {
                    let before = process.execs.len().checked_sub(2).and_then(|at| process.execs.get(at));
                    let before = before.or(process.inherited.as_ref()).map(|exec| &**exec);
                    facts::Process { name: None, ..self.running(world, process, before) }
                });
                facts.process = Some(own);
            }
            EventCode::EXIT if facts.act == Act::Exit => {
                let (code, signal) = match event.ret {
                    code @ 0.. => (Some(code), None),
                    signal => (None, Some(describe::exit_status(signal))),
                };
                facts.more = More::End { code, signal };
                facts.process = Some(own);
            }
            _ => facts.process = Some(own),
        }
    }

    fn of_task(&self, world: &World, task: TaskKey) -> facts::Process {
        match world.process_of_task(task) {
            Some(process) => self.process(world, process),
            None => self.identity(task.into(), None),
        }
    }

    /// A process as it is now, with its parent.
    fn process(&self, world: &World, process: &Process) -> facts::Process {
        self.running(world, process, process.exec())
    }

    /// A process with what it runs.
    fn running(&self, world: &World, process: &Process, exec: Option<&Exec>) -> facts::Process {
        let own = self.alone(process, exec);
        let parent = process.parent.map(|key| match world.process(key) {
            Some(parent) => self.alone(parent, parent.exec()),
            None => self.identity(key, None),
        });
        facts::Process { parent: parent.filter(|parent| parent.pid != 0).map(Box::new), ..own }
    }

    fn alone(&self, process: &Process, exec: Option<&Exec>) -> facts::Process {
        let args = || exec.into_iter().flat_map(Exec::arguments);
        facts::Process {
            vpid: process.vpid,
            executable: exec.and_then(|exec| file(exec.image.to_vec())),
            args: args().map(escape).collect(),
            args_cut: exec.is_some_and(|exec| exec.argv_cut),
            command_line: args().next().map(|_| describe::quote_words(args())),
            working_directory: process.cwd.as_deref().and_then(known),
            user: process.credentials.euid,
            ..self.identity(process.key, process.comm().map(escape))
        }
    }

    fn container(&mut self, uid: ContainerUid) -> Option<Arc<facts::Container>> {
        let trace = self.trace;
        self.containers.entry(uid).or_insert_with(|| container(trace, uid).map(Arc::new)).clone()
    }
}

fn container(trace: &Trace, uid: ContainerUid) -> Option<facts::Container> {
    if uid == ContainerUid::HOST {
        return None;
    }
    let all = trace.recording.containers();
    let record = all.iter().find(|summary| summary.record.uid == uid).map(|summary| &summary.record)?;
    let fact = |key| record.fact(key).and_then(|fact| known(&fact.value));
    Some(facts::Container {
        uid: uid.0,
        id: known(&record.id),
        name: trace::name(record),
        image: trace::image(record),
        image_id: fact(FactKey::ImageId),
        image_digest: fact(FactKey::ImageDigest),
        engine: match record.engine {
            Engine::Unknown | Engine::Host | Engine::Other(_) | Engine::Kubernetes => None,
            engine => Some(engine.as_str()),
        },
        pod: fact(FactKey::PodName),
        namespace: fact(FactKey::PodNamespace),
        pod_uid: fact(FactKey::PodUid),
    })
}

/// The file that an event is about, and the other one: see [`Facts::file`].
fn files(world: &World, event: &Event<'_>, act: Act, code: EventCode) -> (Option<File>, Option<File>) {
    let second = || world.second_path_of(event).and_then(file);
    // As it is written: what is mounted may be no file, and a symbolic link leads where it says.
    let written = || event.bytes(FieldTag::PATH).and_then(|path| file(path.to_vec()));
    match syscalls::base_name(code) {
        "mount" | "symlink" | "symlinkat" => (second(), written()),
        "move_mount" | "link" | "linkat" => (second(), world.path_of(event).and_then(file)),
        // The working directory that the path counted from is gone by now.
        "chdir" | "pivot_root" => (None, None),
        _ => (act::file(world, event, act, code).and_then(file), second()),
    }
}

/// How an event ended, and the name of its error; `code` is the call that it stands for.
fn outcome(event: &Event<'_>, code: EventCode) -> (Outcome, Option<&'static str>) {
    let is_call = event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN);
    match event.code {
        EventCode::FORK | EventCode::EXEC | EventCode::EXIT => return (Outcome::Success, None),
        EventCode::URING_SUBMIT | EventCode::IN_CALL => return (Outcome::Unknown, None),
        EventCode::URING_COMPLETE => {}
        _ if is_call => {}
        _ => return (Outcome::None, None),
    }
    match symbols::errno(event.ret) {
        _ if event.flags.contains(EventFlags::RESTART) => (Outcome::Unknown, None),
        None => (Outcome::Success, None),
        Some(error) if GOING_ON.contains(&error) && syscalls::base_name(code) == "connect" => {
            (Outcome::Unknown, Some(error))
        }
        Some(error) => (Outcome::Failure, Some(error)),
    }
}

/// Escaped, where there is anything.
fn known(bytes: &[u8]) -> Option<Safe> {
    (!bytes.is_empty()).then(|| escape(bytes))
}

/// A file by its path.
pub(super) fn file(path: Vec<u8>) -> Option<File> {
    let name = paths::file_name(&path);
    let name = if name.is_empty() { path.as_slice() } else { name };
    let directory = path.iter().rposition(|byte| *byte == b'/').map(|at| path.get(..at.max(1)));
    Some(File {
        path: known(&path)?,
        name: escape(name),
        directory: directory.flatten().filter(|_| path != b"/").and_then(known),
        sha256: None,
    })
}
