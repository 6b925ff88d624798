//! Looks at records as they come out of the ring, before their turn: what a runtime's exec points at may be gone by
//! then.

use afterimage_format::{Event, EventCode, FieldTag, layout};

use super::{Metadata, worker::Request};
use crate::identity::{
    announce::{self, Announcement, Verb},
    claims::ClaimId,
};

/// Asks for what an exec, or a process that was there before, announces.
pub fn look(metadata: &mut Metadata, event: &Event<'_>) {
    if event.code != EventCode::EXEC && event.code != EventCode::PROCESS {
        return;
    }
    let Some(announcement) = announce::of(event) else { return };
    let claim = ClaimId::of(event);
    let request = match announcement {
        Announcement::Runtime { verb: Verb::Create, id, bundle, .. } => {
            Request::Announced { claim, id, bundle: Some(bundle) }
        }
        Announcement::Conmon { id, bundle, .. } => Request::Announced { claim, id, bundle },
        // The shim's own exec comes before there is a bundle: the runtime's follows. Of a shim that was there before
        // it is all there is.
        Announcement::Shim { id, bundle, .. } if event.code == EventCode::PROCESS => {
            // Its directory is looked into on the host: what a container says of it does not count.
            let hosts = event.number(layout::exec::PID_LEVEL) == Some(0)
                && event.number(layout::exec::EUID) == Some(0);
            if let Some(slash) = bundle.iter().rposition(|&b| b == b'/').filter(|_| hosts) {
                metadata.ask(Request::Tasks { directory: bundle[..slash].to_vec() });
            }
            Request::Announced { claim, id, bundle: Some(bundle) }
        }
        Announcement::Dockerd { data_root, config_file } => {
            Request::Dockerd { claim, data_root, config_file }
        }
        Announcement::Runtime { verb: Verb::Exec, .. } | Announcement::Shim { .. } => return,
    };
    metadata.ask(request);
}

/// Whether a process that was there before is one whose arguments tell something: the kernel's record has none.
pub fn is_worth_asking(event: &Event<'_>) -> bool {
    [FieldTag::COMM, FieldTag::KPATH].into_iter().filter_map(|tag| event.bytes(tag)).any(announce::is_program)
}
