//! What draws on a terminal and does nothing else: text, colours, moves of the cursor, erasing, scrolling. Everything else
//! (titles, the clipboard, reports, modes of keyboard and mouse, what no one knows) is shown as text, escaped.

use afterimage_model::text::{Safe, escape};

/// Most bytes of one control sequence, and of a string that one begins; what is longer is none.
const LONGEST: (usize, usize) = (64, 4_096);
/// Private modes that change only what is drawn: origin, wrapping, the cursor, the other screen.
const MODES: [&[u8]; 8] = [b"6", b"7", b"12", b"25", b"47", b"1047", b"1048", b"1049"];

/// One direction of a stream; sequences and characters may be cut anywhere between two reads or writes.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    /// The beginning of what is not complete.
    pending: Vec<u8>,
    /// A line end goes to the first column, as the terminal that wrote it had it.
    returns: bool,
    after_return: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// So many bytes that draw.
    Draws(usize),
    /// So many that do something else.
    Acts(usize),
    /// It cannot be told yet.
    Cut,
}

impl Drawing {
    pub(super) fn new(returns: bool) -> Self {
        Self { returns, ..Self::default() }
    }

    /// The next bytes, as far as they are complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let (mut out, mut rest) = (String::new(), all.as_slice());
        while !rest.is_empty() {
            let (part, draws) = match find(rest) {
                Found::Draws(len) => (len, true),
                Found::Acts(len) => (len, false),
                Found::Cut => break,
            };
            let (part, behind) = rest.split_at(part.clamp(1, rest.len()));
            self.push(&mut out, part, draws);
            rest = behind;
        }
        self.pending = rest.to_vec();
        out
    }

    /// What is left and will not be completed.
    pub(super) fn end(&mut self) -> String {
        escape(&std::mem::take(&mut self.pending)).into_string()
    }

    fn push(&mut self, out: &mut String, part: &[u8], draws: bool) {
        let is_end = part == b"\n" && self.returns && !self.after_return;
        self.after_return = part == b"\r";
        match std::str::from_utf8(part).ok().filter(|_| draws) {
            Some("\n") if is_end => out.push_str("\r\n"),
            Some(text) => out.push_str(text),
            None => out.push_str(escape(part).as_str()),
        }
    }
}

fn find(bytes: &[u8]) -> Found {
    match bytes {
        [b'\n' | b'\r' | b'\t' | 0x07 | 0x08, ..] => Found::Draws(1),
        [0x1b, rest @ ..] => escape_sequence(rest),
        [0..=0x1f | 0x7f, ..] => Found::Acts(1),
        [b' '..=b'~', ..] => Found::Draws(1),
        _ => character(bytes),
    }
}

/// A character that is not ASCII: one that shows as itself draws.
fn character(bytes: &[u8]) -> Found {
    let head = bytes.get(..bytes.len().min(4)).unwrap_or(bytes);
    let (text, error) = match std::str::from_utf8(head) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = head.get(..error.valid_up_to()).unwrap_or_default();
            (std::str::from_utf8(valid).unwrap_or_default(), error.error_len())
        }
    };
    match text.chars().next() {
        Some(c) if Safe::format(format_args!("{c}")).as_str().chars().eq([c]) => Found::Draws(c.len_utf8()),
        Some(c) => Found::Acts(c.len_utf8()),
        None => error.map_or(Found::Cut, Found::Acts),
    }
}

/// What follows an ESC.
fn escape_sequence(rest: &[u8]) -> Found {
    match rest {
        [] => Found::Cut,
        [b'[', rest @ ..] => control_sequence(rest),
        [b']' | b'P' | b'_' | b'^' | b'X', rest @ ..] => control_string(rest),
        // Save and restore the cursor, line feeds.
        [b'7' | b'8' | b'D' | b'E' | b'M', ..] => Found::Draws(2),
        // Which characters letters are drawn as.
        [b'(' | b')'] => Found::Cut,
        [b'(' | b')', b'0' | b'A' | b'B', ..] => Found::Draws(3),
        _ => Found::Acts(1),
    }
}

