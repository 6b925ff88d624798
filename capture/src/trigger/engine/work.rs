//! What is done with one trigger.

use std::time::{Duration, Instant as Timer};

use afterimage_format::ContainerUid;
use afterimage_model::artifacts::hex;
use sha2::{Digest as _, Sha256};
use tracing::{error, warn};

use super::{
    super::{
        ActionKind, Body, Hints, Scope, Span, Trigger,
        action::Decision,
        directory::Known,
        outcome::{Covered, Instant, Outcome, State},
        pins::Pin,
        resolve::{self, Resolution, resolve},
    },
    Answer, Engine, MAX_MATCHES, MAX_SEEN, REMEMBERED, Retry, TRIES,
};
use crate::host;

/// How far a sender's clock may be ahead.
const FUTURE: i64 = 300_000_000_000;
/// How long the recording thread may take to hold pins.
const PATIENCE: Duration = Duration::from_secs(2);
/// Latencies remembered.
const LATENCIES: usize = 1024;

fn now() -> i64 {
    host::clock_pair().real
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Engine {
    /// Takes the triggers of a body.
    pub(super) fn take(&mut self, triggers: Vec<Trigger>, body: &Body) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(triggers.len());
        let mut written = false;
        for (place, trigger) in triggers.into_iter().enumerate() {
            let outcome = self.one(trigger, body, place);
            if outcome.state != State::Ignored && !written {
                written = true;
                if let Err(error) = self.journal.body(body) {
                    warn!("a trigger's body cannot be written down: {error}");
                }
            }
            self.settled(&outcome, false);
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Counts an outcome, remembers it and writes it down; `again` when it was queued before.
    fn settled(&mut self, outcome: &Outcome, again: bool) {
        let source = super::super::Source::parse(&outcome.source).unwrap_or(super::super::Source::Generic);
        *self.counts.entry((source, outcome.state)).or_default() += 1;
        if outcome.state == State::Ignored {
            return;
        }
        if let Err(error) = self.journal.outcome(outcome) {
            warn!("a trigger cannot be written down: {error}");
        }
        if again
            && let Some(earlier) = self.outcomes.iter_mut().rev().find(|earlier| earlier.id == outcome.id)
        {
            *earlier = outcome.clone();
            return;
        }
        self.outcomes.push_back(outcome.clone());
        if self.outcomes.len() > REMEMBERED {
            self.outcomes.pop_front();
        }
    }

    fn one(&mut self, trigger: Trigger, body: &Body, place: usize) -> Outcome {
        let mut outcome = Outcome::queued(body.trigger_id(place), &trigger, body);
        if outcome.time.0 > body.received + FUTURE {
            let warning = format!("its time, {}, is not yet: the time it came is taken", outcome.time);
            outcome.warnings.push(warning);
            outcome.time = Instant(body.received);
        }
        let decision = self.actions.decide(&trigger);
        if decision.kind == ActionKind::Ignore {
            outcome.state = State::Ignored;
            return outcome;
        }
        if let Some(earlier) = self.seen_before(&trigger, &outcome) {
            outcome.state = State::Duplicate;
            outcome.duplicate_of = Some(earlier);
            return outcome;
        }
        self.act(&trigger, decision, &mut outcome);
        if outcome.state == State::Queued {
            self.retries.push(Retry {
                due: Timer::now() + TRIES[0],
                try_number: 0,
                trigger,
                outcome: outcome.clone(),
            });
        }
        outcome
    }

    /// The trigger that the same alert was before.
    fn seen_before(&mut self, trigger: &Trigger, outcome: &Outcome) -> Option<String> {
        let received = outcome.received.0;
        let limit = received.saturating_sub(nanos(self.config.dedup));
        while let Some((at, key)) = self.seen_order.front()
            && (*at < limit || self.seen_order.len() > MAX_SEEN)
        {
            if self.seen.get(key).is_some_and(|(own, _)| own == at) {
                self.seen.remove(key);
            }
            self.seen_order.pop_front();
        }
        // A person who says it twice means it twice.
        if trigger.source == super::super::Source::Person {
            return None;
        }
        // One that asks for something else is another, whatever else is the same.
        let wish = &trigger.wish;
        let key = match &trigger.fingerprint {
            Some(own) => format!("{}/{own}/{}/{wish:?}", outcome.source, trigger.resolved),
            None => format!(
                "{}/{}/{:?}/{}/{}/{wish:?}",
                outcome.source,
                trigger.rule,
                trigger.hints,
                outcome.time.0.div_euclid(1_000_000_000),
                trigger.reason,
            ),
        };
        if let Some((at, id)) = self.seen.get(&key)
            && *at >= limit
        {
            return Some(id.clone());
        }
        self.seen.insert(key.clone(), (received, outcome.id.clone()));
        self.seen_order.push_back((received, key));
        None
    }

    /// Finds the containers and pins; leaves the outcome queued where none is found.
    fn act(&mut self, trigger: &Trigger, decision: Decision, outcome: &mut Outcome) {
        let at = outcome.time.0;
        let Resolution { found, by, warnings } = resolve(&self.directory, &trigger.hints, at);
        let (from, to) = range(at, decision);
        let (found, late) = self.narrow(&found, from, to.unwrap_or(i64::MAX));
        if found.is_empty() {
            if warnings.is_empty() {
                return;
            }
            outcome.warnings.extend(warnings);
            outcome.state = State::Unmatched;
            return;
        }
        let rivals = resolve::rivals(&self.directory, &found, by, &trigger.hints);
        if !rivals.is_empty() && !trigger.wish.all {
            let (count, told) = (rivals.len(), resolve::told(&rivals));
            // A person can be asked which; an alert that waits for an answer is one that comes too late.
            if trigger.source == super::super::Source::Person {
                outcome.warnings.push(format!(
                    "{count} containers are called so: {told}; say which by its id or NAMESPACE/POD/CONTAINER, or \
                     say that all are meant (--all)"
                ));
                outcome.state = State::Unmatched;
                return;
            }
            outcome.warnings.push(format!("{count} containers are called so, and all are taken: {told}"));
        }
        outcome.found_by = by.into();
        outcome.warnings.extend(warnings);
        let all = self.widened(found, decision.scope, (from, to.unwrap_or(i64::MAX)), &trigger.hints, at);
        if all.len() > MAX_MATCHES {
            let warning = format!("{} containers: the first {MAX_MATCHES} are taken", all.len());
            outcome.warnings.push(warning);
        }
        if late {
            outcome
                .warnings
                .push("it had ended before the range asked for: its end is taken instead".to_owned());
        }
        outcome.state = if decision.kind == ActionKind::Pin { State::Pinned } else { State::Marked };
        for uid in all.into_iter().take(MAX_MATCHES) {
            self.cover(uid, trigger, decision, (from, to), outcome);
        }
    }

    /// Of all lives that an alert can mean, those in its range; where there are none, the last before it.
    fn narrow(&self, found: &[ContainerUid], from: i64, to: i64) -> (Vec<ContainerUid>, bool) {
        let known = || found.iter().filter_map(|uid| self.directory.get(*uid));
        let mut inside: Vec<ContainerUid> =
            known().filter(|known| known.lived(from, to)).map(|k| k.uid).collect();
        // In the order in which they were made, whatever was learnt first.
        inside.sort_unstable();
        if !inside.is_empty() {
            return (inside, false);
        }
        let last =
            known().filter(|known| known.removed.is_some_and(|end| end < from)).max_by_key(|k| k.removed);
        let end = last.and_then(|known| known.removed);
        let latest = known().filter(|known| end.is_some() && known.removed == end).map(|k| k.uid);
        (latest.collect(), true)
    }

    /// With what the scope adds.
    fn widened(
        &self,
        found: Vec<ContainerUid>,
        scope: Scope,
        (from, to): (i64, i64),
        hints: &Hints,
        at: i64,
    ) -> Vec<ContainerUid> {
        let own: Vec<&Known> = found.iter().filter_map(|uid| self.directory.get(*uid)).collect();
        let living = || self.directory.iter().filter(|known| known.lived(from, to));
        let mut more: Vec<ContainerUid> = Vec::new();
        match scope {
            Scope::Container => {}
            Scope::Host => more.push(ContainerUid::HOST),
            Scope::Pod => {
                let same = |known: &&Known| own.iter().any(|own| same_pod(own, known));
                more.extend(living().filter(same).map(|known| known.uid));
            }
            Scope::ProcessTree => {
                let pid = hints.pid.into_iter();
                more.extend(pid.flat_map(|pid| self.directory.tree(pid, hints.pid_start.unwrap_or(at))));
            }
            Scope::Neighbours => {
                let near = |known: &&Known| {
                    own.iter().any(|own| {
                        same_pod(own, known) || known.outer == Some(own.uid) || own.outer == Some(known.uid)
                    })
                };
                more.extend(living().filter(near).map(|known| known.uid));
                more.extend(found.iter().flat_map(|uid| self.directory.neighbours.of(*uid)));
            }
        }
        // What the alert is about comes first: of very many, the first are taken.
        more.sort_unstable();
        more.dedup();
        more.retain(|uid| !found.contains(uid));
        found.into_iter().chain(more).collect()
    }

    /// Pins a container's range, or marks it.
    fn cover(
        &mut self,
        uid: ContainerUid,
        trigger: &Trigger,
        decision: Decision,
        (mut from, mut to): (i64, Option<i64>),
        outcome: &mut Outcome,
    ) {
        let Some(known) = self.directory.get(uid) else {
            // What the directory has forgotten, or not learnt yet.
            outcome.warnings.push(format!("container {} is not known: it is left out", uid.0));
            return;
        };
        let now = now();
        let until = to.unwrap_or(now).min(now);
        if let Some(end) = known.removed {
            if end < from
                && let Span::For(before) = decision.before
            {
                from = end.saturating_sub(nanos(before));
            }
            to = Some(to.unwrap_or(end).min(end));
        }
        // Of one that had ended before, its end is asked for instead.
        let asked = (from, until);
        from = from.max(known.first_seen);
        let missing = self.directory.missing(known, asked, (from, to.unwrap_or(now)));
        let mut covered = Covered::new(known, (from, to), now, missing);
        if decision.kind == ActionKind::Pin {
            (covered.from, covered.to) = (Some(Instant(from)), to.map(Instant));
            let container = known.id.clone();
            match self.pin(uid, container, trigger, outcome, &mut covered) {
                Ok(()) => self.follow(uid, decision, &covered),
                Err(error) => {
                    error!("a trigger's pin cannot be made: {error}: {}", error.source);
                    outcome.warnings.push(error.to_string());
                    outcome.state = State::Failed;
                }
            }
        }
        outcome.containers.push(covered);
    }

    /// Makes the pin, or extends the one that the same rule made a moment ago.
    fn pin(
        &mut self,
        uid: ContainerUid,
        container: String,
        trigger: &Trigger,
        outcome: &Outcome,
        covered: &mut Covered,
    ) -> Result<(), super::super::pins::PinError> {
        let received = outcome.received.0;
        let key = (uid.0, trigger.source, trigger.rule.clone());
        let warm = |at: i64, cooldown: Duration| received.saturating_sub(at) <= nanos(cooldown);
        let cooldown = self.config.cooldown;
        let earlier = self
            .cooling
            .get(&key)
            .filter(|(at, _)| trigger.source != super::super::Source::Person && warm(*at, cooldown))
            .and_then(|(_, id)| self.pins.get(id).cloned())
            // What has its size is not extended.
            .filter(|pin| !pin.full);
        let mut pin = match earlier {
            Some(earlier) => {
                covered.extended = true;
                earlier
            }
            None => Pin {
                id: pin_id(&outcome.id, uid),
                uid: uid.0,
                container,
                from: covered.from.unwrap_or(outcome.time),
                to: covered.to,
                trigger: outcome.id.clone(),
                source: outcome.source.to_string(),
                rule: trigger.rule.clone(),
                reason: trigger.reason.clone(),
                made: outcome.received,
                full: false,
            },
        };
        pin.from = pin.from.min(covered.from.unwrap_or(pin.from));
        pin.to = pin.to.zip(covered.to).map(|(a, b)| a.max(b));
        (covered.pin, covered.from, covered.to) = (Some(pin.id.clone()), Some(pin.from), pin.to);
        if self.pins.get(&pin.id) != Some(&pin) {
            self.keep(pin.clone())?;
        }
        if self.cooling.len() > MAX_SEEN {
            self.cooling.retain(|_, (at, _)| warm(*at, cooldown));
        }
        self.cooling.insert(key, (received, pin.id));
        Ok(())
    }

    /// Makes a pin, or changes it: written down here, and held by the store.
    fn keep(&mut self, pin: Pin) -> Result<(), super::super::pins::PinError> {
        self.pins.pin(pin.clone())?;
        self.steer.hold(&pin, self.held.0.clone());
        self.asked += 1;
        Ok(())
    }

    /// What the store says to the pins that it was asked to hold, those refused with the reason.
    fn refused(&mut self) -> Vec<(String, String)> {
        let until = Timer::now() + PATIENCE;
        let mut refused = Vec::new();
        while self.asked > 0 {
            let left = until.saturating_duration_since(Timer::now());
            match self.held.1.recv_timeout(left) {
                Ok((_, Ok(()))) => self.asked = self.asked.saturating_sub(1),
                Ok((id, Err(why))) => {
                    self.asked = self.asked.saturating_sub(1);
                    refused.push((id, why));
                }
                Err(_) => {
                    // It holds them as soon as it goes on: what it is told is in waiting, and pins are read at a start.
                    warn!("the recording thread has not answered for {} pins", self.asked);
                    self.asked = 0;
                }
            }
        }
        refused
    }

    /// A pin that the store does not hold is none.
    fn take_back(&mut self, id: &str, why: &str, answers: &mut [Answer]) {
        error!("pin {id} is not held: {why}");
        let concerned = |outcome: &Outcome| outcome.containers.iter().any(|c| c.pin.as_deref() == Some(id));
        let mut new = false;
        let fail = |outcome: &mut Outcome| {
            outcome.state = State::Failed;
            outcome.warnings.push(why.to_owned());
            outcome.containers.iter_mut().filter(|c| c.pin.as_deref() == Some(id)).for_each(|c| c.pin = None);
        };
        let remembered = self.outcomes.iter_mut().rev().find(|outcome| concerned(outcome));
        let remembered = remembered.map(|outcome| {
            // What an earlier trigger pinned is still held, as it was.
            new = outcome.containers.iter().any(|c| c.pin.as_deref() == Some(id) && !c.extended);
            fail(outcome);
            outcome.clone()
        });
        answers.iter_mut().flat_map(|answer| &mut answer.outcomes).filter(|o| concerned(o)).for_each(fail);
        if let Some(outcome) = remembered {
            self.settled(&outcome, true);
        }
        if new && let Err(error) = self.pins.unpin(id) {
            warn!("that a pin is not held cannot be written down: {error}");
        }
    }

    /// What a pin asks for of the time to come: an end by size, more detail.
    fn follow(&mut self, uid: ContainerUid, decision: Decision, covered: &Covered) {
        let living = self.directory.get(uid).is_some_and(|known| known.removed.is_none());
        let Some(pin) = covered.pin.as_deref().filter(|_| living) else { return };
        if let Some(limit) = decision.limit {
            self.meters.set(uid, pin, limit);
        }
        if decision.boost && uid != ContainerUid::HOST {
            let left =
                covered.to.map(|to| Duration::from_nanos(to.0.saturating_sub(now()).max(0).cast_unsigned()));
            if left == Some(Duration::ZERO) {
                return;
            }
            let until = left.map(|left| Timer::now() + left);
            match self.boosted.get_mut(&uid) {
                // The one that lasts longest counts.
                Some(earlier) => *earlier = earlier.zip(until).map(|(a, b)| a.max(b)),
                None => {
                    self.steer.boost(uid, true);
                    self.boosted.insert(uid, until);
                }
            }
        }
    }

    /// Ends what was asked for until now.
    pub(super) fn end_boosts(&mut self, now: Timer) {
        let over = |until: &Option<Timer>| until.is_some_and(|until| until <= now);
        for (uid, _) in self.boosted.extract_if(|_, until| over(until)) {
            self.steer.boost(uid, false);
        }
    }

    /// A pin has its size.
    pub(super) fn full(&mut self, id: &str, at: i64) {
        let Some(pin) = self.pins.get(id).cloned() else { return };
        let to = Instant(pin.to.map_or(at, |to| to.0.min(at)));
        if let Err(error) = self.keep(Pin { to: Some(to), full: true, ..pin }) {
            // More is kept than was asked for.
            warn!("the end of a pin cannot be written down: {error}");
        }
    }

    /// Takes a pin away, and writes down who did.
    ///
    /// # Errors
    /// When that cannot be made safe.
    pub fn unpin(&mut self, id: &str, by: &str) -> Result<bool, super::super::pins::PinError> {
        let Some(pin) = self.pins.get(id).cloned() else { return Ok(false) };
        self.pins.unpin(id)?;
        self.steer.let_go(id);
        if let Err(error) = self.journal.unpinned(&pin, by).and_then(|()| self.journal.sync()) {
            warn!("that a pin was taken away cannot be written down: {error}");
        }
        self.pins.sync()?;
        Ok(true)
    }

    /// A container has ended: what was pinned until its end has one now.
    pub(super) fn end_pins(&mut self, known: &Known) {
        let Some(end) = known.removed else { return };
        let open: Vec<Pin> =
            self.pins.all().filter(|pin| pin.uid == known.uid.0 && pin.to.is_none()).cloned().collect();
        for pin in open {
            if let Err(error) = self.keep(Pin { to: Some(Instant(end)), ..pin }) {
                // The pin stays open: more is kept than was asked for.
                warn!("the end of a pin cannot be written down: {error}");
            }
        }
    }

    /// Tries those again that matched nothing.
    pub(super) fn retry(&mut self) {
        let now = Timer::now();
        let (due, rest): (Vec<Retry>, Vec<Retry>) =
            std::mem::take(&mut self.retries).into_iter().partition(|retry| retry.due <= now);
        self.retries = rest;
        for mut retry in due {
            let decision = self.actions.decide(&retry.trigger);
            self.act(&retry.trigger, decision, &mut retry.outcome);
            if retry.outcome.state == State::Queued {
                retry.try_number += 1;
                match TRIES.get(retry.try_number) {
                    Some(next) => {
                        retry.due = now + *next;
                        self.retries.push(retry);
                        continue;
                    }
                    None => retry.outcome.state = State::Unmatched,
                }
            }
            if retry.outcome.state == State::Pinned {
                self.late.push(retry.outcome.received.0);
            }
            self.settled(&retry.outcome, true);
        }
    }

    /// Makes everything safe, and then only tells that it is.
    pub(super) fn make_safe(&mut self, answers: &mut [Answer]) {
        // The store works on its part meanwhile.
        if let Err(error) = self.journal.sync() {
            warn!("triggers cannot be written down: {error}");
        }
        for (id, why) in self.refused() {
            self.take_back(&id, &why, answers);
        }
        let journal = self.journal.sync();
        if let Err(error) = journal {
            warn!("triggers cannot be written down: {error}");
        }
        let pinned = self.pins.sync();
        if let Err(error) = &pinned {
            error!("pins cannot be made safe: {error}: {}", error.source);
        }
        let now = now();
        for outcome in answers.iter_mut().flat_map(|answer| &mut answer.outcomes) {
            if let (Err(error), State::Pinned) = (&pinned, outcome.state) {
                outcome.state = State::Failed;
                outcome.warnings.push(error.to_string());
                self.unsafe_pins += 1;
            }
        }
        let pinned = answers.iter().flat_map(|answer| &answer.outcomes).filter(|o| o.state == State::Pinned);
        let late = std::mem::take(&mut self.late);
        for received in pinned.map(|outcome| outcome.received.0).chain(late) {
            self.latencies.push_back(now.saturating_sub(received).max(0).cast_unsigned());
            if self.latencies.len() > LATENCIES {
                self.latencies.pop_front();
            }
        }
    }
}

/// The range that a decision asks for around a moment; no end means the container's.
fn range(at: i64, decision: Decision) -> (i64, Option<i64>) {
    let from = match decision.before {
        Span::For(before) => at.saturating_sub(nanos(before)),
        Span::All => i64::MIN,
    };
    let to = match decision.after {
        Span::For(after) => Some(at.saturating_add(nanos(after))),
        Span::All => None,
    };
    (from, to)
}

fn same_pod(a: &Known, b: &Known) -> bool {
    let by_uid = a.pod_uid.is_some() && a.pod_uid == b.pod_uid;
    by_uid || a.pod.is_some() && a.pod == b.pod && a.namespace == b.namespace
}

/// A pin's id: of what made it and of whose it is.
fn pin_id(trigger: &str, uid: ContainerUid) -> String {
    let hash = Sha256::new().chain_update(trigger).chain_update(uid.0.to_le_bytes()).finalize();
    format!("p-{}", hex(&hash[..8]))
}
