//! Rules at work: what they match, what they cost, and what is shed when they cost too much.
//!
//! The thread's CPU time is compared with the budget every second. When it is above three times in a row, the costliest
//! rule is switched off until the configuration is read again, and named: in the log, in the metrics, and as a hit of its
//! own in the outputs. Costs of single rules are measured for one event in [`SAMPLE`].

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use afterimage_detect::{
    EventContext, RuleSet,
    rules::{CaptureScope, Hit, Priority},
};
use afterimage_format::{ContainerUid, EventCode};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tracing::error;

use crate::trigger::{ActionKind, Hints, Scope, Source, Span, Trigger, Wish, outcome};

/// One event in so many is measured.
const SAMPLE: u32 = 32;
/// How often costs are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often in a row the budget must be exceeded.
const PATIENCE: u32 = 3;
/// A rule that takes less than this part of the budget is not what costs too much.
const WORTHWHILE: f64 = 0.1;
/// A rule pins a container again after this time at the earliest: its pin reaches further than that.
const AGAIN: i64 = 1_000_000_000;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// Most pairs of rule and container remembered.
const MAX_FIRED: usize = 65_536;

/// Rules and their costs.
pub struct Rules {
    set: RuleSet,
    /// Part of a CPU that may be used.
    budget: f64,
    costs: Vec<u64>,
    turn: u32,
    /// Until when each rule does not pin each container again.
    fired: HashMap<(usize, ContainerUid), i64>,
    looked: (Instant, Duration),
    over: u32,
    /// Rules that were shed.
    pub shed: Vec<String>,
    /// Hits.
    pub hits: u64,
}

/// A rule that was shed, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Shed {
    /// Which.
    pub rule: String,
    /// Its part of a CPU.
    pub share: f64,
    /// The part of all rules, and of keeping the state for them.
    pub total: f64,
}

pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Rules {
    /// Of a set, within so many percent of a CPU.
    pub fn new(set: RuleSet, budget: u32) -> Self {
        Self {
            costs: vec![0; set.rules().len()],
            set,
            budget: f64::from(budget) / 100.0,
            turn: 0,
            fired: HashMap::new(),
            looked: (Instant::now(), cpu_time()),
            over: 0,
            shed: Vec::new(),
            hits: 0,
        }
    }

    /// Rules in force.
    pub fn active(&self) -> usize {
        self.set.rules().iter().filter(|rule| rule.enabled).count()
    }

    /// Whether any rule can match an event of this code.
    pub fn admits(&self, code: EventCode) -> bool {
        self.set.admits_code(code)
    }

    /// What an event matches.
    pub fn evaluate(&mut self, cx: &EventContext<'_>) -> Vec<Hit> {
        self.turn = self.turn.wrapping_add(1);
        let hits = if self.turn.is_multiple_of(SAMPLE) {
            // What several rules ask for is looked up once; the first must not pay for all.
            let _ = (cx.process(), cx.descriptor());
            let costs = &mut self.costs;
            self.set.evaluate_measured(cx, cpu_time, &mut |rule, cost| {
                if let Some(sum) = costs.get_mut(rule) {
                    *sum += u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
                }
            })
        } else {
            self.set.evaluate(cx)
        };
        self.hits += hits.len() as u64;
        hits
    }

    /// The trigger that a hit is, where its rule captures and has not just done so.
    pub fn trigger(&mut self, hit: &Hit, pid: u32) -> Option<Trigger> {
        let capture = &hit.capture;
        if !capture.enabled {
            return None;
        }
        let now = hit.wall.unwrap_or(0);
        if self.fired.len() >= MAX_FIRED {
            self.fired.retain(|_, until| now < *until);
        }
        let key = (hit.rule, hit.container);
        if self.fired.get(&key).is_some_and(|until| now < *until) {
            return None;
        }
        let once =
            capture.once_ms.map_or(AGAIN, |ms| i64::try_from(ms.saturating_mul(MS)).unwrap_or(i64::MAX));
        self.fired.insert(key, now.saturating_add(once.max(AGAIN)));
        let span = |ms: Option<u64>| ms.filter(|ms| *ms > 0).map(|ms| Span::For(Duration::from_millis(ms)));
        Some(Trigger {
            notes: Vec::new(),
            source: Source::Rules,
            rule: hit.name.clone(),
            priority: hit.priority,
            tags: hit.tags.clone(),
            time: hit.wall,
            hints: Hints {
                uid: Some(hit.container),
                pid: Some(pid),
                pid_start: hit.wall,
                ..Hints::default()
            },
            fingerprint: None,
            resolved: false,
            routine: false,
            wish: Wish {
                action: Some(ActionKind::Pin),
                before: span(capture.before_ms),
                after: span(capture.after_ms),
                scope: capture.scope.map(scope),
                limit: capture.limit,
                boost: None,
                all: false,
            },
            reason: hit.message.clone(),
        })
    }

    /// Looks at the costs when it is time to; the rule that was shed, if one was.
    pub fn look(&mut self) -> Option<Shed> {
        let (at, before) = self.looked;
        let elapsed = at.elapsed();
        if elapsed < LOOK {
            return None;
        }
        let now = cpu_time();
        self.looked = (Instant::now(), now);
        let costs = std::mem::replace(&mut self.costs, vec![0; self.set.rules().len()]);
        self.judge(now.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64(), elapsed, &costs)
    }

    /// Sheds the costliest rule when the budget is exceeded for long.
    fn judge(&mut self, total: f64, elapsed: Duration, costs: &[u64]) -> Option<Shed> {
        if total <= self.budget {
            self.over = 0;
            return None;
        }
        self.over += 1;
        if self.over < PATIENCE {
            return None;
        }
        self.over = 0;
        let (rule, cost) = costs.iter().enumerate().max_by_key(|(_, cost)| **cost)?;
        let share = (cost * u64::from(SAMPLE)) as f64 / elapsed.as_nanos() as f64;
        if share < self.budget * WORTHWHILE {
            return None;
        }
        let name = self.set.rules().get(rule)?.name.clone();
        self.set.switch(|own| (own.name == name).then_some(false));
        self.shed.push(name.clone());
        error!(
            "rule `{name}` takes {:.0} % of a CPU, all rules {:.0} %, above `rules.budget`: it is not looked at until \
             the configuration is read again",
            share * 100.0,
            total * 100.0
        );
        Some(Shed { rule: name, share, total })
    }
}

