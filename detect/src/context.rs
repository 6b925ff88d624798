//! An event and everything a filter may ask about it, looked up at most once.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use afterimage_format::{
    BootNanos, ClockMap, ContainerRecord, ContainerUid, Event, EventCode, FieldTag, TaskKey, layout,
};

use afterimage_model::{
    describe, event_name,
    text::{Safe, escape},
};

use crate::{
    facts::{Descriptor, Facts, Process},
    fields::{Touched, touched},
    shape::{self, Shape},
    shared::Results,
    whole::Whole,
};

/// What holds for a whole recording: clocks, bounds, the moments that have names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Boot time to wall clock.
    pub clock: ClockMap,
    /// First and last moment of the recording.
    pub range: Option<(BootNanos, BootNanos)>,
    /// The host's name.
    pub hostname: Vec<u8>,
    /// When the alerts were, in order: `alert:1` is the first. Nothing where no clock reading tells.
    pub alerts: Vec<Option<BootNanos>>,
    /// Marks of the case by letter.
    pub marks: Vec<(char, BootNanos)>,
    /// What the alerts say, where filters ask for it.
    pub told: Vec<Told>,
    /// Programs that were executed and are not of their container's image, in order of container and time, where filters
    /// ask for them.
    pub images: Arc<[Image]>,
    /// What whole lives tell of containers, where filters ask for it.
    pub whole: Arc<BTreeMap<ContainerUid, Arc<Whole>>>,
    /// Containers that lost events, and how many; nothing where that is not known.
    pub lost: Option<Vec<(ContainerUid, u64)>>,
    /// Containers in which a process may have another root directory than theirs, in order: there paths of events do not tell
    /// what they are.
    pub rooted: Arc<[ContainerUid]>,
    /// Nobody follows the containers that were seen up to then: a recorder that did not take over from the one before gives
    /// what lives a new number. The greatest time where no recorder has the recording open.
    pub followed_from: Option<BootNanos>,
}

/// Whether what [`Frame::followed_from`] says leaves this container a recorder. The host has the same number for ever.
pub fn follows(from: Option<BootNanos>, record: &ContainerRecord) -> bool {
    from.is_none_or(|from| {
        let is_host = record.uid == ContainerUid::HOST;
        from < BootNanos(u64::MAX) && (is_host || from < record.first_seen)
    })
}

/// A program that was executed, and its bytes' hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Where.
    pub container: ContainerUid,
    /// When.
    pub executed: BootNanos,
    /// Its path from the kernel.
    pub path: Vec<u8>,
    /// SHA-256 in small hexadecimal letters.
    pub sha256: String,
}

/// An alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The containers that it is about.
    pub containers: Vec<ContainerUid>,
    /// Its rule, else its reason.
    pub rule: Vec<u8>,
    /// Who sent it.
    pub source: Vec<u8>,
    /// How bad it is, in the sender's word.
    pub priority: Vec<u8>,
}

/// Marks that a message names.
const NAMED: usize = 8;

impl Frame {
    /// Whether a recorder still follows a container, unless it has ended: else what became of it is not known.
    pub fn follows(&self, record: &ContainerRecord) -> bool {
        follows(self.followed_from, record)
    }

    /// What is to be told of what whole lives do not tell, where there was no room for them or events were lost.
    pub fn lacking(&self) -> Option<&'static str> {
        let has_lost = |uid: &ContainerUid| self.lost.iter().flatten().any(|(lost, _)| lost == uid);
        if self.whole.values().any(|whole| whole.is_partial()) {
            return Some(
                "not all that whole lives tell fitted into memory: where a field such as `file.written` is not known it has no \
                 value; ask for one container",
            );
        }
        self.whole.keys().any(has_lost).then_some(
            "events of these containers were lost: what was done in them is not in `file.written` and its like",
        )
    }

    /// Whether an event of a container tells by itself what its paths are.
    pub(crate) fn tells_paths(&self, container: ContainerUid) -> bool {
        self.rooted.binary_search(&container).is_err()
    }

    /// What a program of a container was, by when it was executed. Its path there is the one in its process's root.
    pub(crate) fn image(&self, container: ContainerUid, executed: BootNanos, path: &[u8]) -> Option<&Image> {
        let own = self.images_of(container);
        let from = own.partition_point(|image| image.executed < executed);
        let then = own.get(from..)?.iter().take_while(|image| image.executed == executed);
        then.into_iter().find(|image| path.ends_with(&image.path))
    }

    /// The programs of a container.
    pub(crate) fn images_of(&self, container: ContainerUid) -> &[Image] {
        let from = self.images.partition_point(|image| image.container < container);
        let to = self.images.partition_point(|image| image.container <= container);
        self.images.get(from..to).unwrap_or_default()
    }

    /// When the alert of this number was.
    pub(crate) fn alert(&self, number: u32) -> Option<BootNanos> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.alerts.get(at).copied().flatten()
    }

    /// Where the mark of this letter is.
    pub(crate) fn mark(&self, letter: char) -> Option<BootNanos> {
        self.marks.iter().find(|(mark, _)| *mark == letter).map(|(_, at)| *at)
    }

    /// The names that moments have, in words.
    pub(crate) fn moments(&self) -> String {
        let last = self.alerts.len();
        let alerts = match self.alerts.iter().position(Option::is_some) {
            None if last > 0 => "its alerts have no time".to_owned(),
            None => "there is no alert".to_owned(),
            Some(at) if at + 1 == last => format!("there is `alert:{last}`"),
            Some(at) => format!("there are `alert:{}` to `alert:{last}`", at + 1),
        };
        let mut letters: Vec<char> = self.marks.iter().map(|(letter, _)| *letter).collect();
        letters.sort_unstable();
        let named: Vec<String> =
            letters.iter().take(NAMED).map(|letter| format!("`mark:{letter}`")).collect();
        let more = if letters.len() > NAMED { ", ..." } else { "" };
        if named.is_empty() {
            format!("{alerts} and no mark")
        } else {
            format!("{alerts}, and {}{more}", named.join(", "))
        }
    }
}

