//! `afterimage hunt`: today's rules over what was recorded before.

use std::{borrow::Cow, ops::ControlFlow, path::PathBuf};

use afterimage_detect::{
    Bits, RuleRows, RuleSet,
    rules::{Hit, Priority},
};
use afterimage_format::{Columns, ContainerUid, Event, EventId, Query, Visitor};
use afterimage_model::{
    describe, event_name,
    process::Process,
    text::{Safe, escape},
};
use clap::Args;

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing, sources_of},
};
use crate::{
    events::{self, Asked, Teller},
    exit::Verdict,
    failure::Failure,
    output::{
        Cell, Column, Kind, Machine, OutputArgs, Record, Shape, Tone,
        facts::{self, Facts, is_technique},
        guarded,
        terminal::defused,
    },
    progress::Progress,
    trace::{self, Gaps, Trace},
};

/// Run Falco rules over recordings: which containers, also deleted ones, would have raised an alert.
///
/// Rule files are Falco's own, unmodified. Each hit names the event that it rests on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage hunt --rules falco_rules.yaml
  afterimage hunt --rules falco_rules.yaml --rules local.yaml demo.aft --priority warning
  afterimage hunt --rules falco_rules.yaml -b '24h ago' --falco-json")]
pub(super) struct HuntArgs {
    /// A file of rules; several are read in order, later ones change earlier ones
    #[arg(short, long, value_name = "FILE", required = true)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Only rules of this priority or worse
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    priority: Option<Priority>,
    /// Only rules with one of these tags
    #[arg(long, value_name = "TAG,...", value_delimiter = ',')]
    tag: Vec<String>,
    /// Only rules whose name contains this text
    #[arg(long, value_name = "TEXT")]
    rule: Option<String>,
    /// Also look at what runtimes did to set containers up
    #[arg(long)]
    setup: bool,
    /// Print hits as Falco's own JSON output, one object per line
    #[arg(long, conflicts_with_all = ["output", "fields"])]
    falco_json: bool,
    /// At most so many hits
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Most errors of rule files that are told.
const TOLD: usize = 50;

fn priority(text: &str) -> Result<Priority, String> {
    Priority::parse(text).ok_or_else(|| {
        "write emergency, alert, critical, error, warning, notice, informational or debug".to_owned()
    })
}

const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", "when it happened").kind(Kind::Time),
    Column::new("container", "CONTAINER", "id of the container; its name in tables").flexible(),
    Column::new("container_uid", "UID", "the recorder's number of the container").hidden().integer(),
    Column::new("priority", "PRIORITY", "how bad the rule says it is"),
    Column::new("rule", "RULE", "name of the rule").flexible(),
    Column::new("pid", "PID", "process, as the host sees it").integer(),
    Column::new("process", "PROCESS", "name of the process at that moment").flexible().spare(),
    Column::new("event", "EVENT", "the event it rests on").spare(),
    Column::new("detail", "DETAIL", "what the event was about").flexible(),
    Column::new("result", "RESULT", "result of the event").right().spare(),
    Column::new("message", "MESSAGE", "the rule's output with its values").hidden().flexible(),
    Column::new("fields", "FIELDS", "the values in the rule's output, by field").hidden().kind(Kind::Object),
    Column::new("tags", "TAGS", "the rule's tags").hidden().kind(Kind::Texts),
    Column::new("event_number", "NUMBER", "the event's number among those that were read").hidden().integer(),
    Column::new("tid", "TID", "thread").hidden().integer(),
    Column::new("store", "STORE", "the recording").hidden().flexible(),
];

pub(super) const SHAPE: Shape = Shape { rows: "hits", row: "hit", columns: COLUMNS };

/// A hit with its evidence.
struct Row<'a> {
    trace: &'a Trace,
    facts: Option<Box<Facts>>,
    hit: Hit,
    tgid: u32,
    tid: u32,
    process: Option<Safe>,
    event: Safe,
    detail: Safe,
    result: Safe,
}

