//! Metadata records: what is known of containers, gaps, clocks and the machine.
//!
//! Each record lies in an envelope `kind u16, version u16, length u32` and is bincode 2.0.1 in its legacy
//! configuration (fixed-width little-endian numbers, `u64` lengths, no names). This is the only module that uses
//! bincode, always with a limit, and a record must fill its envelope exactly. A schema is never edited: a change is
//! a new version with a struct of its own.

use bincode::{Decode, Encode};

use crate::{
    BootNanos, ClockPair, ContainerRecord, ContainerUid, Engine, Eviction, EvictionReason, Fact, FactKey,
    FactSource, Incident, Loss, LossCause, Origin, Pin, Role, TaskKey,
    bytes::{Input, Malformed, Output},
    incident::RowsOf,
    keeping::{FileId, KeptFile, Tombstone},
    limits,
};

/// Kinds of records.
mod kind {
    pub(super) const ORIGIN: u16 = 1;
    pub(super) const CONTAINER: u16 = 2;
    pub(super) const LOSS: u16 = 3;
    pub(super) const CLOCK: u16 = 4;
    pub(super) const TOMBSTONE: u16 = 5;
    pub(super) const EVICTION: u16 = 6;
    pub(super) const PIN: u16 = 7;
    pub(super) const UNPIN: u16 = 8;
    pub(super) const INCIDENT: u16 = 9;
    pub(super) const KEPT: u16 = 10;
    pub(super) const ROWS: u16 = 11;
}

const VERSION: u16 = 1;

/// One metadata record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Origin(Origin),
    Container(Box<ContainerRecord>),
    Loss(Loss),
    Clock(ClockPair),
    Tombstone(Box<Tombstone>),
    Eviction(Eviction),
    Pin(Pin),
    /// The pin with this id was taken away.
    Unpin(String),
    Incident(Incident),
    Kept(KeptFile),
    Rows(RowsOf),
}

/// The one configuration of bincode.
const fn config() -> bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<{ limits::RECORD_BYTES }>,
> {
    bincode::config::legacy().with_limit::<{ limits::RECORD_BYTES }>()
}

#[derive(Encode, Decode)]
struct OriginV1 {
    store_uuid: [u8; 16],
    boot_id: [u8; 16],
    hostname: Vec<u8>,
    kernel: Vec<u8>,
    machine: Vec<u8>,
    degraded: Vec<Vec<u8>>,
    recorder: Vec<u8>,
}

#[derive(Encode, Decode)]
struct TaskV1 {
    tgid: u32,
    tid: u32,
    start: u64,
}

#[derive(Encode, Decode)]
struct FactV1 {
    key: u16,
    value: Vec<u8>,
    source: u16,
    time: u64,
}

#[derive(Encode, Decode)]
struct ContainerV1 {
    uid: u64,
    outer: Option<u64>,
    engine: u16,
    role: u16,
    id: Vec<u8>,
    cgroup_path: Vec<u8>,
    cgroup_id: u64,
    hierarchy: u32,
    first_seen: u64,
    preexisting: bool,
    removed: Option<u64>,
    init: Option<TaskV1>,
    started: Option<u64>,
    exited: Option<(u64, u32)>,
    facts: Vec<FactV1>,
}

#[derive(Encode, Decode)]
struct LossV1 {
    container: Option<u64>,
    cause: u16,
    cpu: Option<u16>,
    from: u64,
    to: u64,
    count: Option<u64>,
}

#[derive(Encode, Decode)]
struct ClockV1 {
    boot: u64,
    real: i64,
}

#[derive(Encode, Decode)]
struct TombstoneV1 {
    kept: bool,
    number: u64,
    link: Vec<u8>,
    size: u64,
    root: [u8; 32],
    moved_to: Option<u64>,
    moved_blocks: u64,
    reason: u16,
    real: i64,
}

#[derive(Encode, Decode)]
struct KeptV1 {
    number: u64,
    size: u64,
    root: [u8; 32],
}

