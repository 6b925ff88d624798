//! The state that events imply: processes, descriptors, sockets, containers, at any instant; and the words for
//! what an event says.
#![forbid(unsafe_code)]

pub mod text;
