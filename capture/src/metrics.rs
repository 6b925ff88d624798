//! Metrics as Prometheus reads them. No label ever has text from outside.

use std::{collections::BTreeMap, fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::{
    control::figures::Figures,
    privilege::Role,
    trigger::{Source, engine::Counts, outcome::State},
};

/// What became of triggers, that docs/operations.md says to watch.
const WATCHED: [State; 2] = [State::Unmatched, State::Failed];

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is told, gathered at one moment.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// CPU time of the recorder's processes.
    pub cpu: Vec<(Role, Duration)>,
    /// Resident memory of the capture process. Bytes.
    pub resident: Option<u64>,
    /// The recording thread's figures.
    pub figures: Option<Figures>,
    /// Seconds since the recording thread last said that it lives.
    pub silence: f64,
    /// Seconds since recording began.
    pub uptime: f64,
    /// Triggers by sender and what became of them.
    pub triggers: Counts,
    /// Triggers in waiting.
    pub waiting: usize,
    /// Pins.
    pub pins: usize,
    /// Pins that may not survive a power cut.
    pub unsafe_pins: u64,
    /// Containers that can be asked for, living and dead.
    pub known: usize,
    /// Middle and 99th percentile of the time from an alert's arrival until its pin was safe. Seconds.
    pub latency: Option<(f64, f64)>,
    /// Answers of the webhook by status.
    pub webhook: BTreeMap<u16, u64>,
    /// What the rules did.
    pub rules: Option<RuleFigures>,
}

/// What the rules did.
#[derive(Debug, Clone, Default)]
pub struct RuleFigures {
    /// Rules in force.
    pub active: usize,
    /// Rules that were shed because they cost too much.
    pub shed: usize,
    /// Events looked at.
    pub events: u64,
    /// Events not looked at, because too many were in waiting.
    pub skipped: u64,
    /// Hits.
    pub hits: u64,
    /// Seconds of CPU time.
    pub cpu: f64,
    /// Hits that an output did not take.
    pub undelivered: u64,
}

type Label = (&'static str, String);

impl Scrape {
    /// As text.
    pub fn text(self) -> String {
        let mut registry = Registry::with_prefix("afterimage");
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

/// Encodes families one after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (Vec<Label>, M)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            if labels.is_empty() {
                return value.encode(family);
            }
            value.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Vec<Label>, u64)>,
    ) -> fmt::Result {
        let values = values.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, MetricType::Counter, values)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [(Vec::new(), value)])
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, [(Vec::new(), ConstGauge::new(value))])
    }
}

fn label(name: &'static str, value: impl fmt::Display) -> Vec<Label> {
    vec![(name, value.to_string())]
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        let version = label("version", env!("CARGO_PKG_VERSION"));
        out.family("build", "What runs", MetricType::Gauge, [(version, ConstGauge::new(1i64))])?;
        out.gauge("uptime_seconds", "Since recording began", self.uptime)?;
        out.gauge(
            "recorder_silence_seconds",
            "Since the recording thread last said that it lives",
            self.silence,
        )?;
        self.cost(&mut out)?;
        if let Some(figures) = &self.figures {
            recorder(&mut out, figures)?;
        }
        self.triggers(&mut out)?;
        let answers = self.webhook.iter().map(|(status, count)| (label("status", status), *count));
        out.counters("webhook_answers", "Answers of the webhook", answers)?;
        match &self.rules {
            Some(rules) => rules_text(&mut out, rules),
            None => Ok(()),
        }
    }
}

impl Scrape {
    fn cost(&self, out: &mut Writer<'_>) -> fmt::Result {
        let times = self
            .cpu
            .iter()
            .map(|(role, time)| (label("process", role.as_str()), ConstCounter::new(time.as_secs_f64())));
        let help =
            "CPU time of the recorder's processes; the kernel's side is in the time of those who make calls";
        out.family("cpu_seconds", help, MetricType::Counter, times)?;
        match self.resident {
            Some(bytes) => {
                out.gauge("resident_bytes", "Resident memory of the process that records", bytes as f64)
            }
            None => Ok(()),
        }
    }