#[derive(Encode, Decode)]
struct RowsV1 {
    container: u64,
    rows: u64,
}

#[derive(Encode, Decode)]
struct EvictionV1 {
    container: u64,
    events: u64,
    blocks: u64,
    until: u64,
    reason: u16,
}

#[derive(Encode, Decode)]
struct PinV1 {
    id: String,
    containers: Vec<u64>,
    begin: Option<u64>,
    end: Option<u64>,
    reason: Vec<u8>,
    until: Option<i64>,
}

#[derive(Encode, Decode)]
struct IncidentV1 {
    id: String,
    document: Vec<u8>,
}

impl Record {
    /// Appends the record in its envelope; false, and nothing appended, when it is over the limit.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Origin(origin) => put(out, kind::ORIGIN, OriginV1::from(origin)),
            Self::Container(record) => put(out, kind::CONTAINER, ContainerV1::from(record.as_ref())),
            Self::Loss(loss) => put(out, kind::LOSS, LossV1::from(loss)),
            Self::Clock(pair) => put(out, kind::CLOCK, ClockV1 { boot: pair.boot.0, real: pair.real }),
            Self::Tombstone(tombstone) => put(out, kind::TOMBSTONE, TombstoneV1::from(tombstone.as_ref())),
            Self::Eviction(eviction) => put(out, kind::EVICTION, EvictionV1::from(eviction)),
            Self::Pin(pin) => put(out, kind::PIN, PinV1::from(pin)),
            Self::Unpin(id) => put(out, kind::UNPIN, id.clone()),
            Self::Incident(Incident { id, document }) => {
                put(out, kind::INCIDENT, IncidentV1 { id: id.clone(), document: document.clone() })
            }
            Self::Kept(KeptFile { number, size, root }) => {
                put(out, kind::KEPT, KeptV1 { number: *number, size: *size, root: *root })
            }
            Self::Rows(RowsOf { container, rows }) => {
                put(out, kind::ROWS, RowsV1 { container: container.0, rows: *rows })
            }
        }
    }

    /// The next record; `None` for one of a later version or kind.
    pub(crate) fn decode(input: &mut Input<'_>) -> Result<Option<Self>, Malformed> {
        let (kind, version, length) = (input.u16()?, input.u16()?, input.u32()? as usize);
        if length > limits::RECORD_BYTES {
            return Err(Malformed("a metadata record is over the limit"));
        }
        let bytes = input.take(length)?;
        if version != VERSION {
            return Ok(None);
        }
        Ok(Some(match kind {
            kind::ORIGIN => Self::Origin(get::<OriginV1>(bytes)?.into()),
            kind::CONTAINER => Self::Container(Box::new(get::<ContainerV1>(bytes)?.into())),
            kind::LOSS => Self::Loss(get::<LossV1>(bytes)?.into()),
            kind::CLOCK => {
                let pair = get::<ClockV1>(bytes)?;
                Self::Clock(ClockPair { boot: BootNanos(pair.boot), real: pair.real })
            }
            kind::TOMBSTONE => Self::Tombstone(Box::new(get::<TombstoneV1>(bytes)?.try_into()?)),
            kind::EVICTION => Self::Eviction(get::<EvictionV1>(bytes)?.into()),
            kind::PIN => Self::Pin(get::<PinV1>(bytes)?.into()),
            kind::UNPIN => Self::Unpin(get(bytes)?),
            kind::INCIDENT => {
                let IncidentV1 { id, document } = get(bytes)?;
                Self::Incident(Incident { id, document })
            }
            kind::KEPT => {
                let KeptV1 { number, size, root } = get(bytes)?;
                Self::Kept(KeptFile { number, size, root })
            }
            kind::ROWS => {
                let RowsV1 { container, rows } = get(bytes)?;
                Self::Rows(RowsOf { container: ContainerUid(container), rows })
            }
            _ => return Ok(None),
        }))
    }

    /// Adds `base` to all times, for recordings of several boots.
    pub(crate) fn rebase(&mut self, base: u64) {
        self.shift(|time| time.0 = time.0.saturating_add(base));
    }

    /// The inverse of [`Self::rebase`].
    pub(crate) fn debase(&mut self, base: u64) {
        self.shift(|time| time.0 = time.0.saturating_sub(base));
    }

    fn shift(&mut self, shift: impl Fn(&mut BootNanos)) {
        match self {
            // What a store says of itself has the base in its times already.
            Self::Origin(_)
            | Self::Tombstone(_)
            | Self::Eviction(_)
            | Self::Pin(_)
            | Self::Unpin(_)
            | Self::Incident(_)
            | Self::Kept(_)
            | Self::Rows(_) => {}
            Self::Container(record) => {
                shift(&mut record.first_seen);
                record.removed.iter_mut().for_each(&shift);
                record.started.iter_mut().for_each(&shift);
                record.exited.iter_mut().for_each(|(time, _)| shift(time));
                record.init.iter_mut().filter(|t| t.start.0 != 0).for_each(|t| shift(&mut t.start));
                record.facts.iter_mut().for_each(|f| shift(&mut f.time));
            }
            Self::Loss(loss) => {
                shift(&mut loss.from);
                shift(&mut loss.to);
            }
            Self::Clock(pair) => shift(&mut pair.boot),
        }
    }
}

