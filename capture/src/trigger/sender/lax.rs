//! Members whose type senders do not agree on.

use std::{fmt, marker::PhantomData, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::super::Span;

/// Longest text that is kept of a member. Bytes.
const MAX_TEXT: usize = 4096;

/// Text of a string, number or truth value; nothing for anything else.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Lax(pub(super) Option<String>);

impl Lax {
    pub(super) fn take(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }

    pub(super) fn number<T: std::str::FromStr>(&self) -> Option<T> {
        self.0.as_ref()?.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Lax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Lax;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Lax, E> {
                let mut end = text.len().min(MAX_TEXT);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                Ok(Lax(Some(text[..end].to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Lax, E> {
                Ok(Lax(Some(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Lax, E> {
                Ok(Lax(Some(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Lax, E> {
                Ok(Lax(Some(number.to_string())))
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Lax, E> {
                Ok(Lax(Some(yes.to_string())))
            }

            fn visit_unit<E>(self) -> Result<Lax, E> {
                Ok(Lax(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lax, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Lax(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Lax, A::Error> {
                // `{"value": n}`, as protobuf wrappers are written.
                let mut value = Lax(None);
                while let Some(name) = members.next_key::<Lax>()? {
                    if name.0.as_deref() == Some("value") {
                        value = members.next_value()?;
                    } else {
                        members.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(value)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// An object of the expected form; nothing for anything else but damage.
#[derive(Debug, Clone)]
pub(super) struct Part<T>(pub(super) T);

impl<T: Default> Default for Part<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Object<T> {
            type Value = Part<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Part<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(members)).map(Part)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Part<T>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Part::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Part<T>, E> {
                Ok(Part::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Part<T>, E> {
                Ok(Part::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Part<T>, E> {
                Ok(Part::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Part<T>, E> {
                Ok(Part::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Part<T>, E> {
                Ok(Part::default())
            }

            fn visit_unit<E>(self) -> Result<Part<T>, E> {
                Ok(Part::default())
            }
        }
        deserializer.deserialize_any(Object(PhantomData))
    }
}

/// The names of an object's members; nothing for anything else.
#[derive(Debug, Clone)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Names, A::Error> {
                /// More are left out.
                const MOST: usize = 256;
                let mut names = Vec::new();
                while let Some((name, _)) = members.next_entry::<Lax, IgnoredAny>()? {
                    names.extend(name.0.filter(|_| names.len() < MOST));
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A list of bounded length; nothing where it is no list.
#[derive(Debug, Clone)]
pub(super) struct Bounded<T>(pub(super) Vec<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bounded<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == super::MAX_TRIGGERS {
                        return Err(de::Error::custom("too many items"));
                    }
                    list.push(item);
                }
                Ok(Bounded(list))
            }

            fn visit_unit<E>(self) -> Result<Bounded<T>, E> {
                Ok(Bounded::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Bounded<T>, E> {
                Ok(Bounded::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bounded<T>, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Bounded::default())
            }
        }
        deserializer.deserialize_any(List(PhantomData))
    }
}

/// Texts of a list.
pub(super) fn texts(list: Bounded<Lax>) -> Vec<String> {
    const MOST: usize = 64;
    list.0.into_iter().filter_map(Lax::take).take(MOST).collect()
}

/// A moment as senders write it: RFC 3339, also with a blank for the T, and as UTC where no offset is given; or a number of
/// seconds to nanoseconds since 1970. What is there and is no moment is kept beside it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Option<i64>, Option<String>);

impl Moment {
    /// A text that is none, and is not empty either.
    fn unread(text: &str) -> Self {
        /// As much of it is said.
        const SAID: usize = 64;
        let said = text.trim();
        Self(None, (!said.is_empty()).then(|| said.chars().take(SAID).collect()))
    }

    fn number(number: Option<i64>, written: &dyn fmt::Display) -> Self {
        match number.and_then(Self::of_number) {
            // Some write 0 for none.
            None if number != Some(0) => Self::unread(&written.to_string()),
            moment => Self(moment, None),
        }
    }

    /// What to say of a member that could not be read.
    pub(super) fn note(&self, member: &str) -> Option<String> {
        let written = self.1.as_ref()?;
        Some(format!("`{member}` is `{written}`, which is no time: the time it came is taken"))
    }

    /// The moment of a member that must be one where it is given.
    pub(super) fn strict(self, member: &'static str) -> Result<Option<i64>, super::BodyError> {
        match self.1 {
            None => Ok(self.0),
            Some(written) => Err(super::BodyError::Member {
                member,
                found: format!("`{written}`"),
                expected: "a time such as `2026-11-23T08:40:00Z`, or seconds since 1970",
            }),
        }
    }

    fn of_number(number: i64) -> Option<i64> {
        // Seconds until the year 5138, milliseconds, microseconds, nanoseconds: the ranges do not meet.
        let factor = match number.unsigned_abs() {
            0..100_000_000_000 => 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        };
        number.checked_mul(factor).filter(|nanos| *nanos > 0)
    }

    /// What is not after 1970 was never meant: 0 is none, all else is no moment.
    fn nanos(nanos: Option<i64>, written: &dyn fmt::Display) -> Self {
        match nanos {
            Some(0) => Self::default(),
            Some(nanos) if nanos > 0 => Self(Some(nanos), None),
            _ => Self::unread(&written.to_string()),
        }
    }

    fn parse(text: &str) -> Self {
        /// Go's zero time, the first of January of the year 1, says that there is none.
        const ZERO_TIME: i64 = -62_135_596_800;
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return Self::number(Some(number), &text);
        }
        let stamp = text.parse::<Timestamp>().ok().or_else(|| {
            let civil: DateTime = text.parse().ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        match stamp {
            Some(stamp) if stamp.as_second() == ZERO_TIME => Self::default(),
            Some(stamp) => Self::nanos(i64::try_from(stamp.as_nanosecond()).ok(), &text),
            None => Self::unread(text),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_str<E>(self, text: &str) -> Result<Moment, E> {
                Ok(Moment::parse(text))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Moment, E> {
                Ok(Moment::number(i64::try_from(number).ok(), &number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Moment, E> {
                Ok(Moment::number(Some(number), &number))
            }

            #[expect(
                clippy::cast_possible_truncation,
                reason = "what does not fit is out of all bounds anyway"
            )]
            fn visit_f64<E>(self, seconds: f64) -> Result<Moment, E> {
                Ok(Moment::nanos(Some((seconds * 1e9) as i64), &seconds))
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Moment, E> {
                Ok(Moment::unread(&yes.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Moment, E> {
                Ok(Moment::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Moment, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Moment::unread("a list"))
            }

            /// `{seconds, nanos}`: protobuf's own JSON is not written so, but Tracee's documentation is.
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Moment, A::Error> {
                let (mut seconds, mut nanos) = (None, 0);
                while let Some(name) = members.next_key::<Lax>()? {
                    let value: Lax = members.next_value()?;
                    match name.0.as_deref() {
                        Some("seconds") => seconds = value.number::<i64>(),
                        Some("nanos") => nanos = value.number::<i64>().unwrap_or(0),
                        _ => {}
                    }
                }
                let moment = seconds.and_then(|s| s.checked_mul(1_000_000_000)?.checked_add(nanos));
                Ok(Moment::nanos(moment, &"an object"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A length of time as people write it: `120s`, `5m`, seconds as a plain number, `all`.
pub(crate) fn parse_span(text: &str) -> Option<Span> {
    let text = text.trim();
    if matches!(text, "all" | "exit" | "end") {
        return Some(Span::All);
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Span::For(Duration::from_secs(seconds)));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "ms" => return Some(Span::For(Duration::from_millis(number.parse().ok()?))),
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Span::For(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?)))
}
