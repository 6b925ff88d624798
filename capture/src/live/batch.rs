//! Events copied one behind the other, and containers among them.

use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag,
    TaskKey,
};

/// A run of events in the order in which they were stored.
#[derive(Debug, Default)]
pub struct Batch {
    heads: Vec<Head>,
    args: Vec<u64>,
    fields: Vec<FieldHead>,
    bytes: Vec<u8>,
    /// What was learnt of containers, and before which event.
    records: Vec<(usize, Box<ContainerRecord>)>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    container: ContainerUid,
    time: BootNanos,
    duration: Option<u64>,
    task: TaskKey,
    code: EventCode,
    flags: EventFlags,
    cpu: u16,
    ret: i64,
    args: usize,
    fields: usize,
}

#[derive(Debug, Clone, Copy)]
struct FieldHead {
    tag: FieldTag,
    flags: FieldFlags,
    full_len: u32,
    end: usize,
}

/// What a batch holds, in order.
pub enum Item<'a> {
    /// Something was learnt of a container.
    Container(&'a ContainerRecord),
    /// An event.
    Event(ContainerUid, &'a Event<'a>),
}

impl Batch {
    /// Copies an event.
    pub fn push(&mut self, container: ContainerUid, event: &Event<'_>) {
        self.args.extend_from_slice(event.args);
        for field in event.fields {
            self.bytes.extend_from_slice(field.bytes);
            let end = self.bytes.len();
            let (tag, flags, full_len) = (field.tag, field.flags, field.full_len);
            self.fields.push(FieldHead { tag, flags, full_len, end });
        }
        self.heads.push(Head {
            container,
            time: event.time,
            duration: event.duration,
            task: event.task,
            code: event.code,
            flags: event.flags,
            cpu: event.cpu,
            ret: event.ret,
            args: self.args.len(),
            fields: self.fields.len(),
        });
    }

    /// Copies what is known of a container.
    pub fn push_container(&mut self, record: &ContainerRecord) {
        self.records.push((self.heads.len(), Box::new(record.clone())));
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.records.is_empty()
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
            + self.heads.len() * size_of::<Head>()
            + self.args.len() * size_of::<u64>()
            + self.fields.len() * size_of::<FieldHead>()
            + self.records.len() * 4 * size_of::<ContainerRecord>()
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.args.clear();
        self.fields.clear();
        self.bytes.clear();
        self.records.clear();
    }

    /// Hands out everything in order.
    pub fn for_each(&self, mut visit: impl FnMut(Item<'_>)) {
        let mut records = self.records.iter().peekable();
        let (mut args, mut fields, mut bytes) = (0, 0, 0);
        let mut own = Vec::new();
        for (index, head) in self.heads.iter().enumerate() {
            while let Some((_, record)) = records.next_if(|(before, _)| *before <= index) {
                visit(Item::Container(record));
            }
            own.clear();
            for field in &self.fields[fields..head.fields] {
                own.push(Field {
                    tag: field.tag,
                    flags: field.flags,
                    full_len: field.full_len,
                    bytes: &self.bytes[bytes..field.end],
                });
                bytes = field.end;
            }
            let event = Event {
                time: head.time,
                duration: head.duration,
                task: head.task,
                code: head.code,
                flags: head.flags,
                cpu: head.cpu,
                ret: head.ret,
                args: &self.args[args..head.args],
                fields: &own,
            };
            visit(Item::Event(head.container, &event));
            (args, fields) = (head.args, head.fields);
        }
        for (_, record) in records {
            visit(Item::Container(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_in_order() {
        let field = |tag, bytes: &'static [u8]| Field {
            tag,
            flags: FieldFlags::TRUNCATED,
            full_len: bytes.len() as u32 + 9,
            bytes,
        };
        let fields: [&[Field<'_>]; 3] = [
            &[field(FieldTag::ARGV, b"sh\0-c\0"), field(FieldTag::KPATH, b"/bin/sh")],
            &[],
            &[field(FieldTag::PATH, b"")],
        ];
        let args: [&[u64]; 3] = [&[1, 2, 3], &[u64::MAX], &[]];
        let event = |index: usize| Event {
            time: BootNanos(index as u64 * 10),
            duration: Some(index as u64).filter(|d| *d > 0),
            task: TaskKey { tgid: 1, tid: index as u32, start: BootNanos(7) },
            code: EventCode(index as u16),
            flags: EventFlags::SETUP,
            cpu: 3,
            ret: -(index as i64),
            args: args[index],
            fields: fields[index],
        };
        let mut record = ContainerRecord::host(BootNanos(5));
        record.uid = ContainerUid(9);
        let mut batch = Batch::default();
        for round in 0..2 {
            assert!(batch.is_empty(), "round {round}");
            batch.push(ContainerUid(1), &event(0));
            batch.push_container(&record);
            batch.push(ContainerUid(2), &event(1));
            batch.push(ContainerUid(1), &event(2));
            batch.push_container(&record);
            let mut seen = Vec::new();
            batch.for_each(|item| match item {
                Item::Container(own) => {
                    assert_eq!(*own, record);
                    seen.push(99);
                }
                Item::Event(uid, own) => {
                    let index = own.code.0 as usize;
                    assert_eq!(*own, event(index));
                    assert_eq!(uid.0, [1, 2, 1][index]);
                    seen.push(index);
                }
            });
            assert_eq!(seen, [0, 99, 1, 2, 99]);
            batch.clear();
        }
    }
}
