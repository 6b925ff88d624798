//! The list of streams, and what each is followed to.

use std::{ops::ControlFlow, path::Path};

use afterimage_format::{EventFlags, Query};
use afterimage_model::{
    World,
    streams::{Streams, Way},
};

use crate::tui::{
    app::Popup,
    harness::Harness,
    keys,
    menu::Menu,
    screen::Screen,
    stream::{Piece, Target},
    update, wants,
};

fn sample(width: u16, height: u16) -> Harness {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    let mut harness = Harness::on(&sample, width, height);
    harness.press("Enter");
    harness
}

/// Number, label, bytes read and written of each stream, as the command line counts them.
fn counted(harness: &Harness) -> Vec<(usize, String, [u64; 2])> {
    let uid = harness.app.opened.as_ref().expect("one is opened").uid;
    let (mut world, mut streams) = (World::new(), Streams::new());
    let query = Query { containers: vec![uid], ..Query::default() };
    let read = harness.trace.recording.for_each(&query, &mut |uid, event| {
        world.apply(uid, event);
        if !event.flags.contains(EventFlags::SETUP) {
            streams.apply(&world, uid, event);
        }
        ControlFlow::Continue(())
    });
    read.expect("it can be read");
    let of = |own: &afterimage_model::streams::Stream| {
        (own.number, own.label.as_str().to_owned(), [own.bytes_in, own.bytes_out])
    };
    let mut all: Vec<_> = streams.list(uid).iter().map(of).collect();
    all.sort();
    all
}

fn menu(harness: &Harness) -> &Menu {
    let Some(Popup::Menu(menu)) = &harness.app.popup else { panic!("no list: {}", harness.text()) };
    menu
}

#[test]
fn every_stream_is_listed_and_followed_to_its_bytes() {
    let mut harness = sample(80, 24);
    let all = counted(&harness);
    assert!(all.len() > 3, "{all:?}");
    for (at, (number, label, bytes)) in all.iter().enumerate() {
        harness.press("O");
        assert_eq!(menu(&harness).rows.len(), all.len());
        let followed = at.saturating_sub(1);
        assert_eq!(menu(&harness).scroll.cursor, followed, "the one that is followed is chosen");
        (followed..at).for_each(|_| drop(harness.press("j")));
        let screen = harness.text();
        assert!(screen.contains("streams  Enter or O takes it, Esc closes"), "{screen}");
        assert!(screen.lines().any(|line| line.contains(label) && line.contains(" out ")), "{screen}");
        harness.press("Enter");
        assert_eq!(harness.app.screen, Screen::Follow);
        let opened = harness.app.opened.as_ref().expect("one is opened");
        let Some(Target::Numbered(own, shown)) = &opened.target else { panic!("{:?}", opened.target) };
        assert_eq!((*own, shown.as_str()), (*number, label.as_str()));
        let stream = opened.stream().expect("read");
        let moved = |way: Way| -> u64 {
            let own = stream.pieces.iter().filter_map(Piece::transfer).filter(|transfer| transfer.way == way);
            own.map(|transfer| transfer.len).sum()
        };
        assert_eq!([moved(Way::In), moved(Way::Out)], *bytes, "{number}: {label}");
        assert!(harness.text().contains(&format!("of {number}: ")), "{}", harness.text());
    }
    harness.press("C");
    let (last, ..) = all.last().expect("one");
    assert!(harness.text().contains(&format!("--stream {last}")), "{}", harness.text());
}

#[test]
fn the_list_is_in_help_and_in_the_footer() {
    let mut harness = sample(120, 40);
    harness.press("7");
    assert!(harness.text().contains("O streams"), "{}", harness.text());
    harness.press("?");
    assert!(harness.text().contains("every stream of the container"), "{}", harness.text());
}

/// Reading a long life takes a while: who does something else by then is not interrupted.
#[test]
fn a_list_that_comes_late_takes_no_key() {
    let mut harness = sample(80, 24);
    let press = |harness: &mut Harness, key: &str| {
        update::key(&mut harness.app, keys::parse_all(key).expect("a key")[0]);
    };
    press(&mut harness, "O");
    assert!(harness.text().contains("reading which streams there are"), "{}", harness.text());
    let asked = wants::requests(&mut harness.app);
    press(&mut harness, "/");
    harness.answer_all(asked);
    assert!(harness.app.popup.is_none() && harness.app.bar.edit.is_some());
}
