//! What systemd is told, where it is there.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd is not told: {error}");
    }
}

/// Recording has begun, or the configuration was read again.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The configuration is being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!("no monotonic clock: {error}"),
    }
}

/// The store is being sealed.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// All is well.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// How often systemd wants to hear that all is well; `None` when it does not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// Whether standard error goes to the journal, which adds times and knows priorities.
pub fn journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}