fn put<T: Encode>(out: &mut Vec<u8>, kind: u16, value: T) -> bool {
    let begin = out.len();
    out.put_u16(kind);
    out.put_u16(VERSION);
    out.put_u32(0);
    let body = bincode::encode_to_vec(value, config()).ok().filter(|b| b.len() <= limits::RECORD_BYTES);
    let Some(body) = body else {
        out.truncate(begin);
        return false;
    };
    out.truncate(begin + 4);
    out.put_u32(body.len() as u32);
    out.extend_from_slice(&body);
    true
}

fn get<T: Decode<()>>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::decode_from_slice(bytes, config()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(Malformed("a metadata record does not fill its envelope")),
        Err(_) => Err(Malformed("a metadata record cannot be decoded")),
    }
}

impl From<&Origin> for OriginV1 {
    fn from(origin: &Origin) -> Self {
        Self {
            store_uuid: origin.store_uuid,
            boot_id: origin.boot_id,
            hostname: origin.hostname.clone(),
            kernel: origin.kernel.clone(),
            machine: origin.machine.clone(),
            degraded: origin.degraded.clone(),
            recorder: origin.recorder.clone(),
        }
    }
}

impl From<OriginV1> for Origin {
    fn from(origin: OriginV1) -> Self {
        Self {
            store_uuid: origin.store_uuid,
            boot_id: origin.boot_id,
            hostname: origin.hostname,
            kernel: origin.kernel,
            machine: origin.machine,
            degraded: origin.degraded,
            recorder: origin.recorder,
        }
    }
}

impl From<&ContainerRecord> for ContainerV1 {
    fn from(record: &ContainerRecord) -> Self {
        Self {
            uid: record.uid.0,
            outer: record.outer.map(|o| o.0),
            engine: record.engine.code(),
            role: record.role.code(),
            id: record.id.clone(),
            cgroup_path: record.cgroup_path.clone(),
            cgroup_id: record.cgroup_id,
            hierarchy: record.hierarchy,
            first_seen: record.first_seen.0,
            preexisting: record.preexisting,
            removed: record.removed.map(|t| t.0),
            init: record.init.map(|t| TaskV1 { tgid: t.tgid, tid: t.tid, start: t.start.0 }),
            started: record.started.map(|t| t.0),
            exited: record.exited.map(|(t, code)| (t.0, code)),
            facts: record
                .facts
                .iter()
                .map(|f| FactV1 {
                    key: f.key.code(),
                    value: f.value.clone(),
                    source: f.source.code(),
                    time: f.time.0,
                })
                .collect(),
        }
    }
}

