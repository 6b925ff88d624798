//! Rows of one container as they come in, column by column, until they are cut into a block.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{is_payload, strings::StringTable};
use crate::{Event, MAX_ARGS, MAX_FIELDS, TaskKey, WriteError, limits};

/// A field of a row that came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldIn {
    pub(super) tag: u8,
    pub(super) flags: u8,
    pub(super) full_len: u32,
    /// String id, or offset of a payload.
    pub(super) at: u32,
    /// Length of a payload.
    pub(super) len: u32,
}

/// Rows in order of arrival.
#[derive(Debug)]
pub(crate) struct OpenBlock {
    pub(super) time: Vec<u64>,
    pub(super) task: Vec<u32>,
    pub(super) code: Vec<u16>,
    pub(super) ret: Vec<i64>,
    pub(super) flags: Vec<u32>,
    pub(super) cpu: Vec<u16>,
    pub(super) class: Vec<u8>,
    /// Empty until a row has a duration.
    pub(super) duration: Vec<Option<u64>>,
    pub(super) arg_end: Vec<u32>,
    pub(super) args: Vec<u64>,
    pub(super) field_end: Vec<u32>,
    pub(super) fields: Vec<FieldIn>,
    pub(super) strings: StringTable,
    pub(super) payload: Vec<u8>,
    pub(super) tasks: Vec<TaskKey>,
    task_ids: HashMap<TaskKey, u32, RandomState>,
}

/// What an event may have at most, checked before it goes anywhere; the bytes of its fields.
pub(crate) fn check_size(event: &Event<'_>) -> Result<usize, WriteError> {
    let bytes: usize = event.fields.iter().map(|f| f.bytes.len()).sum();
    let checks = [
        ("numbers", event.args.len(), MAX_ARGS),
        ("fields", event.fields.len(), MAX_FIELDS),
        ("bytes of fields", bytes, limits::EVENT_BYTES),
    ];
    match checks.into_iter().find(|(_, found, limit)| found > limit) {
        Some((what, found, limit)) => Err(WriteError::TooLarge { what, found, limit }),
        None => Ok(bytes),
    }
}

impl OpenBlock {
    pub(crate) fn new() -> Self {
        Self {
            time: Vec::new(),
            task: Vec::new(),
            code: Vec::new(),
            ret: Vec::new(),
            flags: Vec::new(),
            cpu: Vec::new(),
            class: Vec::new(),
            duration: Vec::new(),
            arg_end: Vec::new(),
            args: Vec::new(),
            field_end: Vec::new(),
            fields: Vec::new(),
            strings: StringTable::new(),
            payload: Vec::new(),
            tasks: Vec::new(),
            task_ids: HashMap::default(),
        }
    }

    /// Room for rows that is held.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.time.capacity()
    }

    /// Empties it and keeps its memory for the next rows.
    pub(crate) fn clear(&mut self) {
        self.time.clear();
        self.task.clear();
        self.code.clear();
        self.ret.clear();
        self.flags.clear();
        self.cpu.clear();
        self.class.clear();
        self.duration.clear();
        self.arg_end.clear();
        self.args.clear();
        self.field_end.clear();
        self.fields.clear();
        self.strings.clear();
        self.payload.clear();
        self.tasks.clear();
        self.task_ids.clear();
    }

    pub(crate) fn rows(&self) -> usize {
        self.time.len()
    }

    /// Bytes that the rows take before encoding.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.time.len() * 32
            + self.args.len() * 8
            + self.fields.len() * 16
            + self.payload.len()
            + self.strings.bytes().len()
    }

    /// Whether this event would make the block larger than a block shall be.
    pub(crate) fn is_full_for(&self, event: &Event<'_>) -> bool {
        self.is_full_with(event, event.fields.iter().map(|f| f.bytes.len()).sum())
    }

    /// The same of an event with so many bytes of fields.
    pub(crate) fn is_full_with(&self, event: &Event<'_>, bytes: usize) -> bool {
        self.rows() >= limits::CUT_ROWS
            || (self.rows() > 0
                && self.raw_bytes() + bytes + event.args.len() * 8 + event.fields.len() * 16
                    > limits::CUT_BYTES)
    }

    /// Adds a row that [`check_size`] let pass.
    pub(crate) fn push(&mut self, event: &Event<'_>, class: u8) {
        let task = self.task_id(event.task);
        if event.duration.is_some() && self.duration.is_empty() {
            self.duration.resize(self.time.len(), None);
        }
        if event.duration.is_some() || !self.duration.is_empty() {
            self.duration.push(event.duration);
        }
        self.time.push(event.time.0);
        self.task.push(task);
        self.code.push(event.code.0);
        self.ret.push(event.ret);
        self.flags.push(event.flags.0);
        self.cpu.push(event.cpu);
        self.class.push(class);
        self.args.extend_from_slice(event.args);
        self.arg_end.push(self.args.len() as u32);
        for field in event.fields {
            let at = if is_payload(field.tag) {
                let at = self.payload.len() as u32;
                self.payload.extend_from_slice(field.bytes);
                at
            } else {
                self.strings.intern(field.bytes)
            };
            self.fields.push(FieldIn {
                tag: field.tag.0,
                flags: field.flags.0,
                full_len: field.full_len,
                at,
                len: field.bytes.len() as u32,
            });
        }
        self.field_end.push(self.fields.len() as u32);
    }

    fn task_id(&mut self, key: TaskKey) -> u32 {
        if let Some(&last) = self.task.last()
            && self.tasks[last as usize] == key
        {
            return last;
        }
        *self.task_ids.entry(key).or_insert_with(|| {
            self.tasks.push(key);
            (self.tasks.len() - 1) as u32
        })
    }

    /// Fields of the row that arrived as number `row`.
    pub(super) fn fields_of(&self, row: usize) -> &[FieldIn] {
        let begin = if row == 0 { 0 } else { self.field_end[row - 1] };
        &self.fields[begin as usize..self.field_end[row] as usize]
    }

    /// Where the numbers of the row that arrived as number `row` lie.
    pub(super) fn arg_range(&self, row: usize) -> std::ops::Range<usize> {
        let begin = if row == 0 { 0 } else { self.arg_end[row - 1] };
        begin as usize..self.arg_end[row] as usize
    }

    /// Numbers of the row that arrived as number `row`.
    pub(super) fn args_of(&self, row: usize) -> &[u64] {
        &self.args[self.arg_range(row)]
    }
}
