//! Columns of a keyframe: the values of one field of all rows lie together, and a byte string lies in it once.
//!
//! A value takes at least one byte of its column, so that what is read is bounded by the bytes there are. What is made of
//! a string that is there once, again and again, is not: it takes of a room that is bounded.

use afterimage_format::BootNanos;

use crate::{
    bytes::Bytes,
    codec::{Input, SnapshotError, Stored, unzigzag, zigzag},
    process::ProcessKey,
    world::state::Map,
};

/// Memory for what one keyframe is read into.
const ROOM: usize = 64 << 20;

/// The columns, in the order in which they are written. Those of the mounts and those of processes have the first ones
/// in common.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    StringLengths,
    StringBytes,
    Keys,
    MountKinds,
    MountKind,
    MountTimes,
    MountBy,
    ExecKinds,
    ExecKind,
    ExecIds,
    ExecTimes,
    ExecArguments,
    Kinds,
    Kind,
    Tgid,
    Start,
    Parent,
    Vpid,
    Pgid,
    Sid,
    FirstSeen,
    End,
    LastSeen,
    Execs,
    Inherited,
    CommTimes,
    CommNames,
    Cwd,
    Events,
    Bytes,
    Environment,
    Table,
    Threads,
    Holder,
    Apart,
    Inside,
}

const COLUMNS: usize = Column::Inside as usize + 1;

/// How far one number is from another, whatever they are.
pub(super) fn difference(to: u64, from: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// Records that are alike: each lies in its column once.
#[derive(Debug)]
pub(super) struct Alike {
    column: Column,
    numbers: Map<Vec<u8>, u64>,
}

impl Alike {
    pub(super) fn new(column: Column) -> Self {
        Self { column, numbers: Map::default() }
    }
}

/// Processes by number, as far as they are not rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    numbers: Map<ProcessKey, u64>,
    last: (u32, u64),
}

/// Columns being written.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    columns: [Vec<u8>; COLUMNS],
    strings: Map<&'a [u8], u64>,
    /// The number behind the highest of the strings that a column referred to.
    fresh: [u64; COLUMNS],
}

impl<'a> Writer<'a> {
    pub(super) fn new() -> Self {
        Self { columns: std::array::from_fn(|_| Vec::new()), strings: Map::default(), fresh: [0; COLUMNS] }
    }

    pub(super) fn put<T: Stored>(&mut self, column: Column, value: &T) {
        value.put(&mut self.columns[column as usize]);
    }

    /// 0 for none, else one more than how far its number is from that behind the highest before in this column, zigzag:
    /// strings that are new each time are told by the same number each time.
    pub(super) fn string(&mut self, column: Column, string: Option<&'a [u8]>) {
        let Some(string) = string else { return self.put(column, &0_u64) };
        let number = self.number(string);
        let fresh = &mut self.fresh[column as usize];
        let far = difference(number, *fresh);
        *fresh = (*fresh).max(number + 1);
        self.put(column, &(zigzag(far) + 1));
    }

    /// The number of a string.
    pub(super) fn number(&mut self, string: &'a [u8]) -> u64 {
        let next = self.strings.len() as u64;
        let number = *self.strings.entry(string).or_insert(next);
        if number == next {
            self.put(Column::StringLengths, &(string.len() as u64));
            self.columns[Column::StringBytes as usize].extend_from_slice(string);
        }
        number
    }

    /// The number of a record among those that are alike.
    pub(super) fn alike(&mut self, alike: &mut Alike, record: Vec<u8>) -> u64 {
        let next = alike.numbers.len() as u64;
        *alike.numbers.entry(record).or_insert_with_key(|record| {
            self.columns[alike.column as usize].extend_from_slice(record);
            next
        })
    }

    /// The number of a process among `keys`.
    pub(super) fn key(&mut self, keys: &mut Keys, key: ProcessKey) -> u64 {
        let next = keys.numbers.len() as u64;
        if let Some(number) = keys.numbers.get(&key) {
            return *number;
        }
        let (tgid, start) = std::mem::replace(&mut keys.last, (key.tgid, key.start.0));
        self.put(Column::Keys, &(i64::from(key.tgid) - i64::from(tgid)));
        self.put(Column::Keys, &difference(key.start.0, start));
        keys.numbers.insert(key, next);
        next
    }

    /// The lengths of the columns up to the last that is not empty, then these.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        let used = self.columns.iter().rposition(|column| !column.is_empty()).map_or(0, |last| last + 1);
        let columns = self.columns.get_mut(..used).unwrap_or_default();
        (used as u64).put(out);
        for column in &*columns {
            (column.len() as u64).put(out);
        }
        for column in columns {
            out.extend_from_slice(column);
        }
    }
}

