//! The same events in files as others write them: rows one behind the other, under a stream compressor, and Parquet's columns.
//! Written and searched in the same run, so that figures compare.

use std::io::{Read, Write};

use afterimage_format::{ContainerUid, OwnedEvent};
use bincode::{Decode, Encode};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::{cpu, parquet};

pub(super) type Row = (ContainerUid, OwnedEvent);

/// A row as bincode packs it.
#[derive(Encode, Decode)]
struct Packed {
    container: u64,
    time: u64,
    duration: Option<u64>,
    tgid: u32,
    tid: u32,
    start: u64,
    code: u16,
    flags: u32,
    cpu: u16,
    ret: i64,
    args: Vec<u64>,
    fields: Vec<(u8, u8, u32, Vec<u8>)>,
}

impl Packed {
    fn of((container, event): &Row) -> Self {
        Self {
            container: container.0,
            time: event.time.0,
            duration: event.duration,
            tgid: event.task.tgid,
            tid: event.task.tid,
            start: event.task.start.0,
            code: event.code.0,
            flags: event.flags.0,
            cpu: event.cpu,
            ret: event.ret,
            args: event.args.clone(),
            fields: event.fields.iter().map(|f| (f.tag.0, f.flags.0, f.full_len, f.bytes.clone())).collect(),
        }
    }
}

/// A row as scap lays it out: CPU, time, thread, length, type, count of parameters, their lengths, their values.
/// One record for a call, as libscap writes since enter events are gone.
fn scap((_, event): &Row, out: &mut Vec<u8>) {
    let count = 1 + event.args.len() + event.fields.len();
    let values = 8 * (1 + event.args.len()) + event.fields.iter().map(|f| f.bytes.len()).sum::<usize>();
    out.extend(event.cpu.to_le_bytes());
    out.extend(event.time.0.to_le_bytes());
    out.extend(u64::from(event.task.tid).to_le_bytes());
    out.extend(((26 + 2 * count + values) as u32).to_le_bytes());
    out.extend(event.code.0.to_le_bytes());
    out.extend((count as u32).to_le_bytes());
    (0..=event.args.len()).for_each(|_| out.extend(8u16.to_le_bytes()));
    event.fields.iter().for_each(|f| out.extend((f.bytes.len() as u16).to_le_bytes()));
    out.extend(event.ret.to_le_bytes());
    event.args.iter().for_each(|arg| out.extend(arg.to_le_bytes()));
    event.fields.iter().for_each(|f| out.extend(&f.bytes));
}

/// How many rows have this code, by walking scap rows.
fn count_scap(mut input: impl Read, code: u16) -> u64 {
    let (mut head, mut rest, mut found) = ([0u8; 28], Vec::new(), 0);
    while input.read_exact(&mut head).is_ok() {
        let length = u32::from_le_bytes([head[18], head[19], head[20], head[21]]) as usize;
        found += u64::from(u16::from_le_bytes([head[22], head[23]]) == code);
        // The length counts from the time on; two bytes of the processor are not in it.
        rest.resize(length - 26, 0);
        input.read_exact(&mut rest).expect("our own row");
    }
    found
}

fn report(name: &str, count: f64, stored: usize, encode: f64, search: f64) {
    println!(
        "{name:24} {:7.2} B/event, written at {:7.1} ns/event, searched at {:7.2} M events/s",
        stored as f64 / count,
        encode / count,
        count / search * 1e3
    );
}

/// All of them, one after the other.
pub(super) fn compare(rows: &[Row]) {
    let count = rows.len() as f64;
    let code = rows[0].1.code.0;
    let wanted = rows.iter().filter(|row| row.1.code.0 == code).count() as u64;
    println!("the same events as others keep them (searched: rows of one code):");

    let begun = cpu();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    write_all(rows, &mut gzip, scap);
    let stored = gzip.finish().expect("memory");
    let encode = cpu() - begun;
    let begun = cpu();
    assert_eq!(count_scap(GzDecoder::new(&stored[..]), code), wanted);
    report("scap-like rows, gzip -6", count, stored.len(), encode, cpu() - begun);

    let begun = cpu();
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).expect("zstd");
    write_all(rows, &mut zstd, scap);
    let stored = zstd.finish().expect("memory");
    let encode = cpu() - begun;
    let begun = cpu();
    let input = std::io::BufReader::with_capacity(1 << 20, zstd::Decoder::new(&stored[..]).expect("zstd"));
    assert_eq!(count_scap(input, code), wanted);
    report("scap-like rows, zstd -3", count, stored.len(), encode, cpu() - begun);

    let config = bincode::config::standard().with_limit::<{ 16 << 20 }>();
    let begun = cpu();
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).expect("zstd");
    write_all(rows, &mut zstd, |row, out| {
        bincode::encode_into_std_write(Packed::of(row), out, config).expect("memory");
    });
    let stored = zstd.finish().expect("memory");
    let encode = cpu() - begun;
    let begun = cpu();
    let mut input =
        std::io::BufReader::with_capacity(1 << 20, zstd::Decoder::new(&stored[..]).expect("zstd"));
    let mut found = 0;
    for _ in 0..rows.len() {
        let row: Packed = bincode::decode_from_std_read(&mut input, config).expect("our own row");
        found += u64::from(row.code == code);
    }
    assert_eq!(found, wanted);
    report("bincode rows, zstd -3", count, stored.len(), encode, cpu() - begun);

    let begun = cpu();
    let file = parquet::write(rows);
    let (stored, encode) = (file.len(), cpu() - begun);
    let begun = cpu();
    assert_eq!(parquet::count(file, code), wanted);
    report("Parquet, zstd -3", count, stored, encode, cpu() - begun);
}

/// Writes rows in pieces, as a recorder would.
fn write_all(rows: &[Row], out: &mut impl Write, mut put: impl FnMut(&Row, &mut Vec<u8>)) {
    let mut piece = Vec::new();
    for chunk in rows.chunks(1000) {
        piece.clear();
        chunk.iter().for_each(|row| put(row, &mut piece));
        out.write_all(&piece).expect("memory");
    }
}
