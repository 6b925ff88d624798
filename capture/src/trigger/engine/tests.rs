use afterimage_format::{ContainerUid, LossCause};

use super::{
    super::{directory::tests::known, outcome::Instant, pins::PinFile, sender},
    *,
};
use crate::host;

const SECOND: i64 = 1_000_000_000;
const A: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
const B: &str = "9999999999999999999999999999999999999999999999999999999999999999";

struct Bench {
    handle: Handle,
    thread: std::thread::JoinHandle<()>,
    dir: tempfile::TempDir,
    now: i64,
}

fn bench() -> Bench {
    bench_with(Box::new(()))
}

fn bench_with(steer: Box<dyn Steer>) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::config::Config::load(&crate::config::Sources::default()).unwrap().0.triggers;
    let pins = Box::new(PinFile::open(dir.path()).unwrap());
    let journal = Journal::open(dir.path(), 1 << 20).unwrap();
    let (handle, thread) = Engine::start(config, pins, journal, steer).unwrap();
    Bench { handle, thread, dir, now: host::clock_pair().real }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Bench {
    fn learn(&self, uid: u64, id: &str, from: i64, to: Option<i64>) {
        let known = known(uid, id, self.now + from * SECOND, to.map(|to| self.now + to * SECOND));
        assert!(self.handle.update(Update::Container(Box::new(known))));
    }

    fn send(&self, body: &serde_json::Value) -> Vec<Outcome> {
        let text = body.to_string();
        let triggers = sender::parse(text.as_bytes(), None).unwrap();
        let (reply, answer) = oneshot::channel();
        self.handle.submit(triggers, Body::new(text.into_bytes(), "test"), Some(reply)).unwrap();
        answer.blocking_recv().unwrap()
    }

    fn by_person(&self, body: &serde_json::Value) -> Outcome {
        let text = body.to_string();
        let triggers = sender::parse(text.as_bytes(), Some(Source::Person)).unwrap();
        let (reply, answer) = oneshot::channel();
        self.handle.submit(triggers, Body::new(text.into_bytes(), "test"), Some(reply)).unwrap();
        answer.blocking_recv().unwrap().remove(0)
    }

    fn falco(&self, rule: &str, id: &str, ago: i64) -> Outcome {
        let body = serde_json::json!({"rule": rule, "priority": "Critical",
            "output_fields": {"container.id": &id[..12], "evt.time": self.now - ago * SECOND}});
        self.send(&body).remove(0)
    }

    fn pins(&self) -> Vec<Pin> {
        runtime().block_on(self.handle.ask(|engine| engine.pins.all().cloned().collect())).unwrap()
    }

    fn wait_for(&self, id: &str, state: State) -> Outcome {
        for _ in 0..500 {
            let id = id.to_owned();
            let found = runtime()
                .block_on(self.handle.ask(move |engine| engine.outcomes.iter().find(|o| o.id == id).cloned()))
                .unwrap();
            if let Some(outcome) = found.filter(|outcome| outcome.state == state) {
                return outcome;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("`{id}` never became {state:?}");
    }
}

#[test]
fn the_dead_are_pinned_from_their_first_instant() {
    let bench = bench();
    bench.learn(1, A, -3, Some(-2));
    let outcome = bench.falco("Drop and execute", A, 2);
    assert_eq!((outcome.state, &*outcome.found_by), (State::Pinned, "id prefix"), "{outcome:?}");
    let [covered] = outcome.containers.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((&*covered.state, covered.complete), ("deleted", true));
    assert_eq!(covered.from, Some(Instant(bench.now - 3 * SECOND)));
    assert_eq!(covered.to, Some(Instant(bench.now - 2 * SECOND)));
    // What was answered is on disk.
    let kept = PinFile::open(bench.dir.path()).unwrap();
    use super::super::pins::PinKeeper as _;
    assert_eq!(kept.all().cloned().collect::<Vec<_>>(), bench.pins());
    let journal = std::fs::read_to_string(bench.dir.path().join("triggers.jsonl")).unwrap();
    assert!(
        journal.lines().count() == 2 && journal.contains(&outcome.id) && journal.contains("container.id")
    );
    bench.handle.stop();
    bench.thread.join().unwrap();
}

#[test]
fn overlapping_triggers_keep_their_own_pins_and_the_same_rule_extends() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let first = bench.falco("one", A, 50);
    let again = bench.falco("one", A, 20);
    let other = bench.falco("two", A, 20);
    let pin = |outcome: &Outcome| outcome.containers[0].pin.clone().unwrap();
    assert_eq!(pin(&first), pin(&again));
    assert!(again.containers[0].extended && !other.containers[0].extended);
    assert_ne!(pin(&first), pin(&other));
    let pins = bench.pins();
    assert_eq!(pins.len(), 2);
    let extended = pins.iter().find(|p| p.id == pin(&first)).unwrap();
    assert_eq!(extended.to, Some(Instant(bench.now + (300 - 20) * SECOND)), "the later end counts");
    let same = bench.falco("one", A, 20);
    assert_eq!((same.state, same.duplicate_of), (State::Duplicate, Some(again.id)));
}

#[test]
fn who_asks_for_more_a_moment_later_gets_more() {
    let bench = bench();
    bench.learn(11, A, -100, None);
    bench.learn(12, B, -100, None);
    let time = Instant(bench.now).to_string();
    let ask = |more: serde_json::Value| {
        let mut body = serde_json::json!({"container": A, "reason": "same", "time": time, "id": "4711"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.send(&body).remove(0)
    };
    let first = ask(serde_json::json!({"before": "1s", "after": "1s"}));
    assert_eq!(first.containers[0].from, Some(Instant(bench.now - SECOND)));
    let more = ask(serde_json::json!({"before": "30s", "after": "1s"}));
    assert_eq!((more.state, more.containers[0].extended), (State::Pinned, true), "{more:?}");
    assert_eq!(more.containers[0].from, Some(Instant(bench.now - 30 * SECOND)));
    let wider = ask(serde_json::json!({"before": "30s", "after": "1s", "scope": "pod"}));
    assert_eq!(wider.containers.len(), 2, "{wider:?}");
    let same = ask(serde_json::json!({"before": "30s", "after": "1s", "scope": "pod"}));
    assert_eq!((same.state, same.duplicate_of), (State::Duplicate, Some(wider.id)));
}

#[test]
fn a_name_of_many_is_asked_back_of_a_person_and_pinned_for_an_alert() {
    let bench = bench();
    // `c1` of pod-1 and of pod-2.
    bench.learn(11, A, -100, None);
    bench.learn(21, B, -100, None);
    let ask = |more: &str| serde_json::from_str(&format!("{{\"container\":\"c1\"{more}}}")).unwrap();
    let refused = bench.by_person(&ask(""));
    assert_eq!((refused.state, refused.containers.len()), (State::Unmatched, 0), "{refused:?}");
    let note = &refused.warnings[0];
    assert!(
        note.starts_with("2 containers are called so: 3ad7b26ded6d jobs/pod-1/c1 running, 9999"),
        "{note}"
    );
    assert_eq!(bench.pins(), []);
    assert_eq!(bench.by_person(&ask(",\"pod\":\"pod-2\"")).containers[0].uid, 21);
    assert_eq!(bench.by_person(&ask(",\"all\":true")).containers.len(), 2);
    let alert = bench.send(&ask("")).remove(0);
    assert_eq!((alert.state, alert.containers.len()), (State::Pinned, 2), "{alert:?}");
    assert!(alert.warnings[0].contains("2 containers are called so, and all are taken"), "{alert:?}");
}

#[test]
fn what_became_of_triggers_is_known_to_the_next_recorder() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let pinned = bench.falco("one", A, 1);
    let lost = bench.falco("two", B, 1);
    assert_eq!(lost.state, State::Queued);
    bench.handle.stop();
    bench.thread.join().unwrap();
    // The next one, on the same directory; a line that was cut is left out.
    let file = bench.dir.path().join("triggers.jsonl");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text += "{\"kind\":\"trigger\",\"id\":\"t-cut";
    std::fs::write(&file, text).unwrap();
    let journal = Journal::open(bench.dir.path(), 1 << 20).unwrap();
    let known = journal.latest(10);
    assert_eq!(known.len(), 2);
    assert_eq!(known[0], pinned);
    assert_eq!((&known[1].id, known[1].state), (&lost.id, State::Unmatched));
    assert!(known[1].warnings[0].contains("the recorder stopped"), "{known:?}");
    assert_eq!(journal.latest(1).len(), 1);
}

#[test]
fn an_alert_may_come_before_its_container_is_known() {
    let bench = bench();
    let early = bench.falco("early", A, 0);
    assert_eq!(early.state, State::Queued);
    bench.learn(1, A, -1, None);
    let outcome = bench.wait_for(&early.id, State::Pinned);
    assert_eq!(outcome.containers.len(), 1);
}

#[test]
fn until_its_end_means_until_its_end() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let body = serde_json::json!({"container": A, "before": "all", "after": "exit"});
    let outcome = bench.send(&body).remove(0);
    assert_eq!(outcome.containers[0].to, None);
    assert_eq!(outcome.containers[0].from, Some(Instant(bench.now - 100 * SECOND)));
    bench.learn(1, A, -100, Some(5));
    assert_eq!(bench.pins()[0].to, Some(Instant(bench.now + 5 * SECOND)));
}

#[test]
fn what_ended_long_before_the_alert_is_still_found() {
    let bench = bench();
    bench.learn(1, A, -9000, Some(-5000));
    let outcome = bench.falco("late", A, 0);
    let covered = &outcome.containers[0];
    assert_eq!(covered.from, Some(Instant(bench.now - 5600 * SECOND)), "ten minutes before its end");
    assert_eq!(covered.to, Some(Instant(bench.now - 5000 * SECOND)));
    assert!(outcome.warnings[0].contains("had ended before"), "{:?}", outcome.warnings);
}

#[test]
fn only_the_life_in_question_of_a_restarted_container_is_pinned() {
    let bench = bench();
    bench.learn(1, A, -9000, Some(-5000));
    bench.learn(2, A, -100, None);
    let outcome = bench.falco("now", A, 10);
    assert_eq!(outcome.containers.iter().map(|c| c.uid).collect::<Vec<_>>(), [2]);
}

#[test]
fn gaps_are_told() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let gap = |container, ago: i64| Gap {
        container,
        cause: LossCause::RingFull,
        from: bench.now - ago * SECOND,
        to: bench.now - ago * SECOND + 1,
        count: Some(3),
    };
    for gap in
        [gap(Some(ContainerUid(1)), 30), gap(None, 20), gap(Some(ContainerUid(2)), 20), gap(None, 90_000)]
    {
        bench.handle.update(Update::Gap(gap));
    }
    let outcome = bench.falco("gappy", A, 10);
    let covered = &outcome.containers[0];
    assert!(!covered.complete);
    let told: Vec<(bool, Option<u64>)> = covered.gaps.iter().map(|gap| (gap.own, gap.count)).collect();
    assert_eq!(told, [(true, Some(3)), (false, Some(3))]);
}

