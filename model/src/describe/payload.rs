//! Payload bytes in short.

use afterimage_format::{Event, Field, FieldFlags, FieldTag};

use crate::text::{self, Safe};

/// The first `limit` bytes of a field, quoted, with `...` where more was there, and whether a policy masked some.
pub(super) fn field(field: &Field<'_>, limit: usize) -> Safe {
    let kept = field.bytes.get(..limit).unwrap_or(field.bytes);
    let cut = kept.len() < field.bytes.len() || is_cut(field);
    marked(text::quote(kept, cut), is_redacted(field))
}

/// Whether a policy masked some of the bytes.
fn is_redacted(field: &Field<'_>) -> bool {
    field.flags.contains(FieldFlags::REDACTED)
}

fn marked(quoted: Safe, redacted: bool) -> Safe {
    if redacted { Safe::format(format_args!("{quoted} [redacted]")) } else { quoted }
}

/// Whether more was there than was recorded.
pub(super) fn is_cut(field: &Field<'_>) -> bool {
    field.flags.contains(FieldFlags::TRUNCATED)
        || usize::try_from(field.full_len).is_ok_and(|full| full > field.bytes.len())
}

/// All payload of an event as one quoted string; vectors are joined.
pub(super) fn joined(event: &Event<'_>, limit: usize) -> Option<Safe> {
    let mut fields = event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD);
    let first = fields.next()?;
    let Some(second) = fields.next() else { return Some(field(first, limit)) };
    let redacted = event.fields.iter().any(|f| f.tag == FieldTag::PAYLOAD && is_redacted(f));
    let mut bytes = first.bytes.to_vec();
    let mut cut = is_cut(first);
    for part in std::iter::once(second).chain(fields) {
        if bytes.len() >= limit || cut {
            cut = true;
            break;
        }
        bytes.extend_from_slice(part.bytes);
        cut = is_cut(part);
    }
    let kept = bytes.get(..limit).unwrap_or(&bytes);
    Some(marked(text::quote(kept, cut || kept.len() < bytes.len()), redacted))
}

/// True bytes of several vectors together.
pub(crate) fn length<'a>(parts: impl Iterator<Item = &'a Field<'a>>) -> u64 {
    parts.map(|part| u64::from(part.full_len)).fold(0, u64::saturating_add)
}

/// The bytes of several vectors up to the first that was cut: what follows it is not where it seems.
pub(crate) fn contiguous<'a>(parts: impl Iterator<Item = &'a Field<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(part.bytes);
        if usize::try_from(part.full_len).is_ok_and(|full| full > part.bytes.len()) {
            break;
        }
    }
    out
}
