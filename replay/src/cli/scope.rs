//! What a verb looks at: recordings, one container of them or all, a range of time.

use std::path::{Path, PathBuf};

use afterimage_format::{BootNanos, ContainerSummary, ContainerUid};
use clap::Args;

use super::session::Session;
use crate::{
    failure::{Failure, shown},
    output::terminal::defused,
    time::{self, Named, RangeArgs, Span},
    trace::{Found, Gaps, StoreArgs, Target, Trace, copies, display_name, find_all, named},
};

/// How many containers a message names.
const NAMED: usize = 4;

/// Options of verbs that look at any number of containers.
#[derive(Debug, Clone, Args)]
pub(super) struct ScopeArgs {
    #[command(flatten)]
    pub(super) stores: StoreArgs,
    /// Only this container: a prefix of its id, its name, `namespace/pod`, `uid:N` or `host`
    #[arg(short, long, value_name = "CONTAINER")]
    pub(super) container: Option<String>,
    #[command(flatten)]
    pub(super) range: RangeArgs,
}

/// The container that a verb looks at, and where.
#[derive(Debug, Clone, Args)]
pub(super) struct OneArgs {
    /// The container: a prefix of its id, its name, `namespace/pod`, `uid:N` or `host`. May be left out where the
    /// recording holds only one
    #[arg(value_name = "CONTAINER")]
    first: Option<PathBuf>,
    #[command(flatten)]
    stores: StoreArgs,
    /// The container, named by an option: every word is a recording then
    #[arg(short = 'c', long = "container", value_name = "CONTAINER")]
    named: Option<String>,
}

impl OneArgs {
    /// The container as the user named it, and the recordings.
    pub(super) fn split(&self) -> (Option<String>, StoreArgs) {
        let words = || self.first.iter().chain(&self.stores.stores).cloned().collect();
        match (&self.named, &self.first) {
            (Some(named), _) => (Some(named.clone()), StoreArgs { stores: words() }),
            (None, Some(first)) if !is_recording(first) => {
                (Some(first.to_string_lossy().into_owned()), self.stores.clone())
            }
            (None, _) => (None, StoreArgs { stores: words() }),
        }
    }

    /// Opens the recordings.
    pub(super) fn open(&self, local: bool) -> Result<Vec<Trace>, Failure> {
        self.split().1.open(local)
    }

    /// The containers that are meant, every recording of each: several are separated by commas.
    pub(super) fn targets<'a>(
        &self,
        traces: &'a [Trace],
        session: &mut Session<'_>,
    ) -> Result<Vec<Target<'a>>, Failure> {
        let Some(wanted) = self.split().0 else { return Ok(all(only(traces)?, "", session)) };
        let mut targets = Vec::new();
        for one in wanted.split(',') {
            targets.extend(all(find_all(traces, one)?, one, session));
        }
        Ok(targets)
    }

    /// The container in a range of its time: of several recordings of it the newest.
    pub(super) fn part<'a>(
        &self,
        traces: &'a [Trace],
        range: &RangeArgs,
        session: &mut Session<'_>,
    ) -> Result<Part<'a>, Failure> {
        let wanted = self.split().0;
        let found = match &wanted {
            Some(wanted) => find_all(traces, wanted)?,
            None => only(traces)?,
        };
        Part::of_target(newest(found, wanted.as_deref().unwrap_or_default(), session)?, range, session)
    }
}

/// What a message calls a container: as the user named it, else by its own name.
fn called(wanted: &str, target: &Target<'_>) -> String {
    match wanted {
        "" => display_name(&target.summary.record).into_string(),
        wanted => defused(wanted),
    }
}

/// Says which files hold a container that is read from another.
fn tell_copies(found: &Found<'_>, wanted: &str, session: &mut Session<'_>) {
    let Some(used) = found.newest() else { return };
    let mut places: Vec<String> = found.copies.iter().map(|copy| shown(&copy.trace.path)).collect();
    places.sort();
    places.dedup();
    if !places.is_empty() {
        session.say(format!(
            "`{}` is the same container of the same store in `{}`: what `{}` has of it is read, nothing twice",
            called(wanted, &used),
            places.join("`, `"),
            shown(&used.trace.path),
        ));
    }
}

