//! Files that claim or hold more than a reader should pay for: no panic, no row that was not written, and less than
//! 256 MB of memory. Each file is read by a process of its own, whose peak the kernel knows.

use std::{env, fs, ops::ControlFlow, path::Path, process::Command};

use afterimage_format::{
    BootNanos, CatalogUse, ContainerRecord, ContainerUid, Fact, FactKey, FactSource, FieldFlags, FieldTag,
    Loss, LossCause, OwnedEvent, OwnedField, Query, Recording, VerifyOptions, extract, verify,
};

use crate::generate::{events, push, writer};

const LIMIT_KIB: u64 = 256_000_000 / 1024;
const PATH: &str = "AFTERIMAGE_HOSTILE_FILE";

/// Makes a file and has it read by a process of its own: this test again, told where the file is.
fn stays_small(test: &str, make: impl FnOnce(&Path) -> std::path::PathBuf) {
    if let Some(path) = env::var_os(PATH) {
        return read_everything(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = make(dir.path());
    let mut reader = Command::new(env::current_exe().unwrap());
    let name = format!("hostile::{test}");
    let output = reader.args(["--exact", &name, "--nocapture"]).env(PATH, &path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let number = |word: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("no `{word}` in {text}")).trim().parse::<u64>().unwrap()
    };
    let (peak, rows) = (number("peak:"), number("rows:"));
    eprintln!("{test}: {peak} KiB, {rows} rows");
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}

fn read_everything(path: &Path) {
    let mut rows = 0u64;
    if let Ok(recording) = Recording::open(path) {
        let all = Query::default();
        let _ = recording.for_each(&all, &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        });
        let _ = recording.scan(&all, &mut |_, _, _| ControlFlow::Continue(()));
        if let Some((first, last)) = recording.time_range() {
            recording.density(None, first, last, 200);
        }
        let uids: Vec<_> = recording.containers().iter().map(|c| c.record.uid).take(2).collect();
        let out = path.with_extension("out");
        let _ = extract(&recording, &uids, &out);
    }
    let _ = verify(path, &VerifyOptions::default(), &mut |_, _| {});
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    // libtest has written the test's name without a line feed.
    println!("\nrows: {rows}\npeak: {}", peak.trim().trim_end_matches(" kB"));
}

/// An event of about a megabyte that packs to nothing.
fn bomb(time: u64) -> OwnedEvent {
    let (_, mut event) = events(71, 1, 1).remove(0);
    event.time = BootNanos(time);
    let field =
        OwnedField { tag: FieldTag::DATA, flags: FieldFlags(0), full_len: 60_000, bytes: vec![0; 60_000] };
    event.fields = vec![field; 16];
    event
}

#[test]
fn hundreds_of_large_blocks_of_the_same_time_are_read_within_bounds() {
    stays_small("hundreds_of_large_blocks_of_the_same_time_are_read_within_bounds", |dir| {
        let mut store = writer(&dir.join("store"));
        for uid in 1..=120 {
            for time in 0..4 {
                push(&mut store, &(ContainerUid(uid), bomb(time * 1000 + uid)));
            }
            store.finish_container(ContainerUid(uid)).unwrap();
        }
        store.seal().unwrap()
    });
}

