//! `afterimage files`: which files of a container were written, dropped, executed, deleted.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use afterimage_detect::Glob;
use afterimage_model::{
    artifacts,
    files::{ActKind, FileLimits, FileRecord, Files, LeftOut},
    text::unescape,
};
use clap::{Args, builder::PossibleValuesParser};
use serde_json::Value;

use super::{
    scope::OneArgs,
    session::{Session, missing, sources_of_part},
};
use crate::{
    analysis::{
        file_acts::{ACTS, FileRow, SHAPE, with_lives},
        images::{Image, Images, memory_name},
        recovery::{LARGEST, Source, recover},
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
/// Without --act those that were made, changed, removed, executed, or were to be executed and were not. With --begin and --end acts, bytes and times are those
/// of that range; what a file is called, and whether it was dropped or deleted, is told as of its end. A file's content
/// can be put together from what was written to it, as far as payloads were recorded; it is always the file as it was at
/// --end, whatever --begin says. Of a program that was executed and is not part of the image
/// the recorder keeps the file itself, with its hash: then that is saved, also of one that was executed from memory
/// (`--save memfd:NAME`).
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
    /// Which of the files that had this path one after the other, the first is 1; without it the last that is recorded
    #[arg(long, value_name = "N", requires = "save")]
    life: Option<u64>,
    /// Where to save it; an existing file is never overwritten
    #[arg(long, value_name = "FILE", requires = "save")]
    to: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Room for kept images, where one is to be saved.
const IMAGE_ROOM: usize = 512 << 20;
/// Room for what was written, where a file is to be saved.
const CONTENT_ROOM: usize = 256 << 20;

pub(super) fn run(args: &FilesArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range, session)?;
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let saves = args.save.is_some();
    let limits = FileLimits::default();
    let content = if saves { CONTENT_ROOM } else { limits.content };
    // What is saved is the file as it was at the end of the range, whenever that was written.
    let counted_from = part.span.begin.filter(|_| !saves);
    let mut files = Files::with_limits(FileLimits { content, ..limits }).counting_from(counted_from);
    let mut images = Images::new(if saves { IMAGE_ROOM } else { 0 });
    let world = events::roll(part.trace, Some(target.uid()), part.span.end, &mut |world, uid, event| {
        images.apply(Some(world), event);
        if events::is_shown(event, args.setup) {
            files.apply(world, uid, event);
        }
    })?;
    let gaps = [(part.trace, part.gaps())];
    let all = with_lives(files.list(target.uid()));
    if let (Some(path), Some(to)) = (&args.save, &args.to) {
        images.check();
        let losses =
            !gaps[0].1.list.is_empty() || !gaps[0].1.defects.is_empty() || !gaps[0].1.evicted.is_empty();
        let place = format!("the files of `{}`", display_name(&target.summary.record));
        let saved = match in_memory(&all, &images, path) {
            Some(programs) => save_program(&programs, (path, args.life), &images, to, session)?,
            None => {
                let chosen = choose(&all, &images, path, args.life, &place)?;
                Saving { chosen, images: &images, losses }.save(to, session)?
            }
        };
        if args.range.begin.is_some() {
            session.say(
                "--begin does not cut what is saved: that is the file as it was at the end of the range",
            );
        }
        return Ok(session.conclude(&gaps, saved));
    }
    let glob = args.path.as_deref().map(|pattern| Glob::new(pattern.as_bytes(), false));
    let mut records: Vec<_> = all
        .into_iter()
        .filter(|(r, _)| r.is_counted() && wanted(r, args))
        .filter(|(r, _)| glob.as_ref().is_none_or(|g| r.names().any(|name| g.matches(name))))
        .collect();
    records.sort_by_key(|(r, _)| r.first);
    let start = target.life().begin;
    let mut emitter = session.emit(SHAPE, &args.output, &sources_of_part(&part))?;
    for (record, life) in &records {
        let image = images.of(record);
        let uid = target.uid();
        emitter.row(&FileRow { trace: part.trace, uid, start, world: &world, record, life: *life, image })?;
    }
    let left_out = files.left_out(target.uid());
    let mut end = missing(&gaps);
    end.insert("left_out".to_owned(), members(left_out));
    emitter.finish(&end)?;
    for sentence in sentences(left_out) {
        session.say(sentence);
    }
    Ok(session.conclude(&gaps, !records.is_empty()))
}

/// What did not fit into memory, for programs.
fn members(left_out: LeftOut) -> Value {
    serde_json::json!({
        "unlisted_acts": left_out.unlisted,
        "unlisted_written": left_out.unlisted_written,
        "acts": left_out.acts,
        "directories": left_out.directories,
    })
}

/// The same for people.
fn sentences(left_out: LeftOut) -> Vec<String> {
    let mut lines = Vec::new();
    if left_out.unlisted > 0 {
        lines.push(format!(
            "{} acts on files that did not fit into memory are not shown, {} bytes written among them; `afterimage show` \
             has them",
            left_out.unlisted, left_out.unlisted_written
        ));
    }
    if left_out.acts > 0 {
        lines.push(format!(
            "{} acts are counted, but did not fit into the histories of their files",
            left_out.acts
        ));
    }
    if left_out.directories > 0 {
        lines.push(format!(
            "{} renames of directories were too much work: what lay in them is listed under its old name",
            left_out.directories
        ));
    }
    lines
}

fn wanted(record: &FileRecord, args: &FilesArgs) -> bool {
    if !args.act.is_empty() {
        // What may have been made is asked for with what was.
        let was = |kind| {
            let also = match kind {
                ActKind::Created => Some(ActKind::OpenedOrCreated),
                ActKind::Refused => Some(ActKind::NotExecuted),
                _ => None,
            };
            record.was(kind) || also.is_some_and(|also| record.was(also))
        };
        return ACTS.iter().any(|(word, kind)| args.act.iter().any(|a| a == word) && was(*kind));
    }
    args.all || record.was_changed() || record.was(ActKind::Executed) || record.was(ActKind::NotExecuted)
}

/// A file and which of its path it is.
type Lived<'a> = (&'a FileRecord, (u64, u64));

