//! How a container is called, as safe text.

use afterimage_format::{ContainerRecord, ContainerUid, FactKey};
use afterimage_model::text::{Safe, escape};

/// Digits of a short id.
const SHORT: usize = 12;

/// The whole id.
pub fn id(record: &ContainerRecord) -> Safe {
    escape(&record.id)
}

/// The first 12 digits of an id of hex digits; any other id whole, as an engine's names lead with what is common.
pub fn short_id(record: &ContainerRecord) -> Safe {
    let hex = record.id.len() > SHORT && record.id.iter().all(u8::is_ascii_hexdigit);
    escape(if hex { &record.id[..SHORT] } else { &record.id })
}

/// What it is called.
pub fn name(record: &ContainerRecord) -> Option<Safe> {
    record.name().map(escape)
}

/// The image it was made from.
pub fn image(record: &ContainerRecord) -> Option<Safe> {
    fact(record, FactKey::Image)
}

/// `namespace/pod`.
pub fn pod(record: &ContainerRecord) -> Option<Safe> {
    let pod = fact(record, FactKey::PodName)?;
    Some(match fact(record, FactKey::PodNamespace) {
        Some(namespace) => Safe::format(format_args!("{namespace}/{pod}")),
        None => pod,
    })
}

/// The name, else the short id: for columns.
pub fn label(record: &ContainerRecord) -> Safe {
    if record.uid == ContainerUid::HOST {
        return Safe::literal("host");
    }
    name(record).unwrap_or_else(|| short_id(record))
}

/// Short id and name in one, for headings and messages.
pub fn display_name(record: &ContainerRecord) -> Safe {
    if record.uid == ContainerUid::HOST {
        return Safe::literal("host");
    }
    match name(record) {
        Some(name) => Safe::format(format_args!("{} ({name})", short_id(record))),
        None => short_id(record),
    }
}

fn fact(record: &ContainerRecord, key: FactKey) -> Option<Safe> {
    record.fact(key).filter(|f| !f.value.is_empty()).map(|f| escape(&f.value))
}
