//! Questions and answers cross as they are, and what was not asked is not taken.

use std::time::Duration;

use afterimage_format::{BootNanos, ContainerUid, Engine, FactKey, FactSource};

use super::*;
use crate::identity::claims::ClaimId;

fn claim(tgid: u32) -> ClaimId {
    ClaimId { tgid, time: BootNanos(7) }
}

fn requests() -> Vec<Request> {
    vec![
        Request::Announced { claim: claim(1), id: b"a".to_vec(), bundle: Some(b"/b".to_vec()) },
        Request::Tasks { directory: b"/t".to_vec() },
        Request::Dockerd { claim: claim(2), data_root: None, config_file: Some(b"/c".to_vec()) },
        Request::Found { container: ContainerUid(3), id: b"\xff".to_vec() },
    ]
}

fn answer(target: Target, last: bool) -> Answer {
    let mut findings = Findings::new(BootNanos(9));
    findings.add(FactKey::Name, b"web", FactSource::DockerConfig);
    findings.engine = Some(Engine::Docker);
    Answer { target, origin: Origin::Daemon(claim(5)), findings, cgroup: Some("/x".to_owned()), last }
}

/// The listener with both ends of what it hands on.
fn listener() -> (Answers, Receiver<Answer>, Receiver<artifacts::Answer>) {
    let (found, answers) = mpsc::sync_channel(8);
    let (images, seen) = mpsc::sync_channel(8);
    (Answers { open: Shared::default(), found, images }, answers, seen)
}

#[test]
fn questions_and_answers_cross_as_they_are() {
    for request in requests() {
        let bytes = frame::encode(&wire::Request::from(&request)).unwrap();
        let read: wire::Request = frame::read(&bytes[..]).unwrap();
        assert_eq!(Request::from(read), request);
    }
    for target in [Target::Claim(claim(1)), Target::Container(ContainerUid(3))] {
        let answer = answer(target, true);
        let bytes = frame::encode(&wire::Answer::from(&answer)).unwrap();
        let read: wire::Answer = frame::read(&bytes[..]).unwrap();
        assert_eq!(Answer::from(read), answer);
    }
}

#[test]
fn what_was_not_asked_is_left_out() {
    let (mut listener, answers, _) = listener();
    let target = Target::Claim(claim(1));
    let take = |listener: &mut Answers, last| listener.take(Reply::Found((&answer(target, last)).into()));
    assert!(!take(&mut listener, true), "nobody asked");
    locked(&listener.open).targets.insert(target, 1);
    assert!(take(&mut listener, false) && take(&mut listener, true));
    assert!(!take(&mut listener, false), "that was the last");
    assert_eq!(answers.try_iter().count(), 2);
    let image = wire::ImageAnswer::from(artifacts::Seen { outcome: 0, hash: None, bytes: vec![1; 9] });
    assert!(!listener.take(Reply::Image(4, image)), "nobody asked");
}

#[test]
fn what_a_process_leaves_unanswered_is_answered_with_nothing() {
    let (mut listener, answers, _) = listener();
    let target = Target::Container(ContainerUid(3));
    locked(&listener.open).targets.insert(target, 2);
    listener.ended();
    let told: Vec<Answer> = answers.try_iter().collect();
    assert_eq!(told, [nothing(target), nothing(target)]);
    assert!(locked(&listener.open).targets.is_empty());
    listener.ended();
    assert_eq!(answers.try_iter().count(), 0);
}

#[test]
fn the_process_answers_over_a_socket_until_it_is_told_to_end() {
    let (own, theirs) = UnixStream::pair().unwrap();
    own.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let process = std::thread::spawn(move || serve(&theirs, vec!["why".to_owned()]));
    let hello: Hello = frame::read(&own).unwrap();
    assert_eq!((hello.refused, hello.failed), (vec!["why".to_owned()], None));
    for request in requests() {
        frame::write(&own, &Question::Look((&request).into())).unwrap();
    }
    own.shutdown(std::net::Shutdown::Write).unwrap();
    let mut last = Vec::new();
    while let Ok(reply) = frame::read::<Reply>(&own) {
        let Reply::Found(answer) = reply else { panic!("{reply:?}") };
        let answer = Answer::from(answer);
        if answer.last {
            last.push(answer.target);
        }
    }
    assert_eq!(last, [Target::Claim(claim(1)), Target::Container(ContainerUid(3))]);
    process.join().unwrap().unwrap();
}
