//! The streams of a container, as `afterimage follow` lists them.

use std::ops::ControlFlow;

use afterimage_format::{ContainerUid, EventFlags, Query, ReadError};
use afterimage_model::{
    World,
    streams::{Stream, StreamLimits, Streams},
    text::{Safe, escape},
};

use super::{Job, scan::STRIDE};
use crate::{
    trace::Trace,
    tui::{
        feed::{Reply, StreamList, StreamRow},
        text::safe,
    },
};

/// Streams are counted and nothing of them is kept.
pub(super) fn counted_only() -> Streams {
    Streams::with_limits(StreamLimits {
        chunks: 0,
        stream_bytes: 0,
        total_bytes: 0,
        ..StreamLimits::default()
    })
}

/// Lists the streams.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn streams(trace: &Trace, uid: ContainerUid, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![uid], ..Query::default() };
    let (mut world, mut streams) = (World::new(), counted_only());
    let (mut seen, mut over) = (0_u64, false);
    trace.recording.for_each(&query, &mut |_, event| {
        world.apply(uid, event);
        if !event.flags.contains(EventFlags::SETUP) {
            streams.apply(&world, uid, event);
        }
        seen += 1;
        over = seen.is_multiple_of(STRIDE) && (job.over)();
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        let mut rows: Vec<StreamRow> = streams.list(uid).iter().map(|stream| row(&world, stream)).collect();
        rows.sort_by_key(|row| row.number);
        let left_out = streams.numbered(uid).saturating_sub(rows.len());
        (job.tell)(Reply::Streams(uid, StreamList { rows, left_out }));
    }
    Ok(())
}

fn row(world: &World, stream: &Stream) -> StreamRow {
    let mut processes: Vec<_> = stream.users.iter().map(|(process, _)| *process).collect();
    processes.dedup();
    let by = processes.first().map_or_else(Safe::default, |process| {
        let comm = world.process(*process).and_then(|process| process.comm_at(stream.first));
        let name = comm.map_or_else(Safe::default, escape);
        let more = if processes.len() > 1 { ", ..." } else { "" };
        safe!("{} {name}{more}", process.tgid)
    });
    let (kind, label) = (stream.kind, &stream.label);
    let says_kind = label.as_str().starts_with(kind);
    StreamRow {
        number: stream.number,
        label: if says_kind { label.clone() } else { safe!("{kind} {label}") },
        first: stream.first,
        bytes: (stream.bytes_in, stream.bytes_out),
        by,
    }
}