/// An event with its surroundings. Made anew for each event; looks things up when they are asked for, and once.
pub struct EventContext<'a> {
    event: &'a Event<'a>,
    container: ContainerUid,
    record: Option<&'a ContainerRecord>,
    facts: &'a dyn Facts,
    frame: &'a Frame,
    number: u64,
    /// Which of the addresses that the program told is looked at, of a call that moves many messages.
    message: usize,
    row: OnceCell<Safe>,
    shape: &'static Shape,
    process: OnceCell<Option<Process<'a>>>,
    parent: OnceCell<Option<Process<'a>>>,
    command_line: OnceCell<Option<Vec<u8>>>,
    arguments: OnceCell<Option<Vec<u8>>>,
    descriptor: OnceCell<Option<Descriptor<'a>>>,
    touched: OnceCell<Vec<Touched>>,
    shared: Results,
}

impl<'a> EventContext<'a> {
    /// The surroundings of `event`. The number counts the events of the recording from 1 (`evt.num`).
    pub fn new(
        event: &'a Event<'a>,
        (container, record): (ContainerUid, Option<&'a ContainerRecord>),
        facts: &'a dyn Facts,
        frame: &'a Frame,
        number: u64,
    ) -> Self {
        Self {
            event,
            container,
            record,
            facts,
            frame,
            number,
            message: 0,
            row: OnceCell::new(),
            shape: shape::of_event(event),
            process: OnceCell::new(),
            parent: OnceCell::new(),
            command_line: OnceCell::new(),
            arguments: OnceCell::new(),
            descriptor: OnceCell::new(),
            touched: OnceCell::new(),
            shared: Results::default(),
        }
    }

    /// The same event as seen from another process: what `within` asks of ancestors.
    pub(crate) fn seen_from(&self, process: Process<'a>) -> Self {
        let other = self.anew();
        let _ = other.process.set(Some(process));
        other
    }

    /// The same event as each of its messages but the first shows it. A call that moves many is to filters what a call for each
    /// would be: nobody hides a peer behind another, whatever a filter asks or excludes.
    pub(crate) fn further(&self) -> Vec<Self> {
        if !self.shape.moves_many {
            return Vec::new();
        }
        let told: Vec<&[u8]> = addresses(self.event).collect();
        let is_new = |at: &usize| !told[..*at].contains(&told[*at]);
        let mut messages: Vec<usize> = (1..told.len()).filter(is_new).collect();
        // Where the first has an address, those without are not told: they go to the socket's peer.
        let moved = usize::try_from(self.event.ret).unwrap_or(0).min(MOST_MESSAGES);
        if told.len() < moved && told.first().is_some_and(|first| !first.is_empty()) {
            messages.push(told.len());
        }
        let seen = |message| Self { message, ..self.anew() };
        messages.into_iter().map(seen).collect()
    }

    /// The address that the program told, or was told.
    pub(crate) fn claimed(&self) -> Option<&'a [u8]> {
        addresses(self.event).nth(self.message)
    }

    fn anew(&self) -> Self {
        Self::new(self.event, (self.container, self.record), self.facts, self.frame, self.number)
    }

    /// The event.
    pub fn event(&self) -> &'a Event<'a> {
        self.event
    }

    /// Whose it is.
    pub fn container(&self) -> ContainerUid {
        self.container
    }

