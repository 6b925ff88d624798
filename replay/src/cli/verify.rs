//! `afterimage verify`: whether a recording is what its recorder wrote.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use afterimage_format::{
    BootNanos, Finding, FindingKind, SegmentReport, SegmentState, Signer, VerifyOptions, VerifyReport,
    is_checkpoint, verify,
};
use afterimage_model::text::{Safe, escape};
use clap::Args;
use serde_json::{Map, Value};

use super::session::Session;
use crate::{
    exit::Verdict,
    failure::{Failure, shown},
    output::{Cell, Column, Format, Kind, Machine, OutputArgs, Record, Shape, Tone, terminal::defused},
    progress::Progress,
    time::Clock,
    trace::{STDIN, StoreArgs, changed_alerts, spool},
};

/// Verify recordings: every block, every signature, the chain of segments, the bodies of alerts, and what is missing.
///
/// Reads everything and believes no index. Without --key the recording can only be told to agree with itself:
/// whoever can write a store can make one that agrees with itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage verify
  afterimage verify incident.aftx --key 5d1c…e0        the recorder's public key, 64 hex digits
  afterimage verify --checkpoint /mnt/elsewhere/last    a checkpoint that left the host in time
  afterimage verify --save-checkpoint last              the newest one, to be kept elsewhere
  afterimage verify -o json                             with `public_key` of each segment, for --key")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    stores: StoreArgs,
    /// A public key that is known from elsewhere: 64 hex digits, or a file that holds them
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A file with a checkpoint that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Write the newest good checkpoint into a new file, to be kept on another machine for --checkpoint
    #[arg(long, value_name = "FILE")]
    save_checkpoint: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("finding", "FINDING", "a code word: bad_block, missing_segment, not_signed_yet, ..."),
    Column::new("damage", "DAMAGE", "evidence is damaged, missing or cannot be verified").kind(Kind::Boolean),
    Column::new("path", "FILE", "in which file").flexible(),
    Column::new("segment", "SEGMENT", "in which segment").integer(),
    Column::new("block", "BLOCK", "in which block of it").integer(),
    Column::new("offset", "OFFSET", "where in the file").integer(),
    Column::new("container_uid", "CONTAINER", "whose block, as `ls --fields uid` tells").integer(),
    Column::new("from", "FROM", "when the events were recorded that are damaged or missing").kind(Kind::Time),
    Column::new("to", "TO", "until when").kind(Kind::Time),
    Column::new("detail", "DETAIL", "more").flexible(),
];

pub(super) const SHAPE: Shape = Shape { rows: "findings", row: "finding", columns: COLUMNS };

pub(super) fn run(args: &VerifyArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let options = VerifyOptions {
        key: args.key.as_deref().map(key).transpose()?,
        checkpoints: args.checkpoint.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
    };
    let mut reports = Vec::new();
    for path in args.stores.paths() {
        let mut progress = Progress::new(0, false);
        let spool = (path.as_os_str() == STDIN).then(spool).transpose()?;
        let read = spool.as_ref().map_or(path.as_path(), |spool| spool.path());
        let mut report = verify(read, &options, &mut |done, total| progress.at(done, total))?;
        report.findings.extend(changed_alerts(read)?);
        // The copy of standard input is nobody's file.
        if spool.is_some() {
            report.findings.iter_mut().for_each(|finding| finding.path.clone_from(&path));
            report.segments.iter_mut().for_each(|segment| segment.path.clone_from(&path));
        }
        reports.push((path, report));
    }
    if let Some(path) = &args.save_checkpoint {
        save_checkpoint(path, &reports)?;
    }
    let is_table = args.output.output == Format::Table;
    if is_table && args.output.fields.is_empty() {
        for (path, report) in &reports {
            for line in summary(path, report) {
                writeln!(session.out, "{line}")?;
            }
        }
    }
    let mut head = Map::new();
    let list = reports.iter().map(|(path, report)| recording(path, report));
    head.insert("recordings".to_owned(), Machine::list(list).into_value());
    head.insert("totals".to_owned(), totals(&reports).into_value());
    let any = reports.iter().any(|(_, r)| !r.findings.is_empty());
    if !is_table || any {
        let mut emitter = session.emit(SHAPE, &args.output, &head)?;
        for (_, report) in &reports {
            let clock = Clock::new(&report.clock, false);
            for finding in &report.findings {
                emitter.row(&Row { finding, clock: &clock })?;
            }
        }
        emitter.finish(&Map::<String, Value>::new())?;
    }
    let good = reports.iter().all(|(_, r)| r.is_good());
    Ok(Verdict { matched: true, damaged: !good, loss: false })
}