pub(super) fn run(args: &HuntArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let rules = load(args, session)?;
    let traces = args.scope.open()?;
    let parts = args.scope.parts(&traces, session)?;
    let mut seen =
        Seen { found: 0, setup: 0, limit: args.limit.unwrap_or(u64::MAX), more: false, lacking: None };
    let gaps = |parts: &[Part<'_>]| -> Vec<Gaps> { parts.iter().map(Part::gaps).collect() };
    if args.falco_json {
        for part in &parts {
            let out = &mut *session.out;
            search(part, args, &rules, &mut seen, &mut |row| {
                writeln!(out, "{}", guarded(&row.hit.to_falco_json()))
            })?;
        }
    } else {
        let mut emitter = session.emit(SHAPE, &args.output, &sources_of(&traces, &parts))?;
        for part in &parts {
            search(part, args, &rules, &mut seen, &mut |row| emitter.row(&row))?;
        }
        let all: Vec<(&Trace, Gaps)> = parts.iter().map(|p| p.trace).zip(gaps(&parts)).collect();
        emitter.finish(&missing(&all))?;
    }
    seen.lacking.into_iter().for_each(|line| session.say(line));
    if seen.more {
        session.say("stopped at --limit; there are more hits");
    }
    if seen.setup > 0 {
        session
            .say(format!("{} hits in the containers' set-up are left out; --setup has them too", seen.setup));
    }
    let all: Vec<(&Trace, Gaps)> = parts.iter().map(|p| p.trace).zip(gaps(&parts)).collect();
    Ok(session.conclude(&all, seen.found > 0))
}

/// How many hits were shown, and whether there are more.
struct Seen {
    found: u64,
    /// Hits in the containers' set-up, which were not asked for.
    setup: u64,
    limit: u64,
    more: bool,
    lacking: Option<&'static str>,
}

fn load(args: &HuntArgs, session: &mut Session<'_>) -> Result<RuleSet, Failure> {
    let mut rules = RuleSet::load(&args.rules).map_err(|error| {
        // All of them, one line each: whoever mends a rule file wants to mend it once.
        let mut lines: Vec<String> =
            error.errors.iter().take(TOLD).map(|e| defused(&e.to_string())).collect();
        let last = lines.pop().unwrap_or_else(|| "the rules cannot be used".to_owned());
        lines.into_iter().for_each(|line| session.say(line));
        match error.errors.len().saturating_sub(TOLD) {
            0 => Failure::Usage(last),
            more => Failure::Usage(format!("{last} (and {more} more errors)")),
        }
    })?;
    for warning in rules.warnings() {
        session.say(format!("warning: {warning}"));
    }
    rules.switch(|rule| {
        let fits = args.priority.is_none_or(|p| rule.priority <= p)
            && (args.tag.is_empty() || rule.tags.iter().any(|t| args.tag.contains(t)))
            && args.rule.as_ref().is_none_or(|text| rule.name.contains(text.as_str()));
        (!fits).then_some(false)
    });
    if !rules.rules().iter().any(|r| r.enabled) {
        return Err(Failure::Usage(
            "no enabled rule is left to look for; loosen --priority, --tag or --rule".to_owned(),
        ));
    }
    Ok(rules)
}

/// Shows every hit to `visit`, up to the limit.
fn search(
    part: &Part<'_>,
    args: &HuntArgs,
    rules: &RuleSet,
    seen: &mut Seen,
    visit: &mut dyn FnMut(Row<'_>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    if seen.more {
        return Ok(());
    }
    let trace = part.trace;
    // The host's processes are the ancestors of all.
    let containers = part.uid().map(|uid| vec![ContainerUid::HOST, uid]).unwrap_or_default();
    let query = Query { containers, begin: None, end: part.span.end };
    let mut frame = events::frame(trace);
    if rules.asks_alerts() {
        // Whoever asks for alerts has to know where they cannot be read.
        trace::alerts::alerts(trace)?;
        frame = events::frame_with_names(trace, part.uid());
    }
    if rules.asks_images() {
        frame.images = trace.images()?;
    }
    let asks = rules.asks_whole();
    if asks.is_any() {
        let all = || trace.recording.containers().iter().map(|container| container.record.uid).collect();
        let uids: Vec<ContainerUid> = part.uid().map_or_else(all, |uid| vec![uid]);
        frame = events::with_whole(trace, (&uids, part.uid()), asks, frame)?;
    }
    let mut hunt = Hunt {
        part,
        setup: args.setup,
        rules,
        rows: rules.rows(&frame),
        asked: Asked::new(trace, frame.clone()),
        teller: args.output.is_schema().then(|| Teller::new(trace)),
        progress: Progress::new(trace.recording.count_hint(&query), false),
        seen,
        visit,
        written: Ok(()),
    };
    if rules.asks_greetings() {
        hunt.asked.tracker.listen_to_all();
    }
    trace.recording.show_blocks(&query, &|_| true, &mut hunt)?;
    let (lacking, written) = (hunt.asked.lacking(), hunt.written);
    seen.lacking = seen.lacking.or(lacking);
    Ok(written?)
}

/// A search in one part: what no rule can match and the state does not need is passed over.
struct Hunt<'h, 'a> {
    part: &'h Part<'a>,
    setup: bool,
    rules: &'h RuleSet,
    rows: RuleRows<'h>,
    asked: Asked<'h>,
    teller: Option<Teller<'h>>,
    progress: Progress,
    seen: &'h mut Seen,
    visit: &'h mut dyn FnMut(Row<'_>) -> std::io::Result<()>,
    written: std::io::Result<()>,
}

impl Hunt<'_, '_> {
    fn is_asked_for(&self, uid: ContainerUid) -> bool {
        self.part.uid().is_none_or(|wanted| wanted == uid)
    }
}

