//! Answers to the questions of the screens, from the recording. Runs in the background; knows no screen.

mod alerts;
pub(crate) mod catalog;
mod diff;
mod explain;
mod film;
mod hits;
mod keep;
mod life;
mod moment;
mod page;
mod reading;
mod report;
mod rules;
mod scan;
mod story;
mod stream;
mod streams;
mod sweep;
mod until;
mod values;
mod whole;

use afterimage_format::ReadError;

use self::film::Film;
use crate::{
    trace::Trace,
    tui::feed::{Reply, Request},
};

/// The surroundings of an answer.
pub(crate) struct Job<'a> {
    /// Whether nobody waits for the answer any more.
    pub(crate) over: &'a dyn Fn() -> bool,
    /// Takes the answer, or parts of it as they become known.
    pub(crate) tell: &'a dyn Fn(Reply),
}

/// What a lane keeps between answers.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    film: Film,
    reader: until::Reader,
    alerts: alerts::Known,
}

impl Cache {
    /// Frees what is of no use any more: to be called when nobody waits for an answer.
    pub(crate) fn tidy(&mut self) {
        self.film.sweep();
    }
}

/// Answers a question.
///
/// # Errors
/// The recording cannot be read.
pub(crate) fn answer(
    trace: &Trace,
    cache: &mut Cache,
    request: Request,
    job: &Job<'_>,
) -> Result<(), ReadError> {
    match request {
        Request::Page(key, hits) => {
            if let Some(page) = page::page(trace, None, &key, &hits)? {
                (job.tell)(Reply::Page(key, page));
            }
        }
        Request::Names(key, hits) => {
            if let Some(page) = page::page(trace, Some((&mut cache.film, job)), &key, &hits)? {
                (job.tell)(Reply::Page(key, page));
            }
        }
        Request::Density(key) => {
            let columns = trace.recording.density(key.uid, key.begin, key.end, key.columns);
            (job.tell)(Reply::Density(key, columns));
        }
        Request::Diff(key) => diff::diff(trace, key, job)?,
        Request::Values(key) => values::values(trace, key, job)?,
        Request::Cells(key, purpose) => values::cells(trace, &mut cache.film, &key, purpose, job)?,
        Request::Report(key, items) => report::report(trace, &mut cache.film, key, &items, job)?,
        Request::Rules(key, file) => rules::rules(trace, key, &file, job)?,
        Request::Seek(key, library) => {
            let found = scan::seek(trace, &key, &library, job)?;
            (job.tell)(Reply::Seek(key, found));
        }
        Request::Keep(key, library) => {
            let kept = keep::keep(trace, &key.text, &library);
            (job.tell)(Reply::Keep(key, kept));
        }
        Request::Explain(uid, text, library) => explain::explain(trace, uid, &text, &library, job),
        Request::Hits(key, library) => hits::hits(trace, key, &library, job)?,
        Request::Moment(key) => {
            if let Some(moment) = moment::moment(trace, &mut cache.film, &key, job)? {
                (job.tell)(Reply::Moment(key, moment));
            }
        }
        Request::Story(key) => story::story(trace, key, job)?,
        Request::Until(key, images) => until::until(trace, &mut cache.reader, key, images, job)?,
        Request::Sweep(key, library) => sweep::sweep(trace, key, &library, job)?,
        Request::Stream(key) => stream::stream(trace, key, job)?,
        Request::Streams(uid) => streams::streams(trace, uid, job)?,
        Request::Tally(key) => story::tally(trace, key, job)?,
        Request::Alerts(generation) => alerts::alerts(trace, &mut cache.alerts, generation, job),
    }
    Ok(())
}
