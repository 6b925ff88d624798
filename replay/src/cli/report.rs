//! `afterimage report`: what happened in a recording, to be read from top to bottom: containers, who started whom,
//! key events, and what is missing.

use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::{
    ls::{self, ContainerRow},
    scope::{Part, ScopeArgs},
    session::{Session, missing, ranges, sources},
};
use crate::{
    analysis::{
        alerts::{self, AlertRow},
        findings::{self, FindingRow},
        process_tree::{self, Choice, ProcessRow},
    },
    exit::Verdict,
    failure::Failure,
    output::{Emitter, Format, OutputArgs, Record, Shape, Tone, filled, object, terminal},
    time::Span,
    trace::{Gaps, Target, Trace, display_name},
};

/// Tell what happened: containers, process trees and key events, as text.
///
/// Containers with the weightiest findings come first. Key events are observations with their evidence, not
/// verdicts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage report                     the default store
  afterimage report demo.aft -c web     one container
  afterimage report -o md > report.md")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// How to write it
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: As,
    /// Describe at most so many containers in full
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Never shorten ids and cells to fit the terminal
    #[arg(long)]
    no_trunc: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// For a terminal or a log
    Text,
    /// Markdown
    Md,
    /// One JSON document
    Json,
}

/// What is told of one container.
struct Chapter<'a> {
    target: Target<'a>,
    findings: Vec<FindingRow<'a>>,
    /// The range that was asked for, open where none was.
    asked: Span,
}

impl<'a> Chapter<'a> {
    fn of(part: &Part<'_>, target: Target<'a>) -> Result<Self, Failure> {
        let whose = (target.uid(), target.life().begin);
        let findings = findings::of_container(target.trace, whose, part.span, Severity::Info, false)?;
        Ok(Self { target, findings, asked: part.asked })
    }

    /// Its processes; asked for only where they are printed.
    fn processes(&self, ascii: bool) -> Result<Vec<ProcessRow<'a>>, Failure> {
        let life = self.target.life();
        let choice = Choice { at: None, span: self.asked, setup: false, ascii };
        let bounds = (life.begin, life.last);
        Ok(process_tree::of_container(self.target.trace, self.target.uid(), bounds, choice)?.rows)
    }

    /// Findings by severity, the worst first: what chapters are ordered by.
    fn weight(&self) -> [usize; 4] {
        let count = |s| self.findings.iter().filter(|f| f.finding.severity == s).count();
        [Severity::Critical, Severity::Warning, Severity::Notice, Severity::Info].map(count)
    }
}

pub(super) fn run(args: &ReportArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.scope.open()?;
    let parts = args.scope.parts(&traces, session)?;
    let mut rows = Vec::new();
    let mut chapters = Vec::new();
    for part in &parts {
        let long = args.no_trunc || args.output == As::Json;
        let of_part = ls::rows_in(part.trace, part.span, long, |s| part.wants(s));
        chapters
            .extend(of_part.iter().map(|r| Chapter::of(part, r.target())).collect::<Result<Vec<_>, _>>()?);
        rows.extend(of_part);
    }
    chapters.sort_by_key(|c| std::cmp::Reverse(c.weight()));
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|p| (p.trace, p.gaps())).collect();
    match args.output {
        As::Json => json(&parts, &traces, (&rows, &chapters), &gaps, session)?,
        As::Text | As::Md => prose(args, &rows, &chapters, (&parts, &gaps), session)?,
    }
    Ok(session.conclude(&gaps, !rows.is_empty()))
}

