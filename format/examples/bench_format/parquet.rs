//! The same events in a Parquet file: columns as ours, written by the library that its own project keeps.

use std::sync::Arc;

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    column::reader::get_typed_column_reader,
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::rows::Row;

/// What a row has; numbers and fields are lists.
const SCHEMA: &str = "message event {
    required int64 time; required int64 container; optional int64 duration;
    required int32 tgid; required int32 tid; required int64 start;
    required int32 code; required int32 flags; required int32 cpu; required int64 ret;
    repeated int64 number;
    repeated group field { required int32 tag; required int32 flags; required int32 length; required binary bytes; }
}";
/// Where the code is among the columns.
const CODE: usize = 6;
/// Rows of a group: what the library takes for itself.
const GROUP: usize = 1 << 20;

/// Columns of one row group, written in the order of the schema.
struct Columns<'a, 'w> {
    rows: &'a [Row],
    group: SerializedRowGroupWriter<'w, Vec<u8>>,
}

impl Columns<'_, '_> {
    fn put<T: DataType>(&mut self, values: &[T::T], levels: Option<(&[i16], &[i16])>) {
        let mut column = self.group.next_column().expect("memory").expect("a column of the schema");
        let (define, repeat) = levels.unzip();
        // A column that is never repeated has no levels of repetition.
        let repeat = repeat.filter(|levels| !levels.is_empty());
        column.typed::<T>().write_batch(values, define, repeat).expect("memory");
        column.close().expect("memory");
    }

    fn int32(&mut self, of: impl Fn(&Row) -> u32) {
        let values: Vec<i32> = self.rows.iter().map(|row| of(row).cast_signed()).collect();
        self.put::<Int32Type>(&values, None);
    }

    fn int64(&mut self, of: impl Fn(&Row) -> u64) {
        let values: Vec<i64> = self.rows.iter().map(|row| of(row).cast_signed()).collect();
        self.put::<Int64Type>(&values, None);
    }

    /// Levels of lists of these lengths: whether there is one, and whether it is not the first.
    fn levels(&self, length: impl Fn(&Row) -> usize) -> (Vec<i16>, Vec<i16>) {
        let (mut define, mut repeat) = (Vec::new(), Vec::new());
        for length in self.rows.iter().map(length) {
            define.extend(std::iter::repeat_n(i16::from(length > 0), length.max(1)));
            repeat.push(0);
            repeat.extend(std::iter::repeat_n(1, length.saturating_sub(1)));
        }
        (define, repeat)
    }

    fn all(mut self) {
        self.int64(|row| row.1.time.0);
        self.int64(|row| row.0.0);
        let define: Vec<i16> = self.rows.iter().map(|row| i16::from(row.1.duration.is_some())).collect();
        let durations = self.rows.iter().filter_map(|row| row.1.duration.map(u64::cast_signed));
        self.put::<Int64Type>(&durations.collect::<Vec<_>>(), Some((&define, &[])));
        self.int32(|row| row.1.task.tgid);
        self.int32(|row| row.1.task.tid);
        self.int64(|row| row.1.task.start.0);
        self.int32(|row| u32::from(row.1.code.0));
        self.int32(|row| row.1.flags.0);
        self.int32(|row| u32::from(row.1.cpu));
        self.int64(|row| row.1.ret.cast_unsigned());
        let (define, repeat) = self.levels(|row| row.1.args.len());
        let numbers = self.rows.iter().flat_map(|row| row.1.args.iter().map(|number| number.cast_signed()));
        self.put::<Int64Type>(&numbers.collect::<Vec<_>>(), Some((&define, &repeat)));
        let (define, repeat) = self.levels(|row| row.1.fields.len());
        let levels = Some((define.as_slice(), repeat.as_slice()));
        let fields = || self.rows.iter().flat_map(|row| row.1.fields.iter());
        let tags: Vec<i32> = fields().map(|field| i32::from(field.tag.0)).collect();
        let flags: Vec<i32> = fields().map(|field| i32::from(field.flags.0)).collect();
        let lengths: Vec<i32> = fields().map(|field| field.full_len.cast_signed()).collect();
        let bytes: Vec<ByteArray> = fields().map(|field| ByteArray::from(field.bytes.clone())).collect();
        for numbers in [tags, flags, lengths] {
            self.put::<Int32Type>(&numbers, levels);
        }
        self.put::<ByteArrayType>(&bytes, levels);
        self.group.close().expect("memory");
    }
}

/// A file of these rows, under zstd at the level that the other rows have.
pub(super) fn write(rows: &[Row]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let time = ColumnPath::from("time");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("a level")))
        // Times are never the same: no dictionary holds them.
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("memory");
    for rows in rows.chunks(GROUP) {
        Columns { rows, group: file.next_row_group().expect("memory") }.all();
    }
    file.into_inner().expect("memory")
}

/// How many rows have this code, by reading that column.
pub(super) fn count(file: Vec<u8>, code: u16) -> u64 {
    let file = SerializedFileReader::new(bytes::Bytes::from(file)).expect("our own file");
    let (mut found, mut codes) = (0, Vec::new());
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).expect("our own file");
        let rows = group.metadata().num_rows() as usize;
        let column = group.get_column_reader(CODE).expect("our own file");
        codes.clear();
        let mut column = get_typed_column_reader::<Int32Type>(column);
        let (read, ..) = column.read_records(rows, None, None, &mut codes).expect("our own file");
        assert_eq!(read, rows);
        found += codes.iter().filter(|&&found| found == i32::from(code)).count() as u64;
    }
    found
}
