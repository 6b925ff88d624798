//! What to record of each system call: a table the recorder fills and the programs read.

/// Calls a table holds; larger numbers are recorded with their numbers only.
pub const MAX_NR: u32 = 512;

/// What to record of one system call.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallSpec {
    /// Argument registers the call has.
    pub nargs: u8,
    /// One of [`handler`].
    pub handler: u8,
    /// Which arguments the handler looks at; [`NONE`] for none.
    pub a: u8,
    /// Second.
    pub b: u8,
    /// Third.
    pub c: u8,
    /// Fourth.
    pub d: u8,
    /// Profiles that keep the call: bits of [`profile`].
    pub profiles: u8,
    /// One of [`special`].
    pub special: u8,
}

const _: () = assert!(size_of::<CallSpec>() == 8);

/// No argument.
pub const NONE: u8 = 0xff;

/// Values of [`CallSpec::handler`]: which program records the call's byte fields.
pub mod handler {
    /// Numbers only.
    pub const PLAIN: u8 = 0;
    /// `a`, `b`: user strings that are paths; `c`, bits of [`super::path`]: also the kernel's path of the returned
    /// descriptor, and what `d` points to.
    pub const PATH: u8 = 1;
    /// `a`: descriptor, `b`: buffer; the result is its length; `c`: socket address argument, `d`: argument with its
    /// length (or a pointer to it).
    pub const BUFFER: u8 = 2;
    /// `a`: descriptor, `b`: iovec array, `c`: its count; the result is how much was moved.
    pub const VECTOR: u8 = 3;
    /// `a`: descriptor, `b`: `struct user_msghdr`; the result is how much was moved.
    pub const MESSAGE: u8 = 4;
    /// `a`: socket descriptor argument ([`super::NONE`]: the result), `b`: address argument, `c`: its length, by value;
    /// `d` = 1: the length is behind a pointer.
    pub const SOCKET: u8 = 5;
    /// `a`: two descriptors written to memory.
    pub const FDS: u8 = 6;
    /// `a`: pointer to `b` bytes of data; `c`, one of [`super::data`]: all of them, a string, or as many as `d` says.
    pub const DATA: u8 = 7;
    /// How many handlers.
    pub const COUNT: u32 = 8;
}

/// Bits of [`CallSpec::c`] of [`handler::PATH`].
pub mod path {
    /// The result is a descriptor with a path of its own.
    pub const OPENS: u8 = 1;
    /// `d` points to a `struct open_how`.
    pub const OPEN_HOW: u8 = 2;
    /// `d` points to a string.
    pub const STRING: u8 = 4;
}

/// Values of [`CallSpec::c`] of [`handler::DATA`].
pub mod data {
    /// `b` bytes.
    pub const WHOLE: u8 = 0;
    /// A string.
    pub const STRING: u8 = 1;
    /// As many bytes as argument `d` says, at most `b`.
    pub const COUNTED: u8 = 2;
}

/// Values of [`CallSpec::special`].
pub mod special {
    /// Nothing special.
    pub const NOTHING: u8 = 0;
    /// Makes a task: returns once more, with 0, in the child.
    pub const FORK: u8 = 1;
    /// Executes a program: on success its record is the exec's.
    pub const EXEC: u8 = 2;
}

/// Bits of [`CallSpec::profiles`].
pub mod profile {
    /// exec, exit, open for write, connect, accept, privilege.
    pub const MINIMAL: u8 = 1;
    /// Everything that changes or reveals state.
    pub const FORENSIC: u8 = 2;
    /// Every call.
    pub const FULL: u8 = 4;
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, bytes only.
unsafe impl aya::Pod for CallSpec {}
