//! The terminal: taken over and given back, on every way out.

use std::{
    io::{self, BufWriter, Stdout, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crossterm::{
    cursor,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    queue, style,
    terminal::{
        EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Terminal, layout::Rect};

use afterimage_model::text::Safe;

use crate::tui::{app::App, clipboard, sparing::Sparing, view};

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Bytes that are written at once.
const BUFFER: usize = 1 << 16;

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<Sparing<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn take() -> io::Result<Self> {
        give_back_on_panic();
        take()?;
        let backend = Sparing::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        match Terminal::new(backend) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// The terminal does not tell.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub(super) fn draw(&mut self, app: &App) -> io::Result<()> {
        self.terminal.draw(|frame| view::view(app, frame)).map(|_| ())
    }

    /// Takes the mouse, or gives it to the terminal.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub(super) fn mouse(&mut self, ours: bool) -> io::Result<()> {
        let out = self.terminal.backend_mut().out();
        if ours {
            queue!(out, EnableMouseCapture)?
        } else {
            queue!(out, DisableMouseCapture)?
        }
        Write::flush(out)
    }

    /// Puts text into the clipboard.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub(super) fn copy(&mut self, text: &Safe) -> io::Result<()> {
        let out = self.terminal.backend_mut().out();
        out.write_all(clipboard::sequence(text)?.as_bytes())?;
        Write::flush(out)
    }

    /// Forgets what is on the terminal: the next drawing draws everything.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        let (width, height) = self.size()?;
        self.terminal.resize(Rect { x: 0, y: 0, width, height })
    }

    /// Gives the terminal to the shell and stops; returns when the shell lets the program go on.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    #[cfg(unix)]
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        take()?;
        self.forget()
    }

    /// Nothing: there is no shell to go back to.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = io::stdout();
    queue!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    out.flush()
}

/// Gives the terminal back as it was found; more than once does no harm. A terminal that is gone needs nothing.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = queue!(
        out,
        EndSynchronizedUpdate,
        style::ResetColor,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// A panic of this thread gives the terminal back before it is told. One of a background thread is told on the
/// screen by [`crate::tui::worker`], and must not be printed over it.
fn give_back_on_panic() {
    let ours = thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == ours {
            give_back();
            before(info);
        } else if !TAKEN.load(Ordering::SeqCst) {
            before(info);
        }
    }));
}
