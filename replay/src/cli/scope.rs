//! What a verb looks at: recordings, one container of them or all, a range of time.

use afterimage_format::{ContainerSummary, ContainerUid};
use clap::Args;

use crate::{
    failure::Failure,
    time::{RangeArgs, Span},
    trace::{Gaps, StoreArgs, Target, Trace, find},
};

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
                .map(|trace| Ok(Part { trace, target: None, span: self.range.span(&trace.frame())? }))
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
        let target = find(traces, wanted)?;
        let life = target.life();
        let span = range.span(&target.trace.frame_between(life.begin, life.last))?;
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
        self.uid().map_or_else(|| super::ls::is_container(summary), |uid| summary.record.uid == uid)
    }

    /// What is missing from it.
    pub(super) fn gaps(&self) -> Gaps {
        match self.uid() {
            Some(uid) => Gaps::of_container(self.trace, uid, self.span),
            None => Gaps::of_all(self.trace, self.span),
        }
    }
}