/// The file of a path that is to be saved: the one that was named, else the last of which there is anything.
fn choose<'a>(
    all: &[Lived<'a>],
    images: &Images,
    path: &str,
    life: Option<u64>,
    place: &str,
) -> Result<Lived<'a>, Failure> {
    let raw = unescape(path).unwrap_or_else(|| path.to_owned().into_bytes());
    let mut named: Vec<_> = all.iter().filter(|(r, _)| r.names().any(|name| name == raw)).copied().collect();
    if named.is_empty() {
        named = all.iter().filter(|(r, _)| r.formerly.contains(&raw)).copied().collect();
        let count = named.len() as u64;
        for (nth, (_, life)) in (1..).zip(&mut named) {
            *life = (nth, count);
        }
    }
    let Some(last) = named.last().copied() else {
        let path = defused(path);
        return Err(Failure::Usage(format!("no file `{path}` among {place}; `afterimage files` lists them")));
    };
    let Some(life) = life else {
        let has = |(file, _): &&Lived<'_>| {
            file.content.kept() > 0 || images.of(file).is_some_and(|image| images.bytes(image).is_some())
        };
        return Ok(named.iter().rev().find(has).copied().unwrap_or(last));
    };
    let is = |(file, (nth, _)): &&Lived<'_>| (*nth..nth + file.lives).contains(&life);
    named.iter().find(is).copied().ok_or_else(|| {
        let all = last.1.1;
        Failure::Usage(format!("`{}` has no life {life}: {all} files had this path", defused(path)))
    })
}

/// The programs that were executed from memory under this name; nothing where it is none of theirs.
fn in_memory<'i>(all: &[Lived<'_>], images: &'i Images, path: &str) -> Option<Vec<&'i Image>> {
    let raw = unescape(path).unwrap_or_else(|| path.to_owned().into_bytes());
    let is_file = all.iter().any(|(file, _)| file.path == raw && !file.memory);
    let programs: Vec<&Image> = images.in_memory(memory_name(&raw).filter(|_| !is_file)?).collect();
    (!programs.is_empty()).then_some(programs)
}

/// Saves a program that was executed from memory: the one that was asked for, else the last that was kept. Says whether there was
/// anything to save.
fn save_program(
    programs: &[&Image],
    (path, life): (&str, Option<u64>),
    images: &Images,
    to: &Path,
    session: &mut Session<'_>,
) -> Result<bool, Failure> {
    let count = programs.len();
    let nth = match life {
        Some(life) => usize::try_from(life).ok().and_then(|life| life.checked_sub(1)),
        None => programs.iter().rposition(|image| images.bytes(image).is_some()).or(Some(count - 1)),
    };
    let Some((nth, image)) = nth.and_then(|nth| Some((nth, programs.get(nth)?))) else {
        let (path, life) = (defused(path), life.unwrap_or(0));
        return Err(Failure::Usage(format!("`{path}` has no life {life}: {count} programs had this name")));
    };
    if count > 1 {
        session
            .say(format!("{count} programs had this name; this is number {}, --life names another", nth + 1));
    }
    let Some(bytes) = images.bytes(image) else {
        let outcome = artifacts::outcome(image.outcome);
        session.say(format!("what was executed from memory is not here ({outcome}); nothing was saved"));
        return Ok(false);
    };
    evidence::save(to, |out| out.write_all(bytes))?;
    session.say(format!("`{}`: {} bytes, as they were executed", shown(to), bytes.len()));
    Ok(true)
}

/// A file that is to be saved.
struct Saving<'a> {
    chosen: Lived<'a>,
    images: &'a Images,
    losses: bool,
}

impl Saving<'_> {
    /// Whether there was anything to save.
    fn save(&self, to: &Path, session: &mut Session<'_>) -> Result<bool, Failure> {
        let (file, (nth, all)) = self.chosen;
        if all > 1 {
            let last = nth + file.lives - 1;
            session.say(format!("{all} files had this path; this is number {last}, --life names another"));
        }
        let written = file.bytes_written;
        let Some(found) = recover(file, self.images, self.losses, LARGEST) else {
            session.say(match file.bytes_recorded {
                0 => format!("of {written} bytes written to it the recording holds none; nothing was saved"),
                some => format!(
                    "{some} bytes written to it are recorded, but it was emptied after that; nothing was saved. \
                     `afterimage show` has them"
                ),
            });
            return Ok(false);
        };
        evidence::save(to, |out| out.write_all(&found.bytes))?;
        let size = found.bytes.len();
        session.say(match found.source {
            Source::Image => format!("`{}`: {size} bytes, as they were executed", shown(to)),
            Source::Writes(_, missing) => format!(
                "`{}`: {size} bytes, of which {missing} were not recorded; {written} were written in all",
                shown(to)
            ),
        });
        for doubt in &found.doubts {
            session.say(doubt.clone());
        }
        Ok(true)
    }
}
