//! The rule engine: Falco's rule files over recorded events.

mod collect;
mod compiler;
mod draft;
mod error;
mod exception;
mod falco_json;
mod output;
mod read;
mod uses;
mod yaml;

use std::{collections::HashMap, path::Path, time::Duration};

use afterimage_format::{BootNanos, ContainerUid, EventCode};

use crate::{
    ancestors::{asks_ancestors, is_of_ancestors},
    codes::{self, Codes},
    context::{EventContext, Frame},
    greetings::is_greeting,
    prefilter::is_of_image,
    program::Node,
    rows::RuleRows,
    shared,
    syntax::ast::Expr,
    whole::WholeAsks,
};

pub use draft::{Capture, CaptureScope};
pub use error::{LoadError, RuleError, RuleErrorKind, RuleWarning};
pub use output::FieldValue;

/// Rules, compiled and indexed by the codes of events that they can match.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// For each place of [`codes`], which of `groups`.
    slots: Vec<u32>,
    /// Different sets of rules, by their positions.
    groups: Vec<Vec<u32>>,
    warnings: Vec<RuleWarning>,
    uses: Vec<uses::Use>,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How bad a hit is.
    pub priority: Priority,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Whether it is looked at.
    pub enabled: bool,
    /// What a hit pins.
    pub capture: Capture,
    condition: Expr,
    node: Node,
    codes: Codes,
    output: output::Output,
}

/// How bad a hit is: Falco's priorities, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// System is unusable.
    Emergency,
    /// Act now.
    Alert,
    /// Critical.
    Critical,
    /// Error.
    Error,
    /// Warning.
    Warning,
    /// Normal but significant.
    Notice,
    /// Informational.
    Informational,
    /// Debug.
    Debug,
}

/// A rule that an event matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The rule's position among [`RuleSet::rules`].
    pub rule: usize,
    /// The rule's name.
    pub name: String,
    /// Its priority.
    pub priority: Priority,
    /// Its tags.
    pub tags: Vec<String>,
    /// When.
    pub time: BootNanos,
    /// When, nanoseconds since 1970, where the clocks tell.
    pub wall: Option<i64>,
    /// Whose event.
    pub container: ContainerUid,
    /// The event's number in the recording.
    pub event: u64,
    /// The host's name, escaped.
    pub hostname: String,
    /// The rule's output with all values, escaped for display.
    pub message: String,
    /// The fields of the output in order.
    pub fields: Vec<(String, FieldValue)>,
    /// What the rule pins.
    pub capture: Capture,
}

impl RuleSet {
    /// Reads and compiles rule files, in order: later ones append to and override what earlier ones define.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong, each with file, line and column.
    pub fn load<P: AsRef<Path>>(files: &[P]) -> Result<Self, LoadError> {
        let mut texts = Vec::new();
        let mut errors = Vec::new();
        for path in files {
            let name = path.as_ref().display().to_string();
            match std::fs::read(path) {
                Ok(bytes) => texts.push((name, String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) => {
                    let kind = RuleErrorKind::Read { message: error.to_string() };
                    errors.push(RuleError { file: name, line: 0, column: 0, kind });
                }
            }
        }
        if !errors.is_empty() {
            return Err(LoadError { errors });
        }
        let texts: Vec<(&str, &str)> =
            texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::parse(&texts)
    }

    /// Compiles the texts of rule files, each with a name for errors.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, LoadError> {
        let mut collector = collect::Collector::default();
        for (name, text) in files {
            collector.file(name, text);
        }
        let compiler::Compiled { mut rules, warnings, uses } = compiler::compile(collector)?;
        shared::share(rules.iter_mut().map(|rule| &mut rule.node));
        let (slots, groups) = index(&rules);
        Ok(Self { rules, slots, groups, warnings, uses })
    }

    /// All rules, in the order of their definition.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What was accepted and has no effect, or may not mean what its writer thinks.
    pub fn warnings(&self) -> &[RuleWarning] {
        &self.warnings
    }

    /// Switches rules on or off: those for which `choose` gives a value.
    pub fn switch(&mut self, choose: impl Fn(&Rule) -> Option<bool>) {
        for rule in &mut self.rules {
            if let Some(enabled) = choose(rule) {
                rule.enabled = enabled;
            }
        }
        (self.slots, self.groups) = index(&self.rules);
    }

    /// Whether any enabled rule can match an event of this code: readers skip what cannot.
    pub fn admits_code(&self, code: EventCode) -> bool {
        !self.group(code).is_empty()
    }

    fn group(&self, code: EventCode) -> &[u32] {
        let group = self.slots.get(codes::place(code)).and_then(|slot| self.groups.get(*slot as usize));
        group.map_or(&[], Vec::as_slice)
    }

    /// Whether any rule asks for hashes of programs, or shows them: then [`Frame::images`] has to have them.
    pub fn asks_images(&self) -> bool {
        self.asks(is_of_image)
    }

    /// What the rules ask of containers' whole lives, or show: then [`Frame::whole`] has to have that.
    pub fn asks_whole(&self) -> WholeAsks {
        WholeAsks::by(|is| self.asks(is))
    }

    /// Whether any rule asks for processes that made others, or shows them.
    pub fn asks_ancestors(&self) -> bool {
        self.asks(is_of_ancestors) || self.rules.iter().any(|rule| rule.enabled && asks_ancestors(&rule.node))
    }