    fn triggers(&self, out: &mut Writer<'_>) -> fmt::Result {
        // What is watched is there before it happens: from nothing to one nobody sees an increase.
        let mut counts: Counts =
            Source::all().flat_map(|source| WATCHED.map(|state| ((source, state), 0))).collect();
        counts.extend(&self.triggers);
        let counted = counts.iter().map(|((source, state), count)| {
            let labels = vec![("source", source.as_str().to_owned()), ("result", state.as_str().to_owned())];
            (labels, *count)
        });
        out.counters("triggers", "Triggers by sender and what became of them", counted)?;
        out.gauge("triggers_waiting", "Triggers in waiting", self.waiting as f64)?;
        out.gauge("pins", "Pinned ranges", self.pins as f64)?;
        out.counter("pins_unsafe", "Pins that may not survive a power cut", self.unsafe_pins)?;
        out.gauge(
            "containers_known",
            "Containers that a trigger can name, deleted ones included",
            self.known as f64,
        )?;
        if let Some((middle, worst)) = self.latency {
            let help = "From an alert's arrival until its pin is on disk, of the latest thousand";
            let values = [(label("quantile", "0.5"), middle), (label("quantile", "0.99"), worst)];
            let values = values.map(|(labels, value)| (labels, ConstGauge::new(value)));
            out.family("trigger_latency_seconds", help, MetricType::Gauge, values)?;
        }
        Ok(())
    }
}

fn recorder(out: &mut Writer<'_>, figures: &Figures) -> fmt::Result {
    let (kernel, sink) = (&figures.status.kernel, &figures.status.sink);
    out.counter("events", "Events stored", sink.stored)?;
    out.counter("events_filtered", "Calls that the profile leaves out", kernel.filtered + sink.filtered)?;
    out.counter("events_unattributed", "Events whose container was not found", sink.unattributed)?;
    out.counter("secrets_masked", "Secrets masked before they were written", sink.redacted)?;
    let lost = [
        ("data_ring_full", kernel.lost_data),
        ("control_ring_full", kernel.lost_control),
        ("throttled", kernel.throttled),
        ("malformed", figures.status.malformed),
        ("processes_at_start", figures.status.unseen),
        ("calls_in_progress", figures.status.calls_unseen),
        ("refused_by_store", sink.refused),
    ];
    out.counter("metadata_left_out", "Looks at metadata that there was no room for", figures.status.unread)?;
    out.counter(
        "runtime_processes_unfollowed",
        "Processes of runtimes that there was no room to remember",
        kernel.unmarked,
    )?;
    out.counter(
        "maps_changed",
        "Times that others had changed the recorder's eBPF maps",
        figures.status.maps_changed,
    )?;
    let lost = lost.map(|(reason, count)| (label("reason", reason), count));
    out.counters("events_lost", "Events that could not be recorded", lost)?;
    out.counter("program_runs", "Runs of the system call program", kernel.runs)?;
    out.gauge("containers_live", "Containers that are not deleted", figures.status.containers as f64)?;
    out.counter("bytes_written", "Bytes of segments written", figures.status.bytes)?;
    let store = &figures.status.store;
    out.gauge(
        "ring_fill_ratio",
        "The most of the data ring that was taken at once in the last seconds; at 1 events are lost",
        figures.status.ring_fill,
    )?;
    if let Some(reach) = store.reach {
        out.gauge("store_oldest_seconds", "How far back the oldest event lies", reach as f64 / 1e9)?;
    }
    if let Some(whole) = store.whole {
        let help =
            "How far back nothing was removed of any container: so far back a trigger finds everything";
        out.gauge("pretrigger_seconds", help, whole as f64 / 1e9)?;
    }
    out.gauge("store_bytes", "Bytes that the store takes", store.used as f64)?;
    out.gauge("store_budget_bytes", "Bytes that the store may take, 0 for no limit", store.budget as f64)?;
    out.gauge("store_pinned_bytes", "Bytes that pins hold", store.pinned as f64)?;
    out.gauge(
        "store_space",
        "Disk space: 0 enough, 1 low, 2 shedding, 3 stopped",
        f64::from(store.space as u8),
    )?;
    out.counter("events_evicted", "Events removed to stay within the budget", store.evicted_events)
}

