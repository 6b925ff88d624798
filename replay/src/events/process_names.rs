//! What each process was called at the moment of an event.

use std::collections::HashMap;

use afterimage_format::{Event, EventCode, FieldTag, layout};
use afterimage_model::text::{Safe, escape};

/// `prctl(PR_SET_NAME)` renames the calling thread.
const PR_SET_NAME: u64 = 15;
const NR_PRCTL: EventCode = EventCode(157);

/// Names by thread group.
#[derive(Debug, Default)]
pub(super) struct ProcessNames {
    names: HashMap<u32, Safe>,
}

impl ProcessNames {
    /// Takes the event in.
    pub(super) fn apply(&mut self, event: &Event<'_>) {
        match event.code {
            EventCode::EXEC | EventCode::PROCESS => {
                let name =
                    event.bytes(FieldTag::COMM).or_else(|| event.bytes(FieldTag::KPATH).map(last_part));
                if let Some(name) = name {
                    self.names.insert(event.task.tgid, escape(name));
                }
            }
            EventCode::FORK => {
                let child = event.number(layout::fork::CHILD_TGID).and_then(|n| u32::try_from(n).ok());
                let parent = self.names.get(&event.task.tgid).cloned();
                if let (Some(child), Some(name)) = (child, parent) {
                    self.names.insert(child, name);
                }
            }
            NR_PRCTL if event.task.tid == event.task.tgid && event.number(0) == Some(PR_SET_NAME) => {
                let name = event.bytes(FieldTag::DATA).or_else(|| event.bytes(FieldTag::PATH));
                if let Some(name) = name.filter(|_| event.ret == 0) {
                    self.names.insert(event.task.tgid, escape(name));
                }
            }
            _ => {}
        }
    }

    /// The name of an event's process.
    pub(super) fn of(&self, event: &Event<'_>) -> Option<&Safe> {
        self.names.get(&event.task.tgid)
    }
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}
