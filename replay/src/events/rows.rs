//! Which rows of a block a search has to look at, told from columns.

use std::cell::RefCell;

use afterimage_detect::{Bits, Blocks, ByProcess, Frame, RowFilter, Rows};
use afterimage_format::{ColumnReader, Columns, ContainerRecord, EventFlags, Wanted};

use super::{
    Filters,
    filters::lacking,
    walk::{Options, Seen, query},
};
use crate::{failure::Failure, progress::Progress, trace::Trace};

/// Filters made ready for columns, with what was found for each block.
pub(super) struct RowSelection<'a> {
    trace: &'a Trace,
    filters: Vec<RowFilter<'a>>,
    reader: RefCell<ColumnReader<'a>>,
}

impl<'a> RowSelection<'a> {
    /// `None` where no filter asks for anything that columns know.
    pub(super) fn new(trace: &'a Trace, filters: &'a Filters, frame: &'a Frame) -> Option<Self> {
        let filters: Vec<RowFilter<'a>> =
            filters.iter().map(|filter| filter.row_filter(frame)).filter(RowFilter::is_any).collect();
        (!filters.is_empty()).then(|| Self {
            trace,
            filters,
            reader: RefCell::new(trace.recording.column_reader()),
        })
    }

    /// The rows of a block that can match, all its columns being there.
    pub(super) fn may(&self, columns: &Columns) -> Bits {
        self.all(columns).may
    }

    /// What all filters together say of a block's rows, and the columns with those wanted besides.
    fn rows(&self, block: usize, besides: Wanted) -> Option<(Rows, Columns)> {
        let wanted = self.filters.iter().fold(besides, |wanted, filter| wanted.with(filter.wanted()));
        let only = |code| self.filters.iter().all(|filter| filter.admits_code(code));
        let columns = self.reader.borrow_mut().read_of(block, wanted, &only).ok()??;
        Some((self.all(&columns), columns))
    }

    fn all(&self, columns: &Columns) -> Rows {
        let record = self.record(columns.container());
        let all = Rows { may: Bits::all(columns.len()), sure: Bits::all(columns.len()) };
        self.filters.iter().fold(all, |mut all, filter| {
            let own = filter.rows(columns, record);
            all.may.and(&own.may);
            all.sure.and(&own.sure);
            all
        })
    }

    fn record(&self, uid: afterimage_format::ContainerUid) -> Option<&'a ContainerRecord> {
        self.trace.recording.containers().iter().find(|s| s.record.uid == uid).map(|s| &s.record)
    }
}

/// How many events pass: from columns where these decide it, else event by event.
///
/// # Errors
/// [`Failure::Read`].
pub fn count(trace: &Trace, options: Options<'_>) -> Result<Seen, Failure> {
    let frame = options.filters.ready(trace, options.container)?;
    if let Some(seen) = from_columns(trace, &options, &frame) {
        return Ok(seen);
    }
    if let Some(seen) = from_processes(trace, &options, &frame)? {
        return Ok(seen);
    }
    super::walk::walk_counting(trace, options)
}

/// `None` where anything but processes and columns is asked, or all events have to be looked at to tell.
pub(super) fn from_processes(
    trace: &Trace,
    options: &Options<'_>,
    frame: &Frame,
) -> Result<Option<Seen>, Failure> {
    let Some(filters) = ByProcess::new(options.filters.iter(), frame) else { return Ok(None) };
    let Some(selection) = options.filters.select(trace, options.container) else { return Ok(None) };
    if options.limit < u64::MAX {
        return Ok(None);
    }
    let (mut seen, mut is_folded) = (Seen::default(), false);
    let query = query(trace, options);
    let recording = &trace.recording;
    let progress = RefCell::new(Progress::new(recording.count_hint(&query), options.streams));
    let wants = |block: u32| {
        let rows = recording.blocks().get(block as usize).map_or(0, |block| block.rows);
        progress.borrow_mut().pass(rows.into());
        selection.wants(block)
    };
    let blocks = Blocks { read: &|block| selection.reads(block), wanted: &wants };
    let lacked = filters.find(recording, &query, blocks, &mut |id, flags| {
        let is_inside = options.span.contains(id.time);
        is_folded |= is_inside && !options.raw && flags.contains(EventFlags::RESTART);
        let is_hidden = !options.setup && flags.contains(EventFlags::SETUP);
        seen.shown += u64::from(is_inside && !is_hidden);
        seen.setup += u64::from(is_inside && is_hidden);
        !is_folded
    })?;
    Ok(lacked.filter(|_| !is_folded).map(|lacked| Seen { lacking: lacking(lacked, frame), ..seen }))
}

/// `None` where the state decides, where restarted calls are to be folded, or where not every block can be read.
fn from_columns(trace: &Trace, options: &Options<'_>, frame: &Frame) -> Option<Seen> {
    let selected = RowSelection::new(trace, options.filters, frame)?;
    if selected.filters.len() < options.filters.iter().count() || options.limit < u64::MAX {
        return None;
    }
    let selection = options.filters.select(trace, options.container)?;
    let bounded = options.span.begin.is_some() || options.span.end.is_some();
    let besides = if bounded { Wanted::FLAGS.with(Wanted::TIMES) } else { Wanted::FLAGS };
    let mut seen = Seen::default();
    for block in selection.wanted() {
        let (rows, columns) = selected.rows(block, besides)?;
        if rows.may != rows.sure {
            return None;
        }
        let has = |row: usize, flag: EventFlags| {
            columns.flags().get(row).is_some_and(|flags| EventFlags(*flags).contains(flag))
        };
        for row in rows.sure.rows() {
            if has(row, EventFlags::RESTART) && !options.raw {
                return None;
            }
            let at = columns.times().get(row).copied().map(afterimage_format::BootNanos);
            let inside = at.is_none_or(|at| options.span.contains(at));
            let is_hidden = !options.setup && has(row, EventFlags::SETUP);
            seen.shown += u64::from(inside && !is_hidden);
            seen.setup += u64::from(inside && is_hidden);
        }
        selected.reader.borrow_mut().take_back(columns);
    }
    Some(seen)
}
