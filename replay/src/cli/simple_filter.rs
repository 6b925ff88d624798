//! `field=value` and `field!=value` over the columns of events.

use crate::{
    events::{self, EventRow},
    failure::Failure,
    output::{Record as _, terminal::defused},
};

/// One comparison.
#[derive(Debug)]
pub(super) struct SimpleFilter {
    key: &'static str,
    value: String,
    equal: bool,
}

impl SimpleFilter {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let (left, value) = text.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("`{}` is no filter; write `field=value`", defused(text)))
        })?;
        let (name, equal) = left.strip_suffix('!').map_or((left, true), |name| (name, false));
        let column = events::COLUMNS.iter().find(|c| c.key == name.trim()).ok_or_else(|| {
            let known: Vec<&str> = events::COLUMNS.iter().map(|c| c.key).collect();
            Failure::Usage(format!("no field `{}` in events; there are: {}", defused(name), known.join(", ")))
        })?;
        Ok(Self { key: column.key, value: value.trim().to_owned(), equal })
    }

    pub(super) fn matches(&self, row: &EventRow) -> bool {
        (row.cell(self.key).text() == self.value) == self.equal
    }
}