    /// What is known of the container.
    pub fn record(&self) -> Option<&'a ContainerRecord> {
        self.record
    }

    /// The state at this moment.
    pub fn facts(&self) -> &'a dyn Facts {
        self.facts
    }

    /// What holds for the whole recording.
    pub fn frame(&self) -> &'a Frame {
        self.frame
    }

    /// The event's number in the recording.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the checks that rules share say of it.
    pub(crate) fn shared(&self) -> &Results {
        &self.shared
    }

    /// What bare text is looked for in: what lists show of an event besides numbers, its process's name, the event's name,
    /// its detail and its result.
    pub fn row(&self) -> &Safe {
        self.row.get_or_init(|| {
            let event = self.event;
            let process = self.process().and_then(|process| process.comm).map(escape).unwrap_or_default();
            let detail = describe::detail(event, self.facts.names());
            let name = event_name(event.code);
            Safe::format(format_args!("{process} {name} {detail} {}", describe::result(event)))
        })
    }

    pub(crate) fn shape(&self) -> &'static Shape {
        self.shape
    }

    /// The process the event happened in.
    pub fn process(&self) -> Option<&Process<'a>> {
        self.process.get_or_init(|| self.facts.process(self.event.task)).as_ref()
    }

    /// The process `level` steps above: 0 is the process itself.
    pub(crate) fn ancestor(&self, level: usize) -> Option<Process<'a>> {
        let Some(above) = level.checked_sub(1) else { return self.process().copied() };
        let mut process = self.parent()?;
        for _ in 0..above {
            process = self.parent_of(&process)?;
        }
        Some(process)
    }

    /// The parent of the event's process.
    fn parent(&self) -> Option<Process<'a>> {
        *self.parent.get_or_init(|| self.process().and_then(|process| self.parent_of(process)))
    }

    /// Name and arguments of the event's process.
    pub(crate) fn command_line(&self) -> Option<&[u8]> {
        self.command_line.get_or_init(|| self.process().and_then(crate::fields::command_line)).as_deref()
    }

    /// Arguments of the event's process, joined.
    pub(crate) fn arguments(&self) -> Option<&[u8]> {
        let joined = || self.process().and_then(|process| process.argv).map(crate::fields::after_first);
        self.arguments.get_or_init(joined).as_deref()
    }

    /// The parent as far as it is known.
    pub(crate) fn parent_of(&self, process: &Process<'_>) -> Option<Process<'a>> {
        let parent = process.parent.filter(|key| *key != process.key)?;
        self.facts.process(parent)
    }

    /// Calls `visit` with each ancestor, the parent first, until it returns false. At most [`MAX_ANCESTORS`]: a
    /// broken recording may have loops.
    pub(crate) fn ancestors(&self, mut visit: impl FnMut(&Process<'a>) -> bool) {
        let mut next = self.parent();
        for _ in 0..MAX_ANCESTORS {
            match next {
                Some(process) if visit(&process) => next = self.parent_of(&process),
                _ => return,
            }
        }
    }

    /// Register `index` of a system call as a signed 32-bit number: descriptors are.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel looks at the low 32 bits only")]
    pub(crate) fn register_i32(&self, index: usize) -> Option<i32> {
        self.event.args.get(index).map(|value| *value as u32 as i32)
    }

    /// The number of the event's descriptor: Falco's `fd.num`, -1 where a call should have made one and failed;
    /// `None` for events without.
    pub fn fd_number(&self) -> Option<i32> {
        if self.event.code == EventCode::OPEN_FD {
            return self.event.number(layout::open_fd::FD).and_then(|fd| i32::try_from(fd).ok());
        }
        if self.shape.makes_fd {
            if let Some(pair) = self.event.bytes(FieldTag::FDS) {
                return pair.first_chunk::<4>().map(|fd| i32::from_le_bytes(*fd));
            }
            let made = i32::try_from(self.event.ret).ok().filter(|fd| *fd >= 0);
            return Some(made.unwrap_or(-1));
        }
        self.shape.fd_arg.and_then(|index| self.register_i32(index))
    }

    /// What the event's descriptor is open on, the event's own knowledge included.
    pub fn descriptor(&self) -> Option<&Descriptor<'a>> {
        self.descriptor.get_or_init(|| crate::fields::descriptor_of(self)).as_ref()
    }

    /// The files that the event touches.
    pub(crate) fn touched(&self) -> &[Touched] {
        self.touched.get_or_init(|| touched(self))
    }

    /// The thread the event happened in.
    pub fn task(&self) -> TaskKey {
        self.event.task
    }

    /// Wall-clock time of a moment, nanoseconds since 1970.
    pub(crate) fn wall(&self, at: BootNanos) -> Option<i64> {
        self.frame.clock.real(at)
    }

    /// When the container's program began, or the first sign of it.
    pub fn container_start(&self) -> Option<BootNanos> {
        self.record.map(|record| record.started.unwrap_or(record.first_seen))
    }
}

/// So many messages of a call tell their addresses.
const MOST_MESSAGES: usize = 7;

fn addresses<'a>(event: &Event<'a>) -> impl Iterator<Item = &'a [u8]> {
    event.fields.iter().filter(|field| field.tag == FieldTag::SOCKADDR).map(|field| field.bytes)
}

/// How many ancestors are looked at.
pub(crate) const MAX_ANCESTORS: usize = 64;
