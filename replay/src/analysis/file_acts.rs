//! The files of a container as rows: what was done to each, by whom.

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    World, artifacts,
    files::{Act, ActKind, Existence, FileRecord},
    process::ProcessKey,
    text::{Safe, escape},
};

use crate::{
    analysis::images::Image,
    output::{Cell, Column, Kind, Machine, Record, Shape, Tone},
    time,
    trace::Trace,
};

const COLUMNS: &[Column] = &[
    Column::new("first", "FIRST", "first act in the range, in seconds after the container's start in tables")
        .kind(Kind::Time),
    Column::new("last", "LAST", "last act in the range, written as the first").hidden().kind(Kind::Time),
    Column::new("written", "WRITTEN", "bytes written to it in the range").integer(),
    Column::new("read", "READ", "bytes read from it in the range").integer().spare(),
    Column::new("acts", "ACTS", "what was done to it in the range").kind(Kind::Texts).flexible(),
    Column::new(
        "marks",
        "MARKS",
        "what it is by the end of the range: dropped and executed, deleted, replaced, upper layer, link, no name (`O_TMPFILE`), directory, in memory, \
         claimed path, from before (something was done to it before the range too, and is not counted), and for how many files of \
         its name it stands",
    )
    .kind(Kind::Texts)
    .flexible()
    .optional(),
    Column::new("path", "PATH", "its path as the container sees it; the kernel's where it was recorded")
        .flexible(),
    Column::new("life", "LIFE", "of the files that had this path one after the other: which, the first is 1; \
        in tables `2 of 3`, and nothing where there was one").integer().optional(),
    Column::new("lives", "LIVES", "files it stands for: more than 1 where so many had the path that there was no room \
        for each")
        .hidden()
        .integer(),
    Column::new("formerly", "FORMERLY", "paths it had before it, or a directory above it, was renamed, and other names that were removed: the first and the last 16").kind(Kind::Texts).optional(),
    Column::new("links", "LINKS", "its other names by the end of the range, as hard links give them: at most 32")
        .kind(Kind::Texts)
        .optional(),
    Column::new("link_to", "LINK TO", "what a link points to, as claimed").hidden(),
    Column::new("by", "BY", "processes that did it in the range").kind(Kind::Texts).flexible().spare(),
    Column::new("existence", "EXISTENCE", "found, made, maybe made or unknown: whether it was there before")
        .hidden(),
    Column::new("kernel_path", "KERNEL PATH", "the kernel told this path; otherwise programs claimed it")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("memory", "MEMORY", "it is in memory (`memfd_create`): its path is `memfd:` and the name that its maker gave it")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("upper_layer", "UPPER LAYER", "it is not part of the image; known when it was executed")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("deleted", "DELETED", "its name was removed").hidden().kind(Kind::Boolean),
    Column::new("replaced", "REPLACED", "its name was given to another file by a rename")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("dropped_and_executed", "DROPPED", "it was made here and then executed")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("size", "SIZE", "its size when it was executed").hidden().integer(),
    Column::new(
        "sha256",
        "SHA256",
        "hash of its bytes when it was executed, where it is not part of the image",
    )
    .optional()
    .spare(),
    Column::new("image", "IMAGE", "what became of these bytes: kept, or why they are missing").hidden(),
    Column::new("recorded", "RECORDED", "bytes of what was written in the range that the recording holds")
        .hidden()
        .integer(),
    Column::new(
        "history",
        "HISTORY",
        "acts in the range in order of time, but for `acts_left_out`: `time`, `last`, `act`, `pid`, `process`, `bytes`, `count` and \
         `result` each",
    )
    .hidden()
    .kind(Kind::Objects),
    Column::new(
        "acts_left_out",
        "LEFT OUT",
        "acts that are not in `history` for lack of room; all other members count them",
    )
    .hidden()
    .integer(),
];

/// How files are printed.
pub const SHAPE: Shape = Shape { rows: "files", row: "file", columns: COLUMNS };

/// Kinds of acts by the words of `--act`.
pub const ACTS: [(&str, ActKind); 13] = [
    ("opened", ActKind::OpenedForReading),
    ("created", ActKind::Created),
    ("read", ActKind::Read),
    ("written", ActKind::Written),
    ("truncated", ActKind::Truncated),
    ("mapped", ActKind::Mapped),
    ("executed", ActKind::Executed),
    ("mode-set", ActKind::ModeSet { mode: 0 }),
    ("renamed", ActKind::Renamed),
    ("linked", ActKind::Linked),
    ("deleted", ActKind::Deleted),
    ("replaced", ActKind::Replaced),
    ("refused", ActKind::Refused),
];

/// One file.
#[derive(Debug, Clone, Copy)]
pub struct FileRow<'a> {
    /// The recording.
    pub trace: &'a Trace,
    /// Whose.
    pub uid: ContainerUid,
    /// The container's start.
    pub start: BootNanos,
    /// Tells names of processes.
    pub world: &'a World,
    /// The file.
    pub record: &'a FileRecord,
    /// Which of the files that had its path, from 1, and how many there were.
    pub life: (u64, u64),
    /// What was kept of it when it was executed.
    pub image: Option<&'a Image>,
}

/// Files, those of one path after each other, each with which of its path it is and how many these are.
pub fn with_lives<'a>(files: impl Iterator<Item = &'a FileRecord>) -> Vec<(&'a FileRecord, (u64, u64))> {
    let files: Vec<_> = files.collect();
    files
        .chunk_by(|a, b| a.path == b.path)
        .flat_map(|same| {
            let all: u64 = same.iter().map(|file| file.lives).sum();
            same.iter().scan(1, move |next, file| {
                let nth = *next;
                *next += file.lives;
                Some((*file, (nth, all)))
            })
        })
        .collect()
}

