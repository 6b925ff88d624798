//! The state that events imply: processes, descriptors, sockets, containers, at any instant; and the words for
//! what an event says.
#![forbid(unsafe_code)]

pub mod class;
pub mod describe;
mod names;
pub mod sockaddr;
pub mod symbols;
pub mod syscalls;
pub mod text;

pub use names::{event_codes, event_name};
