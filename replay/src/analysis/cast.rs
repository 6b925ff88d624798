//! A stream as an asciicast, which asciinema and its players show: <https://docs.asciinema.org/manual/asciicast/v2/>.
//!
//! A player obeys what it is given, so of an attacker's bytes only what draws is given to it as it was ([`drawing`]); all
//! else is text. What processes of the container wrote is output (`o`), what they read is input (`i`), and what the
//! recording does not hold is a marker (`m`) at its place.

mod drawing;

use std::io::{self, Write};

use afterimage_format::{BootNanos, Loss};
use afterimage_model::{
    streams::{Chunk, Way},
    text::Safe,
};
use serde_json::{Value, json};

use self::drawing::Drawing;
use crate::output::guarded;

/// Size of the terminal: how large the session's was is not recorded.
const SIZE: (u16, u16) = (80, 24);

/// What an asciicast tells besides bytes.
#[derive(Debug)]
pub struct Session<'a> {
    /// Whose session it is.
    pub title: Safe,
    /// Seconds since 1970 at which it began, where a clock reading tells.
    pub began: Option<i64>,
    /// What was lost of the container meanwhile.
    pub losses: &'a [Loss],
}

/// One event of the asciicast.
struct Line {
    time: BootNanos,
    code: &'static str,
    data: String,
}

/// Writes what went through a stream.
///
/// # Errors
/// Writing failed.
pub fn write(out: &mut dyn Write, session: &Session<'_>, chunks: &[&Chunk]) -> io::Result<()> {
    let mut header = json!({"version": 2, "width": SIZE.0, "height": SIZE.1});
    if let Some(began) = session.began {
        header["timestamp"] = began.into();
    }
    header["title"] = session.title.as_str().into();
    writeln!(out, "{}", guarded(&header.to_string()))?;
    let Some(start) = chunks.first().map(|chunk| chunk.time) else { return Ok(()) };
    for Line { time, code, data } in lines(session, chunks) {
        let micros = time.0.saturating_sub(start.0) / 1_000;
        let data = guarded(&Value::String(data).to_string());
        writeln!(out, "[{}.{:06}, \"{code}\", {data}]", micros / 1_000_000, micros % 1_000_000)?;
    }
    Ok(())
}

/// The events, in order of time.
fn lines(session: &Session<'_>, chunks: &[&Chunk]) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut output, mut input) = (Drawing::new(true), Drawing::new(false));
    let mut add = |time, code, data: String| {
        if !data.is_empty() {
            lines.push(Line { time, code, data });
        }
    };
    for chunk in chunks {
        let (code, drawing) = match chunk.transfer.way {
            Way::Out => ("o", &mut output),
            Way::In => ("i", &mut input),
        };
        if chunk.transfer.redacted {
            add(chunk.time, "m", "a policy masked some of what follows".to_owned());
        }
        add(chunk.time, code, drawing.take(&chunk.transfer.bytes));
        if chunk.transfer.missing() > 0 {
            // What was begun did not go on like this.
            add(chunk.time, code, drawing.end());
            add(chunk.time, "m", format!("{} bytes not recorded", chunk.transfer.missing()));
        }
        if chunk.transfer.unread > 0 {
            add(chunk.time, "m", format!("{} more messages of the call not recorded", chunk.transfer.unread));
        }
    }
    if let Some(last) = chunks.last() {
        add(last.time, "o", output.end());
        add(last.time, "i", input.end());
    }
    for loss in session.losses {
        let count = loss.count.map_or_else(|| "events".to_owned(), |count| format!("{count} events"));
        add(loss.from, "m", format!("{count} {}: {}", loss.cause.word(), loss.cause.as_str()));
    }
    lines.sort_by_key(|line| line.time);
    lines
}

#[cfg(test)]
mod tests {
    use afterimage_format::{LossCause, TaskKey};
    use afterimage_model::{process::ProcessKey, streams::Transfer};

    use super::*;

    fn chunk(millis: u64, way: Way, bytes: &[u8], len: u64) -> Chunk {
        let start = BootNanos(0);
        Chunk {
            time: BootNanos(millis * 1_000_000),
            task: TaskKey { tgid: 1, tid: 1, start },
            process: ProcessKey { tgid: 1, start },
            transfer: Transfer { way, len, bytes: bytes.to_vec(), ..Transfer::default() },
        }
    }

    fn cast(losses: &[Loss], chunks: &[Chunk]) -> String {
        let title = Safe::literal("web, stream 1");
        let session = Session { title, began: Some(1_795_262_282), losses };
        let mut out = Vec::new();
        write(&mut out, &session, &chunks.iter().collect::<Vec<_>>()).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_session_is_what_asciinema_reads() {
        let loss = Loss {
            container: None,
            cause: LossCause::RingFull,
            cpu: None,
            from: BootNanos(1_500_000_000),
            to: BootNanos(1_500_000_001),
            count: Some(3),
        };
        let chunks = [
            chunk(1_000, Way::Out, b"\x1b[1;32m$ \x1b[0m", 11),
            chunk(1_250, Way::In, b"id\n", 3),
            chunk(2_000, Way::Out, b"uid=0\n\xe2\x82", 8),
            chunk(2_000, Way::Out, b"\xac\x1b]52;c;cm0=\x07", 100),
        ];
        assert_eq!(
            cast(&[loss], &chunks),
            concat!(
                r#"{"version":2,"width":80,"height":24,"timestamp":1795262282,"title":"web, stream 1"}"#,
                "\n",
                r#"[0.000000, "o", "\u001b[1;32m$ \u001b[0m"]"#,
                "\n",
                r#"[0.250000, "i", "id\n"]"#,
                "\n",
                r#"[0.500000, "m", "3 events lost: ring full"]"#,
                "\n",
                r#"[1.000000, "o", "uid=0\r\n"]"#,
                "\n",
                r#"[1.000000, "o", "€\\x1b]52;c;cm0=\\x07"]"#,
                "\n",
                r#"[1.000000, "m", "87 bytes not recorded"]"#,
                "\n",
            )
        );
        assert_eq!(cast(&[], &[]).lines().count(), 1);
    }
}