fn prose(
    args: &ReportArgs,
    rows: &[ContainerRow<'_>],
    chapters: &[Chapter<'_>],
    (parts, gaps): (&[Part<'_>], &[(&Trace, Gaps)]),
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let markdown = args.output == As::Md;
    let output = OutputArgs {
        output: if markdown { Format::Md } else { Format::Table },
        fields: Vec::new(),
        no_trunc: args.no_trunc,
    };
    let mut page = Page { session, markdown, output };
    for (part, (_, gaps)) in parts.iter().zip(gaps) {
        page.opening(part, gaps)?;
    }
    page.heading("Containers")?;
    if parts.iter().any(Part::is_cut) {
        page.line(&Safe::literal(
            "Those that lived in the range; what this table tells of them is of their whole lives.",
        ))?;
    }
    page.table(ls::SHAPE, rows.iter().map(|r| r as &dyn Record))?;
    let told = alerts_of(parts)?;
    if !told.is_empty() {
        page.heading("Alerts")?;
        page.table(alerts::SHAPE, told.iter().map(|r| r as &dyn Record))?;
    }
    for chapter in chapters.iter().take(args.limit) {
        page.chapter(chapter)?;
    }
    if let Some(left) = chapters.len().checked_sub(args.limit).filter(|&n| n > 0) {
        let containers = if left == 1 {
            "container; `-n` and `-c` show it"
        } else {
            "containers; `-n` and `-c` show them"
        };
        page.line(&Safe::format(format_args!("{left} more {containers}")))?;
    }
    Ok(())
}

/// What other systems, the recorder's rules and people told of these.
fn alerts_of<'t>(parts: &[Part<'t>]) -> Result<Vec<AlertRow<'t>>, Failure> {
    let of = parts.iter().map(|part| alerts::of(part.trace, part.uid(), part.span));
    Ok(of.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// A report that is being written.
struct Page<'a, 'b> {
    session: &'a mut Session<'b>,
    markdown: bool,
    output: OutputArgs,
}

impl Page<'_, '_> {
    fn opening(&mut self, part: &Part<'_>, gaps: &Gaps) -> Result<(), Failure> {
        let trace = part.trace;
        let origin = trace.recording.origin();
        let (first, last) = trace.range();
        let moment = |at| trace.clock.full(at).unwrap_or_default();
        let recording = escape(trace.path.as_os_str().as_encoded_bytes());
        self.line(&Safe::format(format_args!(
            "Recording {recording} of host {}, kernel {}",
            escape(&origin.hostname),
            escape(&origin.kernel)
        )))?;
        let zone = trace.clock.zone_word();
        self.line(&Safe::format(format_args!("From {} to {} {zone}", moment(first), moment(last))))?;
        if part.is_cut() {
            let (from, to) = part.ends();
            self.line(&Safe::format(format_args!(
                "This report is of a part: from {} to {} {zone}",
                moment(from.unwrap_or(first)),
                moment(to.unwrap_or(last)),
            )))?;
        }
        let missing = gaps.sentences(trace);
        if missing.is_empty() {
            return self.line(&Safe::literal(
                "Nothing lost; no damage met in what was read for this (`afterimage verify` reads all)",
            ));
        }
        for sentence in missing {
            self.line(&Safe::format(format_args!("{sentence}")))?;
        }
        Ok(())
    }

    fn chapter(&mut self, chapter: &Chapter<'_>) -> Result<(), Failure> {
        let life = chapter.target.life();
        let name = display_name(&chapter.target.summary.record);
        self.heading(&format!("Container {name}: {}", life.state.as_str()))?;
        for reason in &life.partial {
            self.line(&Safe::format(format_args!("Its recording is partial: {}", reason.as_str())))?;
        }
        let processes = chapter.processes(self.session.ascii)?;
        self.table(process_tree::SHAPE, processes.iter().map(|r| r as &dyn Record))?;
        self.heading(&format!("Key events of {name}"))?;
        self.table(findings::SHAPE, chapter.findings.iter().map(|r| r as &dyn Record))
    }

    fn heading(&mut self, text: &str) -> Result<(), Failure> {
        let text = Safe::format(format_args!("{text}"));
        let line = if self.markdown {
            format!("\n## {}\n", crate::output::markdown_text(text.as_str()))
        } else {
            format!("\n{}", self.session.style.paint(Tone::Head, text.as_str()))
        };
        Ok(writeln!(self.session.out, "{line}")?)
    }

    fn line(&mut self, text: &Safe) -> Result<(), Failure> {
        if self.markdown {
            // Two blanks end the line; without them it would run into the next.
            return Ok(writeln!(self.session.out, "{}  ", crate::output::markdown_text(text.as_str()))?);
        }
        let width = if self.output.no_trunc { None } else { terminal::columns() };
        for line in filled(text.as_str(), width.unwrap_or(usize::MAX)) {
            writeln!(self.session.out, "{line}")?;
        }
        Ok(())
    }

    fn table<'r>(&mut self, shape: Shape, rows: impl Iterator<Item = &'r dyn Record>) -> Result<(), Failure> {
        let rows: Vec<&dyn Record> = rows.collect();
        if rows.is_empty() {
            return self.line(&Safe::literal("None."));
        }
        let (out, style) = (&mut *self.session.out, self.session.style);
        let mut emitter = Emitter::begin(out, shape, &self.output, style, &Map::new())?;
        for row in rows {
            emitter.row(row)?;
        }
        emitter.finish(&Map::new())?;
        Ok(())
    }
}

fn json(
    parts: &[Part<'_>],
    traces: &[Trace],
    (rows, chapters): (&[ContainerRow<'_>], &[Chapter<'_>]),
    gaps: &[(&Trace, Gaps)],
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut containers = Vec::new();
    for row in rows {
        let mut container = object(ls::SHAPE, row);
        if let Some(chapter) = chapters.iter().find(|c| row.is(c.target)) {
            let processes = chapter.processes(session.ascii)?;
            let processes = processes.iter().map(|r| Value::Object(object(process_tree::SHAPE, r)));
            let findings = chapter.findings.iter().map(|r| Value::Object(object(findings::SHAPE, r)));
            container.insert("processes".to_owned(), processes.collect());
            container.insert("findings".to_owned(), findings.collect());
        }
        containers.push(Value::Object(container));
    }
    let mut document = Map::new();
    document.insert("schema".to_owned(), crate::output::SCHEMA.into());
    document.insert("kind".to_owned(), "report".into());
    document.extend(sources(traces));
    if let Some(range) = ranges(parts) {
        document.insert("ranges".to_owned(), range);
    }
    document.insert("containers".to_owned(), Value::Array(containers));
    let told = alerts_of(parts)?;
    let told = told.iter().map(|row| Value::Object(object(alerts::SHAPE, row)));
    document.insert("alerts".to_owned(), told.collect());
    document.extend(missing(gaps));
    let text = Value::Object(document).to_string();
    Ok(writeln!(session.out, "{text}")?)
}