fn rules_text(out: &mut Writer<'_>, rules: &RuleFigures) -> fmt::Result {
    out.gauge("rules_active", "Rules in force", rules.active as f64)?;
    out.gauge("rules_shed", "Rules shed because they cost too much", rules.shed as f64)?;
    out.counter("rules_events", "Events that rules looked at", rules.events)?;
    out.counter("rules_events_skipped", "Events that rules did not look at", rules.skipped)?;
    out.counter("rules_hits", "Hits", rules.hits)?;
    out.gauge("rules_cpu_seconds", "CPU time of the rules", rules.cpu)?;
    out.counter("rules_undelivered", "Hits that an output did not take", rules.undelivered)
}

/// Middle and 99th percentile, in seconds.
pub fn quantiles(nanos: impl IntoIterator<Item = u64>) -> Option<(f64, f64)> {
    let mut sorted: Vec<u64> = nanos.into_iter().collect();
    sorted.sort_unstable();
    let at = |part: f64| {
        let index = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(index).map(|nanos| *nanos as f64 / 1e9)
    };
    Some((at(0.5)?, at(0.99)?))
}

const _: () = {
    const fn is_label_set<T: EncodeLabelSet>() {}
    is_label_set::<Vec<Label>>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recorder::{HostMode, Profile, Status},
        trigger::{Source, outcome::State},
    };

    fn scrape() -> Scrape {
        let mut status = Status { malformed: 3, maps_changed: 2, containers: 2, ..Status::default() };
        status.sink.stored = 41;
        status.kernel.lost_data = 5;
        status.ring_fill = 0.25;
        status.store.reach = Some(90_500_000_000);
        status.store.whole = Some(60_250_000_000);
        let figures = Figures { status, profile: Profile::Full, host: HostMode::None, rate: 0 };
        Scrape {
            cpu: vec![(Role::Capture, Duration::from_millis(3250)), (Role::Control, Duration::from_secs(1))],
            resident: Some(88_080_384),
            figures: Some(figures),
            triggers: Counts::from([((Source::Falco, State::Pinned), 7)]),
            latency: quantiles([1_000_000, 2_000_000, 3_000_000]),
            webhook: BTreeMap::from([(200, 7), (429, 1)]),
            rules: Some(RuleFigures { hits: 9, ..RuleFigures::default() }),
            ..Scrape::default()
        }
    }

    #[test]
    fn everything_is_told_once_and_in_order() {
        let text = scrape().text();
        for line in [
            "afterimage_cpu_seconds_total{process=\"capture\"} 3.25",
            "afterimage_resident_bytes 88080384.0",
            "afterimage_events_total 41",
            "afterimage_events_lost_total{reason=\"data_ring_full\"} 5",
            "afterimage_events_lost_total{reason=\"malformed\"} 3",
            "afterimage_maps_changed_total 2",
            "afterimage_containers_live 2.0",
            "afterimage_ring_fill_ratio 0.25",
            "afterimage_store_oldest_seconds 90.5",
            "afterimage_pretrigger_seconds 60.25",
            "afterimage_triggers_total{source=\"falco\",result=\"pinned\"} 7",
            "afterimage_triggers_total{source=\"alertmanager\",result=\"unmatched\"} 0",
            "afterimage_trigger_latency_seconds{quantile=\"0.5\"} 0.002",
            "afterimage_trigger_latency_seconds{quantile=\"0.99\"} 0.003",
            "afterimage_webhook_answers_total{status=\"429\"} 1",
            "afterimage_rules_hits_total 9",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all, "a family is told in one piece: {text}");
    }

    #[test]
    fn what_the_manual_says_to_watch_is_there() {
        let text = scrape().text();
        let manual = include_str!("../../docs/operations.md");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = manual.match_indices("afterimage_").map(|(at, _)| {
            let rest = manual.get(at..).unwrap_or_default();
            rest.split(|c| !is_name(c)).next().unwrap_or_default()
        });
        let named: Vec<&str> = named.filter(|name| !name.ends_with('_')).collect();
        assert!(named.len() > 9, "{named:?}");
        for name in named {
            let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
            assert!(text.lines().any(is_it), "{name} is no metric\n{text}");
        }
    }

    #[test]
    fn quantiles_are_of_what_there_is() {
        assert_eq!(quantiles([]), None);
        assert_eq!(quantiles([5_000_000_000]), Some((5.0, 5.0)));
        assert_eq!(quantiles((1..=100).map(|s| s * 1_000_000_000)), Some((50.0, 99.0)));
    }
}
