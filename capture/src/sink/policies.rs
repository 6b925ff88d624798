//! What is kept of whom, changed while recording.

use std::io;

use afterimage_capture_abi::record::V1_BIT;
use afterimage_format::ContainerUid;
use aya::maps::MapError;
use tracing::debug;

use super::{HostPolicy, Sink};
use crate::{identity::registry::CgroupKey, programs::Found, witness::Witness};

impl Sink {
    /// Tells a witness of everything from now on, and first of every container that is known.
    pub fn set_witness(&mut self, mut witness: Box<dyn Witness>) {
        let told = self.registry.containers().filter(|record| !self.silent.contains(&record.uid));
        told.for_each(|record| witness.container(record));
        self.witness = Some(witness);
    }

    /// Gives a cgroup the policy of its owner; containers have the one the programs were loaded with, unless another
    /// was set.
    pub(super) fn apply_policy(&mut self, key: CgroupKey, owner: ContainerUid) {
        let own = self.own_policies.get(&owner).copied();
        let policy = match owner {
            ContainerUid::HOST => Some(self.host_policy),
            _ => own.or(self.container_policy),
        };
        let Some(policy) = policy else { return };
        let id = if key.hierarchy == 0 { key.id } else { key.id | V1_BIT };
        if let Err(error) = self.policy.set(id, policy) {
            debug!("cgroup {id}: no room in the policy map: {error}");
        }
    }

    /// Records the host otherwise from now on.
    pub fn set_host_policy(&mut self, host: HostPolicy) {
        (self.host_policy, self.host_calls, self.host_lifecycle) = (host.bits, host.calls, host.lifecycle);
        self.apply_policies(|owner| owner == ContainerUid::HOST);
    }

    /// Records containers otherwise from now on, but for those with a policy of their own. A container made later is
    /// recorded as before until the recorder hears of it, some ten milliseconds.
    pub fn set_container_policy(&mut self, policy: u32) {
        self.container_policy = Some(policy);
        self.apply_policies(|owner| owner != ContainerUid::HOST);
    }

    /// Records one container otherwise from now on, or with `None` as all others again; `false` when there is none.
    pub fn set_own_policy(&mut self, uid: ContainerUid, policy: Option<u32>, usual: u32) -> bool {
        if uid == ContainerUid::HOST || self.registry.get(uid).is_none_or(|record| record.removed.is_some()) {
            return false;
        }
        match policy {
            Some(policy) => {
                self.own_policies.insert(uid, policy);
            }
            None => {
                self.own_policies.remove(&uid);
                // What is usual was not set for it, and must be now.
                self.container_policy.get_or_insert(usual);
            }
        }
        self.apply_policies(|owner| owner == uid);
        true
    }

    fn apply_policies(&mut self, concerned: impl Fn(ContainerUid) -> bool) {
        let cgroups: Vec<_> = self.registry.cgroups().filter(|(_, owner)| concerned(*owner)).collect();
        for (key, owner) in cgroups {
            self.apply_policy(key, owner);
        }
    }

    /// Looks at the words by which the programs tell whose calls are the recorder's, and whether there are marks.
    ///
    /// # Errors
    /// As of map operations.
    pub fn look_at_words(&mut self) -> Result<[Found; 2], MapError> {
        Ok([self.policy.look_at_live()?, self.marks.look_at_cleared()?])
    }

    /// Looks at the policies of all cgroups.
    ///
    /// # Errors
    /// As of the system call.
    pub fn look_at_policies(&mut self) -> io::Result<Found> {
        self.policy.look_at_all()
    }
}
