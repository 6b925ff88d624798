//! Pins that end at a size: how much was recorded of their containers since they were made.
//!
//! The engine sets meters, the recording thread runs them down. What is counted is what the events themselves take,
//! before compression: the only size that is known at that moment.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use afterimage_format::{ContainerUid, Event};

/// What an event takes besides its arguments and fields: time, task, code, result.
const HEAD: u64 = 40;

/// All meters that run.
#[derive(Debug, Default)]
pub struct Meters {
    any: AtomicBool,
    running: Mutex<HashMap<ContainerUid, Vec<Meter>>>,
}

#[derive(Debug)]
struct Meter {
    pin: String,
    left: u64,
}

impl Meters {
    /// Lets a pin of this container end after so many bytes; one that runs already stays as it is.
    pub fn set(&self, uid: ContainerUid, pin: &str, bytes: u64) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.entry(uid).or_default();
        if own.iter().all(|meter| meter.pin != pin) {
            own.push(Meter { pin: pin.to_owned(), left: bytes });
        }
        self.any.store(true, Ordering::Relaxed);
    }

    /// Stops all meters of a container.
    pub fn stop(&self, uid: ContainerUid) {
        if self.any.load(Ordering::Relaxed) {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.remove(&uid);
            self.any.store(!running.is_empty(), Ordering::Relaxed);
        }
    }

    /// Counts an event; the pins that have their size by it.
    pub fn count(&self, uid: ContainerUid, event: &Event<'_>) -> Vec<String> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = running.get_mut(&uid) else { return Vec::new() };
        let size = size(event);
        own.iter_mut().for_each(|meter| meter.left = meter.left.saturating_sub(size));
        let full = own.extract_if(.., |meter| meter.left == 0).map(|meter| meter.pin).collect();
        if own.is_empty() {
            running.remove(&uid);
        }
        self.any.store(!running.is_empty(), Ordering::Relaxed);
        full
    }
}

fn size(event: &Event<'_>) -> u64 {
    let fields: usize = event.fields.iter().map(|field| field.bytes.len()).sum();
    HEAD + (fields + size_of_val(event.args)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{BootNanos, EventCode, EventFlags, TaskKey};

    #[test]
    fn each_pin_ends_at_its_own_size() {
        let event = Event {
            time: BootNanos(1),
            duration: None,
            task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
            code: EventCode(1),
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &[1, 2],
            fields: &[],
        };
        let (meters, uid) = (Meters::default(), ContainerUid(7));
        assert_eq!(meters.count(uid, &event), Vec::<String>::new());
        meters.set(uid, "a", 56);
        meters.set(uid, "b", 57);
        meters.set(uid, "b", 5);
        assert_eq!(meters.count(ContainerUid(8), &event), Vec::<String>::new());
        assert_eq!(meters.count(uid, &event), ["a"], "two arguments and the head are 56 bytes");
        assert_eq!(meters.count(uid, &event), ["b"]);
        assert_eq!(meters.count(uid, &event), Vec::<String>::new());
        meters.set(uid, "c", 1);
        meters.stop(uid);
        assert_eq!(meters.count(uid, &event), Vec::<String>::new());
    }
}
