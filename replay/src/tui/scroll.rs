//! A cursor in a list of rows and which of them are seen.

/// Cursor and first row seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scroll {
    pub(crate) cursor: usize,
    pub(crate) top: usize,
}

impl Scroll {
    /// Moves the cursor by `by` rows within `len`, and the part seen with it.
    pub(crate) fn step(&mut self, by: isize, len: usize, height: usize) {
        self.go(self.cursor.saturating_add_signed(by), len, height);
    }

    /// Puts the cursor on row `to`, or the last.
    pub(crate) fn go(&mut self, to: usize, len: usize, height: usize) {
        self.cursor = to.min(len.saturating_sub(1));
        self.show(len, height);
    }

    /// Moves the part seen so that the cursor is in it.
    pub(crate) fn show(&mut self, len: usize, height: usize) {
        let height = height.max(1);
        self.cursor = self.cursor.min(len.saturating_sub(1));
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        self.top = self.top.min(len.saturating_sub(height));
    }

    /// Moves only the part seen: for text without a cursor.
    pub(crate) fn roll(&mut self, by: isize, len: usize, height: usize) {
        self.top = self.top.saturating_add_signed(by).min(len.saturating_sub(height.max(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_seen() {
        let mut scroll = Scroll::default();
        scroll.step(7, 20, 5);
        assert_eq!(scroll, Scroll { cursor: 7, top: 3 });
        scroll.step(-1, 20, 5);
        assert_eq!(scroll, Scroll { cursor: 6, top: 3 });
        scroll.go(usize::MAX, 20, 5);
        assert_eq!(scroll, Scroll { cursor: 19, top: 15 });
        scroll.show(3, 5);
        assert_eq!(scroll, Scroll { cursor: 2, top: 0 });
        scroll.step(-9, 0, 0);
        assert_eq!(scroll, Scroll::default());
    }

    #[test]
    fn rolling_ends_with_the_last_row() {
        let mut scroll = Scroll::default();
        scroll.roll(100, 12, 5);
        assert_eq!(scroll.top, 7);
        scroll.roll(-3, 12, 5);
        assert_eq!(scroll.top, 4);
    }
}
