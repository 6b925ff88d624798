//! The recorder's other processes as the capture process sees them: frames over a socket pair, each bounded, each decoded
//! under a limit. What comes is untrusted: it answers something that was asked, or it is counted and left out; what is no
//! frame ends the process, and another takes its place.

pub mod control;
pub mod frame;
pub mod keeper;
pub mod metadata;
pub mod watch;
