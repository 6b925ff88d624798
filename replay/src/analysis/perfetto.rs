//! A recording in the Trace Event Format, which <https://ui.perfetto.dev> and other viewers of traces open: what ran, what it
//! ran, its calls, findings and gaps, each on the track of its process. See
//! <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Write},
};

use afterimage_format::{BootNanos, ContainerUid, Event, Loss, TaskKey};
use afterimage_model::{
    World, describe, event_name,
    findings::Finding,
    process::{Process, ProcessKey},
    text::{Safe, escape},
};
use serde_json::{Map, Value, json};

use crate::output::guarded;

/// The track of what belongs to no process.
const RECORDING: u32 = 0;
/// Above all ids that a kernel gives: tracks of processes and threads whose id was used by another one before.
const REUSED: u32 = 1 << 22;

/// Writes one document; [`Perfetto::finish`] ends it.
pub struct Perfetto<'a> {
    out: &'a mut dyn Write,
    /// What times count from.
    origin: BootNanos,
    tracks: Tracks,
    is_first: bool,
}

/// A number for each process and thread. A viewer takes them for what they are by these alone.
#[derive(Debug, Default)]
struct Tracks {
    numbers: HashMap<(ContainerUid, u32, BootNanos), u32>,
    used: HashSet<u32>,
    reused: u32,
}

impl Tracks {
    /// Its own id, where no other one had it before.
    fn of(&mut self, uid: ContainerUid, id: u32, start: BootNanos) -> u32 {
        *self.numbers.entry((uid, id, start)).or_insert_with(|| {
            if id != RECORDING && self.used.insert(id) {
                return id;
            }
            self.reused += 1;
            REUSED + self.reused
        })
    }
}

impl<'a> Perfetto<'a> {
    /// Begins a document about `title`, its times counted from `origin`, which was at `began` where that is known.
    ///
    /// # Errors
    /// Writing failed.
    pub fn new(
        out: &'a mut dyn Write,
        title: &Safe,
        origin: BootNanos,
        began: Option<&Safe>,
    ) -> io::Result<Self> {
        let about = json!({"recording": title.as_str(), "began": began.map(Safe::as_str)});
        writeln!(out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{},", guarded(&about.to_string()))?;
        write!(out, "\"traceEvents\":[")?;
        let mut this = Self { out, origin, tracks: Tracks::default(), is_first: true };
        this.name("process_name", (RECORDING, RECORDING), &Safe::literal("recording"))?;
        Ok(this)
    }

    /// A system call or another event, with the state after it.
    ///
    /// # Errors
    /// Writing failed.
    pub fn event(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) -> io::Result<()> {
        let track = self.track(world, uid, event.task);
        let name = event_name(event.code).to_string();
        let args = json!({
            "detail": describe::detail(event, Some(world)).as_str(),
            "result": describe::result(event).as_str(),
        });
        let begin = BootNanos(event.time.0.saturating_sub(event.duration.unwrap_or(0)));
        self.put(track, (begin, event.duration), ("call", &name), args)
    }

    /// A key event.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finding(&mut self, world: &World, finding: &Finding) -> io::Result<()> {
        let track = self.track(world, finding.container, finding.task);
        let args = json!({
            "detail": finding.detail.as_str(),
            "severity": finding.severity.as_str(),
            "attack": finding.attack,
        });
        self.put(track, (finding.time, None), ("finding", finding.title), args)
    }

    /// Where events are missing.
    ///
    /// # Errors
    /// Writing failed.
    pub fn gap(&mut self, loss: &Loss) -> io::Result<()> {
        let name = match loss.count {
            Some(count) => format!("{count} events {}: {}", loss.cause.word(), loss.cause.as_str()),
            None => format!("gap: {}", loss.cause.as_str()),
        };
        let from = loss.from.max(self.origin);
        let length = loss.to.0.saturating_sub(from.0);
        self.put((RECORDING, RECORDING), (from, Some(length)), ("gap", &name), json!({}))
    }

