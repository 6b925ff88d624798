//! How fast rules and filters are: `cargo run --release -p afterimage-detect --example bench [RULES.yaml]`.
//!
//! A generated mix of events is matched on one thread. The state is kept up to date outside of the measured time;
//! what is measured is matching alone, in the time that the thread had a CPU: other load on the machine does not
//! count. The mix: reads and writes 55 %, opens 20 %, closes 15 %, connects and datagrams 6 %, execs 2 %, others 2 %: a
//! busy container's, with more execs than most.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use afterimage_detect::{EventContext, Filter, Frame, RuleSet, Tracker};
use afterimage_format::BootNanos;
use mix::{EVENTS, UID, machine, mix, on_cpu};

mod mix;

/// How long each measurement lasts.
const TIME: Duration = Duration::from_secs(2);

const FILTERS: &[&str] = &[
    "evt.type = execve and proc.name = xmrig",
    "evt.type in (open, openat) and fd.name startswith /etc/shadow",
    "fd.name contains id_rsa",
    "proc.aname = nginx and fd.sport = 4444",
    "proc.cmdline icontains secret",
    "fd.snet in (10.0.0.0/8, 192.168.0.0/16)",
];

fn main() {
    println!("{}", machine());
    let (events, record) = mix();
    let frame = Frame { range: Some((BootNanos(0), BootNanos(u64::MAX))), ..Frame::default() };
    let mut tracker = Tracker::new();
    for event in &events {
        event.with(|event| tracker.apply(UID, event));
    }
    let visit = |each: &mut dyn FnMut(&EventContext<'_>)| {
        for (number, event) in (1..).zip(&events) {
            event.with(|event| {
                each(&EventContext::new(event, (UID, Some(&record)), &tracker, &frame, number))
            });
        }
    };
    report("nothing (cost of visiting)", || {
        visit(&mut |cx| {
            black_box(cx.number());
        });
    });
    for text in FILTERS {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        report(text, || {
            visit(&mut |cx| {
                black_box(filter.matches(cx));
            });
        });
    }
    let Some(path) = std::env::args().nth(1) else { return };
    let begin = Instant::now();
    let rules = RuleSet::load(&[&path]).unwrap_or_else(|error| panic!("{error}"));
    println!("{} rules loaded in {:.1} ms", rules.rules().len(), begin.elapsed().as_secs_f64() * 1e3);
    let mut hits = 0usize;
    let mut passes = 0usize;
    report("all rules in one pass", || {
        visit(&mut |cx| hits += rules.evaluate(cx).len());
        passes += 1;
    });
    println!("hits in one pass: {} of {EVENTS} events", hits / passes.max(1));
    let mut live = Tracker::new();
    report("state and all rules in one pass", || {
        for (number, event) in (1..).zip(&events) {
            event.with(|event| {
                live.apply(UID, event);
                black_box(rules.evaluate(&EventContext::new(
                    event,
                    (UID, Some(&record)),
                    &live,
                    &frame,
                    number,
                )));
            });
        }
    });
}

fn report(what: &str, mut pass: impl FnMut()) {
    pass();
    let wall = Instant::now();
    let begin = on_cpu();
    let mut passes = 0u32;
    while wall.elapsed() < TIME {
        pass();
        passes += 1;
    }
    let nanos = (on_cpu() - begin) as f64;
    let events = f64::from(passes) * EVENTS as f64;
    println!("{:>9.2} M events/s {:>8.1} ns/event  {what}", events * 1e3 / nanos, nanos / events);
}