/// A key as hex digits, in the argument or in the file that it names.
fn key(text: &str) -> Result<[u8; 32], Failure> {
    let is_hex = |t: &str| t.len() == 64 && t.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = if is_hex(text) { text.to_owned() } else { read(Path::new(text))?.trim().to_owned() };
    if !is_hex(&digits) {
        let shown = defused(text);
        return Err(Failure::Usage(format!("`{shown}` holds no public key; write its 64 hex digits")));
    }
    let mut key = [0; 32];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[i * 2..i * 2 + 2], 16).unwrap_or_default();
    }
    Ok(key)
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Environment(format!("cannot read `{}`: {error}; name another file", shown(path)))
    })?;
    if !is_checkpoint(&text) {
        return Err(Failure::Usage(format!("`{}` holds no checkpoint; name a file that does", shown(path))));
    }
    Ok(text)
}

/// Writes the newest checkpoint that is good; never over a file that is there.
fn save_checkpoint(path: &Path, reports: &[(PathBuf, VerifyReport)]) -> Result<(), Failure> {
    let [(_, report)] = reports else {
        return Err(Failure::Usage("a checkpoint is saved of one recording at a time".to_owned()));
    };
    let newest = report.segments.iter().rev().find_map(|segment| segment.last_checkpoint.as_ref());
    let newest = newest.ok_or_else(|| {
        Failure::Usage(
            "nothing here has a checkpoint of its own: extracts have proofs in place of them".to_owned(),
        )
    })?;
    let written = File::create_new(path).and_then(|mut file| file.write_all(newest.as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("`{}` exists already; name another file", shown(path)))
        }
        _ => Failure::Output { place: format!("`{}`", shown(path)), source },
    })
}

/// The result in a few lines.
fn summary(path: &Path, report: &VerifyReport) -> Vec<Safe> {
    let count = |state: SegmentState| report.segments.iter().filter(|s| s.state == state).count();
    let states = [
        SegmentState::Kept,
        SegmentState::Sealed,
        SegmentState::Active,
        SegmentState::Unfinished,
        SegmentState::Extract,
    ];
    let words: Vec<String> = states
        .into_iter()
        .filter(|s| count(*s) > 0)
        .map(|s| format!("{} {}", count(s), s.as_str()))
        .collect();
    let verdict = match report.first_damage() {
        None => {
            let partly = report.findings.iter().any(|f| f.kind == FindingKind::NotSignedYet);
            let but = if partly { ", but not all of it is signed" } else { "" };
            format!("consistent, {}{but}", signer(report.signer))
        }
        Some(_) if report.is_whole_but_for_source() => {
            format!(
                "what is there is consistent, {}, but evidence is missing that was damaged in what this was copied from",
                signer(report.signer)
            )
        }
        Some(first) => {
            let damage = report.findings.iter().filter(|f| f.kind.is_damage()).count();
            let place = first.sequence.map_or(String::new(), |s| format!(" in segment {s}"));
            format!("NOT consistent: {damage} findings of damage, the first is {}{place}", first.kind.code())
        }
    };
    vec![
        Safe::format(format_args!("{}: {verdict}", shown(path))),
        Safe::format(format_args!(
            "{} segments ({}), {} blocks, {} of them signed, {} events",
            report.segments.len(),
            words.join(", "),
            report.blocks,
            report.signed_blocks,
            report.events
        )),
    ]
}

