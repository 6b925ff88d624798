//! Pages and timelines.

use afterimage_format::{Anchor, BootNanos, Class, ContainerUid, Direction, EventId, Query, Recording};

use crate::generate::{Row, classify, events, push_all, writer};

fn recording(dir: &std::path::Path, rows: &[Row]) -> Recording {
    let mut store = writer(dir);
    for chunk in rows.chunks(1500) {
        push_all(&mut store, chunk);
        store.commit(chunk[0].1.time).unwrap();
        (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
    }
    store.seal().unwrap();
    Recording::open(dir).unwrap()
}

fn walk(
    recording: &Recording,
    query: &Query,
    direction: Direction,
    from: Anchor,
) -> Vec<(EventId, ContainerUid)> {
    let mut ids: Vec<(EventId, ContainerUid)> = Vec::new();
    let mut anchor = from;
    loop {
        let page = recording.page(query, anchor, direction, 333, &mut |_, _| true).unwrap();
        let Some((last, ..)) = page.last() else { return ids };
        anchor = Anchor::Event(*last);
        for (id, container, event) in page {
            assert_eq!(id.time, event.time);
            ids.push((id, container));
        }
    }
}

#[test]
fn paging_forward_and_backward_visits_each_event_once_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(11, 6000, 3);
    let recording = recording(dir.path(), &rows);
    let all = Query::default();
    let forward = walk(&recording, &all, Direction::Forward, Anchor::Time(BootNanos(0)));
    assert_eq!(forward.len(), rows.len());
    assert!(forward.is_sorted_by(|a, b| a.0 < b.0));
    let mut backward = walk(&recording, &all, Direction::Backward, Anchor::Time(BootNanos(u64::MAX)));
    backward.reverse();
    assert_eq!(backward, forward);
    let mut order = Vec::new();
    recording
        .for_each(&all, &mut |container, event| {
            order.push((event.time, container));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let paged: Vec<_> = forward.iter().map(|(id, container)| (id.time, *container)).collect();
    assert_eq!(paged, order, "pages are in the order of for_each");
}

#[test]
fn a_page_includes_its_time_and_excludes_its_event() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(12, 3000, 2);
    let recording = recording(dir.path(), &rows);
    let all = Query::default();
    let time = rows[1500].1.time;
    for direction in [Direction::Forward, Direction::Backward] {
        let page = recording.page(&all, Anchor::Time(time), direction, 5, &mut |_, _| true).unwrap();
        assert_eq!(page[0].0.time, time);
        let next = recording.page(&all, Anchor::Event(page[0].0), direction, 4, &mut |_, _| true).unwrap();
        assert_eq!(next, page[1..]);
    }
    let only = Query { containers: vec![ContainerUid(1)], ..Query::default() };
    let page =
        recording.page(&only, Anchor::Time(time), Direction::Forward, 50, &mut |_, e| e.ret < 0).unwrap();
    assert!(page.iter().all(|(_, uid, event)| uid.0 == 1 && event.ret < 0));
    assert_eq!(page.len(), 50);
}

#[test]
fn a_walk_visits_what_pages_have_and_ends_when_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(13, 3000, 3);
    let recording = recording(dir.path(), &rows);
    let only = Query { containers: vec![ContainerUid(2)], ..Query::default() };
    for (direction, end) in [
        (Direction::Forward, Anchor::Time(BootNanos(0))),
        (Direction::Backward, Anchor::Time(BootNanos(u64::MAX))),
    ] {
        let pages = walk(&recording, &only, direction, end);
        for from in [None, Some(Anchor::Event(pages[40].0))] {
            let mut seen = Vec::new();
            let mut visit = |id: EventId, container, event: &afterimage_format::Event<'_>| {
                assert_eq!(event.time, id.time);
                seen.push((id, container));
                if seen.len() < 500 {
                    std::ops::ControlFlow::Continue(())
                } else {
                    std::ops::ControlFlow::Break(())
                }
            };
            recording.walk(&only, from, direction, &mut visit).unwrap();
            let first = if from.is_some() { 41 } else { 0 };
            assert_eq!(seen, pages[first..first + 500]);
        }
    }
}

/// Counts by rows, as exactly as can be.
fn counted(
    rows: &[Row],
    uid: u64,
    begin: BootNanos,
    end: BootNanos,
    columns: usize,
) -> Vec<[u32; Class::COUNT]> {
    let mut counts = vec![[0u32; Class::COUNT]; columns];
    for (_, event) in rows.iter().filter(|(u, e)| u.0 == uid && e.time >= begin && e.time < end) {
        let column = (event.time.0 - begin.0) * columns as u64 / (end.0 - begin.0);
        counts[column as usize][event.with(classify) as usize] += 1;
    }
    counts
}

#[test]
fn density_is_exact_where_columns_are_narrow_and_misses_no_event_where_they_are_wide() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(13, 8000, 3);
    let recording = recording(dir.path(), &rows);
    let (begin, end) = (rows[1000].1.time, rows[7000].1.time);
    let narrow = recording.density(Some(ContainerUid(2)), begin, end, 4000);
    assert_eq!(narrow, counted(&rows, 2, begin, end, 4000));

    let wide = recording.density(Some(ContainerUid(2)), begin, end, 7);
    let exact = counted(&rows, 2, begin, end, 7);
    for class in 0..Class::COUNT {
        for (column, exact_column) in wide.iter().zip(&exact) {
            // A bucket is at most half a column: no more than that is counted beside.
            assert!(column[class].abs_diff(exact_column[class]) <= exact_column[class] / 2 + 4);
        }
    }
    let (first, last) = (rows[0].1.time, rows[7999].1.time);
    for columns in [1, 3, 200, 20_000] {
        let counts = recording.density(None, first, BootNanos(last.0 + 1), columns);
        let all: u32 = counts.iter().flatten().sum();
        assert_eq!(all, 8000, "{columns} columns");
    }
    assert!(recording.density(None, end, begin, 3).iter().flatten().all(|&c| c == 0));
    assert!(recording.density(None, begin, end, 0).is_empty());
}

/// A part of a timeline that began in the middle of a block told of events before it, and nothing said so.
#[test]
fn a_histogram_is_exact_where_it_may_read_rows_and_marks_where_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(13, 8000, 3);
    let recording = recording(dir.path(), &rows);
    let (begin, end) = (rows[1000].1.time, rows[7000].1.time);
    let uid = Some(ContainerUid(2));
    let mut estimates = 0;
    for columns in [1, 7, 60, 4000] {
        let exact = counted(&rows, 2, begin, end, columns);
        let read = recording.histogram(uid, begin, end, columns, u64::MAX);
        assert_eq!(read.counts, exact, "{columns} columns");
        assert!(!read.approximate.contains(&true), "{columns} columns");
        let unread = recording.histogram(uid, begin, end, columns, 0);
        assert_eq!(unread.counts, recording.density(uid, begin, end, columns));
        for ((found, exact), approximate) in unread.counts.iter().zip(&exact).zip(&unread.approximate) {
            assert!(*approximate || found == exact, "{columns} columns");
            estimates += usize::from(*approximate);
        }
    }
    assert!(estimates > 0, "some columns are estimates");
}
