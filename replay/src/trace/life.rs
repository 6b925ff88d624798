//! What became of a container, and whether its recording is complete.

use afterimage_detect::follows;
use afterimage_format::{BootNanos, ContainerSummary, ContainerUid, Loss, LossCause, Recording};

use super::{Gaps, Trace};
use crate::time::Span;

/// What is known of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Neither ended nor removed, and the recorder has the recording open.
    Running,
    /// Its first process has ended; it was not removed.
    Exited,
    /// It was removed: only the recording knows it.
    Deleted,
    /// The recording ended before it did.
    Unknown,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Deleted => "deleted",
            Self::Unknown => "unknown",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(u32),
    /// By this signal.
    Signal(u32),
}

impl Ended {
    /// From the kernel's raw `exit_code`.
    pub const fn from_raw(raw: u32) -> Self {
        match raw & 0x7f {
            0 => Self::Code(raw >> 8 & 0xff),
            signal => Self::Signal(signal),
        }
    }
}

/// Why a recording of a container is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partial {
    /// It was there before recording began.
    BeganBefore,
    /// The recording ended before it did.
    EndMissing,
    /// Events of it were lost.
    Lost,
    /// There are gaps in its life of which nobody knows whose events they hold.
    Gap,
    /// Retention removed events of it.
    Evicted,
    /// Events of it were recorded and are not in this recording: it is a part, or something was taken out.
    Absent,
    /// Blocks of it were damaged in what this was copied from.
    Corrupt,
    /// The recording is damaged.
    Damaged,
}

impl Partial {
    /// The words for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeganBefore => "began before the recording",
            Self::EndMissing => "recording ended before it",
            Self::Lost => "events lost",
            Self::Gap => "gaps in the recording",
            Self::Evicted => "events evicted",
            Self::Absent => "events missing",
            Self::Corrupt => "damaged before it was copied",
            Self::Damaged => "recording damaged",
        }
    }
}

/// A container's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What is known of its end.
    pub state: State,
    /// When its first program was executed, else its first sign.
    pub begin: BootNanos,
    /// When its first process ended, else when it was removed.
    pub end: Option<BootNanos>,
    /// The last that is known of it: its end; of one that is running the recording's end; else its last event.
    pub last: BootNanos,
    /// How its first process ended.
    pub exit: Option<Ended>,
    /// Why it is not complete; empty where it is.
    pub partial: Vec<Partial>,
}

impl Life {
    /// The life of a container of a recording.
    pub fn of(trace: &Trace, summary: &ContainerSummary) -> Self {
        let record = &summary.record;
        let state = match (record.removed, record.exited) {
            (Some(_), _) => State::Deleted,
            (None, Some(_)) => State::Exited,
            (None, None) if follows(followed_from(&trace.recording), record) => State::Running,
            (None, None) => State::Unknown,
        };
        let begin = record.started.unwrap_or(record.first_seen);
        let end = record.exited.map(|(at, _)| at).or(record.removed);
        let last_event = summary.range.map(|(_, last)| last);
        // What is running was there when the recording's last event was, be it another's.
        let last_event = match state {
            State::Running => last_event.max(trace.recording.time_range().map(|(_, last)| last)),
            _ => last_event,
        };
        let last = end.or(last_event).unwrap_or(begin);
        let life = Self {
            state,
            begin,
            end,
            last,
            exit: record.exited.map(|(_, raw)| Ended::from_raw(raw)),
            partial: Vec::new(),
        };
        Self { partial: life.partial_reasons(trace, summary), ..life }
    }

    /// How long it lived, as far as is known.
    pub fn length(&self) -> u64 {
        self.last.0.saturating_sub(self.begin.0)
    }

    fn partial_reasons(&self, trace: &Trace, summary: &ContainerSummary) -> Vec<Partial> {
        let record = &summary.record;
        let uid = record.uid;
        let span = Span { begin: Some(record.first_seen), end: record.removed.or(self.end) };
        let losses = Gaps::losses(trace, Some(uid), span);
        let begin = record.preexisting && uid != ContainerUid::HOST;
        let is_own = |loss: &&Loss| loss.container == Some(uid);
        let lost = summary.lost > 0 || losses.iter().filter(is_own).any(|loss| !loss.cause.is_damage());
        let corrupt = losses.iter().filter(is_own).any(|loss| loss.cause.is_damage());
        let unattributed = losses.iter().any(|g| g.container.is_none());
        let evicted = trace.recording.eviction(uid);
        let known = summary.events.saturating_add(evicted.map_or(0, |eviction| eviction.events));
        [
            (begin, Partial::BeganBefore),
            (self.state == State::Unknown && uid != ContainerUid::HOST, Partial::EndMissing),
            (lost, Partial::Lost),
            (unattributed, Partial::Gap),
            (evicted.is_some(), Partial::Evicted),
            (summary.rows > known, Partial::Absent),
            (corrupt, Partial::Corrupt),
            (is_damaged(trace, uid), Partial::Damaged),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }
}

/// Damage that opening finds may have taken anything. Of a block that cannot be read it is known whose it is. A torn tail is
/// the end of what had not ended, whose end is missing anyway.
fn is_damaged(trace: &Trace, uid: ContainerUid) -> bool {
    super::gaps::is_damaged(trace.recording.defects_when_opened()) || trace.recording.has_unread(uid)
}

/// [`afterimage_detect::Frame::followed_from`] of a recording.
pub fn followed_from(recording: &Recording) -> Option<BootNanos> {
    // Who sealed the last segment has ended, or is about to begin the next.
    if !recording.is_live() || !recording.unsealed() {
        return Some(BootNanos(u64::MAX));
    }
    let downs = recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown);
    downs.map(|down| down.from).max()
}

#[cfg(test)]
mod tests {
    use afterimage_format::{ContainerRecord, Loss, Origin, StoreOptions, StoreWriter};

    use super::*;

    #[test]
    fn what_a_recorder_that_stopped_left_running_is_not_running_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreWriter::open(dir.path(), Origin::default(), StoreOptions::default()).unwrap();
        let seen =
            |uid, at| ContainerRecord { uid: ContainerUid(uid), ..ContainerRecord::host(BootNanos(at)) };
        let (container, cpu, cause) = (None, None, LossCause::RecorderDown);
        let down = Loss { container, cause, cpu, from: BootNanos(200), to: BootNanos(300), count: None };
        [seen(1, 100), seen(2, 250)].iter().for_each(|record| store.put_container(record).unwrap());
        store.put_loss(&down).unwrap();
        store.commit(BootNanos(400)).unwrap();
        let states = || -> Vec<State> {
            let trace = Trace::open(dir.path().to_path_buf(), false).unwrap();
            let all = trace.recording.containers();
            let all = [1, 2].map(|uid| all.iter().find(|c| c.record.uid == ContainerUid(uid)).unwrap());
            all.map(|summary| Life::of(&trace, summary).state).to_vec()
        };
        assert_eq!(states(), [State::Unknown, State::Running]);
        store.seal().unwrap();
        assert_eq!(states(), [State::Unknown; 2]);
    }

    #[test]
    fn exit_codes_and_signals_are_told_apart() {
        assert_eq!(Ended::from_raw(0), Ended::Code(0));
        assert_eq!(Ended::from_raw(0x100), Ended::Code(1));
        assert_eq!(Ended::from_raw(9), Ended::Signal(9));
        assert_eq!(Ended::from_raw(0x80 | 11), Ended::Signal(11));
    }
}
