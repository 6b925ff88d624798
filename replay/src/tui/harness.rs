//! Tests' way in: a store with the staged events is written and opened, keys are pressed, questions are answered at
//! once, and the screen is text.

use std::{cell::RefCell, sync::Arc};

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Style};

use super::{
    app::App,
    case::Case,
    engine::{self, Cache, Job},
    feed::{Reply, Request},
    fixture, keys,
    paint::Look,
    symbols,
    theme::{Depth, Theme},
    update::{self, Effect, Growth},
    view, wants,
};
use crate::trace::Trace;

/// The TUI on the staged events, without threads and without a terminal.
pub(crate) struct Harness {
    pub(crate) app: App,
    pub(crate) trace: Arc<Trace>,
    cache: Cache,
}

impl Harness {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        fixture::write_triggers(dir.path());
        Self::on(dir.path(), width, height)
    }

    /// On a recording that exists.
    pub(crate) fn on(path: &std::path::Path, width: u16, height: u16) -> Self {
        let mut trace = Trace::open(path.to_owned(), false).expect("a recording");
        let alerts = Arc::new(crate::trace::alerts::alerts(&trace).expect("alerts"));
        // The directory's name differs from run to run.
        trace.path = "/var/lib/afterimage".into();
        let look = Look { theme: Theme::Dark, depth: Depth::True, symbols: &symbols::UNICODE };
        let catalog = Arc::new(engine::catalog::catalog(&trace, 0));
        let mut app = App::new(look, (width, height), catalog);
        app.case = Case::read("07".to_owned(), "ana".to_owned(), "");
        update::receive(&mut app, Reply::Alerts(0, alerts));
        let mut this = Self { app, trace: Arc::new(trace), cache: Cache::default() };
        this.settle();
        this
    }

    /// Takes the recording in as it is now, as the session does when it has grown.
    pub(crate) fn grow(&mut self, path: &std::path::Path) {
        self.grow_slowly(path, |_| {});
    }

    /// As [`Self::grow`]; the screen after each single answer is given to `seen`.
    pub(crate) fn grow_slowly(&mut self, path: &std::path::Path, mut seen: impl FnMut(String)) {
        let mut grown = Trace::open(path.to_owned(), false).expect("a recording");
        grown.path = "/var/lib/afterimage".into();
        let grown = Arc::new(grown);
        if let Growth::Ask(request) = update::growth(&mut self.app) {
            let before = std::mem::replace(&mut self.trace, Arc::clone(&grown));
            self.answer(request);
            self.trace = before;
        }
        assert!(matches!(update::growth(&mut self.app), Growth::Take));
        grown.recording.read_again(&self.trace.recording);
        self.trace = grown;
        let generation = self.app.catalog.generation + 1;
        update::grown(&mut self.app, engine::catalog::catalog(&self.trace, generation));
        seen(self.text());
        self.settle_slowly(|harness| seen(harness.text()));
    }

    /// Answers questions until none is asked.
    pub(crate) fn settle(&mut self) {
        self.settle_slowly(|_| {});
    }

    /// As [`Self::settle`]; `after` each single answer it is looked at.
    fn settle_slowly(&mut self, mut after: impl FnMut(&Self)) {
        loop {
            let asked = wants::requests(&mut self.app);
            if asked.is_empty() {
                return;
            }
            for request in asked {
                self.answer(request);
                after(self);
            }
        }
    }

    /// Answers these questions, and those that come of it.
    pub(crate) fn answer_all(&mut self, asked: Vec<Request>) {
        for request in asked {
            self.answer(request);
        }
        self.settle();
    }

    /// Types text and applies it; the screen after each single answer is given to `seen`.
    pub(crate) fn apply_slowly(&mut self, text: &str, mut seen: impl FnMut(String)) {
        update::paste(&mut self.app, text);
        update::key(&mut self.app, keys::parse_all("Enter").expect("a key")[0]);
        loop {
            let asked = wants::requests(&mut self.app);
            if asked.is_empty() {
                return;
            }
            for request in asked {
                seen(self.text());
                self.answer(request);
                seen(self.text());
            }
        }
    }

    fn answer(&mut self, request: Request) {
        let replies = RefCell::new(Vec::new());
        let job = Job { over: &|| false, tell: &|reply| replies.borrow_mut().push(reply) };
        engine::answer(&self.trace, &mut self.cache, request, &job).expect("an answer");
        for reply in replies.into_inner() {
            update::receive(&mut self.app, reply);
        }
        if self.trace.recording.damage_known() != self.app.catalog.damage_known {
            let generation = self.app.catalog.generation;
            update::damaged(&mut self.app, engine::catalog::catalog(&self.trace, generation));
        }
    }

    /// Presses keys one after the other, as the table of keys writes them.
    pub(crate) fn press(&mut self, keys: &str) -> Option<Effect> {
        let mut last = None;
        for key in keys::parse_all(keys).expect("keys") {
            last = update::key(&mut self.app, key);
            self.settle();
        }
        last
    }

    /// Types text.
    pub(crate) fn type_text(&mut self, text: &str) {
        update::paste(&mut self.app, text);
        self.settle();
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.app.size = (width, height);
        self.settle();
    }

    /// What is drawn.
    pub(crate) fn buffer(&self) -> Buffer {
        let (width, height) = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| view::view(&self.app, frame)).expect("a drawing");
        terminal.backend().buffer().clone()
    }

    /// The screen as text.
    pub(crate) fn text(&self) -> String {
        let buffer = self.buffer();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The styles of the screen: a letter for each style, and what each letter stands for.
    pub(crate) fn styles(&self) -> String {
        let buffer = self.buffer();
        let mut seen: Vec<Style> = vec![Style::reset()];
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            for x in 0..buffer.area.width {
                let style = buffer[(x, y)].style();
                let at = seen.iter().position(|s| *s == style).unwrap_or_else(|| {
                    seen.push(style);
                    seen.len() - 1
                });
                line.push(if at == 0 { '.' } else { letter(at) });
            }
            out.push_str(line.trim_end_matches('.'));
            out.push('\n');
        }
        for (at, style) in seen.iter().enumerate().skip(1) {
            out.push_str(&format!(
                "{} fg {:?} bg {:?} {:?}\n",
                letter(at),
                style.fg,
                style.bg,
                style.add_modifier
            ));
        }
        out
    }
}

fn letter(at: usize) -> char {
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9');
    letters.into_iter().nth(at - 1).unwrap_or('?')
}
