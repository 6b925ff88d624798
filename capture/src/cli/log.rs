//! Messages on standard error: for people, or for the journal, which wants a priority and adds the time itself.

use std::{fmt, io::IsTerminal as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::systemd;

/// A message as systemd's journal takes it: its priority in front.
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(out, "<{priority}>")?;
        cx.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Starts logging what `filter` chooses.
pub(super) fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if systemd::journal() {
        builder.with_ansi(false).event_format(Journal).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).without_time().init();
    }
}