impl Visitor for Hunt<'_, '_> {
    fn open(&mut self, block: u32, columns: &Columns) {
        let uid = columns.container();
        let wanted = if self.is_asked_for(uid) {
            self.rows.may(columns, self.asked.record(uid))
        } else {
            Bits::none(columns.len())
        };
        self.asked.open(block, columns, wanted);
    }

    fn passes(&mut self, id: EventId) -> bool {
        self.progress.tick();
        self.asked.passes(id)
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        let wanted = self.asked.apply_row(id, uid, event)
            && self.is_asked_for(uid)
            && self.part.span.contains(event.time);
        if !wanted {
            return ControlFlow::Continue(());
        }
        if !events::is_shown(event, self.setup) {
            let hidden = self.rules.evaluate(&self.asked.context(uid, event)).len();
            self.seen.setup += u64::try_from(hidden).unwrap_or(0);
            return ControlFlow::Continue(());
        }
        for hit in self.rules.evaluate(&self.asked.context(uid, event)) {
            if self.seen.found >= self.seen.limit {
                self.seen.more = true;
                return ControlFlow::Break(());
            }
            self.seen.found += 1;
            let world = self.asked.tracker.world();
            let facts = self.teller.as_mut().map(|teller| teller.finding(world, uid, event, told(&hit)));
            self.written = (self.visit)(Row::new(self.part.trace, hit, &self.asked, event, facts));
            if self.written.is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, block: u32) {
        self.asked.close(block);
    }
}

/// A hit as other tools have it.
fn told(hit: &Hit) -> facts::Finding {
    let own = |text: &str| Safe::format(format_args!("{text}"));
    facts::Finding {
        title: own(&hit.name),
        detail: own(&hit.message),
        rule: Some(own(&hit.name)),
        tags: hit.tags.iter().map(|tag| own(tag)).collect(),
        techniques: hit.tags.iter().filter(|tag| is_technique(tag)).map(|tag| own(tag)).collect(),
        severity: match hit.priority {
            Priority::Emergency => 6,
            Priority::Alert | Priority::Critical => 5,
            Priority::Error => 4,
            Priority::Warning => 3,
            Priority::Notice => 2,
            Priority::Informational | Priority::Debug => 1,
        },
        word: hit.priority.as_str(),
    }
}

impl<'a> Row<'a> {
    fn new(
        trace: &'a Trace,
        hit: Hit,
        asked: &Asked<'_>,
        event: &Event<'_>,
        facts: Option<Box<Facts>>,
    ) -> Self {
        let world = asked.tracker.world();
        Self {
            trace,
            facts,
            hit,
            tgid: event.task.tgid,
            tid: event.task.tid,
            process: world.process_of_task(event.task).and_then(Process::comm).map(escape),
            event: Safe::format(format_args!("{}", event_name(event.code))),
            detail: describe::detail(event, Some(world)),
            result: describe::result(event),
        }
    }

    fn fields(&self) -> Cell {
        let text: Vec<String> =
            self.hit.fields.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect();
        let members = self.hit.fields.iter().map(|(name, value)| (name.clone(), value.to_json()));
        Cell::both(Safe::format(format_args!("{}", text.join(" "))), Machine::values(members))
    }
}

impl Record for Row<'_> {
    fn cell(&self, key: &str) -> Cell {
        let hit = &self.hit;
        let own = |text: &str| Cell::safe(Safe::format(format_args!("{text}")));
        match key {
            "time" => self.trace.moment(hit.time),
            "container" => {
                let all = self.trace.recording.containers();
                let record = all.iter().find(|s| s.record.uid == hit.container).map(|s| &s.record);
                Cell::option(record, |r| Cell::both(trace::label(r), trace::id(r)))
            }
            "container_uid" => Cell::number(hit.container.0),
            "priority" => Cell::word(hit.priority.as_str()),
            "rule" => own(&hit.name),
            "pid" => Cell::number(self.tgid),
            "process" => Cell::option(self.process.clone(), Cell::safe),
            "event" => Cell::safe(self.event.clone()),
            "detail" => Cell::safe(self.detail.clone()),
            "result" => Cell::safe(self.result.clone()),
            "message" => own(&hit.message),
            "fields" => self.fields(),
            "tags" => Cell::list(hit.tags.iter().map(|t| Safe::format(format_args!("{t}")))),
            "event_number" => Cell::number(hit.event),
            "tid" => Cell::number(self.tid),
            "store" => Cell::safe(escape(self.trace.path.as_os_str().as_encoded_bytes())),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }

    fn tone(&self) -> Tone {
        match self.hit.priority {
            p if p <= Priority::Warning => Tone::Finding,
            Priority::Debug => Tone::Dim,
            _ => Tone::Plain,
        }
    }
}
