//! A recorder process on a store of its own.

use std::{
    io::{BufRead as _, BufReader},
    ops::ControlFlow,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use afterimage_format::{ContainerSummary, ContainerUid, Event, OwnedEvent, Query, Recording};
use tempfile::TempDir;

/// The recorder's program.
pub(crate) const RECORDER: &str = env!("CARGO_BIN_EXE_afterimaged");

/// One test at a time has the machine: they compare what the whole machine did.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than anything takes: a minute, or so many seconds as `AFTERIMAGE_TEST_PATIENCE` says where the machine is emulated.
pub(crate) fn patience() -> Duration {
    let given = std::env::var("AFTERIMAGE_TEST_PATIENCE").ok();
    let given = given.map(|seconds| seconds.parse().expect("`AFTERIMAGE_TEST_PATIENCE` in seconds"));
    Duration::from_secs(given.unwrap_or(60))
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < patience(), "{what}: not within {:?}", patience());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A recorder that has begun recording.
pub(crate) struct Running {
    child: Child,
    /// Its store.
    pub(crate) store: TempDir,
    said: Arc<Mutex<String>>,
    reader: std::thread::JoinHandle<()>,
}

impl Running {
    /// Starts one and waits until it records.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), args)
    }

    /// The same, on a store that exists.
    pub(crate) fn on(store: TempDir, args: &[&str]) -> Self {
        Self::of(Command::new(RECORDER), store, args)
    }

    /// The same, by a command that ends in the recorder's program.
    pub(crate) fn of(mut command: Command, store: TempDir, args: &[&str]) -> Self {
        let mut child = command
            .args(["run", "--status-interval", "1", "--store"])
            .arg(store.path())
            .args(args)
            // A recorder that a test kills would leave its programs running, but where that is the test.
            .env("AFTERIMAGE_RECORD_BPFFS", "")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (begun, wait) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        let words = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let recording = line.starts_with("recording");
                let mut words = words.lock().unwrap();
                words.push_str(&line);
                words.push('\n');
                if recording {
                    let _ = begun.send(());
                }
            }
        });
        if wait.recv_timeout(patience()).is_err() {
            let _ = child.kill();
            panic!("the recorder did not begin: {}", said.lock().unwrap());
        }
        Self { child, store, said, reader }
    }

    /// Asks it to stop and waits for the seal; gives the store and what it said.
    pub(crate) fn stop(self) -> (TempDir, String) {
        let (store, status, said) = self.end();
        assert!(status.success(), "{status}: {said}");
        (store, said)
    }

    /// The same of one that may have something to complain of in the end.
    pub(crate) fn end(mut self) -> (TempDir, ExitStatus, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let said = self.said.lock().unwrap().clone();
        (self.store, status, said)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has gone round again: whatever was in its way, it has emptied the rings since.
    pub(crate) fn wait_for_round(&self) {
        let lines = || self.said.lock().unwrap().lines().count();
        // The first line may have been on its way; a pass over the rings is between any two.
        let enough = lines() + 3;
        wait_until("status lines of the recorder", || lines() >= enough);
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        self.store
    }

    /// Its process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }
}

/// Opens a store.
pub(crate) fn open(store: &Path) -> Recording {
    Recording::open(store).unwrap()
}

/// Every event of a container, in order.
pub(crate) fn events(recording: &Recording, uid: ContainerUid) -> Vec<OwnedEvent> {
    let query = Query { containers: vec![uid], ..Query::default() };
    let mut all = Vec::new();
    recording
        .for_each(&query, &mut |_, event: &Event<'_>| {
            all.push(OwnedEvent::from_event(event));
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// A container by its engine's id.
pub(crate) fn container<'a>(recording: &'a Recording, id: &str) -> &'a ContainerSummary {
    recording
        .containers()
        .iter()
        .find(|c| c.record.id == id.as_bytes())
        .unwrap_or_else(|| panic!("container {id} is not listed"))
}

/// Where a hierarchy that has all tasks of the launcher's containers is mounted.
pub(crate) fn unified() -> &'static Path {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    places.into_iter().find(|place| place.join("cgroup.procs").exists()).unwrap()
}
