//! `afterimage files`: which files of a container were written, dropped, executed, deleted.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use afterimage_detect::Glob;
use afterimage_model::{
    files::{ActKind, FileRecord, Files},
    text::unescape,
};
use clap::{Args, builder::PossibleValuesParser};

use super::{
    scope::OneArgs,
    session::{Session, missing, sources},
};
use crate::{
    analysis::{
        file_acts::{ACTS, FileRow, SHAPE},
        images::{Image, Images},
    },
    events, evidence,
    exit::Verdict,
    failure::{Failure, shown},
    output::{OutputArgs, terminal::defused},
    time::RangeArgs,
    trace::display_name,
};

/// Show what was done to the files of a container, and by whom.
///
/// Without --act those that were made, changed, removed or executed. A file's content can be put together from what
/// was written to it, as far as payloads were recorded. Of a program that was executed and is not part of the image
/// the recorder keeps the file itself, with its hash: then that is saved.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage files web
  afterimage files web --act executed,deleted
  afterimage files web --path '/etc/**' --act read
  afterimage files web --save /tmp/.x --to evidence.bin")]
pub(super) struct FilesArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// Only files to which one of these was done
    #[arg(long, value_delimiter = ',', value_name = "ACT,...",
        value_parser = PossibleValuesParser::new(ACTS.map(|(word, _)| word)))]
    act: Vec<String>,
    /// Only files whose path matches this pattern, as the filter language's `glob`
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Also files that were only opened or read
    #[arg(short, long, conflicts_with = "act")]
    all: bool,
    /// Also what the runtime did to set the container up
    #[arg(long)]
    setup: bool,
    /// Put this file's content together from what was written to it
    #[arg(long, value_name = "PATH", requires = "to")]
    save: Option<String>,
    /// Where to save it; an existing file is never overwritten
    #[arg(long, value_name = "FILE", requires = "save")]
    to: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Most bytes of a file that are put together.
const LARGEST: usize = 1 << 30;

pub(super) fn run(args: &FilesArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range)?;
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let mut files = Files::new();
    let saved_path =
        args.save.as_ref().map(|path| unescape(path).unwrap_or_else(|| path.clone().into_bytes()));
    let mut images = Images::new(saved_path.clone());
    let world = events::roll(part.trace, Some(target.uid()), part.span.end, &mut |world, uid, event| {
        images.apply(event);
        if events::is_shown(event, args.setup) {
            files.apply(world, uid, event);
        }
    })?;
    let gaps = [(part.trace, part.gaps())];
    if let (Some(path), Some(raw), Some(to)) = (&args.save, saved_path, &args.to) {
        if let Some(bytes) = images.get(&raw).and_then(Image::bytes) {
            evidence::save(to, |file| file.write_all(bytes))?;
            session.say(format!("`{}`: {} bytes, as they were executed", shown(to), bytes.len()));
            return Ok(session.conclude(&gaps, true));
        }
        let record = files.get(target.uid(), &raw).ok_or_else(|| {
            let place = format!("the files of `{}`", display_name(&target.summary.record));
            Failure::Usage(format!(
                "no file `{}` among {place}; `afterimage files` lists them",
                defused(path)
            ))
        })?;
        let saved = save(record, to, session)?;
        return Ok(session.conclude(&gaps, saved));
    }
    let glob = args.path.as_deref().map(|pattern| Glob::new(pattern.as_bytes(), false));
    let mut records: Vec<&FileRecord> = files
        .list(target.uid())
        .filter(|r| part.span.overlaps(r.first, r.last) && wanted(r, args))
        .filter(|r| glob.as_ref().is_none_or(|g| g.matches(&r.path)))
        .collect();
    records.sort_by_key(|r| r.first);
    let start = target.life().begin;
    let mut emitter = session.emit(SHAPE, &args.output, &sources(std::slice::from_ref(part.trace)))?;
    for record in &records {
        let image = images.get(&record.path);
        let uid = target.uid();
        emitter.row(&FileRow { trace: part.trace, uid, start, world: &world, record, image })?;
    }
    emitter.finish(&missing(&gaps))?;
    let dropped = files.dropped(target.uid());
    if dropped > 0 {
        session.say(format!("{dropped} acts did not fit into memory and are not shown"));
    }
    Ok(session.conclude(&gaps, !records.is_empty()))
}

fn wanted(record: &FileRecord, args: &FilesArgs) -> bool {
    if !args.act.is_empty() {
        return ACTS.iter().any(|(word, kind)| args.act.iter().any(|a| a == word) && record.was(*kind));
    }
    args.all || record.was_changed() || record.was(ActKind::Executed)
}

/// Whether there was anything to save.
fn save(record: &FileRecord, to: &Path, session: &mut Session<'_>) -> Result<bool, Failure> {
    let written = record.bytes_written;
    if record.content.kept() == 0 {
        session.say(format!("of {written} bytes written to it the recording holds none; nothing was saved"));
        return Ok(false);
    }
    let assembled = record.content.assemble(LARGEST);
    evidence::save(to, |file| file.write_all(&assembled.bytes))?;
    let missing: u64 = assembled.holes.iter().map(|(_, length)| length).sum();
    let size = assembled.bytes.len();
    session.say(format!(
        "`{}`: {size} bytes, of which {missing} were not recorded and are zero; {written} were written in all",
        shown(to)
    ));
    if assembled.unplaced > 0 {
        let unplaced = assembled.unplaced;
        session.say(format!("{unplaced} writes whose place in the file is not known were left out"));
    }
    Ok(true)
}
