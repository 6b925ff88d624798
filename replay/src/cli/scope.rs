//! What a verb looks at: recordings, one container of them or all, a range of time.

use std::path::{Path, PathBuf};

use afterimage_format::{ContainerSummary, ContainerUid};
use clap::Args;

use crate::{
    failure::{Failure, shown},
    time::{Named, RangeArgs, Span},
    trace::{Gaps, StoreArgs, Target, Trace, display_name, find, named},
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

    /// The container that is meant.
    pub(super) fn target<'a>(&self, traces: &'a [Trace]) -> Result<Target<'a>, Failure> {
        match self.split().0 {
            Some(wanted) => find(traces, &wanted),
            None => only(traces),
        }
    }

    /// The containers that are meant: several are separated by commas.
    pub(super) fn targets<'a>(&self, traces: &'a [Trace]) -> Result<Vec<Target<'a>>, Failure> {
        match self.split().0 {
            Some(wanted) => wanted.split(',').map(|one| find(traces, one)).collect(),
            None => Ok(vec![only(traces)?]),
        }
    }

    /// The container in a range of its time.
    pub(super) fn part<'a>(&self, traces: &'a [Trace], range: &RangeArgs) -> Result<Part<'a>, Failure> {
        Part::of_target(self.target(traces)?, range)
    }
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
fn only(traces: &[Trace]) -> Result<Target<'_>, Failure> {
    let all = traces.iter().flat_map(|trace| {
        let containers = trace.recording.containers().iter().filter(|s| s.record.is_container());
        containers.map(move |summary| Target { trace, summary })
    });
    let all: Vec<Target<'_>> = all.collect();
    match all.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::NoContainer {
            place: traces.iter().map(|trace| shown(&trace.path)).collect::<Vec<_>>().join("`, `"),
            damaged: traces.iter().any(|trace| !trace.recording.defects().is_empty()),
        }),
        several => {
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
    pub(super) span: Span,
}

impl ScopeArgs {
    /// Opens what was named.
    pub(super) fn open(&self) -> Result<Vec<Trace>, Failure> {
        self.stores.open(self.range.local)
    }

    /// One part per recording, or the one container that was named.
    pub(super) fn parts<'a>(&self, traces: &'a [Trace]) -> Result<Vec<Part<'a>>, Failure> {
        match &self.container {
            Some(wanted) => Ok(vec![Part::of_container(traces, wanted, &self.range)?]),
            None => traces
                .iter()
                .map(|trace| {
                    let names = |name: &Named<'_>| named(trace, None, name);
                    Ok(Part { trace, target: None, span: self.range.span(&trace.frame(), &names)? })
                })
                .collect(),
        }
    }
}

impl<'a> Part<'a> {
    /// A container by name, its own life as the frame of `range`, the whole life where `range` is open.
    pub(super) fn of_container(
        traces: &'a [Trace],
        wanted: &str,
        range: &RangeArgs,
    ) -> Result<Self, Failure> {
        Self::of_target(find(traces, wanted)?, range)
    }

    pub(super) fn of_target(target: Target<'a>, range: &RangeArgs) -> Result<Self, Failure> {
        let life = target.life();
        let names = |name: &Named<'_>| named(target.trace, Some(target.uid()), name);
        let span = range.span(&target.trace.frame_between(life.begin, life.last), &names)?;
        let (first, last) = target.summary.range.unwrap_or((life.begin, life.last));
        let begin = span.begin.or(Some(first.min(life.begin)));
        let end = span.end.or(Some(last.max(life.last)));
        Ok(Self { trace: target.trace, target: Some(target), span: Span { begin, end } })
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
