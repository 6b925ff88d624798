//! `net.*`: how much went through the connections that an event is about. Ours.

use afterimage_format::{EventCode, layout};
use afterimage_model::syscalls::ArgKind;

use super::family;
use crate::{context::EventContext, value::Value, whole::Moved};

family! {
    /// Connections.
    Net as Net {
        BytesIn = "net.bytes_in", Number, Sides, Never:
            "Bytes that were received, in the whole life of the container that the recording has, over the connection that the event's \
             descriptor belongs to: with the same peer, or through the same own address from the same host, which is a row of \
             `afterimage net`, and as much as is told there; of both ends of a call that moves bytes between two. Absent of what is no \
             connection, and where only an io_uring told whom a socket is connected to. Filters, `hunt` and the TUI know it; a \
             recorder's rules do not. Ours.";
        BytesOut = "net.bytes_out", Number, Sides, Never:
            "The same of bytes that were sent: `net.bytes_out > 1000000` is every act on connections that sent much. Ours.";
    }
}

pub(super) fn get<'c>(field: Net, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let part = |moved: Moved| match field {
        Net::BytesIn => moved.received,
        Net::BytesOut => moved.sent,
    };
    let table = cx.frame().whole.get(&cx.container())?.net()?;
    let keys =
        descriptors(cx).into_iter().filter_map(|fd| cx.facts().conversation(cx.event(), fd, cx.claimed()));
    let values: Vec<Value<'c>> = keys.filter_map(|key| table.of(&key)).map(part).map(Value::number).collect();
    (!values.is_empty()).then_some(Value::Many(values))
}

/// The descriptors that an event is about, each once: what it makes, and what its arguments name.
fn descriptors(cx: &EventContext<'_>) -> Vec<i32> {
    let mut all: Vec<i32> = Vec::new();
    let mut add = |fd: Option<i32>| all.extend(fd.filter(|fd| *fd >= 0));
    if cx.event().code == EventCode::URING_SUBMIT {
        add(cx.event().number(layout::uring::FD).and_then(|fd| i32::try_from(fd).ok()));
    }
    add(cx.fd_number());
    let args = cx.shape().signature.into_iter().flat_map(|signature| signature.args.iter().enumerate());
    args.filter(|(_, arg)| arg.kind == ArgKind::Fd).for_each(|(at, _)| add(cx.register_i32(at)));
    all.sort_unstable();
    all.dedup();
    all
}
