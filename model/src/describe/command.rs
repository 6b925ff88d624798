//! Command lines.

use afterimage_format::{Event, FieldTag, layout};

use super::{image_marks, payload};
use crate::text::{self, Safe};

/// The arguments in a block of NUL-ended strings.
pub fn arguments(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let block = block.strip_suffix(b"\0").unwrap_or(block);
    let empty = block.is_empty();
    block.split(|&b| b == 0).filter(move |_| !empty)
}

/// One word of a command line: quoted where a reader could not tell where it ends.
fn word(bytes: &[u8]) -> Safe {
    let plain = !bytes.is_empty()
        && bytes.iter().all(|b| {
            !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'' | b'|' | b'&' | b';' | b'<' | b'>')
        });
    if plain { text::escape(bytes) } else { text::quote(bytes, false) }
}

/// Words joined by spaces, quoted where needed.
pub fn quote_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Safe {
    let mut out = String::new();
    for bytes in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word(bytes).as_str());
    }
    Safe::format(format_args!("{out}"))
}

/// What an `EXEC` or `PROCESS` event ran: the kernel's path of the image (for a script, the script), the arguments
/// but the first, and in brackets what is special: `/tmp/.x -q [upper layer]`. A first argument that names another
/// program is shown as what it is, a claim: `/tmp/x [argv0 sshd]`.
pub fn command_line(event: &Event<'_>) -> Safe {
    let flags = event.number(layout::exec::EXE_FLAGS).unwrap_or(0);
    let script = flags & layout::exec::EXE_SCRIPT != 0;
    let image = event.bytes(FieldTag::KPATH).filter(|p| !p.is_empty());
    let filename = event.bytes(FieldTag::FILENAME).filter(|p| !p.is_empty());
    let argv = event.field(FieldTag::ARGV);
    let mut words = argv.map(|f| f.bytes).into_iter().flat_map(arguments);
    let argv0 = words.next();
    let program = if script { filename.or(image) } else { image.or(filename) };
    let mut out = program
        .or(argv0)
        .or_else(|| event.bytes(FieldTag::COMM))
        .map_or(String::new(), |p| word(p).into_string());
    // A script's own arguments stand behind the interpreter's; the kernel put the script's name among them.
    for argument in words.filter(|w| !(script && Some(*w) == filename)) {
        out.push(' ');
        out.push_str(word(argument).as_str());
    }
    if argv.is_some_and(payload::is_cut) {
        out.push_str(" ...");
    }
    let mut marks: Vec<String> = image_marks(flags).into_iter().map(str::to_owned).collect();
    if let (Some(argv0), Some(program)) = (argv0, program)
        && !script
        && !names_same_program(argv0, program, filename)
    {
        marks.push(format!("argv0 {}", word(argv0)));
    }
    if !marks.is_empty() {
        out.push_str(&format!(" [{}]", marks.join(", ")));
    }
    Safe::format(format_args!("{out}"))
}

/// Whether `argv[0]` is the program's own name: its path, its last component, or that with the login shell's dash.
fn names_same_program(argv0: &[u8], program: &[u8], filename: Option<&[u8]>) -> bool {
    let base = |path: &[u8]| path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
    let given = argv0.strip_prefix(b"-").unwrap_or(argv0);
    base(given) == base(program) || filename.is_some_and(|f| base(f) == base(given))
}
