//! The state that events imply: processes, descriptors, sockets, containers, at any instant; and the words for
//! what an event says.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod budget;
pub mod bytes;
pub mod class;
pub mod codec;
mod credentials;
pub mod describe;
pub mod dns;
pub mod fds;
pub mod files;
pub mod findings;
pub mod keeper;
pub mod mounts;
mod names;
pub mod net;
pub mod paths;
pub mod peer;
pub mod process;
mod renames;
mod requests;
pub mod sockaddr;
pub mod standard;
pub mod streams;
pub mod symbols;
pub mod syscalls;
#[cfg(test)]
mod testing;
pub mod text;
mod world;

pub use names::{event_codes, event_name};
pub use world::{
    Restoring, TreeRow, World, changes_descriptors_only, changes_state, fails_without_effect, moves_bytes,
    nearest,
};