#[test]
fn millions_of_records_are_read_within_bounds() {
    stays_small("millions_of_records_are_read_within_bounds", |dir| {
        let mut store = writer(&dir.join("store"));
        for time in 0..1_500_000 {
            let (from, to) = (BootNanos(time), BootNanos(time + 1));
            let container = Some(ContainerUid(time % 3));
            let loss = Loss { container, cause: LossCause::RingFull, cpu: None, from, to, count: Some(time) };
            store.put_loss(&loss).unwrap();
            if time % 50_000 == 0 {
                (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
            }
        }
        store.seal().unwrap()
    });
}

#[test]
fn containers_with_facts_without_end_are_read_within_bounds() {
    stays_small("containers_with_facts_without_end_are_read_within_bounds", |dir| {
        let mut store = writer(&dir.join("store"));
        for uid in 1..=200 {
            let fact = |number: u64| Fact {
                key: FactKey::Label,
                value: format!("{number}={}", "x".repeat(3000)).into_bytes(),
                source: FactSource::OciBundle,
                time: BootNanos(number),
            };
            let facts = (0..300).map(fact).collect();
            let record =
                ContainerRecord { uid: ContainerUid(uid), facts, ..ContainerRecord::host(BootNanos(1)) };
            store.put_container(&record).unwrap();
            store.finish_container(ContainerUid(uid)).unwrap();
        }
        store.seal().unwrap()
    });
}

#[test]
fn a_stage_that_packs_to_nothing_is_read_within_bounds() {
    stays_small("a_stage_that_packs_to_nothing_is_read_within_bounds", |dir| {
        let path = dir.join("store");
        let (_, mut event) = events(72, 1, 1).remove(0);
        event.fields.clear();
        let mut store = writer(&path);
        // Blocks are never finished here, so that all of it is only in the stage. Sealing is left out: the writer dies.
        for time in 0..600_000 {
            event.time = BootNanos(time);
            push(&mut store, &(ContainerUid(time / 6), event.clone()));
        }
        store.commit(BootNanos(0)).unwrap();
        drop(store);
        path
    });
}

/// A file whose footer lists as many blocks as may be, all in a hole.
#[test]
fn a_footer_of_a_million_blocks_is_read_within_bounds() {
    stays_small("a_footer_of_a_million_blocks_is_read_within_bounds", |dir| {
        let path = writer(&dir.join("store")).seal().unwrap();
        let header = fs::read(&path).unwrap()[..4096].to_vec();
        let count: u32 = 1 << 20;
        let offset = 4096 + u64::from(count) * 128;
        let footer = footer(count, offset);
        let forged = dir.join("forged.aft");
        let file = fs::File::create(&forged).unwrap();
        use std::os::unix::fs::FileExt as _;
        file.write_all_at(&header, 0).unwrap();
        file.write_all_at(&footer, offset).unwrap();
        forged
    });
}

/// A catalog that lists as many blocks as may be, in two files that are holes.
#[test]
fn a_catalog_of_half_a_million_blocks_is_read_within_bounds() {
    stays_small("a_catalog_of_half_a_million_blocks_is_read_within_bounds", |dir| {
        let store = dir.join("store");
        let fields = fs::read(writer(&store).seal().unwrap()).unwrap()[16..272].to_vec();
        let count: u32 = 1 << 18;
        let (offset, length) = (4096 + u64::from(count) * 128, (4096 + u64::from(count) * 128) + 264);
        for number in 0..2u64 {
            let path = store.join(format!("seg-{number:016x}.aft"));
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .unwrap()
                .set_len(length)
                .unwrap();
        }
        let index = index(count);
        let wide = |value: u64| [&[0x80][..], &value.to_le_bytes()].concat();
        let files = [
            vec![0x10, 1],
            vec![0x11, 0, 1],
            wide(length),
            wide(offset),
            vec![0x10, 200],
            wide(u64::from(count)),
            wide(index.len() as u64),
        ];
        let columns = [(2, files.concat()), (3, fields.repeat(2)), (4, vec![0; 64]), (5, index.repeat(2))];
        let mut payload = vec![columns.len() as u8];
        for (id, bytes) in &columns {
            payload.extend([*id, 0]);
            payload.extend(varint(bytes.len() as u64));
        }
        columns.iter().for_each(|(_, bytes)| payload.extend(bytes));
        let mut catalog = b"\x89AFC\r\n\x1a\n\x01\0\0\0\x02\0\0\0".to_vec();
        catalog.extend([7; 16]);
        catalog.extend((payload.len() as u64).to_le_bytes());
        catalog.extend(crc32c::crc32c(&payload).to_le_bytes());
        catalog.resize(60, 0);
        catalog.extend(crc32c::crc32c(&catalog).to_le_bytes());
        catalog.extend(payload);
        fs::write(store.join("catalog"), catalog).unwrap();
        let recording = Recording::open(&store).unwrap();
        assert_eq!(recording.catalog(), CatalogUse::Used { files: 2 });
        assert_eq!(recording.blocks().len(), 2 << 18);
        store
    });
}

/// A footer's index: blocks of a row each, one behind the other.
fn index(count: u32) -> Vec<u8> {
    let constant = |value: u8| vec![0x10, value];
    let mut index = vec![0x22]; // delta, two bytes: offsets 128 apart
    index.extend(varint(4096));
    let steps = count as usize - 1;
    index.extend(std::iter::repeat_n(0, steps).chain(std::iter::repeat_n(1, steps)));
    // Length, kind (events), flags, container, first row, rows, and six more.
    for value in [128, 1, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0] {
        index.extend(constant(value));
    }
    index
}

/// A footer block and a trailer that say what they like with right checksums.
fn footer(count: u32, offset: u64) -> Vec<u8> {
    let index = index(count);
    let mut payload = vec![1, 2, 0];
    payload.extend(varint(index.len() as u64));
    payload.extend(index);
    let mut block = vec![0; 128];
    let total = (128 + payload.len()).next_multiple_of(8);
    let put =
        |block: &mut Vec<u8>, at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut block, 0, b"AFB1");
    put(&mut block, 4, &[128, 0, 7, 0]);
    put(&mut block, 8, &(total as u32).to_le_bytes());
    put(&mut block, 12, &(payload.len() as u32).to_le_bytes());
    put(&mut block, 16, &u64::MAX.to_le_bytes());
    put(&mut block, 32, &count.to_le_bytes());
    put(&mut block, 36, &crc32c::crc32c(&payload).to_le_bytes());
    let crc = crc32c::crc32c(&block[..124]);
    put(&mut block, 124, &crc.to_le_bytes());
    block.extend(payload);
    block.resize(total, 0);
    let mut trailer = b"AFTSEAL1".to_vec();
    trailer.extend(offset.to_le_bytes());
    trailer.extend((total as u32).to_le_bytes());
    trailer.extend(count.to_le_bytes());
    trailer.extend((offset + total as u64 + 64).to_le_bytes());
    trailer.resize(60, 0);
    trailer.extend(crc32c::crc32c(&trailer).to_le_bytes());
    [block, trailer].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