fn signer(signer: Signer) -> String {
    match signer {
        Signer::Unsigned => "not signed".to_owned(),
        Signer::NotPinned => "signer not pinned".to_owned(),
        Signer::Pinned { from } => format!("signed by the key asked for from segment {from} on"),
        Signer::Other => "signed by another key".to_owned(),
    }
}

/// A recording in the JSON document.
fn recording(path: &Path, report: &VerifyReport) -> Machine {
    let hex = |bytes: &[u8; 32]| {
        let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Safe::format(format_args!("{digits}"))
    };
    let segment = |s: &SegmentReport| {
        Machine::object([
            ("path", escape(s.path.as_os_str().as_encoded_bytes()).into()),
            ("segment", s.sequence.into()),
            ("state", s.state.as_str().into()),
            ("blocks", s.blocks.into()),
            ("signed_blocks", s.signed_blocks.into()),
            ("checkpoints", s.checkpoints.into()),
            ("events", s.events.into()),
            ("root", hex(&s.root).into()),
            ("public_key", hex(&s.public_key).into()),
        ])
    };
    Machine::object([
        ("path", escape(path.as_os_str().as_encoded_bytes()).into()),
        ("good", report.is_good().into()),
        ("signer", Safe::format(format_args!("{}", signer(report.signer))).into()),
        ("blocks", report.blocks.into()),
        ("signed_blocks", report.signed_blocks.into()),
        ("events", report.events.into()),
        ("segments", Machine::list(report.segments.iter().map(segment))),
    ])
}

/// All recordings together.
fn totals(reports: &[(PathBuf, VerifyReport)]) -> Machine {
    let sum = |of: fn(&VerifyReport) -> u64| reports.iter().map(|(_, report)| of(report)).sum::<u64>();
    Machine::object([
        ("good", reports.iter().all(|(_, report)| report.is_good()).into()),
        ("recordings", (reports.len() as u64).into()),
        ("segments", sum(|report| report.segments.len() as u64).into()),
        ("blocks", sum(|report| report.blocks).into()),
        ("signed_blocks", sum(|report| report.signed_blocks).into()),
        ("events", sum(|report| report.events).into()),
        ("findings", sum(|report| report.findings.len() as u64).into()),
        ("damage", sum(|report| report.findings.iter().filter(|f| f.kind.is_damage()).count() as u64).into()),
    ])
}

struct Row<'a> {
    finding: &'a Finding,
    clock: &'a Clock,
}

impl Row<'_> {
    fn moment(&self, at: Option<BootNanos>) -> Cell {
        let shown = at.and_then(|at| Some((self.clock.full(at)?, self.clock.rfc3339(at))));
        Cell::option(shown, |(text, exact)| Cell::both(text, exact))
    }
}

impl Record for Row<'_> {
    fn cell(&self, key: &str) -> Cell {
        let finding = self.finding;
        match key {
            "finding" => Cell::word(finding.kind.code()),
            "damage" => Cell::flag(finding.kind.is_damage()),
            "path" => Cell::safe(escape(finding.path.as_os_str().as_encoded_bytes())),
            "segment" => Cell::option(finding.sequence, Cell::number),
            "block" => Cell::option(finding.block, Cell::number),
            "offset" => Cell::option(finding.offset, Cell::number),
            "container_uid" => Cell::option(finding.container, |uid| Cell::number(uid.0)),
            "from" => self.moment(finding.range.map(|(from, _)| from)),
            "to" => self.moment(finding.range.map(|(_, to)| to)),
            "detail" => Cell::safe(escape(finding.detail.as_bytes())),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        if self.finding.kind.is_damage() { Tone::Finding } else { Tone::Dim }
    }
}
