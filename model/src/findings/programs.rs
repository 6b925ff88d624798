//! Programs executed.

use afterimage_format::layout::exec::{EXE_MEMFD, EXE_SCRIPT, EXE_UNLINKED, EXE_UPPER_LAYER};

use super::{
    MOST_REMEMBERED, Memory, Seen, Severity,
    act::{Act, DOWNLOADERS, SHELLS, is_one_of, who},
};
use crate::{
    fds::FdKind,
    paths::is_below,
    process::Exec,
    text::{self, Safe},
};

/// Directories from which installed programs are not run.
const SCRATCH: [&[u8]; 5] = [b"/tmp", b"/var/tmp", b"/dev/shm", b"/run", b"/dev/mqueue"];

pub(super) fn look(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    let exec = act.process.exec()?;
    memory.remember_user(act.process.key, act.process.credentials.euid);
    let found = [
        on_socket(act, memory),
        foreign_image(act, memory, exec),
        raised_rights(act),
        disguised(exec),
        piped(act),
    ];
    let first_time = remember(memory, &program(act, exec));
    let worst = found.into_iter().flatten().max_by_key(|s| s.severity);
    if worst.as_ref().is_some_and(|s| s.severity >= Severity::Critical) {
        memory.remember_foreign(act.process.key);
    }
    worst.or_else(|| {
        first_time.then(|| Seen::new(Severity::Info, "program executed", "", act.process.title()))
    })
}

/// The path of what was executed: a script's as claimed, made absolute.
fn program(act: &Act<'_>, exec: &Exec) -> Vec<u8> {
    let path = exec.program();
    if path == &*exec.image { path.to_vec() } else { act.world.resolve(act.event.task, None, path) }
}

/// Remembers that an image was executed; false when it was before.
fn remember(memory: &mut Memory, image: &[u8]) -> bool {
    if memory.executed.contains_key(image) {
        return false;
    }
    if memory.executed.len() >= MOST_REMEMBERED {
        memory.dropped += 1;
        return false;
    }
    memory.executed.insert(image.to_vec(), ()).is_none()
}

/// Standard input and output are a connection to another host.
fn on_socket(act: &Act<'_>, memory: &Memory) -> Option<Seen> {
    let (input, output) = (act.socket(0)?, act.socket(1)?);
    if !input.is_network() || !output.is_network() {
        return None;
    }
    let title = act.process.title();
    let detail = Safe::format(format_args!("{title}: standard input and output are {}", input.label()));
    let is_shell = is_one_of(act.process, &SHELLS);
    Some(match (is_shell, input.accepted) {
        (true, false) => Seen::new(Severity::Critical, "reverse shell", "T1059.004", detail),
        (true, true) => Seen::new(Severity::Critical, "shell on an accepted connection", "T1059.004", detail),
        // What is typed into a shell that was told already: the story goes on.
        (false, _) if memory.is_foreign(act) => {
            Seen::new(Severity::Info, "command on a connection", "T1059.004", title)
        }
        (false, _) => Seen::new(Severity::Warning, "program on a connection", "T1059", detail),
    })
}

/// The image is not one that the container came with.
fn foreign_image(act: &Act<'_>, memory: &Memory, exec: &Exec) -> Option<Seen> {
    let title = act.process.title();
    if exec.flags & EXE_MEMFD != 0 {
        return Some(Seen::new(Severity::Critical, "program executed from memory", "T1620", title));
    }
    let unlinked = exec.flags & EXE_UNLINKED != 0;
    let program = program(act, exec);
    let written = [&program[..], &exec.image].into_iter().find_map(|path| memory.written.get(path));
    if let Some(written) = written.filter(|written| unlinked || !written.gone) {
        let what = if written.created { "new file" } else { "changed file" };
        let detail = Safe::format(format_args!(
            "{title}: {what}, {} B written by {}",
            written.content(),
            written.name
        ));
        let script = exec.flags & EXE_SCRIPT != 0;
        let severity = if script { Severity::Warning } else { Severity::Critical };
        return Some(Seen::new(severity, "written, then executed", "T1105", detail));
    }
    if unlinked {
        return Some(Seen::new(Severity::Critical, "deleted program executed", "T1070.004", title));
    }
    if exec.flags & EXE_UPPER_LAYER != 0 {
        return Some(Seen::new(Severity::Critical, "program is not part of the image", "T1105", title));
    }
    let scratch = SCRATCH.iter().any(|dir| is_below(&program, dir));
    scratch.then(|| Seen::new(Severity::Warning, "program in a scratch directory executed", "T1059", title))
}

/// The set-user-id bit made the caller root.
fn raised_rights(act: &Act<'_>) -> Option<Seen> {
    let c = act.process.credentials;
    let raised = c.uid.is_some_and(|uid| uid != 0) && c.euid == Some(0);
    raised.then(|| {
        Seen::new(Severity::Warning, "set-user-id root program executed", "T1548.001", act.process.title())
    })
}

/// The first argument pretends to be a kernel thread.
fn disguised(exec: &Exec) -> Option<Seen> {
    let argv0 = exec.arguments().next()?;
    let kernel_like = argv0.starts_with(b"[") && argv0.ends_with(b"]");
    kernel_like.then(|| {
        let detail = Safe::format(format_args!(
            "{} calls itself {}",
            text::escape(exec.program()),
            text::escape(argv0)
        ));
        Seen::new(Severity::Warning, "program named like a kernel thread", "T1036.004", detail)
    })
}

/// A shell reads from a download, or a download writes to a shell.
fn piped(act: &Act<'_>) -> Option<Seen> {
    let (list, fd, other) = if is_one_of(act.process, &SHELLS) {
        (&DOWNLOADERS[..], 0, true)
    } else if is_one_of(act.process, &DOWNLOADERS) {
        (&SHELLS[..], 1, false)
    } else {
        return None;
    };
    let info = act.fd(fd).filter(|info| matches!(info.kind, FdKind::Pipe(_)))?;
    let mut peers = act.world.peers(act.process, info).into_iter();
    // The shell that reads has the pipe as its own standard input; one that only set it up does not count.
    let (key, _) = peers.find(|(key, peer_fd)| {
        *peer_fd == 1 - fd && act.world.process(*key).is_some_and(|p| is_one_of(p, list))
    })?;
    let peer = act.world.process(key)?;
    let (from, to) = if other { (peer, act.process) } else { (act.process, peer) };
    let detail = Safe::format(format_args!("{} | {} ({})", from.title(), to.title(), who(to)));
    Some(Seen::new(Severity::Warning, "download piped into a shell", "T1059.004", detail))
}