    /// Whether any rule asks for alerts, or shows them: then the frame has to know them.
    pub fn asks_alerts(&self) -> bool {
        self.asks(|field| field.starts_with("alert."))
    }

    /// Where enabled rules, and macros that may be theirs, use fields that only a recording answers: where a recorder asks these
    /// rules, they never have a value.
    pub fn needs_recording(&self) -> Vec<&RuleWarning> {
        let is_asked = |own: &&uses::Use| match &own.rule {
            Some(name) => self.rules.iter().any(|rule| rule.enabled && rule.name == *name),
            None => self.asks(|field| field == own.field),
        };
        self.uses.iter().filter(is_asked).map(|own| &own.warning).collect()
    }

    /// Whether any rule asks for such a field, or shows it.
    fn asks(&self, is: impl Fn(&str) -> bool) -> bool {
        self.rules.iter().any(|rule| rule.enabled && rule.asks(&is))
    }

    /// Whether any rule asks what TLS clients said, or shows it: then a walk has to [`crate::Tracker::listen_to_all`].
    pub fn asks_greetings(&self) -> bool {
        self.asks(is_greeting)
    }

    /// What columns say of rows.
    pub fn rows<'r>(&'r self, frame: &'r Frame) -> RuleRows<'r> {
        RuleRows::new(self.rules.iter().map(|rule| &rule.node), (&self.slots, &self.groups), frame)
    }

    /// The rules that an event matches, in the order of their definition.
    pub fn evaluate(&self, cx: &EventContext<'_>) -> Vec<Hit> {
        let mut hits = Vec::new();
        cx.shared().clear();
        let further = cx.further();
        for position in self.group(cx.event().code) {
            let position = *position as usize;
            hits.extend(self.rules.get(position).and_then(|rule| rule.look(position, cx, &further)));
        }
        hits
    }

    /// As [`Self::evaluate`], telling what each rule took by its position, on a clock of the caller's.
    pub fn evaluate_measured(
        &self,
        cx: &EventContext<'_>,
        clock: impl Fn() -> Duration,
        cost: &mut dyn FnMut(usize, Duration),
    ) -> Vec<Hit> {
        let mut hits = Vec::new();
        let further = cx.further();
        for position in self.group(cx.event().code) {
            // What a rule takes is what it takes alone.
            std::iter::once(cx).chain(&further).for_each(|cx| cx.shared().clear());
            let position = *position as usize;
            let Some(rule) = self.rules.get(position) else { continue };
            let begun = clock();
            hits.extend(rule.look(position, cx, &further));
            cost(position, clock().saturating_sub(begun));
        }
        hits
    }
}

impl Rule {
    /// Its condition with all macros and lists put in, in Falco's grammar.
    pub fn condition(&self) -> String {
        crate::syntax::print(&self.condition)
    }

    /// The codes of events that it can match; `None` when it can match any.
    pub fn codes(&self) -> Option<Vec<EventCode>> {
        crate::prefilter::listed(&self.codes)
    }

    /// Whether its condition or its output has a field of such a name.
    fn asks(&self, is: impl Fn(&str) -> bool + Copy) -> bool {
        self.node.asks(is) || self.output.asks(is)
    }

    /// A hit, where the event matches as one of its messages shows it: the output is of the first that does.
    fn look(&self, rule: usize, cx: &EventContext<'_>, further: &[EventContext<'_>]) -> Option<Hit> {
        if self.node.holds(cx) {
            return Some(self.hit(rule, cx));
        }
        further.iter().find(|cx| self.node.holds(cx)).map(|cx| self.hit(rule, cx))
    }

    fn hit(&self, rule: usize, cx: &EventContext<'_>) -> Hit {
        let (message, fields) = self.output.render(cx);
        Hit {
            rule,
            name: self.name.clone(),
            priority: self.priority,
            tags: self.tags.clone(),
            time: cx.event().time,
            wall: cx.wall(cx.event().time),
            container: cx.container(),
            event: cx.number(),
            hostname: afterimage_model::text::escape(&cx.frame().hostname).into_string(),
            message,
            fields,
            capture: self.capture,
        }
    }
}

/// Which rules to look at for each place, as few different sets as there are.
fn index(rules: &[Rule]) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    let slots = (0..codes::PLACES)
        .map(|place| {
            let members: Vec<u32> = (0u32..)
                .zip(rules)
                .filter(|(_, rule)| rule.enabled && rule.codes.has_place(place))
                .map(|(position, _)| position)
                .collect();
            *known.entry(members).or_insert_with_key(|members| {
                groups.push(members.clone());
                u32::try_from(groups.len() - 1).unwrap_or(0)
            })
        })
        .collect();
    (slots, groups)
}

impl Priority {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Emergency, "Emergency"),
        (Self::Alert, "Alert"),
        (Self::Critical, "Critical"),
        (Self::Error, "Error"),
        (Self::Warning, "Warning"),
        (Self::Notice, "Notice"),
        (Self::Informational, "Informational"),
        (Self::Informational, "Info"),
        (Self::Debug, "Debug"),
    ];

    /// Reads a priority, whatever its case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(priority, _)| *priority)
    }

    /// As Falco writes it.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(priority, _)| *priority == self).map_or("", |(_, name)| name)
    }
}
