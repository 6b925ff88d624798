//! The metadata process: both ends. It alone looks at the files of other processes; the capture process asks it for facts
//! about containers and for executed images, and takes answers to what it asked, and only to that.

mod wire;

use std::{
    collections::HashMap,
    io,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
};

use bincode::{Decode, Encode};
use tracing::debug;

use super::{
    frame,
    keeper::{Hello, Keeper, Line, Listener},
    watch::Helpers,
};
use crate::{
    artifacts::{self, Artifacts},
    metadata::{
        Findings, Metadata,
        worker::{Answer, Origin, Request, Target, Worker},
    },
    privilege::{Role, spawner::Spawner},
};

/// Requests and answers in waiting inside the metadata process.
const REQUESTS: usize = 1024;
const IMAGES: usize = 64;

/// What it is asked.
#[derive(Debug, Encode, Decode)]
enum Question {
    Look(wire::Request),
    Image(u64, wire::Image),
}

/// What it answers.
#[derive(Debug, Encode, Decode)]
enum Reply {
    Found(wire::Answer),
    Image(u64, wire::ImageAnswer),
}

/// Its whole life: works until nobody asks any more.
///
/// # Errors
/// The socket's.
pub fn serve(socket: &UnixStream, refused: Vec<String>) -> io::Result<()> {
    frame::write(socket, &Hello { refused, failed: None })?;
    let (requests, asked) = mpsc::sync_channel(REQUESTS);
    let (answer, answers) = mpsc::sync_channel::<Answer>(REQUESTS);
    let (images, wanted) = mpsc::sync_channel::<(u64, wire::Image)>(IMAGES);
    let writer = Mutex::new(socket);
    let write = |reply: &Reply| frame::write(*writer.lock().unwrap_or_else(PoisonError::into_inner), reply);
    std::thread::scope(|scope| {
        let (asked, answer) = (asked, answer);
        scope.spawn(move || Worker::default().run(&asked, &answer));
        scope.spawn(|| {
            let mut answers = answers.into_iter();
            answers.try_for_each(|answer| write(&Reply::Found((&answer).into())))
        });
        scope.spawn(|| {
            let mut wanted = wanted.into_iter();
            wanted.try_for_each(|(number, image)| {
                write(&Reply::Image(number, artifacts::look_at(&image.into()).into()))
            })
        });
        // The senders end with this loop, and with them the threads when they have answered everything.
        let (requests, images) = (requests, images);
        loop {
            let sent = match frame::read(socket) {
                Ok(Question::Look(request)) => requests.send(request.into()).is_ok(),
                Ok(Question::Image(number, image)) => images.send((number, image)).is_ok(),
                Err(_) => false,
            };
            if !sent {
                return;
            }
        }
    });
    Ok(())
}

/// What was asked and is not answered.
#[derive(Debug, Default)]
struct Open {
    targets: HashMap<Target, u32>,
    images: HashMap<u64, artifacts::Request>,
    next: u64,
}

type Shared = Arc<Mutex<Open>>;

fn locked(open: &Shared) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes its answers to those who asked.
struct Answers {
    open: Shared,
    found: SyncSender<Answer>,
    images: SyncSender<artifacts::Answer>,
}

impl Listener<Reply> for Answers {
    fn take(&mut self, reply: Reply) -> bool {
        match reply {
            Reply::Found(answer) => {
                let answer: Answer = answer.into();
                let mut open = locked(&self.open);
                let Some(count) = open.targets.get_mut(&answer.target) else { return false };
                if answer.last {
                    *count -= 1;
                    if *count == 0 {
                        open.targets.remove(&answer.target);
                    }
                }
                drop(open);
                // Without a recorder nobody waits.
                let _ = self.found.send(answer);
            }
            Reply::Image(number, answer) => {
                let Some(request) = locked(&self.open).images.remove(&number) else { return false };
                let Some(answer) = answer.to(request) else { return false };
                let _ = self.images.send(answer);
            }
        }
        true
    }

    fn ended(&mut self) {
        let Open { targets, images, .. } = {
            let mut open = locked(&self.open);
            let next = open.next;
            std::mem::replace(&mut *open, Open { next, ..Open::default() })
        };
        for (target, count) in targets {
            for _ in 0..count {
                let _ = self.found.send(nothing(target));
            }
        }
        for request in images.into_values() {
            let _ = self.images.send(artifacts::Answer::gone(request));
        }
    }
}

/// The answer that there is nothing.
fn nothing(target: Target) -> Answer {
    Answer { target, origin: Origin::Host, findings: Findings::default(), cgroup: None, last: true }
}

/// Starts the metadata process, and gives the recording thread's ends.
///
/// # Errors
/// When there can be no process, or no thread.
pub fn start(spawner: Arc<Spawner>, helpers: Arc<Helpers>) -> io::Result<(Metadata, Artifacts)> {
    let open = Shared::default();
    let (metadata, asked, found) = Metadata::new();
    let (artifacts, wanted, images) = Artifacts::new();
    let answers = Answers { open: Arc::clone(&open), found: found.clone(), images: images.clone() };
    let line = Keeper::start(Role::Metadata, spawner, helpers, answers)?;
    let ends = Arc::new(Ends(Arc::clone(&line)));
    let (of_look, look) = (Arc::clone(&ends), Arc::clone(&open));
    thread("metadata-asks", move || forward_requests(&asked, &of_look.0, &look, &found))?;
    thread("metadata-images", move || forward_images(&wanted, &ends.0, &open, &images))?;
    Ok((metadata, artifacts))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = std::thread::Builder::new().name(name.to_owned());
    named.spawn(move || {
        crate::privilege::settle_urgent();
        work();
    })?;
    Ok(())
}

/// When neither asks any more, the process is told so.
struct Ends(Arc<Line>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn forward_requests(asked: &Receiver<Request>, line: &Line, open: &Shared, found: &SyncSender<Answer>) {
    for request in asked {
        let target = request.target();
        let note = || {
            if let Some(target) = target {
                *locked(open).targets.entry(target).or_default() += 1;
            }
        };
        let mut noted = false;
        let sent = line.send(&Question::Look((&request).into()), || {
            noted = true;
            note();
        });
        if let Err(error) = sent {
            debug!("no metadata process to ask: {error}");
            // What was noted is answered by its keeper.
            if let Some(target) = target.filter(|_| !noted) {
                let _ = found.send(nothing(target));
            }
        }
    }
}

fn forward_images(
    wanted: &Receiver<artifacts::Request>,
    line: &Line,
    open: &Shared,
    images: &SyncSender<artifacts::Answer>,
) {
    for request in wanted {
        let number = {
            let mut open = locked(open);
            open.next += 1;
            open.next
        };
        let message = Question::Image(number, (&request).into());
        let mut request = Some(request);
        let sent = line.send(&message, || {
            if let Some(request) = request.take() {
                locked(open).images.insert(number, request);
            }
        });
        if let (Err(_), Some(request)) = (sent, request) {
            let _ = images.send(artifacts::Answer::gone(request));
        }
    }
}

#[cfg(test)]
mod tests;
