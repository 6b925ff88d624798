//! What the recording thread tells the trigger engine and whoever looks on: sent without waiting, kept where there is no
//! room, and told again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::mpsc,
};

use afterimage_format::{BootNanos, ContainerRecord, ContainerUid, Event, EventCode, Loss, layout};

use crate::{
    host,
    trigger::{
        directory::{Began, Gap, Known},
        engine::{Handle, Update},
        neighbours::{self, Ends},
    },
    witness::Witness,
};

/// Gaps kept while there is no room.
const MAX_GAPS: usize = 65_536;
/// Processes, and connections, kept while there is no room: they are only one hint of many.
const MAX_PROCESSES: usize = 16_384;

/// The recording thread's end.
pub struct Tap {
    engine: Handle,
    containers: BTreeMap<ContainerUid, Known>,
    /// What the store tells of, and what of it is kept.
    losses: mpsc::Receiver<Loss>,
    gaps: VecDeque<Gap>,
    processes: Vec<Began>,
    talks: Vec<(ContainerUid, Ends)>,
    /// Pins that have their size, and since when.
    full: Vec<(String, i64)>,
    gone: Vec<ContainerUid>,
    next: Option<Box<dyn Witness>>,
}

/// Wall-clock time of moments of this boot.
fn real() -> impl Fn(BootNanos) -> i64 {
    let pair = host::clock_pair();
    move |at| {
        let delta = i128::from(at.0) - i128::from(pair.boot.0);
        i64::try_from(i128::from(pair.real) + delta).unwrap_or(0)
    }
}

impl Tap {
    /// To the engine, and on to the next witness. Losses are those of the store: what it refused is among them.
    pub fn new(engine: Handle, losses: mpsc::Receiver<Loss>, next: Option<Box<dyn Witness>>) -> Self {
        Self {
            engine,
            containers: BTreeMap::new(),
            losses,
            gaps: VecDeque::new(),
            processes: Vec::new(),
            talks: Vec::new(),
            full: Vec::new(),
            gone: Vec::new(),
            next,
        }
    }

    /// Takes what the store told of.
    fn missed(&mut self) {
        let real = real();
        while let Ok(loss) = self.losses.try_recv() {
            if self.gaps.len() == MAX_GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back(Gap::new(&loss, &real));
        }
    }

    fn began(&mut self, uid: ContainerUid, event: &Event<'_>) {
        let (pid, parent) = match event.code {
            EventCode::FORK => match event.number(layout::fork::CHILD_TGID) {
                // A thread is no process.
                Some(tgid) if tgid != u64::from(event.task.tgid) => (tgid as u32, Some(event.task.tgid)),
                _ => return,
            },
            EventCode::EXEC | EventCode::PROCESS => (event.task.tgid, None),
            _ => return,
        };
        let at = if event.code == EventCode::PROCESS { event.task.start } else { event.time };
        if self.processes.len() < MAX_PROCESSES {
            self.processes.push(Began { pid, at: real()(at), container: uid, parent });
        }
    }
}

impl Witness for Tap {
    fn container(&mut self, record: &ContainerRecord) {
        self.containers.insert(record.uid, Known::new(record, real()));
        if let Some(next) = &mut self.next {
            next.container(record);
        }
    }

    fn gap(&mut self, loss: &Loss) {
        // To the engine the store tells it.
        if let Some(next) = &mut self.next {
            next.gap(loss);
        }
    }

    fn event(&mut self, uid: ContainerUid, event: &Event<'_>) {
        if uid != ContainerUid::HOST {
            if event.code.as_syscall().is_none() {
                self.began(uid, event);
            } else if let Some(ends) = neighbours::ends(event)
                && self.talks.len() < MAX_PROCESSES
            {
                self.talks.push((uid, ends));
            }
        }
        for pin in self.engine.meters().count(uid, event) {
            self.full.push((pin, real()(event.time)));
        }
        if let Some(next) = &mut self.next {
            next.event(uid, event);
        }
    }

    fn gone(&mut self, uids: &[ContainerUid]) {
        self.gone.extend_from_slice(uids);
        if let Some(next) = &mut self.next {
            next.gone(uids);
        }
    }

    fn committed(&mut self) {
        while let Some((uid, known)) = self.containers.pop_first() {
            if !self.engine.update(Update::Container(Box::new(known.clone()))) {
                self.containers.insert(uid, known);
                break;
            }
        }
        self.missed();
        while let Some(gap) = self.gaps.front().copied() {
            if !self.engine.update(Update::Gap(gap)) {
                break;
            }
            self.gaps.pop_front();
        }
        if !self.gone.is_empty() && self.engine.update(Update::Gone(self.gone.clone())) {
            self.gone.clear();
        }
        if !self.processes.is_empty() && self.engine.update(Update::Processes(self.processes.clone())) {
            self.processes.clear();
        }
        if !self.talks.is_empty() && self.engine.update(Update::Talks(self.talks.clone())) {
            self.talks.clear();
        }
        while let Some((pin, at)) = self.full.last().cloned() {
            if !self.engine.update(Update::Full(pin, at)) {
                break;
            }
            self.full.pop();
        }
        if let Some(next) = &mut self.next {
            next.committed();
        }
    }
}
