//! Text into the terminal's clipboard, by the control sequence for it (OSC 52): it works over SSH, and what is
//! copied is escaped text in base64, so nothing of a recording reaches the terminal as it is.

use std::io;

use afterimage_model::text::Safe;
use crossterm::{Command as _, clipboard::CopyToClipboard};

/// The most that is copied: terminals take no more.
pub(crate) const LIMIT: usize = 64 << 10;

/// The bytes that copy `text`.
///
/// # Errors
/// None that is known.
pub(crate) fn sequence(text: &Safe) -> io::Result<String> {
    let mut out = String::new();
    let cut = text.as_str().get(..text.as_str().floor_char_boundary(LIMIT)).unwrap_or("");
    CopyToClipboard::to_clipboard_from(cut).write_ansi(&mut out).map_err(io::Error::other)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use afterimage_model::text::escape;

    use super::*;

    #[test]
    fn hostile_text_is_nothing_but_base64_in_the_sequence() {
        let text = sequence(&escape(b"a\x1b]0;own\x07\xe2\x80\xae\n")).expect("text");
        let inside = text.strip_prefix("\x1b]52;c;").expect("ours");
        let inside = inside.trim_end_matches(['\x1b', '\\', '\x07']);
        assert!(inside.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)), "{inside}");
    }
}
