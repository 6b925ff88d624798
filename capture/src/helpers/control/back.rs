//! The capture process's end: what the control process asks is answered by a task each, so many at a time, and what is
//! to be said to it goes through one queue, so that one that does not listen stops nobody who records.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper::{StatusCode, body::Body as _, header::CONTENT_TYPE};
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::AbortHandle,
};
use tracing::debug;

use super::{Answer, Ask, Tell};
use crate::{
    control::api::Api,
    helpers::{
        keeper::{Keeper, Line, Listener},
        watch::Helpers,
    },
    http::reply::{self, Reply},
    privilege::{Role, spawner::Spawner},
    trigger::marks::Marks,
};

/// Questions, and what is to be said, in waiting.
const QUEUE: usize = 256;
/// Questions answered at a time.
const TASKS: usize = 256;
/// How long the control process may take to read what a configuration names.
const PATIENCE: Duration = Duration::from_secs(10);

type Promised = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<(), String>>>>>;

/// The way to the control process, for all threads.
#[derive(Clone)]
pub struct Desk {
    said: mpsc::Sender<Tell>,
    promised: Promised,
    next: Arc<AtomicU64>,
    undelivered: Arc<AtomicU64>,
    marks: Arc<Marks>,
}

/// What the control process asks, in waiting.
pub struct Asked(mpsc::Receiver<Option<Ask>>);

struct Inbox {
    asked: mpsc::Sender<Option<Ask>>,
    promised: Promised,
    undelivered: Arc<AtomicU64>,
    marks: Arc<Marks>,
}

impl Listener<Ask> for Inbox {
    fn take(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Prepared(number, done) => {
                let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
                // Who waited may have gone.
                return promised.remove(&number).is_some_and(|reply| reply.send(done).is_ok());
            }
            Ask::Undelivered(count) => {
                self.undelivered.fetch_add(count, Ordering::Relaxed);
            }
            Ask::Mark(file, mark) => return self.marks.set(file, mark),
            ask => return self.asked.blocking_send(Some(ask)).is_ok(),
        }
        true
    }

    fn ended(&mut self) {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // What it asked is asked by nobody any more.
        let _ = self.asked.blocking_send(None);
    }
}

/// The control process, for the end.
pub struct Control {
    line: Arc<Line>,
    helpers: Arc<Helpers>,
}

impl Control {
    /// Ends it, and waits until it has removed its socket.
    pub fn stop(self) {
        const STEP: Duration = Duration::from_millis(10);
        self.line.close();
        for _ in 0..500 {
            if !self.helpers.control.seen().running {
                return;
            }
            std::thread::sleep(STEP);
        }
    }
}

/// Starts the control process.
///
/// # Errors
/// When it cannot be started, or says that it cannot serve.
pub fn start(
    (spawner, helpers): (Arc<Spawner>, Arc<Helpers>),
    undelivered: Arc<AtomicU64>,
    marks: Marks,
) -> io::Result<(Control, Desk, Asked)> {
    let (asked, questions) = mpsc::channel(QUEUE);
    let (said, mut to_say) = mpsc::channel::<Tell>(QUEUE);
    let promised = Promised::default();
    let marks = Arc::new(marks);
    let inbox = Inbox {
        asked,
        promised: Arc::clone(&promised),
        undelivered: Arc::clone(&undelivered),
        marks: Arc::clone(&marks),
    };
    let line = Keeper::start(Role::Control, spawner, Arc::clone(&helpers), inbox)?;
    let desk = Desk { said, promised, next: Arc::default(), undelivered: Arc::clone(&undelivered), marks };
    let own = Arc::clone(&line);
    std::thread::Builder::new().name("control-says".to_owned()).spawn(move || {
        crate::privilege::settle();
        while let Some(what) = to_say.blocking_recv() {
            if let Err(error) = own.send(&what, || {}) {
                debug!("no control process to tell: {error}");
                if matches!(what, Tell::Deliver(_)) {
                    undelivered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    })?;
    Ok((Control { line, helpers }, desk, Asked(questions)))
}

impl Desk {
    /// Hands a hit to the outputs.
    pub fn deliver(&self, line: &str) {
        if self.said.try_send(Tell::Deliver(line.to_owned())).is_err() {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has secrets and outputs read again.
    ///
    /// # Errors
    /// Why they cannot be used, in words.
    pub async fn prepare(&self) -> Result<(), String> {
        let silent = || "the control process does not answer".to_owned();
        let (reply, done) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.promised.lock().unwrap_or_else(PoisonError::into_inner).insert(number, reply);
        self.said.send(Tell::Prepare(number)).await.map_err(|_| silent())?;
        match tokio::time::timeout(PATIENCE, done).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(silent()),
        }
    }

    /// Has used what was made ready.
    pub async fn install(&self) {
        // One that ended in between has read them at its start.
        let _ = self.said.send(Tell::Install(0)).await;
    }

    /// Answers what is asked, until there is no recorder.
    pub async fn answer_all(self, api: Arc<Api>, Asked(mut asked): Asked) {
        let places = Arc::new(Semaphore::new(TASKS));
        let open: Arc<Mutex<HashMap<u64, AbortHandle>>> = Arc::default();
        let locked = || open.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ask) = asked.recv().await {
            let (number, ask) = match ask {
                None => {
                    locked().drain().for_each(|(_, task)| task.abort());
                    continue;
                }
                Some(Ask::Forget(number)) => {
                    if let Some(task) = locked().remove(&number) {
                        task.abort();
                    }
                    continue;
                }
                Some(ask @ (Ask::Call(number, _) | Ask::Submit(number, _) | Ask::Marked(number, _))) => {
                    (number, ask)
                }
                Some(Ask::Prepared(..) | Ask::Undelivered(_) | Ask::Mark(..)) => continue,
            };
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (api, said, tasks) = (Arc::clone(&api), self.said.clone(), Arc::clone(&open));
            let marks = Arc::clone(&self.marks);
            let task = tokio::task::spawn_local(async move {
                let reply = match ask {
                    Ask::Call(_, call) => api.route(call).await,
                    Ask::Submit(_, submission) => api.submit(submission).await,
                    Ask::Marked(_, file) => reply::json(StatusCode::OK, &json!(marks.get(&file))),
                    _ => return,
                };
                say(&said, number, reply).await;
                tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                drop(place);
            });
            // A number that is used twice is the other end's own loss.
            if !task.is_finished() {
                locked().insert(number, task.abort_handle());
            }
        }
    }
}

async fn say(said: &mpsc::Sender<Tell>, number: u64, reply: Reply) {
    let (head, mut body) = reply.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let whole = body.size_hint().exact().is_some();
    let mut answer =
        Answer { status: head.status.as_u16(), kind: kind.to_owned(), body: Vec::new(), goes_on: !whole };
    if whole {
        let Ok(bytes) = body.collect().await;
        answer.body = bytes.to_bytes().into();
        let _ = said.send(Tell::Answer(number, answer)).await;
        return;
    }
    if said.send(Tell::Answer(number, answer)).await.is_err() {
        return;
    }
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if said.send(Tell::More(number, data.into())).await.is_err() {
            return;
        }
    }
    let _ = said.send(Tell::End(number)).await;
}
