//! Which events pass a filter whose parts ask either who the event's process is, or what the columns of its row say.
//!
//! Of a block only few rows matter then: those that can make processes others, in order of time, and those that the columns do not
//! rule out. Who the process of the latter is, is asked once for each thread, until something happens that can change the answer:
//! most of them are never made events.
//!
//! What is found is what a walk over all events finds. Rows that are left out tell the state nothing of processes as long as their
//! thread is where the state has it ([`afterimage_model::World::is_at_home`]); the first row of each thread in a block is looked at
//! for that, and where something changes later that moves a thread, all its rows behind that are.

mod search;

use afterimage_format::{BlockInfo, EventFlags, EventId, Query, ReadError, Recording};

use crate::{
    context::Frame,
    filter::Filter,
    of_process::{Asks, asks_process},
    program::Node,
    rows::RowFilter,
};
use search::Search;

/// A filter taken apart.
#[derive(Debug)]
struct Parted<'f> {
    filter: &'f Filter,
    /// What columns say.
    rows: RowFilter<'f>,
    /// What is the same for all events of a thread.
    process: Vec<&'f Node>,
    /// Whether nothing but what the process itself does changes that.
    own: bool,
}

impl<'f> Parted<'f> {
    /// `None` where a part is neither, or none asks for processes.
    fn new(filter: &'f Filter, frame: &'f Frame) -> Option<Self> {
        let mut nodes = Vec::new();
        flatten(&filter.node, &mut nodes);
        let (mut process, mut others, mut own) = (Vec::new(), Vec::new(), true);
        for node in nodes {
            if RowFilter::decides(node) {
                others.push(node);
                continue;
            }
            own &= asks_process(node)? == Asks::Own;
            process.push(node);
        }
        let rows = RowFilter::of_parts(&filter.node, &others, frame);
        (!process.is_empty()).then_some(Self { filter, rows, process, own })
    }
}

/// The parts that must all hold.
fn flatten<'f>(node: &'f Node, parts: &mut Vec<&'f Node>) {
    match node {
        Node::And(nodes) => nodes.iter().for_each(|node| flatten(node, parts)),
        node => parts.push(node),
    }
}

/// The blocks that a search looks at.
#[derive(Clone, Copy)]
pub struct Blocks<'b> {
    /// Whether what is in a block is taken into the state.
    pub read: &'b dyn Fn(&BlockInfo) -> bool,
    /// Whether an event of a block, by its position, can pass.
    pub wanted: &'b dyn Fn(u32) -> bool,
}

/// Filters that must all hold, made ready for a walk over few rows.
#[derive(Debug)]
pub struct ByProcess<'f> {
    filters: Vec<Parted<'f>>,
    frame: &'f Frame,
}

impl<'f> ByProcess<'f> {
    /// `None` where any of them asks for more than processes and columns.
    pub fn new(filters: impl IntoIterator<Item = &'f Filter>, frame: &'f Frame) -> Option<Self> {
        let filters: Vec<_> =
            filters.into_iter().map(|filter| Parted::new(filter, frame)).collect::<Option<_>>()?;
        (!filters.is_empty()).then_some(Self { filters, frame })
    }

    /// Shows every event of the blocks that passes to `found`, in order of time, until that says stop. Whether not all was known
    /// for lack of room; `None` where all events have to be looked at to tell: what was shown then may be wrong.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn find(
        &self,
        recording: &Recording,
        query: &Query,
        blocks: Blocks<'_>,
        found: &mut dyn FnMut(EventId, EventFlags) -> bool,
    ) -> Result<Option<bool>, ReadError> {
        let mut search = Search::new(self, recording, blocks.wanted, found);
        recording.show_few(query, blocks.read, &mut search)?;
        Ok(search.lacked())
    }
}