impl From<ContainerV1> for ContainerRecord {
    fn from(record: ContainerV1) -> Self {
        Self {
            uid: ContainerUid(record.uid),
            outer: record.outer.map(ContainerUid),
            engine: Engine::from_code(record.engine),
            role: Role::from_code(record.role),
            id: record.id,
            cgroup_path: record.cgroup_path,
            cgroup_id: record.cgroup_id,
            hierarchy: record.hierarchy,
            first_seen: BootNanos(record.first_seen),
            preexisting: record.preexisting,
            removed: record.removed.map(BootNanos),
            init: record.init.map(|t| TaskKey { tgid: t.tgid, tid: t.tid, start: BootNanos(t.start) }),
            started: record.started.map(BootNanos),
            exited: record.exited.map(|(t, code)| (BootNanos(t), code)),
            facts: record
                .facts
                .into_iter()
                .map(|f| Fact {
                    key: FactKey::from_code(f.key),
                    value: f.value,
                    source: FactSource::from_code(f.source),
                    time: BootNanos(f.time),
                })
                .collect(),
        }
    }
}

impl From<&Loss> for LossV1 {
    fn from(loss: &Loss) -> Self {
        Self {
            container: loss.container.map(|c| c.0),
            cause: loss.cause.code(),
            cpu: loss.cpu,
            from: loss.from.0,
            to: loss.to.0,
            count: loss.count,
        }
    }
}

impl From<LossV1> for Loss {
    fn from(loss: LossV1) -> Self {
        Self {
            container: loss.container.map(ContainerUid),
            cause: LossCause::from_code(loss.cause),
            cpu: loss.cpu,
            from: BootNanos(loss.from),
            to: BootNanos(loss.to),
            count: loss.count,
        }
    }
}

impl From<&Tombstone> for TombstoneV1 {
    fn from(tombstone: &Tombstone) -> Self {
        let (kept, number) = match tombstone.file {
            FileId::Kept(number) => (true, number),
            FileId::Segment(number) => (false, number),
        };
        Self {
            kept,
            number,
            link: tombstone.link_bytes(),
            size: tombstone.size,
            root: tombstone.root,
            moved_to: tombstone.moved_to,
            moved_blocks: tombstone.moved_blocks,
            reason: tombstone.reason.code(),
            real: tombstone.real,
        }
    }
}

impl TryFrom<TombstoneV1> for Tombstone {
    type Error = Malformed;

    fn try_from(tombstone: TombstoneV1) -> Result<Self, Malformed> {
        let number = tombstone.number;
        Ok(Self {
            file: if tombstone.kept { FileId::Kept(number) } else { FileId::Segment(number) },
            link: Self::parse_link(&tombstone.link)?,
            size: tombstone.size,
            root: tombstone.root,
            moved_to: tombstone.moved_to,
            moved_blocks: tombstone.moved_blocks,
            reason: EvictionReason::from_code(tombstone.reason),
            real: tombstone.real,
        })
    }
}

impl From<&Eviction> for EvictionV1 {
    fn from(eviction: &Eviction) -> Self {
        Self {
            container: eviction.container.0,
            events: eviction.events,
            blocks: eviction.blocks,
            until: eviction.until.0,
            reason: eviction.reason.code(),
        }
    }
}

impl From<EvictionV1> for Eviction {
    fn from(eviction: EvictionV1) -> Self {
        Self {
            container: ContainerUid(eviction.container),
            events: eviction.events,
            blocks: eviction.blocks,
            until: BootNanos(eviction.until),
            reason: EvictionReason::from_code(eviction.reason),
        }
    }
}

impl From<&Pin> for PinV1 {
    fn from(pin: &Pin) -> Self {
        Self {
            id: pin.id.clone(),
            containers: pin.containers.iter().map(|uid| uid.0).collect(),
            begin: pin.begin.map(|t| t.0),
            end: pin.end.map(|t| t.0),
            reason: pin.reason.clone(),
            until: pin.until,
        }
    }
}

