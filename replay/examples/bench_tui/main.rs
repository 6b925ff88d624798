//! Measures the TUI through a real pseudo-terminal:
//! `cargo xtask bench tui [STORE | --events N] [--noise BYTES] [--to STORE]`. Without a store one is made, in a temporary directory or where it is
//! to stay, with that many bytes in each payload that nothing compresses; 140 make 10 GB of 1,000,000,000 events.
//!
//! The first container of the list is the one that is measured. What is timed is from the key to the arrival of the bytes
//! that make the screen right, terminal included. Nothing is asserted.

mod store;
mod terminal;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use terminal::Terminal;

const STARTS: usize = 10;
/// The threads that answer a seek, and draw it.
const ANSWERING: [&str; 4] = ["afterimage", "pages", "moments", "spent"];
const SEEKS: u64 = 100;
const EVENTS: u64 = 5_000_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let (mut given, mut events, mut noise, mut to) = (None, EVENTS, 0, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--events" => events = args.next().ok_or("--events needs a number")?.replace('_', "").parse()?,
            "--noise" => noise = args.next().ok_or("--noise needs a number")?.parse()?,
            "--to" => to = Some(PathBuf::from(args.next().ok_or("--to needs a directory")?)),
            path => given = Some(PathBuf::from(path)),
        }
    }
    let scratch = tempfile::tempdir()?;
    let path = match given {
        Some(path) => path,
        None => {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
            let begin = Instant::now();
            let path = to.unwrap_or_else(|| scratch.path().to_owned());
            store::write(&sample, &path, events, noise)?;
            println!("store written in {:.1} s", begin.elapsed().as_secs_f64());
            path
        }
    };
    // target/release/examples/bench_tui: the program is two directories up.
    let own = std::env::current_exe()?;
    let program = own.ancestors().nth(2).ok_or("no program")?.join("afterimage");
    println!("{}, {}x{} cells", machine(), terminal::SIZE.0, terminal::SIZE.1);
    println!("store: {}", about(&path));
    measure(&program, &path)
}

fn measure(program: &Path, path: &Path) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let mut terminal = Terminal::start(program, path)?;
        let at = terminal.until("the list", |screen| screen.contains("STATE") && screen.contains('›'))?;
        starts.push(at - terminal.begun);
    }
    report("start to the list of containers", starts);

    let mut terminal = Terminal::start(program, path)?;
    terminal.until("the list", |screen| screen.contains('›'))?;
    // The longest container.
    let from = terminal.press("ss")?;
    terminal.until("the order", |screen| screen.contains("most events first"))?;
    terminal.press("g")?;
    terminal.press("g\r")?;
    let at =
        terminal.until("the replay", |screen| screen.contains("[2 Replay]") && screen.contains("RESULT"))?;
    report("list to the events of the largest container", vec![at - from]);
    terminal.settle(Duration::from_secs(2))?;
    memory(&terminal, "memory with the container open");

    seeks(&mut terminal)?;
    memory(&terminal, "memory after the seeks");
    keys_while_scanning(&mut terminal)?;

    terminal.settle(Duration::from_secs(1))?;
    terminal.drawn = 0;
    terminal.settle(Duration::from_secs(3))?;
    println!("{:<48} {} bytes in 3 s", "drawn while nothing happens", terminal.drawn);
    memory(&terminal, "memory after all");
    Ok(())
}

fn memory(terminal: &Terminal, when: &str) {
    if let Some((most, own)) = terminal.memory() {
        println!("{when:<48} {} MiB at most with the files' pages, {} MiB own now", most >> 20, own >> 20);
    }
}

/// To moments all over the life, each until the state of the moment is shown.
fn seeks(terminal: &mut Terminal) -> Result<()> {
    terminal.press(")")?;
    terminal.settle(Duration::from_millis(500))?;
    let length = offset(&terminal.text()).ok_or("no moment in the header")?;
    let (mut events, mut states, mut used) = (Vec::new(), Vec::new(), Vec::new());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..SEEKS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let to = (state % 1_000_000) as f64 / 1e6 * length;
        terminal.press("@")?;
        terminal.until("the prompt", |screen| screen.contains("Enter does"))?;
        terminal.press(&format!("+{to:.3}s"))?;
        terminal.until("the moment typed", |screen| screen.contains(&format!("+{to:.3}s")))?;
        let before = terminal.used(&ANSWERING);
        let from = terminal.press("\r")?;
        let there = |screen: &str| offset(screen).is_some_and(|at| (at - to).abs() < 0.0015);
        let at = terminal.until("the moment", there)?;
        events.push(at - from);
        // The tree is of the playhead when nothing more comes.
        let mut last = at;
        while let Some(next) = terminal.next(Duration::from_millis(300))? {
            last = next;
        }
        states.push(last - from);
        used.extend(terminal.used(&ANSWERING).zip(before).map(|(after, before)| after - before));
    }
    report("seek to the playhead at the moment", events);
    report("seek to everything of the moment", states);
    if !used.is_empty() {
        report("CPU of that, with what is freed afterwards", used);
    }
    Ok(())
}

/// A scan that takes longer is not waited for.
const LONGEST_SCAN: Duration = Duration::from_secs(60);

/// Keys pressed while a bare text that is nowhere is looked for in the whole container: blocks cannot tell that of it.
fn keys_while_scanning(terminal: &mut Terminal) -> Result<()> {
    let mut waits = Vec::new();
    // Without a filter the bar tells how many events of the set-up are hidden.
    let is_over = |screen: &str| screen.contains(" hidden") && !screen.contains(" of set-up hidden");
    let begun = terminal.press("/there-is-no-such-name\r")?;
    terminal.until("the scan", |screen| screen.contains("% read") || is_over(screen))?;
    while terminal.text().contains("% read") && waits.len() < 200 {
        let from = terminal.press(":")?;
        let at = terminal.until("the palette", |screen| screen.contains("Enter does"))?;
        waits.push(at - from);
        let from = terminal.press("\x03")?;
        let at = terminal.until("the palette's end", |screen| !screen.contains("Enter does"))?;
        waits.push(at - from);
    }
    let mut at = begun;
    while !is_over(&terminal.text()) && begun.elapsed() < LONGEST_SCAN {
        at = terminal.next(Duration::from_millis(500))?.unwrap_or(at);
    }
    if is_over(&terminal.text()) {
        println!("{:<48} {:.2} s", "scan of the container, nothing found", (at - begun).as_secs_f64());
    } else {
        println!("the scan of the container was not over after {} s", LONGEST_SCAN.as_secs());
    }
    match waits.is_empty() {
        true => println!("the scan was over before a key could be pressed"),
        false => report("key to an answer while it scans", waits),
    }
    terminal.press("\x18")?;
    Ok(())
}

/// Seconds after the start that the header tells.
fn offset(screen: &str) -> Option<f64> {
    let header = screen.lines().next()?.trim_end();
    header.rsplit(' ').next()?.strip_suffix('s')?.parse().ok()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{what:<48} p50 {:7.1} ms  p99 {:7.1} ms  of {}", at(50), at(99), times.len());
}

fn about(path: &Path) -> String {
    let files: Vec<u64> = std::fs::read_dir(path)
        .map(|entries| entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).collect())
        .unwrap_or_default();
    format!("{} MiB in {} files", files.iter().sum::<u64>() >> 20, files.len())
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{}, {cores} cores, Linux {}, load {load}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim()
    )
}
