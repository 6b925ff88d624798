//! A filter: parsed, compiled, ready to match.

use std::collections::HashMap;

use crate::{
    ancestors::asks_ancestors,
    compile::Compiler,
    context::{EventContext, Frame},
    expand::Expander,
    greetings::is_greeting,
    of_process::{OfProcess, asks_processes_only},
    prefilter::{Prefilter, is_of_image},
    program::Node,
    rows::RowFilter,
    syntax::{
        self, FilterError, FilterErrorKind, Mode,
        ast::Expr,
        instant::{Base, Instant},
    },
    warning::FilterWarning,
    whole::{self, WholeAsks},
};

/// A filter of the bar, of `grep`, or a rule's condition.
///
/// Filters with `near` or `seq` are matched in two passes: [`Self::survey`] for every event in order of time, then
/// [`Self::matches`] for every event. All others need the second pass only.
#[derive(Debug)]
pub struct Filter {
    expr: Box<Expr>,
    pub(crate) node: Node,
    warnings: Vec<FilterWarning>,
    needs_survey: bool,
    /// Moments that alerts and marks give, at most [`MAX_NAMED`].
    named: Vec<Instant>,
}

/// Most moments by name that are looked up before a filter is asked.
const MAX_NAMED: usize = 1_000;

/// Saved filters by name (without the `$`): their trees.
pub type Saved = HashMap<String, Expr>;

impl Filter {
    /// Reads a filter of the bar.
    ///
    /// # Errors
    /// [`FilterError`]: where, what, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &Saved::new())
    }

    /// Reads a filter of the bar that may use saved filters.
    ///
    /// # Errors
    /// [`FilterError`]. Errors inside a saved filter are at the place of its use.
    pub fn parse_with(text: &str, saved: &Saved) -> Result<Self, FilterError> {
        let expr = syntax::parse(text, Mode::Lenient)?;
        let expanded = Expander::saved(saved).expand(&expr)?;
        Self::compile(expr, &expanded, Mode::Lenient)
    }

    /// Reads a condition in Falco's grammar, without macros.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn parse_strict(text: &str) -> Result<Self, FilterError> {
        let expr = syntax::parse(text, Mode::Strict)?;
        let expanded = Expander::saved(&Saved::new()).expand(&expr)?;
        Self::compile(expr, &expanded, Mode::Strict)
    }

    /// Compiles a tree in which macros, lists and saved filters are put in.
    pub(crate) fn compile(expr: Expr, expanded: &Expr, mode: Mode) -> Result<Self, FilterError> {
        let mut compiler = Compiler::new(mode);
        let node = compiler.filter(expanded)?;
        let needs_survey = node.any(&|node| matches!(node, Node::Survey(_)));
        let mut named = Vec::new();
        expanded.named_moments(&mut |instant| {
            if named.len() < MAX_NAMED {
                named.push(instant.clone());
            }
        });
        Ok(Self { expr: Box::new(expr), node, warnings: compiler.warnings, needs_survey, named })
    }

    /// Whether the event passes.
    pub fn matches(&self, cx: &EventContext<'_>) -> bool {
        self.node.holds(cx) || cx.further().iter().any(|cx| self.node.holds(cx))
    }

    /// Whether it has `near` or `seq`: every event must be shown to [`Self::survey`] first.
    pub fn needs_survey(&self) -> bool {
        self.needs_survey
    }

    /// The first pass's part at one event.
    pub fn survey(&mut self, cx: &EventContext<'_>) {
        for cx in std::iter::once(cx).chain(&cx.further()) {
            self.node.surveys(&mut |survey| survey.observe(cx));
        }
    }

    /// A bound on the state of `near` or `seq` was reached in the first pass: the result may have more (`near`) or
    /// less (`seq`) than it should.
    pub fn saturated(&self) -> bool {
        self.node.any(&|node| matches!(node, Node::Survey(survey) if survey.saturated()))
    }

    /// What works but may not mean what its writer thinks.
    pub fn warnings(&self) -> &[FilterWarning] {
        &self.warnings
    }

    /// No event can pass, whatever the recording.
    pub fn is_never(&self) -> bool {
        crate::codes::Codes::of(&self.node).is_none()
    }

    /// The tree as it was written.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether it asks for an event's number in the recording: then all events before it have to be counted.
    pub fn counts_events(&self) -> bool {
        self.node.asks(|field| field == "evt.num")
    }

    /// Whether it asks for processes that made others, which need not be of the same container.
    pub fn asks_ancestors(&self) -> bool {
        asks_ancestors(&self.node)
    }

    /// Whether it asks for alerts, or for a moment by its name: then the frame has to know alerts and marks.
    pub fn asks_alerts(&self) -> bool {
        !self.named.is_empty() || self.node.asks(|field| field.starts_with("alert."))
    }

    /// Whether it names the moment of the alert with this number.
    pub fn names_alert(&self, number: u32) -> bool {
        self.named.iter().any(|instant| instant.base == Base::Alert(number))
    }

    /// Whether it asks for hashes of programs: then [`Frame::images`] has to have them.
    pub fn asks_images(&self) -> bool {
        self.node.asks(is_of_image)
    }

    /// What it asks of containers' whole lives: then [`Frame::whole`] has to have that.
    pub fn asks_whole(&self) -> WholeAsks {
        WholeAsks::by(|is| self.node.asks(is))
    }

    /// The fields that it asks for and that only a recording answers: live they never have a value.
    pub fn needs_recording(&self) -> Vec<&'static str> {
        let all = crate::fields::fields().map(|def| def.name).filter(|name| whole::needs_recording(name));
        all.filter(|name| self.node.asks(|field| field == *name)).collect()
    }

    /// Whether it asks what TLS clients said: then a walk has to [`crate::Tracker::listen_to_all`].
    pub fn asks_greetings(&self) -> bool {
        self.node.asks(is_greeting)
    }

    /// Whether what descriptors are open on is the same to it: it asks nothing but the event itself, processes and containers.
    pub fn asks_processes_only(&self) -> bool {
        asks_processes_only(&self.node)
    }

    /// Looks up the alerts and marks that it names: a filter with a name that means nothing would match nothing.
    ///
    /// # Errors
    /// The first name that the frame does not know, and those that it knows.
    pub fn check_moments(&self, frame: &Frame) -> Result<(), FilterError> {
        let is_known = |base: Base| match base {
            Base::Alert(number) => frame.alert(number).is_some(),
            Base::Mark(letter) => frame.mark(letter).is_some(),
            _ => true,
        };
        match self.named.iter().find(|instant| !is_known(instant.base)) {
            None => Ok(()),
            Some(unknown) => {
                let kind = FilterErrorKind::UnknownMoment { name: unknown.base.to_string() };
                Err(FilterError::new(unknown.span, kind).suggest(frame.moments()))
            }
        }
    }

    /// What it says of containers, blocks and codes before events are read.
    pub fn prefilter<'f>(&'f self, frame: &'f Frame) -> Prefilter<'f> {
        Prefilter::new(&self.node, frame)
    }

    /// What it says of rows by some of their columns.
    pub fn row_filter<'f>(&'f self, frame: &'f Frame) -> RowFilter<'f> {
        RowFilter::new(&self.node, frame)
    }

    /// What it asks of nothing but who the event's process is.
    pub fn of_process(&self) -> OfProcess<'_> {
        OfProcess::new(&self.node)
    }

    /// How many parts are left after everything that is decided already was left out.
    pub fn size(&self) -> usize {
        self.node.size()
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&syntax::print(&self.expr))
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}
