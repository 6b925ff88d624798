//! What an attacker wrote reaches the terminal as text only: the bytes are looked at, not the cells.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use crate::tui::{fixture, harness::Harness, screen::Screen, symbols, theme::Theme, view};

/// A terminal that keeps the bytes it gets.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a tape").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes that drawing this state sends.
fn bytes(harness: &Harness) -> Vec<u8> {
    let (width, height) = harness.app.size;
    let tape = Tape::default();
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    let backend = CrosstermBackend::new(tape.clone());
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).expect("a terminal");
    terminal.draw(|frame| view::view(&harness.app, frame)).expect("a drawing");
    let bytes = tape.0.lock().expect("a tape").clone();
    assert!(!bytes.is_empty());
    bytes
}

/// Takes our own control sequences away; what is left must be printable.
fn without_ours(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        left.push_str(&rest[..at]);
        let sequence =
            rest[at + 1..].strip_prefix('[').unwrap_or_else(|| panic!("not CSI: {:?}", &rest[at..]));
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).expect("an end");
        let (parameters, last) = (&sequence[..end], &sequence[end..=end]);
        let known = match last {
            "m" | "H" => parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':'),
            "h" | "l" => parameters == "?25",
            "J" => parameters == "2",
            _ => false,
        };
        assert!(known, "control sequence that is not ours: {parameters:?}{last}");
        rest = &sequence[end + 1..];
    }
    left.push_str(rest);
    left
}

/// Characters that change how a terminal shows others, or show nothing.
fn is_spoofing(c: char) -> bool {
    c.is_control()
        || matches!(c as u32, 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe007f)
}

fn check(harness: &Harness, what: &str) {
    let text = without_ours(&bytes(harness));
    if let Some(c) = text.chars().find(|c| is_spoofing(*c)) {
        panic!("{what} sends {c:?}");
    }
}

fn hostile(width: u16, height: u16) -> Harness {
    let mut harness = Harness::new(width, height);
    // The newest container is the hostile one.
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::HOSTILE));
    harness.press("j k");
    harness
}

#[test]
fn no_screen_popup_title_or_message_sends_a_hostile_byte() {
    let cases = [
        ((120, 40), &symbols::UNICODE, Theme::Dark),
        ((80, 24), &symbols::ASCII, Theme::Light),
        ((40, 10), &symbols::UNICODE, Theme::Contrast),
        ((161, 50), &symbols::UNICODE, Theme::Mono),
    ];
    for ((width, height), set, theme) in cases {
        let mut harness = hostile(width, height);
        harness.app.look.symbols = set;
        harness.app.look.theme = theme;
        check(&harness, "the list of containers");
        for screen in Screen::ALL {
            harness.press("1");
            harness.press(&screen.digit().to_string());
            for keys in [
                "Home",
                "Tab",
                "Tab",
                "Tab",
                "\\",
                "\\ Enter",
                "Esc n",
                ")",
                ":",
                "Esc ?",
                "Esc @ x",
                "Enter",
                "Esc F",
                "Esc =",
                "Esc !",
                "Esc y",
                "y",
                "m",
                "a",
                "'",
                "Esc b",
                "Esc *",
                "r",
                "F3",
                "/",
                "p r o c . n a m e Space = Space",
                "Esc /",
                "f d . n a m e Space = Space Down",
                "Esc C",
                "1",
                "d",
                "Esc Space",
                "F3",
            ] {
                harness.press(keys);
                check(&harness, keys);
            }
            harness.press("Esc");
        }
    }
}

#[test]
fn what_is_typed_or_pasted_is_escaped_too() {
    let mut harness = hostile(120, 40);
    for keys in ["/", "2 /", ":", "@", "b", "c", "w", "$", "8 R"] {
        harness.press(keys);
        harness.type_text("\x1b]0;own\x07 \u{202e}");
        check(&harness, keys);
        harness.press("Enter");
        check(&harness, keys);
        harness.press("Esc");
    }
}

#[test]
fn the_attack_is_seen_as_text() {
    let mut harness = hostile(200, 60);
    harness.press("Enter j");
    assert!(harness.text().contains(r"\x1b]52;c;cm0gLXJmIC8=\x07"), "{}", harness.text());
    assert!(harness.text().contains(r"\u{202e}txt.exe"), "{}", harness.text());
}

#[test]
fn the_check_itself_finds_what_is_not_ours() {
    for attack in ["\x1b]0;own\x07", "\x1b[2K", "\x1b[?1049l", "\x1bc"] {
        let found = std::panic::catch_unwind(|| without_ours(attack.as_bytes()));
        assert!(found.is_err(), "{attack:?}");
    }
    assert!(is_spoofing('\u{202e}') && is_spoofing('\u{9b}') && !is_spoofing('é'));
}