/// How recordings of a container are named, those of one trace by their number alone.
fn names_of(targets: &[Target<'_>]) -> String {
    let alone = targets.windows(2).all(|two| std::ptr::eq(two[0].trace, two[1].trace));
    let name = |target: &Target<'_>| match alone {
        true => format!("uid:{}", target.uid().0),
        false => format!("uid:{} of `{}`", target.uid().0, shown(&target.trace.path)),
    };
    let mut names: Vec<String> = targets.iter().rev().take(NAMED).map(name).collect();
    if targets.len() > NAMED {
        names.push("...".to_owned());
    }
    names.join(", ")
}

/// The newest recording of a container; says that there are others.
fn newest<'a>(found: Found<'a>, wanted: &str, session: &mut Session<'_>) -> Result<Target<'a>, Failure> {
    tell_copies(&found, wanted, session);
    let count = found.targets.len();
    let Some((last, others)) = found.targets.split_last() else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    if !others.is_empty() {
        session.say(format!(
            "`{}` was recorded {count} times; this is the last, uid:{}; the others are {}",
            called(wanted, last),
            last.uid().0,
            names_of(others),
        ));
    }
    Ok(*last)
}

/// Every recording of a container; says that there are several.
fn all<'a>(found: Found<'a>, wanted: &str, session: &mut Session<'_>) -> Vec<Target<'a>> {
    tell_copies(&found, wanted, session);
    let count = found.targets.len();
    if let Some(last) = found.newest().filter(|_| count > 1) {
        session.say(format!(
            "`{}` was recorded {count} times, and all of it is meant; one alone is {}",
            called(wanted, &last),
            names_of(&found.targets),
        ));
    }
    found.targets
}

/// Whether a word in a container's place is a recording: standard input, or what exists and is written like a path.
pub(super) fn is_recording(word: &Path) -> bool {
    let is_path = word.components().count() > 1 || word.is_absolute();
    let is_file = word.extension().is_some_and(|e| e == "aft" || e == "aftx");
    word.as_os_str() == "-" || (is_path || is_file) && word.exists() || holds_recordings(word)
}

/// Whether a word is the directory of a store, or one of extracts: nobody means a container by it.
fn holds_recordings(word: &Path) -> bool {
    let entries = word.read_dir().into_iter().flatten().filter_map(Result::ok);
    let mut ends = entries.map(|entry| entry.path());
    ends.any(|path| path.extension().is_some_and(|end| end == "aft" || end == "aftx"))
}

/// The one container of recordings that hold no other.
fn only(traces: &[Trace]) -> Result<Found<'_>, Failure> {
    let all = traces.iter().flat_map(|trace| {
        let containers = trace.recording.containers().iter().filter(|s| s.record.is_container());
        containers.map(move |summary| Target { trace, summary })
    });
    let all: Vec<Target<'_>> = all.collect();
    match Found::of(all) {
        Some(Ok(found)) => Ok(found),
        None => Err(Failure::NoContainer {
            place: traces.iter().map(|trace| shown(&trace.path)).collect::<Vec<_>>().join("`, `"),
            damaged: traces.iter().any(|trace| !trace.recording.defects().is_empty()),
        }),
        Some(Err(several)) => {
            let names: Vec<String> =
                several.iter().take(NAMED).map(|t| display_name(&t.summary.record).into_string()).collect();
            let more = if several.len() > NAMED { ", ..." } else { "" };
            let names = names.join(", ");
            Err(Failure::Usage(format!("name one of {} containers: {names}{more}", several.len())))
        }
    }
}

/// One recording, or one container of it, in a range of time.
pub(super) struct Part<'a> {
    pub(super) trace: &'a Trace,
    /// The container, where one was named.
    pub(super) target: Option<Target<'a>>,
    /// What is looked at: the whole of it where no range was asked for.
    pub(super) span: Span,
    /// The range that was asked for, open where it was not.
    pub(super) asked: Span,
}

impl ScopeArgs {
    /// Opens what was named.
    pub(super) fn open(&self) -> Result<Vec<Trace>, Failure> {
        self.stores.open(self.range.local)
    }

