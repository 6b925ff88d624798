//! The kernel's constants by name, and numbers rendered with them as strace does.
//!
//! Values are those of x86-64 Linux (i386 has the same but for what its own tables say). A number without a name
//! is shown in hexadecimal, never hidden.

mod errno;
mod file;
mod ioctl;
mod memory;
mod process;
mod signal;
mod socket;
mod system;

use std::fmt::Write as _;

pub use errno::{errno, errno_by_name, error_text};
pub use file::*;
pub use ioctl::{IOCTL, ioctl};
pub use memory::*;
pub use process::*;
pub use signal::{signal, signal_by_name, signal_or_number};
pub use socket::*;
pub use system::*;

/// One named value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// The bits that must equal `value`; all of them for one value of an enumeration.
    pub mask: u64,
    /// The value.
    pub value: u64,
    /// Its name in the kernel's headers.
    pub name: &'static str,
}

/// A set of names for the values of one argument.
#[derive(Debug, PartialEq, Eq)]
pub struct SymbolSet {
    /// What they have in common, for lists and errors: `open`, `prot`.
    pub name: &'static str,
    /// How many low bits of the register the kernel looks at: 32 or 64.
    pub bits: u32,
    /// The names. In a set of flags, names of several bits stand before those of single bits they contain.
    pub symbols: &'static [Symbol],
}

impl SymbolSet {
    /// The value as the kernel sees it.
    pub fn narrow(&self, value: u64) -> u64 {
        if self.bits == 32 { value & 0xffff_ffff } else { value }
    }

    /// The name of exactly this value.
    pub fn name_of(&self, value: u64) -> Option<&'static str> {
        let value = self.narrow(value);
        self.symbols.iter().find(|s| s.value == value).map(|s| s.name)
    }

    /// The value of a name.
    pub fn value_of(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|s| s.name == name).map(|s| s.value)
    }

    /// One value: its name, or the number in hexadecimal.
    pub fn symbol(&self, value: u64) -> String {
        match self.name_of(value) {
            Some(name) => name.to_owned(),
            None => hex(self.narrow(value)),
        }
    }

    /// A combination of flags: names joined by `|`, what has no name in hexadecimal, `0` for nothing.
    pub fn flags(&self, value: u64) -> String {
        let value = self.narrow(value);
        let mut out = String::new();
        let mut rest = value;
        for s in self.symbols {
            let is_field = s.mask != s.value;
            let hit =
                if is_field { value & s.mask == s.value } else { s.value != 0 && rest & s.value == s.value };
            if hit {
                push_or(&mut out, s.name);
                rest &= !s.mask;
            }
        }
        if rest != 0 {
            push_or(&mut out, &hex(rest));
        }
        if out.is_empty() {
            // Not named by a field: maybe the set has a word for "none", as `PROT_NONE`.
            out.push_str(self.symbols.iter().find(|s| s.mask == 0).map_or("0", |s| s.name));
        }
        out
    }
}

/// Appends `word` to a list joined by `|`.
fn push_or(out: &mut String, word: &str) {
    if !out.is_empty() {
        out.push('|');
    }
    out.push_str(word);
}

/// `0x..`, and `0` for zero, as strace writes numbers that are no counts.
pub fn hex(value: u64) -> String {
    if value == 0 { "0".to_owned() } else { format!("{value:#x}") }
}

/// Permission bits in octal as strace writes them: `0644`, `000`.
pub fn mode(value: u64) -> String {
    let digits = format!("{:o}", value & 0xffff_ffff);
    format!("{:0>3}", if digits.starts_with('0') { digits } else { format!("0{digits}") })
}

/// Mode with a file type: `S_IFCHR|0666`.
pub fn file_mode(value: u64) -> String {
    let value = value & 0xffff_ffff;
    let mut out = String::new();
    if let Some(name) = FILE_TYPE.name_of(value & 0o170_000) {
        out.push_str(name);
        out.push('|');
        let _ = write!(out, "{}", mode(value & !0o170_000));
    } else {
        out = mode(value);
    }
    out
}

/// A device number: `makedev(0x1, 0x3)`.
pub fn device(value: u64) -> String {
    let major = (value >> 8 & 0xfff) | (value >> 32 & !0xfff);
    let minor = (value & 0xff) | (value >> 12 & 0xffff_ff00);
    format!("makedev({}, {})", hex(major), hex(minor & 0xffff_ffff))
}

/// A single-bit or multi-bit flag.
const fn flag(value: u64, name: &'static str) -> Symbol {
    Symbol { mask: value, value, name }
}

/// One value of a field of several bits inside a set of flags.
const fn field(mask: u64, value: u64, name: &'static str) -> Symbol {
    Symbol { mask, value, name }
}

/// Declares sets of flags (`flags`, `flags64`) and enumerations (`values`).
macro_rules! symbol_sets {
    ($all:ident; $($(#[$meta:meta])* $name:ident: $bits:literal, $text:literal [$($symbol:expr,)*];)*) => {
        $($(#[$meta])* pub static $name: $crate::symbols::SymbolSet = $crate::symbols::SymbolSet {
            name: $text, bits: $bits, symbols: &[$($symbol,)*],
        };)*
        #[cfg(test)]
        pub(super) static $all: &[&$crate::symbols::SymbolSet] = &[$(&$name,)*];
    };
}
use symbol_sets;

#[cfg(test)]
mod tests;