impl From<PinV1> for Pin {
    fn from(pin: PinV1) -> Self {
        Self {
            id: pin.id,
            containers: pin.containers.into_iter().map(ContainerUid).collect(),
            begin: pin.begin.map(BootNanos),
            end: pin.end.map(BootNanos),
            reason: pin.reason,
            until: pin.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> ContainerRecord {
        ContainerRecord {
            uid: ContainerUid(5),
            outer: Some(ContainerUid(2)),
            engine: Engine::Podman,
            role: Role::Container,
            id: b"ab\xff".to_vec(),
            exited: Some((BootNanos(9), 256)),
            init: Some(TaskKey { tgid: 3, tid: 3, start: BootNanos(4) }),
            facts: vec![Fact {
                key: FactKey::Image,
                value: b"busybox".to_vec(),
                source: FactSource::OciBundle,
                time: BootNanos(8),
            }],
            ..ContainerRecord::host(BootNanos(1))
        }
    }

    fn records() -> Vec<Record> {
        vec![
            Record::Origin(Origin {
                store_uuid: [1; 16],
                boot_id: [2; 16],
                hostname: b"h".to_vec(),
                kernel: b"6.18".to_vec(),
                machine: b"x86_64".to_vec(),
                degraded: vec![b"no fork hook".to_vec()],
                recorder: b"0.1.0".to_vec(),
            }),
            Record::Container(Box::new(container())),
            Record::Loss(Loss {
                container: None,
                cause: LossCause::RingFull,
                cpu: Some(1),
                from: BootNanos(1),
                to: BootNanos(2),
                count: Some(3),
            }),
            Record::Clock(ClockPair { boot: BootNanos(1), real: -5 }),
            Record::Tombstone(Box::new(Tombstone {
                file: FileId::Segment(4),
                link: Some(crate::segment::chain::Link::unsigned(4)),
                size: 5,
                root: [6; 32],
                moved_to: Some(1),
                moved_blocks: 2,
                reason: EvictionReason::Budget,
                real: 7,
            })),
            Record::Eviction(Eviction {
                container: ContainerUid(1),
                events: 2,
                blocks: 3,
                until: BootNanos(4),
                reason: EvictionReason::Age,
            }),
            Record::Pin(Pin {
                id: "p1".to_owned(),
                containers: vec![ContainerUid(2)],
                begin: None,
                end: Some(BootNanos(3)),
                reason: b"rule".to_vec(),
                until: Some(4),
            }),
            Record::Unpin("p1".to_owned()),
            Record::Incident(Incident { id: "t-1".to_owned(), document: b"{}".to_vec() }),
            Record::Kept(KeptFile { number: 6, size: 4, root: [7; 32] }),
            Record::Rows(RowsOf { container: ContainerUid(3), rows: 9 }),
        ]
    }

    #[test]
    fn records_come_back_and_no_cut_is_read() {
        for record in records() {
            let mut out = Vec::new();
            assert!(record.encode(&mut out));
            assert_eq!(Record::decode(&mut Input::new(&out)), Ok(Some(record)));
            for cut in 0..out.len() {
                assert!(Record::decode(&mut Input::new(&out[..cut])).is_err());
            }
        }
    }

    #[test]
    fn a_record_that_claims_more_than_there_is_allocates_nothing() {
        // A container whose id has 2^62 bytes.
        let mut body = vec![0u8; 8 + 1 + 2 + 2];
        body.put_u64(1 << 62);
        let mut out = Vec::new();
        out.put_u16(kind::CONTAINER);
        out.put_u16(VERSION);
        out.put_u32(body.len() as u32);
        out.extend_from_slice(&body);
        assert!(Record::decode(&mut Input::new(&out)).is_err());
    }

    #[test]
    fn records_of_later_versions_are_stepped_over() {
        let mut out = Vec::new();
        assert!(records()[3].encode(&mut out));
        out[2] = 2;
        let mut input = Input::new(&out);
        assert_eq!(Record::decode(&mut input), Ok(None));
        assert!(input.is_empty());
    }
}