#[test]
fn what_the_store_refuses_is_one_gap_however_often_it_is_told() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let gap = |ago: i64| Gap {
        container: Some(ContainerUid(1)),
        cause: LossCause::DiskFull,
        from: bench.now - ago * SECOND,
        to: bench.now - ago * SECOND + SECOND / 2,
        count: Some(3),
    };
    for ago in [40, 20, 19, 18] {
        bench.handle.update(Update::Gap(gap(ago)));
    }
    let covered = bench.falco("full", A, 10).containers.remove(0);
    let told: Vec<_> = covered.gaps.iter().map(|gap| (gap.count, gap.own)).collect();
    assert_eq!((covered.complete, told), (false, vec![(Some(3), true), (Some(9), true)]));
    assert_eq!(covered.gaps[1].to, Instant(bench.now - 18 * SECOND + SECOND / 2));
}

#[test]
fn the_time_between_two_recorders_is_told_of_both_halves_of_a_container() {
    let bench = bench();
    let mut before = known(1, A, bench.now - 100 * SECOND, None);
    before.seen_until(bench.now - 61 * SECOND);
    let mut after = known(2, A, bench.now - 40 * SECOND, None);
    after.preexisting = true;
    let down = Gap {
        container: None,
        cause: LossCause::RecorderDown,
        from: bench.now - 60 * SECOND,
        to: bench.now - 40 * SECOND + 1,
        count: None,
    };
    bench.handle.update(Update::Past(Box::new(before)));
    bench.handle.update(Update::Container(Box::new(after)));
    bench.handle.update(Update::Gap(down));
    let told = |outcome: &Outcome| -> Vec<(u64, String, bool, usize)> {
        let containers = outcome.containers.iter();
        containers.map(|c| (c.uid, c.state.to_string(), c.complete, c.gaps.len())).collect()
    };
    let both = bench.falco("both", A, 0);
    assert_eq!(told(&both), [(1, "unknown".to_owned(), false, 1), (2, "running".to_owned(), false, 1)]);
    assert!(both.containers[0].missing[0].contains("its end is missing"), "{both:?}");
    assert!(both.containers[1].missing.is_empty(), "the gap says it: {both:?}");
    let body = serde_json::json!({"container": A, "before": "5s"});
    assert_eq!(told(&bench.send(&body)[0]), [(2, "running".to_owned(), true, 0)], "only what was asked for");
}

