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

/// What was executed, for its command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    /// The image's path from the kernel; empty where not known.
    pub(crate) image: &'a [u8],
    /// The name given to exec; empty where not known.
    pub(crate) filename: &'a [u8],
    /// Arguments, each ended by a NUL.
    pub(crate) argv: Option<&'a [u8]>,
    /// The arguments were cut.
    pub(crate) cut: bool,
    /// Bits of `EXE_FLAGS`.
    pub(crate) flags: u64,
    /// The task's name, where nothing else is known.
    pub(crate) comm: Option<&'a [u8]>,
}

/// What an `EXEC` or `PROCESS` event ran: the kernel's path of the image (for a script, the script), the arguments
/// but the first, and in brackets what is special: `/tmp/.x -q [upper layer]`. A first argument that names another
/// program is shown as what it is, a claim: `/tmp/x [as sshd] -D`.
pub fn command_line(event: &Event<'_>) -> Safe {
    let argv = event.field(FieldTag::ARGV);
    Command {
        image: event.bytes(FieldTag::KPATH).unwrap_or_default(),
        filename: event.bytes(FieldTag::FILENAME).unwrap_or_default(),
        argv: argv.map(|f| f.bytes),
        cut: argv.is_some_and(payload::is_cut),
        flags: event.number(layout::exec::EXE_FLAGS).unwrap_or(0),
        comm: event.bytes(FieldTag::COMM),
    }
    .line()
}

impl Command<'_> {
    /// As [`command_line`].
    pub(crate) fn line(&self) -> Safe {
        let script = self.flags & layout::exec::EXE_SCRIPT != 0;
        let image = Some(self.image).filter(|p| !p.is_empty());
        let filename = Some(self.filename).filter(|p| !p.is_empty());
        let mut words = self.argv.into_iter().flat_map(arguments);
        let argv0 = words.next();
        let program = if script { filename.or(image) } else { image.or(filename) };
        let first = program.or(argv0).or(self.comm);
        let mut out = first.map_or(String::new(), |p| word(p).into_string());
        if let (Some(argv0), Some(program)) = (argv0, program)
            && !script
            && !names_same_program(argv0, program, filename)
        {
            out.push_str(&format!(" [as {}]", word(argv0)));
        }
        // A script's own arguments stand behind the interpreter's; the kernel put the script's name among them.
        for argument in words.filter(|w| !(script && Some(*w) == filename)) {
            out.push(' ');
            out.push_str(word(argument).as_str());
        }
        if self.cut {
            out.push_str(" ...");
        }
        let marks = image_marks(self.flags);
        if !marks.is_empty() {
            out.push_str(&format!(" [{}]", marks.join(", ")));
        }
        Safe::format(format_args!("{out}"))
    }
}

/// Whether `argv[0]` is the program's own name: its path, its last component, or that with the login shell's dash.
fn names_same_program(argv0: &[u8], program: &[u8], filename: Option<&[u8]>) -> bool {
    let base = |path: &[u8]| path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
    let given = argv0.strip_prefix(b"-").unwrap_or(argv0);
    base(given) == base(program) || filename.is_some_and(|f| base(f) == base(given))
}
