//! What a field can be and what it is.

use std::{borrow::Cow, net::IpAddr};

/// The type of a field's values. Decides which operators it has and how the right side is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string of bytes.
    Text,
    /// Payload: bytes that are no text.
    Bytes,
    /// A number.
    Number,
    /// A length of time in nanoseconds.
    Duration,
    /// A moment: nanoseconds since 1970.
    Time,
    /// Yes or no.
    Bool,
    /// An IP address.
    Address,
    /// An IP address that is compared with networks.
    Network,
    /// A port.
    Port,
}

/// How many values a field can have at once, and what a comparison asks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Multi {
    /// One.
    One,
    /// One of several ways to see the same thing (both ends of a connection, the claimed and the kernel's path):
    /// `!=` holds when it holds for all, every other operator when it holds for any.
    Sides,
    /// All ancestors: any operator holds when it holds for any of them, `!=` too, as in Falco.
    Ancestors,
    /// A list: `in` asks for all of them, `intersects` for any.
    List,
}

/// A field's value at one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Of [`Kind::Text`] and [`Kind::Bytes`].
    Text(Cow<'a, [u8]>),
    /// Of [`Kind::Number`], [`Kind::Duration`], [`Kind::Time`] and [`Kind::Port`].
    Number(i128),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Address`] and [`Kind::Network`].
    Address(IpAddr),
    /// Several, of a field that is not [`Multi::One`].
    Many(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// Borrowed text.
    pub fn text(bytes: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(bytes))
    }

    /// Text made for the occasion.
    pub fn made(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// A number.
    pub fn number(number: impl Into<i128>) -> Self {
        Self::Number(number.into())
    }

    /// The values: the members of [`Self::Many`], or itself.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Many(values) => values,
            one => std::slice::from_ref(one),
        }
    }

    /// As output formats show it: text as it is, several values with a blank between, numbers in decimal.
    pub fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(bytes) => Cow::Borrowed(bytes),
            Self::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Bool(yes) => Cow::Borrowed(if *yes { b"true" } else { b"false" }),
            Self::Address(address) => Cow::Owned(address.to_string().into_bytes()),
            Self::Many(values) => {
                let parts: Vec<_> = values.iter().map(Self::to_bytes).collect();
                Cow::Owned(parts.join(&b' '))
            }
        }
    }
}

impl Kind {
    /// The word for it, as tables show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Time => "time",
            Self::Bool => "bool",
            Self::Address => "address",
            Self::Network => "network",
            Self::Port => "port",
        }
    }

    /// Whether its values are numbers.
    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Duration | Self::Time | Self::Port)
    }

    /// The word with its article, for sentences.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "a buffer of bytes",
            Self::Number => "a number",
            Self::Duration => "a length of time",
            Self::Time => "a moment",
            Self::Bool => "`true` or `false`",
            Self::Address => "an IP address",
            Self::Network => "an IP network",
            Self::Port => "a port",
        }
    }
}