#[test]
fn what_was_there_before_the_first_recorder_has_no_beginning() {
    let bench = bench();
    let mut there = known(1, A, bench.now - 40 * SECOND, None);
    there.preexisting = true;
    bench.handle.update(Update::Container(Box::new(there)));
    let covered = bench.falco("early", A, 0).containers.remove(0);
    assert!(!covered.complete && covered.missing[0].contains("its beginning"), "{covered:?}");
    let body = serde_json::json!({"container": A, "before": "5s"});
    assert!(bench.send(&body)[0].containers[0].complete);
    // Of one that had ended before the range its end is taken: as much of it, and what is missing of that.
    let mut ended = known(2, B, bench.now - 100 * SECOND, Some(bench.now - 90 * SECOND));
    ended.preexisting = true;
    bench.handle.update(Update::Container(Box::new(ended)));
    let late = |before: &str| {
        let body = serde_json::json!({"container": B, "before": before});
        bench.send(&body).remove(0).containers.remove(0)
    };
    let covered = late("60s");
    assert!(!covered.complete && covered.missing[0].contains("its beginning"), "{covered:?}");
    assert!(late("5s").complete);
}

#[test]
fn of_what_retention_has_removed_nothing_is_complete() {
    let bench = bench();
    bench.learn(1, A, -100, Some(-50));
    bench.handle.update(Update::Gone(vec![ContainerUid(1)]));
    let covered = bench.falco("late", A, 60).containers.remove(0);
    assert!(!covered.complete && covered.missing[0].contains("retention"), "{covered:?}");
}