/// Columns being read.
pub(super) struct Reader<'a> {
    columns: [Input<'a>; COLUMNS],
    /// Each with what shares it, once somebody does.
    strings: Vec<(&'a [u8], Bytes)>,
    fresh: [u64; COLUMNS],
    room: usize,
}

impl<'a> Reader<'a> {
    /// The rest of `input`.
    pub(super) fn new(input: &mut Input<'a>) -> Result<Self, SnapshotError> {
        let used = input.number()?;
        let mut lengths = [0_usize; COLUMNS];
        for length in lengths.get_mut(..used).ok_or_else(|| input.invalid())? {
            *length = input.count()?;
        }
        let mut columns = [(); COLUMNS].map(|()| input.clone());
        for (column, length) in columns.iter_mut().zip(lengths) {
            *column = input.take(length)?;
        }
        if !input.is_done() {
            return Err(input.invalid());
        }
        let mut this = Self { columns, strings: Vec::new(), fresh: [0; COLUMNS], room: ROOM };
        while this.has_more(Column::StringLengths) {
            let length = this.columns[Column::StringLengths as usize].number()?;
            this.pay(size_of::<(&[u8], Bytes)>())?;
            let string = this.columns[Column::StringBytes as usize].take(length)?.rest();
            this.strings.push((string, Bytes::default()));
        }
        Ok(this)
    }

    pub(super) fn has_more(&self, column: Column) -> bool {
        !self.columns[column as usize].is_done()
    }

    pub(super) fn get<T: Stored>(&mut self, column: Column) -> Result<T, SnapshotError> {
        T::get(&mut self.columns[column as usize])
    }

    /// A number that lies so far from another.
    pub(super) fn after(&mut self, column: Column, from: u64) -> Result<u64, SnapshotError> {
        Ok(from.wrapping_add(self.get::<i64>(column)?.cast_unsigned()))
    }

    /// As the other, for one of 32 bits.
    pub(super) fn small_after(&mut self, column: Column, from: u32) -> Result<u32, SnapshotError> {
        let value = self.after(column, from.into())?;
        u32::try_from(value).map_err(|_| self.invalid(column))
    }

    /// The place of a number that is near another, in a list of so many.
    pub(super) fn place(&mut self, column: Column, near: usize, len: usize) -> Result<usize, SnapshotError> {
        let place = self.after(column, near as u64)?;
        usize::try_from(place).ok().filter(|place| *place < len).ok_or_else(|| self.invalid(column))
    }

    /// Processes, each told by the one before.
    pub(super) fn keys(&mut self, tgids: Column, starts: Column) -> Result<Vec<(u32, u64)>, SnapshotError> {
        let mut keys = Vec::new();
        let mut key = (0, 0);
        while self.has_more(tgids) {
            self.pay(size_of_val(&key))?;
            key.0 = self.small_after(tgids, key.0)?;
            key.1 = self.after(starts, key.1)?;
            keys.push(key);
        }
        Ok(keys)
    }

    /// A time as it is in the recording; 0 stands for one that is not known.
    pub(super) fn time(&self, raw: u64) -> BootNanos {
        self.columns[0].time(raw)
    }

    /// As [`Writer::string`] wrote it.
    pub(super) fn string(&mut self, column: Column) -> Result<Option<Bytes>, SnapshotError> {
        let Some(far) = self.get::<u64>(column)?.checked_sub(1) else { return Ok(None) };
        let fresh = self.fresh[column as usize];
        let number = fresh.wrapping_add(unzigzag(far).cast_unsigned());
        let string = self.numbered(column, number)?;
        self.fresh[column as usize] = fresh.max(number + 1);
        Ok(Some(string))
    }

    /// As [`Self::string`], where there must be one.
    pub(super) fn some_string(&mut self, column: Column) -> Result<Bytes, SnapshotError> {
        self.string(column)?.ok_or_else(|| self.invalid(column))
    }

    /// The string with this number, which all that refer to it share.
    pub(super) fn numbered(&mut self, column: Column, number: u64) -> Result<Bytes, SnapshotError> {
        let place = usize::try_from(number).ok().filter(|place| *place < self.strings.len());
        let place = place.ok_or_else(|| self.invalid(column))?;
        self.pay(self.strings[place].0.len())?;
        let (string, shared) = &mut self.strings[place];
        if shared.is_empty() {
            *shared = Bytes::from(*string);
        }
        Ok(shared.clone())
    }

    /// Takes of the room for what is read.
    pub(super) fn pay(&mut self, bytes: usize) -> Result<(), SnapshotError> {
        let left = self.room.checked_sub(bytes);
        self.room = left.ok_or_else(|| self.invalid(Column::StringLengths))?;
        Ok(())
    }

    pub(super) fn invalid(&self, column: Column) -> SnapshotError {
        self.columns[column as usize].invalid()
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.columns.iter().all(Input::is_done)
    }
}
