//! Medians of the rounds, as a table.

use std::fmt;

use crate::{
    load::{self, Load},
    tracer::{Run, Tracer},
};

/// Fewer events than this say nothing about the price of one.
const MEANINGFUL: f64 = 10_000.0;

/// All runs of one load.
pub(crate) struct Table {
    load: Load,
    rows: Vec<(String, Vec<Run>)>,
}

impl Table {
    /// Empty.
    pub(crate) fn new(load: &Load) -> Self {
        Self { load: load.clone(), rows: Vec::new() }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, tracer: &Tracer, run: Run) {
        match self.rows.iter_mut().find(|(name, _)| name == tracer.name()) {
            Some((_, runs)) => runs.push(run),
            None => self.rows.push((tracer.name().to_owned(), vec![run])),
        }
    }
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn spread(runs: &[Run]) -> f64 {
    let walls = runs.iter().map(|run| run.wall);
    let least = walls.clone().fold(f64::INFINITY, f64::min);
    let most = walls.fold(0.0, f64::max);
    (most - least) / least * 100.0
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, bare)) = self.rows.first() else { return Ok(()) };
        let base = median(bare, |run| run.wall);
        writeln!(
            f,
            "\n{}: {} rounds, untraced {:.3} s (spread {:.0} %)",
            self.load.name,
            bare.len(),
            base,
            spread(bare)
        )?;
        writeln!(
            f,
            "  {:<26} {:>8} {:>12} {:>9} {:>12} {:>9} {:>8} {:>8} {:>9} {:>8}",
            "tracer",
            "slowdown",
            "added ns",
            "added CPU",
            "recorder",
            "events",
            "lost",
            "B/event",
            "RSS MiB",
            "PSS MiB"
        )?;
        for (name, runs) in &self.rows {
            let wall = median(runs, |run| run.wall);
            let events = median(runs, |run| run.events as f64);
            let lost = runs.iter().map(|run| run.lost).max().unwrap_or(0);
            let added = match self.load.operations {
                0 => "-".to_owned(),
                n => format!(
                    "{:.0}/{}",
                    (wall - base) * 1e9 / n as f64,
                    self.load.unit.split(' ').next().unwrap_or("")
                ),
            };
            // Few events tell of the recorder's idle work, not of its price for an event.
            let per_million = if self.load.name == load::IDLE {
                format!("{:.1} ms/s", median(runs, |run| run.recorder_cpu / run.wall) * 1e3)
            } else if events > MEANINGFUL {
                format!("{:.2} s/M", median(runs, |run| run.recorder_cpu) / events * 1e6)
            } else {
                "-".to_owned()
            };
            let per_event =
                if events > MEANINGFUL { median(runs, |run| run.bytes as f64) / events } else { 0.0 };
            let cpu = median(runs, |run| run.cpu) - median(bare, |run| run.cpu);
            let most = |of: fn(&Run) -> u64| runs.iter().map(of).max().unwrap_or(0) >> 20;
            let (rss, pss) = (most(|run| run.rss), most(|run| run.pss));
            writeln!(
                f,
                "  {name:<26} {:>7.2}x {added:>12} {cpu:>8.2}s {per_million:>12} {events:>9.0} {lost:>8} {per_event:>8.2} {rss:>9} {pss:>8}",
                wall / base
            )?;
        }
        Ok(())
    }
}
