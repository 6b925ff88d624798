//! A line of text being typed: the filter bar, the palette, every prompt.

use crossterm::event::KeyCode;

use crate::tui::keys::Key;

/// Most characters a line takes: nobody types more, and a paste must not freeze the screen.
const LIMIT: usize = 4096;

/// The text and the cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineEdit {
    text: Vec<char>,
    cursor: usize,
}

impl LineEdit {
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().take(LIMIT).collect();
        Self { cursor: text.len(), text }
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What is left of the cursor, and what is right of it.
    pub(crate) fn halves(&self) -> (String, String) {
        let (left, right) = self.text.split_at(self.cursor.min(self.text.len()));
        (left.iter().collect(), right.iter().collect())
    }

    /// Puts text in at the cursor, as if typed; control characters of a paste become spaces.
    pub(crate) fn insert(&mut self, text: &str) {
        for c in text.chars() {
            if self.text.len() >= LIMIT {
                return;
            }
            self.text.insert(self.cursor, if c.is_control() { ' ' } else { c });
            self.cursor += 1;
        }
    }

    /// Replaces the last `count` characters left of the cursor.
    pub(crate) fn replace_left(&mut self, count: usize, text: &str) {
        let from = self.cursor.saturating_sub(count);
        self.text.drain(from..self.cursor);
        self.cursor = from;
        self.insert(text);
    }

    /// Takes an editing key; false when it is none.
    pub(crate) fn key(&mut self, key: Key) -> bool {
        match (key.ctrl, key.alt, key.code) {
            (false, false, KeyCode::Char(c)) => self.insert(c.encode_utf8(&mut [0; 4])),
            (false, false, KeyCode::Backspace) | (true, false, KeyCode::Char('h')) => {
                self.replace_left(1, "")
            }
            (false, false, KeyCode::Delete) => {
                if self.cursor < self.text.len() {
                    self.text.remove(self.cursor);
                }
            }
            (false, false, KeyCode::Left) | (true, false, KeyCode::Char('b')) => {
                self.cursor = self.cursor.saturating_sub(1);
            }
            (false, false, KeyCode::Right) | (true, false, KeyCode::Char('f')) => {
                self.cursor = (self.cursor + 1).min(self.text.len());
            }
            (false, false, KeyCode::Home) | (true, false, KeyCode::Char('a')) => self.cursor = 0,
            (false, false, KeyCode::End) | (true, false, KeyCode::Char('e')) => self.cursor = self.text.len(),
            (true, false, KeyCode::Char('u')) => self.replace_left(self.cursor, ""),
            (true, false, KeyCode::Char('k')) => self.text.truncate(self.cursor),
            (true, false, KeyCode::Char('w')) => self.delete_word(),
            _ => return false,
        }
        true
    }

    fn delete_word(&mut self) {
        let left = self.text.get(..self.cursor).unwrap_or(&[]);
        let spaces = left.iter().rev().take_while(|c| c.is_whitespace()).count();
        let word = left.iter().rev().skip(spaces).take_while(|c| !c.is_whitespace()).count();
        self.replace_left(spaces + word, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> LineEdit {
        let mut line = LineEdit::default();
        for key in crate::tui::keys::parse_all(keys).expect("keys") {
            line.key(key);
        }
        line
    }

    #[test]
    fn editing_keys_do_what_a_shell_does() {
        assert_eq!(typed("a b Space c d Ctrl-w e").text(), "ab e");
        assert_eq!(typed("a b Home c Delete").text(), "cb");
        assert_eq!(typed("a b c Left Ctrl-k").text(), "ab");
        assert_eq!(typed("a b c Left Ctrl-u").text(), "c");
        assert_eq!(typed("a Backspace Backspace").text(), "");
    }

    #[test]
    fn a_paste_brings_no_control_characters_and_has_a_limit() {
        let mut line = LineEdit::default();
        line.insert("a\x1b[2J\nb");
        assert_eq!(line.text(), "a [2J b");
        line.insert(&"x".repeat(10_000));
        assert_eq!(line.text().len(), LIMIT);
    }
}
