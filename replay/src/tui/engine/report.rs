//! The report of a container: what was put into it, each with the events around it, as Markdown.

use std::fmt::Write as _;

use afterimage_detect::Image;
use afterimage_format::{BootNanos, ReadError};
use afterimage_model::{
    process::{Exec, Process},
    text::{Safe, escape},
};

use super::{Job, film::Film, moment, page};
use crate::{
    output::markdown_text,
    time::human,
    trace::{self, Life, Trace},
    tui::{
        feed::{Center, Page, PageKey, Reply, ReportItem, StoryKey},
        hits::Hits,
        text::{counted, grouped, safe},
    },
};

/// Evidence is what happened so near to a moment, nanoseconds.
const AROUND: u64 = 2_000_000_000;
/// Events before and after a moment that are told at most.
const EVENTS: usize = 8;

/// Writes the report.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn report(
    trace: &Trace,
    film: &mut Film,
    key: StoryKey,
    items: &[ReportItem],
    job: &Job<'_>,
) -> Result<(), ReadError> {
    let mut out = String::new();
    head(trace, key, items.len(), &mut out);
    let images = match trace.images() {
        Ok(all) => all.iter().filter(|image| image.container == key.uid).cloned().collect(),
        Err(failure) => {
            line(&mut out, &safe!("Hashes of programs are not in it: {failure}"));
            Vec::new()
        }
    };
    for (number, item) in items.iter().enumerate() {
        about(trace, number + 1, item, &mut out);
        let Some(program) = program(trace, film, key, item, job)? else { return Ok(()) };
        if let Some(image) = program.and_then(|run| hashed(&images, &run)) {
            line(&mut out, &safe!("Program {}, SHA-256 {}", escape(&image.path), image.sha256));
        }
        let center = item.id.map_or(Center::Time(item.time), Center::Event);
        let page_key = PageKey {
            uid: key.uid,
            center,
            filter: None,
            setup: true,
            reach: EVENTS,
            generation: key.generation,
        };
        let page = page::page(trace, Some((&mut *film, job)), &page_key, &Hits::default())?;
        let Some(page) = page else { return Ok(()) };
        evidence(trace, item, &page, &mut out);
    }
    programs(trace, &images, &mut out);
    (job.tell)(Reply::Report(key.uid, out));
    Ok(())
}

fn line(out: &mut String, text: &Safe) {
    // Two blanks end the line; without them it would run into the next.
    let _ = writeln!(out, "{}  ", markdown_text(text.as_str()));
}

fn head(trace: &Trace, key: StoryKey, count: usize, out: &mut String) {
    let recording = &trace.recording;
    let Some(summary) = recording.containers().iter().find(|c| c.record.uid == key.uid) else { return };
    let name = trace::name(&summary.record).unwrap_or_else(|| trace::short_id(&summary.record));
    let _ = writeln!(out, "# Container {}\n", markdown_text(name.as_str()));
    let life = Life::of(trace, summary);
    let moment = |at: BootNanos| trace.clock.rfc3339(at).unwrap_or_else(|| safe!("boot +{} ns", at.0));
    line(out, &safe!("Id {}, {}", trace::id(&summary.record), life.state.as_str()));
    if let Some(image) = trace::image(&summary.record) {
        line(out, &safe!("Image {image}"));
    }
    line(out, &safe!("Life {} to {}, {}", moment(life.begin), moment(life.last), human(life.length())));
    let origin = recording.origin();
    line(
        out,
        &safe!(
            "Recording {} of host {}, kernel {}, recorder {}",
            escape(trace.path.as_os_str().as_encoded_bytes()),
            escape(&origin.hostname),
            escape(&origin.kernel),
            escape(&origin.recorder)
        ),
    );
    line(out, &safe!("Events {} kept, {} lost", grouped(summary.events), grouped(summary.lost)));
    for reason in &life.partial {
        line(out, &safe!("Its recording is not complete: {}", reason.as_str()));
    }
    let defects = recording.defects().iter().filter(|defect| defect.kind.is_damage()).count();
    if defects > 0 {
        line(out, &safe!("Damage: {defects} places; `afterimage verify` names them"));
    }
    line(out, &safe!("Written by afterimage {}", env!("CARGO_PKG_VERSION")));
    line(
        out,
        &safe!(
            "{}; each is an observation with its evidence, not a verdict",
            counted(count as u64, "moment")
        ),
    );
}

fn about(trace: &Trace, number: usize, item: &ReportItem, out: &mut String) {
    let _ = writeln!(out, "\n## {number}. {}\n", markdown_text(item.title.as_str()));
    if let Some(time) = trace.clock.rfc3339(item.time) {
        line(out, &time);
    }
    if !item.about.as_str().is_empty() {
        line(out, &item.about);
    }
    for note in &item.notes {
        line(out, &safe!("Note: {note}"));
    }
}

/// What the process of a moment ran then, if that is known; none when nobody waits for it any more.
fn program(
    trace: &Trace,
    film: &mut Film,
    key: StoryKey,
    item: &ReportItem,
    job: &Job<'_>,
) -> Result<Option<Option<Exec>>, ReadError> {
    let Some(id) = item.id else { return Ok(Some(None)) };
    let Some(event) = moment::event(trace, key.uid, id)? else { return Ok(Some(None)) };
    let Some(world) = film.after(trace, (key.uid, key.generation), id, job)? else { return Ok(None) };
    Ok(Some(world.process_of_task(event.task).and_then(Process::exec).cloned()))
}

/// The image that was executed: of those of its path the last one until then.
fn hashed<'i>(images: &'i [Image], run: &Exec) -> Option<&'i Image> {
    let is_it = |image: &&Image| image.path == *run.image && image.executed <= run.time;
    images.iter().filter(is_it).max_by_key(|image| image.executed)
}

/// All programs of the container that have a hash, as indented text.
fn programs(trace: &Trace, images: &[Image], out: &mut String) {
    if images.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## Programs that were executed and are not of the image, with their SHA-256\n");
    for image in images {
        let time = trace.clock.rfc3339(image.executed).filter(|_| image.executed.0 != 0);
        let time = time.unwrap_or(Safe::literal("when is not told"));
        let _ = writeln!(out, "    {}  {}  {time}", image.sha256, escape(&image.path));
    }
}

/// The events around a moment, as indented text: nothing in it can end the block.
fn evidence(trace: &Trace, item: &ReportItem, page: &Page, out: &mut String) {
    out.push('\n');
    let near = page.rows.iter().filter(|row| row.id.time.0.abs_diff(item.time.0) <= AROUND);
    for row in near {
        let here = Some(row.id) == item.id;
        let time = trace.clock.rfc3339(row.id.time).unwrap_or_else(|| safe!("{}", row.id.time.0));
        let cut = if row.truncated { " (truncated)" } else { "" };
        let _ = writeln!(
            out,
            "    {} {time}  {} {}  {} {}  {}{cut}",
            if here { ">" } else { " " },
            row.pid,
            row.process,
            row.name,
            row.detail,
            row.result
        );
    }
}