#[test]
fn a_pod_is_pinned_whole_when_asked_for() {
    let bench = bench();
    bench.learn(11, A, -100, None);
    bench.learn(12, B, -100, None);
    let body = serde_json::json!({"container": A, "scope": "pod"});
    let outcome = bench.send(&body).remove(0);
    assert_eq!(outcome.containers.iter().map(|c| c.uid).collect::<Vec<_>>(), [11, 12]);
    assert_eq!(bench.pins().len(), 2);
}

#[test]
fn a_clock_ahead_is_not_believed() {
    let bench = bench();
    bench.learn(1, A, -100, None);
    let outcome = bench.falco("ahead", A, -100_000);
    assert!(outcome.warnings[0].contains("is not yet"), "{outcome:?}");
    assert!((outcome.time.0 - bench.now).abs() < 60 * SECOND);
}

#[test]
fn a_hundred_alerts_at_once_are_all_kept() {
    let bench = bench();
    for uid in 1..=100 {
        bench.learn(uid, &format!("{uid:064x}"), -50, Some(-40));
    }
    std::thread::scope(|scope| {
        for uid in 1..=100u64 {
            let bench = &bench;
            scope.spawn(move || {
                let body = serde_json::json!({"container": format!("{uid:064x}")});
                assert_eq!(bench.send(&body)[0].state, State::Pinned);
            });
        }
    });
    assert_eq!(bench.pins().len(), 100);
}

#[test]
fn a_full_queue_refuses_whole_bodies() {
    let bench = bench();
    let (block, blocked) = mpsc::channel::<()>();
    let hold = bench.handle.clone();
    // The engine is kept busy, so that what is sent stays in waiting.
    let asked = std::thread::spawn(move || runtime().block_on(hold.ask(move |_| blocked.recv())).unwrap());
    while !asked.is_finished() && bench.handle.waiting() == 0 {
        let one = sender::parse(br#"{"container":"a"}"#, None).unwrap();
        bench.handle.submit(one, Body::new(&b"x"[..], "t"), None).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let many = |n: usize| vec![sender::parse(br#"{"container":"a"}"#, None).unwrap().remove(0); n];
    assert_eq!(bench.handle.submit(many(5000), Body::new(&b"x"[..], "t"), None), Err(Full));
    bench.handle.submit(many(4000), Body::new(&b"x"[..], "t"), None).unwrap();
    drop(block);
    assert!(asked.join().unwrap().is_err());
    // And when it is empty, even a body larger than the queue is taken.
    for _ in 0..500 {
        if bench.handle.submit(many(5000), Body::new(&b"x"[..], "t"), None).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the queue never emptied");
}

/// A store that holds nothing of one container.
struct Refusing;

impl Steer for Refusing {
    fn boost(&self, _: ContainerUid, _: bool) {}

    fn hold(&self, pin: &Pin, reply: mpsc::Sender<Held>) {
        let held = if pin.uid == 2 { Err("no room".to_owned()) } else { Ok(()) };
        reply.send((pin.id.clone(), held)).unwrap();
    }

    fn let_go(&self, _: &str) {}
}

#[test]
fn what_the_store_does_not_hold_is_not_said_to_be_pinned() {
    let bench = bench_with(Box::new(Refusing));
    bench.learn(1, A, -3, Some(-2));
    bench.learn(2, B, -3, Some(-2));
    assert_eq!(bench.falco("r", A, 2).state, State::Pinned);
    let refused = bench.falco("r", B, 2);
    assert_eq!((refused.state, refused.containers[0].pin.as_deref()), (State::Failed, None), "{refused:?}");
    assert!(refused.warnings.iter().any(|warning| warning == "no room"), "{refused:?}");
    let pins = bench.pins();
    assert_eq!(pins.iter().map(|pin| pin.uid).collect::<Vec<_>>(), [1]);
    bench.wait_for(&refused.id, State::Failed);
}
