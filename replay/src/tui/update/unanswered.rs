//! Questions that end in an error: what waited for the answer waits no longer, and others can be asked.

use crate::tui::{
    app::{App, Popup},
    feed::{DensityKey, Request},
};

/// Takes it that a question has no answer. Why was told by itself.
pub(super) fn take(app: &mut App, request: &Request) {
    match request {
        Request::Density(key) => density(app, key),
        Request::Story(key) => app.stories.fail(*key, app.uptime),
        Request::Tally(key) => app.tallies.fail(*key, app.uptime),
        Request::Alerts(generation) => app.alerts.fail(generation),
        Request::Keep(key, _) => app.list.kept.fail(key),
        Request::Sweep(key, _) => {
            app.list.sweep.fail(key);
            app.list.sweep_pace.end(app.uptime);
        }
        Request::Values(key) => {
            app.bar.completion.values.fail(key);
            app.bar.completion.pace.end(app.uptime);
        }
        Request::Diff(key) => {
            if matches!(&app.popup, Some(Popup::Diff(diff)) if diff.key == *key && diff.rows.is_none()) {
                app.popup = None;
            }
        }
        Request::Explain(..) => {
            if matches!(app.popup, Some(Popup::Explain(None, _))) {
                app.popup = None;
            }
        }
        // Nothing stays asked: they are put when a key asks for them.
        Request::Cells(..) | Request::Report(..) | Request::Rules(..) | Request::Streams(_) => {}
        Request::Page(..)
        | Request::Names(..)
        | Request::Moment(_)
        | Request::Seek(..)
        | Request::Hits(..)
        | Request::Until(..)
        | Request::Stream(_) => of_opened(app, request),
    }
}

fn density(app: &mut App, key: &DensityKey) {
    app.overview.fail(key);
    if let Some(opened) = &mut app.opened {
        opened.density.fail(key);
        opened.life.fail(key);
    }
}