    /// One part per recording, or every recording of the one container that was named.
    pub(super) fn parts<'a>(
        &self,
        traces: &'a [Trace],
        session: &mut Session<'_>,
    ) -> Result<Vec<Part<'a>>, Failure> {
        let Some(wanted) = &self.container else {
            let copies = copies(traces);
            for (copy, whole) in &copies {
                let (copy, whole) = (shown(&copy.path), shown(&whole.path));
                session.say(format!(
                    "all of `{copy}` is in `{whole}` too, and is read there: nothing is counted twice"
                ));
            }
            let is_read = |trace: &&Trace| !copies.iter().any(|(copy, _)| std::ptr::eq(*copy, *trace));
            let read = traces.iter().filter(is_read);
            return read.map(|trace| Part::of_trace(trace, &self.range, session)).collect();
        };
        let targets = all(find_all(traces, wanted)?, wanted, session);
        targets.into_iter().map(|target| Part::of_target(target, &self.range, session)).collect()
    }
}

impl<'a> Part<'a> {
    /// A recording in a range of its time.
    pub(super) fn of_trace(
        trace: &'a Trace,
        range: &RangeArgs,
        session: &mut Session<'_>,
    ) -> Result<Self, Failure> {
        let names = |name: &Named<'_>| named(trace, None, name);
        let span = range.span(&trace.frame(), &names)?;
        range.days(&trace.frame(), span).into_iter().for_each(|line| session.say(line));
        Ok(Self { trace, target: None, span, asked: span })
    }

    /// A container by name, its own life as the frame of `range`, the whole life where `range` is open: of several
    /// recordings of it the newest.
    pub(super) fn of_container(
        traces: &'a [Trace],
        wanted: &str,
        range: &RangeArgs,
        session: &mut Session<'_>,
    ) -> Result<Self, Failure> {
        Self::of_target(newest(find_all(traces, wanted)?, wanted, session)?, range, session)
    }

    pub(super) fn of_target(
        target: Target<'a>,
        range: &RangeArgs,
        session: &mut Session<'_>,
    ) -> Result<Self, Failure> {
        let life = target.life();
        let names = |name: &Named<'_>| named(target.trace, Some(target.uid()), name);
        let frame = target.trace.frame_between(life.begin, life.last);
        let asked = range.span(&frame, &names)?;
        range.days(&frame, asked).into_iter().for_each(|line| session.say(line));
        let (first, last) = target.summary.range.unwrap_or((life.begin, life.last));
        let begin = asked.begin.or(Some(first.min(life.begin)));
        let end = asked.end.or(Some(last.max(life.last)));
        Ok(Self { trace: target.trace, target: Some(target), span: Span { begin, end }, asked })
    }

    /// Whether a range was asked for.
    pub(super) fn is_cut(&self) -> bool {
        self.asked != Span::default()
    }

    /// Begin and end of the range that was asked for, the end excluded, as users write it.
    pub(super) fn ends(&self) -> (Option<BootNanos>, Option<BootNanos>) {
        (self.asked.begin, self.asked.end.map(|end| BootNanos(end.0.saturating_add(1))))
    }

    /// A moment as the user writes it, in the frame of the container that was named, else of the recording.
    pub(super) fn moment(&self, text: &str) -> Result<BootNanos, Failure> {
        let names = |name: &Named<'_>| named(self.trace, self.uid(), name);
        let frame = match self.target.map(|target| target.life()) {
            Some(life) => self.trace.frame_between(life.begin, life.last),
            None => self.trace.frame(),
        };
        time::moment(text, &frame, &names)
    }

    /// The container, where one was named.
    pub(super) fn uid(&self) -> Option<ContainerUid> {
        self.target.map(|t| t.uid())
    }

    /// Whether a container belongs to it: the one that was named, else any that is neither the host nor a helper.
    pub(super) fn wants(&self, summary: &ContainerSummary) -> bool {
        self.uid().map_or_else(|| summary.record.is_container(), |uid| summary.record.uid == uid)
    }

    /// What is missing from it.
    pub(super) fn gaps(&self) -> Gaps {
        match self.uid() {
            Some(uid) => Gaps::of_container(self.trace, uid, self.span),
            None => Gaps::of_all(self.trace, self.span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_recordings_is_no_container() {
        assert!(is_recording(Path::new("../samples")) && holds_recordings(Path::new("../samples")));
        assert!(!is_recording(Path::new("src")) && !is_recording(Path::new("web")));
    }
}
