//! The terminal's backend that writes only what changes: a drawing without a change is not one byte, over a slow line too.

use std::io::{self, Write};

use crossterm::{
    cursor::{Hide, Show},
    queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use ratatui::{
    backend::{Backend, ClearType, CrosstermBackend, WindowSize},
    buffer::Cell,
    layout::{Position, Size},
};

/// What the terminal's cursor is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    /// Something was written that may have changed it.
    Unknown,
    Hidden,
    Shown(Option<Position>),
}

/// A backend that holds what it writes between the marks of a synchronized update, from the first change of a drawing to
/// its flush.
#[derive(Debug)]
pub(super) struct Sparing<W: Write> {
    inner: CrosstermBackend<W>,
    cursor: Cursor,
    /// An update was begun and not ended.
    begun: bool,
}

impl<W: Write> Sparing<W> {
    pub(super) const fn new(writer: W) -> Self {
        Self { inner: CrosstermBackend::new(writer), cursor: Cursor::Unknown, begun: false }
    }

    /// The way to the terminal for what is no drawing.
    pub(super) const fn out(&mut self) -> &mut impl Write {
        &mut self.inner
    }

    fn begin(&mut self) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            queue!(self.inner, BeginSynchronizedUpdate)?;
        }
        Ok(())
    }
}

impl<W: Write> Backend for Sparing<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.begin()?;
        // Cells are written where they are: the cursor goes there.
        if let Cursor::Shown(position) = &mut self.cursor {
            *position = None;
        }
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.cursor == Cursor::Hidden {
            return Ok(());
        }
        self.begin()?;
        self.cursor = Cursor::Hidden;
        queue!(self.inner, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if matches!(self.cursor, Cursor::Shown(_)) {
            return Ok(());
        }
        self.begin()?;
        self.cursor = Cursor::Shown(None);
        queue!(self.inner, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor == Cursor::Shown(Some(position)) {
            return Ok(());
        }
        self.begin()?;
        if let Cursor::Shown(known) = &mut self.cursor {
            *known = Some(position);
        }
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.begin()?;
        self.cursor = Cursor::Unknown;
        self.inner.clear_region(region)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.begin()?;
        self.cursor = Cursor::Unknown;
        self.inner.append_lines(lines)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.begun) {
            queue!(self.inner, EndSynchronizedUpdate)?;
        }
        Write::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, TerminalOptions, Viewport, layout::Rect};

    use super::*;

    const AREA: Rect = Rect { x: 0, y: 0, width: 20, height: 2 };

    /// Draws each text with a cursor or none; the bytes that each drawing wrote.
    fn drawn(drawings: &[(&str, Option<u16>)]) -> Vec<String> {
        let (sender, written) = std::sync::mpsc::channel();
        let options = TerminalOptions { viewport: Viewport::Fixed(AREA) };
        let mut terminal = Terminal::with_options(Sparing::new(Pieces(sender)), options).expect("a terminal");
        let draw = |(text, cursor): &(&str, Option<u16>)| {
            terminal
                .draw(|frame| {
                    frame.render_widget(*text, AREA);
                    if let Some(x) = cursor {
                        frame.set_cursor_position((*x, 0));
                    }
                })
                .expect("drawn");
            written.try_iter().collect::<String>()
        };
        drawings.iter().map(draw).collect()
    }

    struct Pieces(std::sync::mpsc::Sender<String>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_change_writes_nothing() {
        let written =
            drawn(&[("one", None), ("one", None), ("two", None), ("two", Some(3)), ("two", Some(3))]);
        let empty: Vec<bool> = written.iter().map(String::is_empty).collect();
        assert_eq!(empty, [false, true, false, false, true], "{written:?}");
    }

    #[test]
    fn every_change_is_one_synchronized_update() {
        for piece in drawn(&[("one", None), ("two", Some(1)), ("two", None)]) {
            assert!(piece.starts_with("\x1b[?2026h") && piece.ends_with("\x1b[?2026l"), "{piece:?}");
            assert_eq!(piece.matches("\x1b[?2026").count(), 2, "{piece:?}");
        }
    }

    #[test]
    fn the_cursor_goes_back_to_its_place_when_cells_were_drawn() {
        let written = drawn(&[("one", Some(3)), ("two", Some(3)), ("two", None), ("two", Some(3))]);
        let at = "\x1b[1;4H";
        assert!(written[1].contains(at), "{written:?}");
        assert!(written[2].contains("\x1b[?25l"), "{written:?}");
        assert!(written[3].contains("\x1b[?25h") && written[3].contains(at), "{written:?}");
    }
}
