//! Events that outlive the block they were decoded from.

use crate::{BootNanos, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_FIELDS, TaskKey};

/// The owned twin of [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEvent {
    /// As [`Event::time`].
    pub time: BootNanos,
    /// As [`Event::duration`].
    pub duration: Option<u64>,
    /// As [`Event::task`].
    pub task: TaskKey,
    /// As [`Event::code`].
    pub code: EventCode,
    /// As [`Event::flags`].
    pub flags: EventFlags,
    /// As [`Event::cpu`].
    pub cpu: u16,
    /// As [`Event::ret`].
    pub ret: i64,
    /// As [`Event::args`].
    pub args: Vec<u64>,
    /// As [`Event::fields`].
    pub fields: Vec<OwnedField>,
}

/// The owned twin of [`Field`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedField {
    /// As [`Field::tag`].
    pub tag: FieldTag,
    /// As [`Field::flags`].
    pub flags: FieldFlags,
    /// As [`Field::full_len`].
    pub full_len: u32,
    /// As [`Field::bytes`].
    pub bytes: Vec<u8>,
}

const NO_FIELD: Field<'static> = Field { tag: FieldTag(0), flags: FieldFlags(0), full_len: 0, bytes: &[] };

impl OwnedEvent {
    /// Copies an event.
    pub fn from_event(event: &Event<'_>) -> Self {
        Self {
            time: event.time,
            duration: event.duration,
            task: event.task,
            code: event.code,
            flags: event.flags,
            cpu: event.cpu,
            ret: event.ret,
            args: event.args.to_vec(),
            fields: event.fields.iter().map(OwnedField::from_field).collect(),
        }
    }

    /// Lends it as an [`Event`]. Fields beyond [`MAX_FIELDS`] are not lent.
    pub fn with<R>(&self, f: impl FnOnce(&Event<'_>) -> R) -> R {
        let mut fields = [NO_FIELD; MAX_FIELDS];
        let count = self.fields.len().min(MAX_FIELDS);
        for (lent, own) in fields.iter_mut().zip(&self.fields) {
            *lent = own.as_field();
        }
        f(&Event {
            time: self.time,
            duration: self.duration,
            task: self.task,
            code: self.code,
            flags: self.flags,
            cpu: self.cpu,
            ret: self.ret,
            args: &self.args,
            fields: fields.get(..count).unwrap_or(&[]),
        })
    }

    /// The first field with this tag.
    pub fn field(&self, tag: FieldTag) -> Option<&OwnedField> {
        self.fields.iter().find(|f| f.tag == tag)
    }

    /// The bytes of the first field with this tag.
    pub fn bytes(&self, tag: FieldTag) -> Option<&[u8]> {
        self.field(tag).map(|f| f.bytes.as_slice())
    }

    /// As [`Event::number`].
    pub fn number(&self, index: usize) -> Option<u64> {
        self.args.get(index).copied().filter(|&n| n != crate::layout::UNKNOWN)
    }
}

impl OwnedField {
    /// Copies a field.
    pub fn from_field(field: &Field<'_>) -> Self {
        Self { tag: field.tag, flags: field.flags, full_len: field.full_len, bytes: field.bytes.to_vec() }
    }

    /// Lends it as a [`Field`].
    pub fn as_field(&self) -> Field<'_> {
        Field { tag: self.tag, flags: self.flags, full_len: self.full_len, bytes: &self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_event_lends_what_it_was_made_from() {
        let fields = [
            Field { tag: FieldTag::PATH, flags: FieldFlags::TRUNCATED, full_len: 9, bytes: b"/etc" },
            Field { tag: FieldTag::KPATH, flags: FieldFlags(0), full_len: 2, bytes: b"\x1b\xff" },
        ];
        let event = Event {
            time: BootNanos(7),
            duration: Some(3),
            task: TaskKey { tgid: 1, tid: 2, start: BootNanos(5) },
            code: EventCode(257),
            flags: EventFlags::DIFFERS,
            cpu: 1,
            ret: -2,
            args: &[1, crate::layout::UNKNOWN],
            fields: &fields,
        };
        let owned = OwnedEvent::from_event(&event);
        assert!(owned.with(|lent| *lent == event));
        assert_eq!(owned.bytes(FieldTag::KPATH), Some(&b"\x1b\xff"[..]));
        assert_eq!(owned.number(0), Some(1));
        assert_eq!(owned.number(1), None);
    }
}
