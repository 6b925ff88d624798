//! What events amount to: answers that verbs print and scripts read. Knows nothing of terminals.

pub mod alerts;
pub mod around;
pub mod behaviour;
pub mod cast;
pub mod file_acts;
pub mod findings;
pub mod images;
pub mod network;
pub mod perfetto;
pub mod process_tree;
pub mod recovery;
pub mod terminal;
pub mod transcript;