fn of_opened(app: &mut App, request: &Request) {
    let Some(opened) = &mut app.opened else { return };
    match request {
        Request::Page(key, _) => opened.page.fail(key),
        Request::Moment(key) => opened.moment.fail(key),
        Request::Until(key, _) => opened.until.fail(key),
        Request::Hits(key, _) => {
            opened.hits.fail(key);
            opened.ahead.fail(key);
        }
        Request::Stream(key) => {
            opened.stream.fail(key);
            opened.stream_pace.end(app.uptime);
        }
        Request::Seek(key, _) if opened.seek.as_ref() == Some(key) => opened.seek = None,
        // A page whose rows could not be named stays as it is until another takes its place.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::tui::{
        feed::{Reply, Request, Story},
        harness::Harness,
        hits::Hits,
        keys, update, wants,
    };

    fn press(harness: &mut Harness, key: &str) -> Vec<Request> {
        update::key(&mut harness.app, keys::parse_all(key).expect("a key")[0]);
        wants::requests(&mut harness.app)
    }

    /// Every container has one event more.
    fn grow(harness: &mut Harness) {
        let mut catalog = (*harness.app.catalog).clone();
        catalog.generation += 1;
        catalog.containers.iter_mut().for_each(|row| row.events += 1);
        harness.app.catalog = catalog.into();
    }

    fn fail(harness: &mut Harness, asked: &[Request]) {
        for request in asked {
            update::receive(&mut harness.app, Reply::Unanswered(Box::new(request.clone())));
        }
    }

    #[test]
    fn after_an_error_the_next_move_is_shown() {
        let mut harness = Harness::new(120, 40);
        harness.press("j j j Enter (");
        let asked = press(&mut harness, ")");
        assert!(asked.iter().any(|r| matches!(r, Request::Moment(_))), "{asked:?}");
        fail(&mut harness, &asked);
        let again = wants::requests(&mut harness.app);
        assert!(again.is_empty(), "what failed is asked again at once: {again:?}");
        let asked = press(&mut harness, ",");
        assert!(asked.iter().any(|r| matches!(r, Request::Moment(_))), "{asked:?}");
        harness.settle();
    }

    #[test]
    fn what_waits_for_an_answer_that_does_not_come_ends() {
        let mut harness = Harness::new(120, 40);
        harness.press("j j j Enter w");
        update::paste(&mut harness.app, "proc.name = cat");
        let asked = press(&mut harness, "Enter");
        assert!(asked.iter().any(|r| matches!(r, Request::Seek(..))), "{asked:?}");
        assert!(harness.text().contains("looking ahead"));
        fail(&mut harness, &asked);
        assert!(!harness.text().contains("looking ahead"));
        harness.press("/");
        update::paste(&mut harness.app, "proc.name = cat");
        harness.press("Enter");
        let asked = press(&mut harness, "e");
        assert!(harness.app.popup.is_some());
        fail(&mut harness, &asked);
        assert!(harness.app.popup.is_none());
    }

    #[test]
    fn a_storyline_that_could_not_be_read_is_asked_for_when_one_comes_back_to_it() {
        let mut harness = Harness::new(120, 40);
        grow(&mut harness);
        let stories = |asked: &[Request]| asked.iter().filter(|r| matches!(r, Request::Story(_))).count();
        let asked = wants::requests(&mut harness.app);
        assert_eq!(stories(&asked), 1, "{asked:?}");
        fail(&mut harness, &asked);
        assert_eq!(stories(&wants::requests(&mut harness.app)), 0);
        assert_eq!(stories(&press(&mut harness, "j")), 1);
        assert_eq!(stories(&press(&mut harness, "k")), 1);
    }

    #[test]
    fn a_storyline_whose_reading_ended_half_way_says_so() {
        let mut harness = Harness::new(120, 40);
        harness.press("j j j");
        // Nothing is known of it yet.
        harness.app.stories = Default::default();
        let asked = wants::requests(&mut harness.app);
        let Some(key) =
            asked.iter().find_map(|r| if let Request::Story(key) = r { Some(*key) } else { None })
        else {
            panic!("{asked:?}")
        };
        let part = Story { reading: Some(40), ..Story::default() };
        update::receive(&mut harness.app, Reply::Story(key, part));
        assert!(harness.text().contains("40 % read"), "{}", harness.text());
        assert!(!harness.text().contains("then failed"));
        fail(&mut harness, &asked);
        assert!(harness.text().contains("40 % read, then failed"), "{}", harness.text());
        harness.press("Enter");
        for screen in ["4", "5", "6"] {
            update::key(&mut harness.app, keys::parse_all(screen).expect("a key")[0]);
            assert!(harness.text().contains("could not be read"), "{}", harness.text());
        }
        // What another reading adds is the whole.
        harness.press("1 j k");
        assert!(!harness.text().contains("failed"), "{}", harness.text());
        // What was read before stays where a later reading fails.
        let rows = harness.app.story().map(|story| story.rows.len());
        grow(&mut harness);
        let asked = wants::requests(&mut harness.app);
        let again = asked.iter().find_map(|r| if let Request::Story(key) = r { Some(*key) } else { None });
        let part = Story { reading: Some(40), ..Story::default() };
        update::receive(&mut harness.app, Reply::Story(again.expect("asked"), part));
        fail(&mut harness, &asked);
        assert_eq!(harness.app.story().map(|story| story.rows.len()), rows);
    }

    #[test]
    fn a_filter_whose_reading_ended_half_way_says_so_and_is_read_again_when_it_is_put_in_force() {
        let mut harness = Harness::new(120, 40);
        harness.press("j j j Enter /");
        update::paste(&mut harness.app, "proc.name = cat");
        let asked = press(&mut harness, "Enter");
        let hits = |asked: &[Request]| asked.iter().filter(|r| matches!(r, Request::Hits(..))).count();
        assert_eq!(hits(&asked), 1, "{asked:?}");
        let key =
            asked.iter().find_map(|r| if let Request::Hits(key, _) = r { Some(key.clone()) } else { None });
        let mut part = Hits::default();
        part.reading = Some(40);
        update::receive(&mut harness.app, Reply::Hits(key.expect("asked"), part));
        assert!(harness.text().contains("40 % read") && !harness.text().contains("then failed"));
        fail(&mut harness, &asked);
        assert!(harness.text().contains("40 % read, then failed"), "{}", harness.text());
        assert_eq!(hits(&wants::requests(&mut harness.app)), 0);
        harness.press("/");
        let asked = press(&mut harness, "Enter");
        assert_eq!(hits(&asked), 1, "{asked:?}");
        harness.answer_all(asked);
        assert!(!harness.text().contains("% read"), "{}", harness.text());
    }
}