    /// A process of the container called `label`: its life until `last` at most, and in it the programs that it executed.
    ///
    /// # Errors
    /// Writing failed.
    pub fn process(&mut self, process: &Process, label: &Safe, last: BootNanos) -> io::Result<()> {
        let key = process.key;
        let number = self.tracks.of(process.container, key.tgid, key.start);
        let comm = process.comm().map_or_else(Safe::default, escape);
        let id = key.tgid;
        self.name("process_name", (number, number), &Safe::format(format_args!("{label} {id} {comm}")))?;
        let end = process.ended().unwrap_or(last);
        let mut moments: BTreeMap<BootNanos, (String, Value)> = BTreeMap::new();
        for exec in &process.execs {
            let marks = describe::image_marks(exec.flags).join(" ");
            let args = json!({"image": escape(&exec.image).as_str(), "marks": marks});
            moments.insert(exec.time, (exec.command_line(None).as_str().to_owned(), args));
        }
        let until: Vec<BootNanos> = moments.keys().skip(1).copied().chain([end]).collect();
        let life = end.0.saturating_sub(process.began().0);
        let args = json!({"user": process.credentials.euid, "parent": process.parent.map(|p| p.tgid)});
        self.put((number, number), (process.began(), Some(life)), ("process", comm.as_str()), args)?;
        for ((begin, (name, args)), end) in moments.into_iter().zip(until) {
            let length = end.0.saturating_sub(begin.0);
            self.put((number, number), (begin, Some(length)), ("program", &name), args)?;
        }
        Ok(())
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(self) -> io::Result<()> {
        writeln!(self.out, "\n]}}")
    }

    /// The numbers of a thread's process and of itself.
    fn track(&mut self, world: &World, uid: ContainerUid, task: TaskKey) -> (u32, u32) {
        let process = world.process_of_task(task).map_or_else(|| ProcessKey::from(task), |p| p.key);
        let of_process = self.tracks.of(uid, process.tgid, process.start);
        if task.tid == task.tgid {
            return (of_process, of_process);
        }
        (of_process, self.tracks.of(uid, task.tid, task.start))
    }

    /// What a track is called.
    fn name(&mut self, what: &str, (process, thread): (u32, u32), name: &Safe) -> io::Result<()> {
        let args = json!({"name": name.as_str()});
        self.line(&json!({"ph": "M", "name": what, "pid": process, "tid": thread, "args": args}))
    }

    /// A slice, or an instant where it has no length.
    fn put(
        &mut self,
        (process, thread): (u32, u32),
        (begin, length): (BootNanos, Option<u64>),
        (kind, name): (&str, &str),
        args: Value,
    ) -> io::Result<()> {
        let micros = |nanos: i128| nanos as f64 / 1e3;
        let mut event = Map::new();
        event.insert("name".to_owned(), name.into());
        event.insert("cat".to_owned(), kind.into());
        event.insert("pid".to_owned(), process.into());
        event.insert("tid".to_owned(), thread.into());
        event.insert("ts".to_owned(), micros(i128::from(begin.0) - i128::from(self.origin.0)).into());
        match length {
            Some(length) => {
                event.insert("ph".to_owned(), "X".into());
                event.insert("dur".to_owned(), micros(i128::from(length)).into());
            }
            None => {
                event.insert("ph".to_owned(), "i".into());
                event.insert("s".to_owned(), if kind == "finding" { "p" } else { "t" }.into());
            }
        }
        event.insert("args".to_owned(), args);
        self.line(&Value::Object(event))
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        let before = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        write!(self.out, "{before}{}", guarded(&value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_used_again_is_another_track() {
        let mut tracks = Tracks::default();
        let mut of = |uid, id, start| tracks.of(ContainerUid(uid), id, BootNanos(start));
        assert_eq!([of(1, 7, 1), of(1, 8, 1), of(1, 7, 1)], [7, 8, 7]);
        assert_eq!([of(1, 7, 2), of(2, 7, 1), of(1, 7, 2)], [REUSED + 1, REUSED + 2, REUSED + 1]);
        assert_eq!(of(3, 0, 0), REUSED + 3, "what is unknown is not the recording's");
    }
}
