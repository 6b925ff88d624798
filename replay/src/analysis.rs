//! What events amount to: answers that verbs print and scripts read. Knows nothing of terminals.

pub mod file_acts;
pub mod findings;
pub mod process_tree;