/// What follows `ESC [`: parameters, intermediates, and a letter that says what it does.
fn control_sequence(rest: &[u8]) -> Found {
    let parameters = rest.iter().take_while(|byte| (0x30..=0x3f).contains(*byte)).count();
    let (given, behind) = rest.split_at(parameters);
    let whole = Found::Draws(parameters + 3);
    let draws = match (given, behind) {
        _ if parameters > LONGEST.0 => return Found::Acts(1),
        (_, []) => return Found::Cut,
        ([b'?', modes @ ..], [b'h' | b'l', ..]) => {
            modes.split(|byte| *byte == b';').all(|mode| MODES.contains(&mode))
        }
        ([b'?' | b'<' | b'=' | b'>', ..], _) => false,
        (b"4", [b'h' | b'l', ..]) => true,
        (_, [letter, ..]) => b"mABCDEFGHfd`aeJKLMP@XSTrsu".contains(letter),
    };
    if draws { whole } else { Found::Acts(1) }
}

/// What follows the beginning of a string that the terminal is to obey: it goes on to its end.
fn control_string(rest: &[u8]) -> Found {
    let end = rest.iter().take(LONGEST.1).enumerate().find_map(|(at, byte)| match byte {
        0x07 => Some(at + 1),
        0x1b => match rest.get(at + 1) {
            Some(b'\\') => Some(at + 2),
            Some(_) => Some(at),
            None => None,
        },
        _ => None,
    });
    match end {
        Some(end) => Found::Acts(end + 2),
        None if rest.len() > LONGEST.1 => Found::Acts(1),
        None => Found::Cut,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(bytes: &[u8]) -> String {
        let mut drawing = Drawing::new(true);
        let mut out = drawing.take(bytes);
        out.push_str(&drawing.end());
        out
    }

    #[test]
    fn what_draws_is_as_it_was() {
        for text in [
            "plain text, größe, 日本\r\n",
            "\x1b[1;38;5;208mcolour\x1b[0m \x1b[2J\x1b[H\x1b[?25l\x1b[?1049h\x1b[?7;25h\x1b[12;40H\x1b[K",
            "\x1b7\x1b8\x1b(0lqk\x1b(B\x07\x08\t\x1b[4h",
        ] {
            assert_eq!(drawn(text.as_bytes()), text);
        }
        assert_eq!(drawn(b"a\nb\r\nc"), "a\r\nb\r\nc");
    }

    #[test]
    fn what_acts_is_text() {
        for (bytes, text) in [
            (&b"\x1b]52;c;cm0=\x07x"[..], "\\x1b]52;c;cm0=\\x07x"),
            (b"\x1b]0;own\x1b\\x", "\\x1b]0;own\\x1b\\\\x"),
            (b"\x1bP+q544e\x1b\\x", "\\x1bP+q544e\\x1b\\\\x"),
            (b"\x1b[6n\x1b[c\x1b[21t", "\\x1b[6n\\x1b[c\\x1b[21t"),
            (b"\x1b[?1000h\x1b[?25;2004h\x1b[>1u\x1b[ q", "\\x1b[?1000h\\x1b[?25;2004h\\x1b[>1u\\x1b[ q"),
            (b"\x1bc\x1b=\x00\x0e\x7f\xff", "\\x1bc\\x1b=\\x00\\x0e\\x7f\\xff"),
            ("\u{9b}31m\u{202e}\u{200b}".as_bytes(), "\\u{9b}31m\\u{202e}\\u{200b}"),
            (b"\x1b]0;never ended", "\\x1b]0;never ended"),
            // A new sequence within a string ends it.
            (b"\x1b]0;a\x1b[31mb", "\\x1b]0;a\x1b[31mb"),
        ] {
            assert_eq!(drawn(bytes), text);
        }
        let long = [b"\x1b]0;".as_slice(), &[b'a'; 9_000], b"\x07"].concat();
        assert!(drawn(&long).starts_with("\\x1b]0;aaa"));
    }

    proptest! {
        #[test]
        fn wherever_it_is_cut_it_is_the_same(
            parts in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..6),
                Just(b"\x1b[1;31m".to_vec()), Just(b"\x1b]0;x\x07".to_vec()), Just("é日".as_bytes().to_vec()),
                Just(b"\x1b[?2004h".to_vec()), Just(b"\r\n".to_vec()),
            ], 0..12),
            cut in 0_usize..80,
        ) {
            let bytes = parts.concat();
            let cut = cut.min(bytes.len());
            let mut drawing = Drawing::new(true);
            let mut out = drawing.take(&bytes[..cut]);
            out.push_str(&drawing.take(&bytes[cut..]));
            out.push_str(&drawing.end());
            prop_assert_eq!(&out, &drawn(&bytes));
            // A terminal finds nothing in it that is not on the list.
            let mut again = Drawing::new(false);
            let twice = again.take(out.as_bytes());
            prop_assert_eq!(&(twice + &again.end()), &out);
        }
    }
}
