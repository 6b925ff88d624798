//! The control process's way to the capture process.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{Response, StatusCode, body::Bytes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::{mpsc, oneshot},
};

use super::{Answer, Ask, Call, Submission, Tell};
use crate::{
    helpers::frame,
    http::reply::{self, Reply},
    trigger::{Body, Source, marks::Mark, sender},
    webhook::SubmitError,
};

/// Questions on their way.
const QUEUE: usize = 256;
/// Lines in waiting for one who looks on.
const LINES: usize = 1024;
/// How long the recorder may take for an answer, besides what was asked to be waited.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One who waits.
enum Waiting {
    Answer(oneshot::Sender<(Answer, mpsc::Receiver<Bytes>)>),
    Stream(mpsc::Sender<Bytes>, u64),
}

#[derive(Default)]
struct Open {
    next: u64,
    waiting: HashMap<u64, Waiting>,
}

/// The way, for all tasks.
#[derive(Clone)]
pub struct Gate {
    questions: mpsc::Sender<Ask>,
    open: Arc<Mutex<Open>>,
}

impl Gate {
    /// Over a socket; the task that writes begins.
    pub fn new(mut socket: OwnedWriteHalf) -> Self {
        let (questions, mut asked) = mpsc::channel::<Ask>(QUEUE);
        tokio::task::spawn_local(async move {
            while let Some(question) = asked.recv().await {
                // What is too long for a message was refused as a body.
                let Ok(bytes) = frame::encode(&question) else { continue };
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        Self { questions, open: Arc::default() }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something that has no answer.
    pub async fn say(&self, what: Ask) {
        // Without a recorder there is nobody to tell.
        let _ = self.questions.send(what).await;
    }

    /// The same from a thread.
    pub fn say_blocking(&self, what: Ask) {
        let _ = self.questions.blocking_send(what);
    }

    async fn ask(
        &self,
        question: impl FnOnce(u64) -> Ask,
        patience: Duration,
    ) -> Option<(u64, Answer, mpsc::Receiver<Bytes>)> {
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut open = self.open();
            open.next += 1;
            let number = open.next;
            open.waiting.insert(number, Waiting::Answer(reply));
            number
        };
        let forget = Forget { gate: self, number, done: false };
        self.questions.send(question(number)).await.ok()?;
        let (answer, lines) = tokio::time::timeout(patience, answer).await.ok()?.ok()?;
        forget.done();
        Some((number, answer, lines))
    }

    /// Has the recorder answer a call.
    pub async fn call(&self, call: Call, patience: Duration) -> Reply {
        let Some((number, answer, lines)) = self.ask(|number| Ask::Call(number, call), patience).await else {
            return reply::error(StatusCode::SERVICE_UNAVAILABLE, "the recorder does not answer");
        };
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if !answer.goes_on {
            return reply::any(status, &answer.kind, answer.body);
        }
        let gate = self.clone();
        let mut reply: Reply = reply::lines_then(lines, move || {
            gate.open().waiting.remove(&number);
            // One that does not fit the queue is forgotten when its next line comes.
            let _ = gate.questions.try_send(Ask::Forget(number));
        });
        *Response::status_mut(&mut reply) = status;
        reply
    }

    /// Hands alerts over, and says what becomes of them as far as `wait` allows.
    ///
    /// # Errors
    /// [`SubmitError`]: nothing of it is taken.
    pub async fn submit(
        &self,
        bytes: Vec<u8>,
        sender: Option<Source>,
        from: String,
        wait: Option<Duration>,
    ) -> Result<Reply, SubmitError> {
        let alerts = sender::parse(&bytes, sender)?.into_iter().map(Into::into).collect();
        let received = crate::host::clock_pair().real;
        let wait_ms = wait.map(|wait| wait.as_millis() as u64);
        let submission = Submission { alerts, body: bytes, from, received, wait: wait_ms };
        let patience = PATIENCE + wait.unwrap_or_default();
        let answer = self.ask(|number| Ask::Submit(number, submission), patience).await;
        let Some((_, answer, _)) = answer else { return Err(SubmitError::Silent) };
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SubmitError::Full);
        }
        Ok(reply::any(status, &answer.kind, answer.body))
    }

    /// The same for a line that a file has: tried until it is taken.
    pub async fn insist(&self, body: &Body, sender: Option<Source>, pause: Duration) {
        while let Err(SubmitError::Full | SubmitError::Silent) =
            self.submit(body.bytes.to_vec(), sender, body.from.clone(), None).await
        {
            tokio::time::sleep(pause).await;
        }
    }

    /// How far a watched file was read; nothing where it was not. Asked, a `pause` apart, until there is an answer.
    pub async fn mark(&self, file: &str, pause: Duration) -> Option<Mark> {
        loop {
            let question = |number| Ask::Marked(number, file.to_owned());
            if let Some((_, answer, _)) = self.ask(question, PATIENCE).await {
                return serde_json::from_slice(&answer.body).ok();
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes what the recorder says, until it says nothing more; what is no answer goes to `order`.
    ///
    /// # Errors
    /// The socket's.
    pub async fn listen(&self, mut socket: OwnedReadHalf, mut order: impl FnMut(Tell)) -> io::Result<()> {
        loop {
            let mut head = [0; 4];
            socket.read_exact(&mut head).await?;
            let mut bytes = vec![0; frame::length(head).map_err(io::Error::other)?];
            socket.read_exact(&mut bytes).await?;
            match frame::decode(&bytes).map_err(io::Error::other)? {
                Tell::Answer(number, answer) => self.answered(number, answer),
                Tell::More(number, line) => self.more(number, line.into()),
                Tell::End(number) => drop(self.open().waiting.remove(&number)),
                other => order(other),
            }
        }
    }

    fn answered(&self, number: u64, answer: Answer) {
        let mut open = self.open();
        let Some(Waiting::Answer(reply)) = open.waiting.remove(&number) else { return };
        let (lines, receiver) = mpsc::channel(LINES);
        if answer.goes_on {
            open.waiting.insert(number, Waiting::Stream(lines, 0));
        }
        // Who asked may have gone.
        let _ = reply.send((answer, receiver));
    }

    /// A line for one who looks on; of one too slow the lines that do not fit are counted, and the count is told.
    fn more(&self, number: u64, line: Bytes) {
        let mut open = self.open();
        let Some(Waiting::Stream(lines, dropped)) = open.waiting.get_mut(&number) else { return };
        if *dropped > 0 {
            let told = format!("{{\"kind\":\"dropped\",\"count\":{dropped}}}\n");
            match lines.try_send(Bytes::from(told)) {
                Ok(()) => *dropped = 0,
                Err(_) => {
                    *dropped += 1;
                    return;
                }
            }
        }
        if lines.try_send(line).is_err() {
            *dropped += 1;
        }
    }
}

/// A question whose asker goes away is forgotten.
struct Forget<'a> {
    gate: &'a Gate,
    number: u64,
    done: bool,
}

impl Forget<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.gate.open().waiting.remove(&self.number);
            let _ = self.gate.questions.try_send(Ask::Forget(self.number));
        }
    }
}
