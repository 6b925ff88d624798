//! What the programs alone add to a call: tight loops, with nothing behind the rings but a thread that empties
//! them. The recorder's own work is measured by `bench_capture`; this is the part that the traced program pays.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use afterimage_capture::{
    btf::Btf,
    drain::Pending,
    host,
    programs::{LoadOptions, Programs},
    specs,
};
use afterimage_capture_abi::config::{Config, policy};
use afterimage_format::BootNanos;

const TIMES: u64 = 300_000;
const ROUNDS: usize = 7;

/// What is done again and again.
struct Loop<'a> {
    name: &'a str,
    body: &'a dyn Fn(),
}

impl Loop<'_> {
    /// Nanoseconds for each time.
    fn run(&self) -> f64 {
        let begun = Instant::now();
        for _ in 0..TIMES {
            (self.body)();
        }
        begun.elapsed().as_secs_f64() * 1e9 / TIMES as f64
    }
}

/// Opens a file and closes it.
fn open_close(path: &Path) {
    std::hint::black_box(File::open(path).expect("the file is there"));
}

fn traced(btf: &Btf, profiles: u32, work: &Loop<'_>) -> f64 {
    let config = Config {
        payload_file: 256,
        payload_stream: 1024,
        payload_budget: 1 << 20,
        v1_subsys: u32::MAX,
        argv_bytes: 4096,
        kernel_paths: 1,
        default_policy: profiles | policy::LIFECYCLE,
        exit_tells_group: 0,
        v1_hierarchy: u32::MAX,
        root_cgroup: host::ROOT as u32,
        ..Config::default()
    };
    let options = LoadOptions {
        config,
        data_ring: 1 << 27,
        control_ring: 1 << 22,
        specs: specs::table(false),
        hidden: Vec::new(),
        own_tgid: 0,
    };
    let mut programs = Programs::load(btf, &options).expect("the programs load");
    let rings = programs.take_rings().expect("rings");
    programs.attach().expect("the programs attach");
    let stop = AtomicBool::new(false);
    let cost = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut pending = Pending::new(rings);
            while !stop.load(Ordering::Relaxed) {
                pending.take();
                pending.release(BootNanos(u64::MAX), |_| ());
                pending.give_back();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let cost = work.run();
        stop.store(true, Ordering::Relaxed);
        cost
    });
    let counters = programs.counters().expect("counters");
    if counters.lost_data + counters.throttled > 0 {
        println!("  (lost {}, throttled {})", counters.lost_data, counters.throttled);
    }
    cost
}

fn main() {
    const FULL: u32 = 4;
    const NONE: u32 = 0;
    let btf = match Btf::of_kernel() {
        Ok(btf) => btf,
        Err(error) => {
            eprintln!("hook_cost: {error}");
            std::process::exit(5);
        }
    };
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("usr/lib/python3/dist-packages/package");
    fs::create_dir_all(&deep).expect("directories");
    let (near, far) = (dir.path().join("file"), deep.join("file"));
    for path in [&near, &far] {
        fs::write(path, [b'x'; 48]).expect("a file");
    }
    let open = File::open(&near).expect("the file is there");
    let loops = [
        Loop { name: "getppid", body: &|| _ = std::hint::black_box(rustix::process::getppid()) },
        Loop { name: "pread of 48 bytes", body: &|| _ = open.read_at(&mut [0; 64], 0) },
        Loop { name: "open and close, 3 components", body: &|| open_close(&near) },
        Loop { name: "open and close, 8 components", body: &|| open_close(&far) },
    ];
    println!("{TIMES} times each, {ROUNDS} rounds, medians, ns for each time:");
    for work in &loops {
        let mut rounds = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            rounds[0].push(work.run());
            rounds[1].push(traced(&btf, NONE, work));
            rounds[2].push(traced(&btf, FULL, work));
        }
        let median = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        let [bare, filtered, kept] = rounds.each_mut().map(median);
        println!(
            "  {}: untraced {bare:.0}, filtered +{:.0}, kept +{:.0}",
            work.name,
            filtered - bare,
            kept - bare
        );
    }
}
