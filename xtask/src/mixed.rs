//! `cargo xtask bench workload`: records a mixed workload into a store, for `cargo xtask bench format`. Servers and their
//! clients, builds, short scripts, archives, threaded programs: some two hundred containers on this machine's own
//! programs, millions of calls, every call kept and 80 bytes of each payload. The store is not committed.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use afterimage_launch::{Launcher, Root, Stdio, Style};
use anyhow::{Context as _, bail};
use clap::Args;

use crate::recorder::Recorder;
use crate::{demo, privilege};

/// No job takes nearly as long; a server is ended by its job.
const LIMIT: Duration = Duration::from_secs(300);
const WORK: &str = "/var/tmp/afterimage-mixed";

#[derive(Args)]
pub(crate) struct WorkloadArgs {
    /// Where to record; must not exist
    store: PathBuf,
    /// How often the list of jobs is gone through: each round is some hundred thousand calls
    #[arg(long, default_value_t = 8)]
    rounds: usize,
    /// A recorder that is built already
    #[arg(long, value_name = "PROGRAM")]
    recorder: Option<PathBuf>,
}

/// A shell script for each kind of container. `$N` is the job's number, `$W` its folder.
const JOBS: &[(&str, &str)] = &[
    ("scripts", "for i in 1 2 3 4 5 6 7 8; do date; id; hostname; uname -a; done"),
    ("listing", "ls -laR /usr/lib/python3 /usr/share/perl | wc -l"),
    ("find", "find /usr/share/doc /usr/include -name '*.h' -o -name '*.gz' | wc -l"),
    ("packages", "dpkg -l | tail -3"),
    (
        "text",
        "for i in 1 2 3; do cat /etc/passwd /etc/group /proc/self/status /proc/mounts | sort | uniq -c | head; done",
    ),
    (
        "build",
        "i=0; while [ $i -lt 6 ]; do printf '#include <stdio.h>\\n#include <sys/socket.h>\\n#include <pthread.h>\\nint f%d(int a)\
         {return a*%d;}\\n' $i $N > m$i.c; i=$((i+1)); done; gcc -O1 -c m*.c && ar rcs lib.a m*.o && ls -l",
    ),
    (
        "archive",
        "tar cf a.tar /usr/include/linux /usr/include/net /usr/share/perl 2>/dev/null; mkdir x; tar xf a.tar -C x; gzip -1 a.tar; \
         find x -type f | head -400 | xargs grep -l struct | wc -l; rm -rf x a.tar.gz",
    ),
    (
        "perl",
        "perl -e 'use POSIX; use File::Find; my $n=0; find(sub{$n++}, \"/usr/share/perl\", \"/usr/include\"); print $n'",
    ),
    (
        "python",
        "python3 -c 'import json,http.client,asyncio,email,logging,sqlite3,hashlib,os\n\
         for r,d,f in os.walk(os.path.dirname(json.__file__)+\"/..\"):\n  for x in f[:3]:\n    hashlib.sha256(open(os.path.join(r,x),\"rb\").read())'",
    ),
    (
        "database",
        "python3 -c 'import sqlite3,os\nc=sqlite3.connect(\"db\"); c.execute(\"create table t(a,b)\")\n\
         for i in range(150):\n  c.execute(\"insert into t values(?,?)\",(i,os.urandom(20).hex())); c.commit()\n\
         print(c.execute(\"select count(*) from t\").fetchone())'",
    ),
    (
        "threads",
        "python3 -c 'import threading,queue,os\nq=queue.Queue(50)\ndef w():\n  while True:\n    x=q.get()\n    if x is None: return\n    \
         p=\"t%d\"%(x%500); open(p,\"w\").write(\"x\"*(x%4000)); os.stat(p); os.rename(p,p+\"r\"); os.unlink(p+\"r\")\n\
         ts=[threading.Thread(target=w) for _ in range(4)]\n[t.start() for t in ts]\n[q.put(i) for i in range(4000)]\n\
         [q.put(None) for _ in ts]\n[t.join() for t in ts]'",
    ),
    (
        "web",
        "mkdir www; i=1; while [ $i -le 20 ]; do head -c $((i*997)) /usr/bin/gcc > www/f$i; i=$((i+1)); done\n\
         python3 -c 'import http.server,threading,http.client,functools\n\
         h=functools.partial(http.server.SimpleHTTPRequestHandler,directory=\"www\")\n\
         s=http.server.ThreadingHTTPServer((\"127.0.0.1\",0),h); threading.Thread(target=s.serve_forever,daemon=True).start()\n\
         for i in range(600):\n  c=http.client.HTTPConnection(\"127.0.0.1\",s.server_port); c.request(\"GET\",\"/f%d\"%(i%20+1)); \
         c.getresponse().read(); c.close()' 2>/dev/null",
    ),
    (
        "redis",
        "command -v redis-server >/dev/null || exit 0; redis-server --port 0 --unixsocket $W/r.sock --save '' --appendonly yes >/dev/null & \
         for i in 1 2 3 4 5 6 7 8 9; do [ -S r.sock ] && break; sleep 0.2; done; \
         redis-benchmark -s $W/r.sock -n 6000 -c 20 -t set,get,lpush -q; kill $!; wait",
    ),
];

pub(crate) fn run(args: &WorkloadArgs) -> anyhow::Result<bool> {
    if let Some(lack) = privilege::lacking() {
        bail!("nothing can be recorded here: {lack}");
    }
    let program = match &args.recorder {
        Some(program) => program.clone(),
        None => demo::build(demo::Build::Release)?.join("afterimaged"),
    };
    let options = ["--profile", "full", "--host", "none", "--payload-file", "80", "--payload-stream", "80"];
    let recorder = Recorder::start_with(&program, &args.store, &options.map(OsString::from))?;
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = args.rounds * JOBS.len();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) + 1 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        return;
                    }
                    let (name, script) = JOBS[number % JOBS.len()];
                    if let Err(error) = job(number, script) {
                        println!("  {name}: {error:#}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    recorder.stop()?;
    let _ = fs::remove_dir_all(WORK);
    let failed = failed.into_inner();
    println!(
        "{all} containers of {} kinds, {failed} failed; recorded in `{}`",
        JOBS.len(),
        args.store.display()
    );
    Ok(failed == 0)
}

/// Runs one job in a container of its own, on this machine's root.
fn job(number: usize, script: &str) -> anyhow::Result<()> {
    let folder = Path::new(WORK).join(number.to_string());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let launcher = Launcher::new(Style::Docker, Root::Chroot(PathBuf::from("/")))?;
    let null =
        fs::File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
    let null = Some(null.as_fd());
    let script = format!(
        "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin; W={0}; N={number}; cd $W; {script}",
        folder.display()
    );
    let running =
        launcher.spawn(&["/bin/sh", "-c", &script], Stdio { stdin: null, stdout: null, stderr: null })?;
    let outcome = running.wait_at_most(LIMIT)?;
    let _ = fs::remove_dir_all(&folder);
    if !outcome.status.success() {
        bail!("ended with {}", outcome.status);
    }
    Ok(())
}