fn scope(scope: CaptureScope) -> Scope {
    match scope {
        CaptureScope::Container => Scope::Container,
        CaptureScope::Pod => Scope::Pod,
        CaptureScope::ProcessTree => Scope::ProcessTree,
        CaptureScope::Host => Scope::Host,
    }
}

/// As a hit of its own in Falco's JSON, so that whoever reads the outputs knows of it.
pub fn shed_json(shed: &Shed, hostname: &str, wall: i64) -> String {
    let text = format!(
        "{} Afterimage internal: rule shed (rule={} share={:.2} total={:.2})",
        Priority::Warning.as_str(),
        shed.rule,
        shed.share,
        shed.total
    );
    json!({
        "hostname": hostname,
        "output": text,
        "output_fields": { "rule": shed.rule, "share": shed.share, "total": shed.total, "evt.time": wall },
        "priority": Priority::Warning.as_str(),
        "rule": "Afterimage internal: rule shed",
        "source": "internal",
        "tags": [],
        "time": outcome::Instant(wall).to_string(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "
- rule: cheap
  desc: d
  condition: evt.type = execve
  output: x
  priority: INFO
- rule: dear
  desc: d
  condition: evt.type = openat
  output: x
  priority: INFO
";

    fn rules() -> Rules {
        Rules::new(RuleSet::parse(&[("r", RULES)]).unwrap(), 25)
    }

    #[test]
    fn the_costliest_rule_is_shed_and_named_when_the_budget_is_exceeded_for_long() {
        let mut rules = rules();
        let second = Duration::from_secs(1);
        let costs = [1_000, 10_000_000];
        assert_eq!(rules.judge(0.5, second, &costs), None);
        assert_eq!(rules.judge(0.1, second, &costs), None, "a short peak is none of its business");
        assert_eq!(rules.judge(0.5, second, &costs), None);
        assert_eq!(rules.judge(0.5, second, &costs), None);
        let shed = rules.judge(0.5, second, &costs).unwrap();
        assert_eq!((shed.rule.as_str(), shed.share), ("dear", 0.32));
        assert_eq!((rules.active(), rules.shed.as_slice()), (1, &["dear".to_owned()][..]));
        let open = afterimage_model::syscalls::by_name("openat").unwrap();
        assert!(!rules.admits(open) && rules.admits(EventCode::EXEC));
        let json: serde_json::Value = serde_json::from_str(&shed_json(&shed, "node", 5)).unwrap();
        assert_eq!(json["output_fields"]["rule"], "dear");
    }

    #[test]
    fn what_is_not_the_rules_fault_sheds_none() {
        let mut rules = rules();
        for _ in 0..10 {
            assert_eq!(rules.judge(0.9, Duration::from_secs(1), &[100, 200]), None);
        }
        assert_eq!(rules.active(), 2);
    }
}