impl FileRow<'_> {
    /// What the process was called when it did something.
    fn process(&self, act: &Act) -> Option<Safe> {
        self.world.process(act.by).and_then(|process| process.comm_at(act.time)).map(escape)
    }

    /// A moment: seconds after the container's start for people.
    fn moment(&self, at: BootNanos) -> Cell {
        let text =
            Safe::format(format_args!("{}", time::offset(i128::from(at.0) - i128::from(self.start.0))));
        Cell::both(text, self.trace.clock.rfc3339(at))
    }

    /// Each process that did something, once under each name that it had then, in order.
    fn by(&self) -> Vec<Safe> {
        let mut known: Vec<(ProcessKey, Option<Safe>)> = Vec::new();
        for act in &self.record.acts {
            let who = (act.by, self.process(act));
            if !known.contains(&who) {
                known.push(who);
            }
        }
        let named = |(key, name): (ProcessKey, Option<Safe>)| match name {
            Some(name) => Safe::format(format_args!("{} {name}", key.tgid)),
            None => Safe::format(format_args!("{}", key.tgid)),
        };
        known.into_iter().map(named).collect()
    }

    /// What was done, each kind once, in order of first doing.
    fn acts(&self) -> Vec<Safe> {
        let mut words: Vec<Safe> = Vec::new();
        for act in &self.record.acts {
            let word = match act.kind {
                ActKind::ModeSet { mode } => Safe::format(format_args!("mode set {mode:04o}")),
                kind => Safe::literal(kind.as_str()),
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }

    fn marks(&self) -> Vec<Safe> {
        let record = self.record;
        [
            (record.was_dropped_and_executed(), "dropped and executed"),
            (record.deleted, "deleted"),
            (record.replaced, "replaced"),
            (record.upper_layer == Some(true), "upper layer"),
            (record.link_to.is_some(), "link"),
            (record.nameless, "no name"),
            (record.directory, "directory"),
            (record.memory, "in memory"),
            (!record.kernel_path, "claimed path"),
            (record.is_from_before(), "from before"),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, word)| Safe::literal(word))
        .chain((record.lives > 1).then(|| Safe::format(format_args!("{} files", record.lives))))
        .collect()
    }

    fn history(&self) -> Cell {
        let object = |act: &Act| {
            let kind = match act.kind {
                ActKind::ModeSet { mode } => Safe::format(format_args!("mode set {mode:04o}")),
                kind => Safe::literal(kind.as_str()),
            };
            Machine::object([
                ("time", self.trace.clock.rfc3339(act.time).into()),
                ("last", self.trace.clock.rfc3339(act.last).into()),
                ("act", kind.into()),
                ("pid", act.by.tgid.into()),
                ("process", self.process(act).into()),
                ("bytes", act.bytes.into()),
                ("count", act.count.into()),
                ("result", act.result.into()),
            ])
        };
        let all = self.record.acts.len() as u64 + self.record.acts_dropped;
        let text = Safe::format(format_args!("{all} acts"));
        Cell::both(text, Machine::list(self.record.acts.iter().map(object)))
    }
}

impl Record for FileRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let record = self.record;
        match key {
            "first" => self.moment(record.first),
            "last" => self.moment(record.last),
            "written" => Cell::number(record.bytes_written),
            "read" => Cell::number(record.bytes_read),
            "acts" => Cell::list(self.acts()),
            "marks" => Cell::list(self.marks()),
            "path" => Cell::safe(escape(&record.path)),
            "life" => {
                let (nth, all) = self.life;
                let text =
                    if all > 1 { Safe::format(format_args!("{nth} of {all}")) } else { Safe::default() };
                Cell::both(text, nth)
            }
            "lives" => Cell::number(record.lives),
            "formerly" => Cell::list(record.formerly.iter().map(|p| escape(p))),
            "links" => Cell::list(record.links.iter().map(|path| escape(path))),
            "link_to" => Cell::option(record.link_to.as_deref(), |to| Cell::safe(escape(to))),
            "by" => Cell::list(self.by()),
            "existence" => Cell::word(match record.existence {
                Existence::Unknown => "unknown",
                Existence::Found => "found",
                Existence::MaybeMade => "maybe made",
                Existence::Made => "made",
            }),
            "kernel_path" => Cell::flag(record.kernel_path),
            "memory" => Cell::flag(record.memory),
            "upper_layer" => Cell::option(record.upper_layer, Cell::flag),
            "deleted" => Cell::flag(record.deleted),
            "replaced" => Cell::flag(record.replaced),
            "acts_left_out" => Cell::number(record.acts_dropped),
            "dropped_and_executed" => Cell::flag(record.was_dropped_and_executed()),
            "size" => Cell::option(record.size, Cell::number),
            "sha256" => {
                let hash = self.image.and_then(|image| image.hash);
                Cell::option(hash, |hash| Cell::safe(Safe::format(format_args!("{}", artifacts::hex(&hash)))))
            }
            "image" => Cell::option(self.image, |image| Cell::word(artifacts::outcome(image.outcome))),
            "recorded" => Cell::number(record.bytes_recorded),
            "history" => self.history(),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        match self.record {
            r if r.was_dropped_and_executed() => Tone::Finding,
            r if !r.was_changed() => Tone::Dim,
            _ => Tone::Plain,
        }
    }
}
