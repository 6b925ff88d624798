//! User and group ids and capabilities of a process, and what the calls that change them do.
//!
//! Executions tell them exactly. Between executions the kernel's rules are followed; where a rule needs what is
//! not known (ids of a user namespace, the bits of `capset` that were not recorded), the value becomes unknown.

use crate::codec::stored_struct;

/// Inode of the initial user namespace: ids there are the kernel's own.
const INITIAL_USER_NS: u64 = 0xeffffffd;
/// `CAP_SETGID`.
const SETGID: u32 = 6;
/// `CAP_SETUID`.
const SETUID: u32 = 7;
/// "Leave as it is" in the `setre*` and `setres*` calls.
const KEEP: u32 = u32::MAX;

/// A process's rights. Ids are the kernel's (initial user namespace).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Real user id.
    pub uid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Saved user id.
    pub suid: Option<u32>,
    /// Real group id.
    pub gid: Option<u32>,
    /// Effective group id.
    pub egid: Option<u32>,
    /// Saved group id.
    pub sgid: Option<u32>,
    /// Audit login user id; 4294967295 when unset.
    pub loginuid: Option<u32>,
    /// Inheritable capabilities.
    pub inheritable: Option<u64>,
    /// Permitted capabilities.
    pub permitted: Option<u64>,
    /// Effective capabilities.
    pub effective: Option<u64>,
}

stored_struct!(Credentials { uid, euid, suid, gid, egid, sgid, loginuid, inheritable, permitted, effective });

/// A call that changes ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdCall {
    Setuid,
    Setreuid,
    Setresuid,
    Setgid,
    Setregid,
    Setresgid,
}

/// Real, effective, saved.
type Ids = [Option<u32>; 3];

impl Credentials {
    /// A successful id-changing call with these arguments, made in user namespace `user_ns`.
    pub(crate) fn apply(
        &mut self,
        call: IdCall,
        args: &[u64],
        user_ns: Option<u64>,
        keep_capabilities: bool,
    ) {
        let translated = user_ns == Some(INITIAL_USER_NS);
        let arg = |at: usize| args.get(at).map(|&a| a as u32);
        let known = |id: Option<u32>| if translated || id == Some(KEEP) { id } else { None };
        let before = [self.uid, self.euid, self.suid];
        let may_set = |bit: u32| self.effective.map(|caps| caps >> bit & 1 == 1);
        match call {
            IdCall::Setuid => {
                let after = set_one(before, known(arg(0)), may_set(SETUID));
                [self.uid, self.euid, self.suid] = after;
            }
            IdCall::Setgid => {
                let after = set_one([self.gid, self.egid, self.sgid], known(arg(0)), may_set(SETGID));
                [self.gid, self.egid, self.sgid] = after;
            }
            IdCall::Setreuid => {
                [self.uid, self.euid, self.suid] = set_two(before, known(arg(0)), known(arg(1)));
            }
            IdCall::Setregid => {
                let groups = [self.gid, self.egid, self.sgid];
                [self.gid, self.egid, self.sgid] = set_two(groups, known(arg(0)), known(arg(1)));
            }
            IdCall::Setresuid => {
                let new = [known(arg(0)), known(arg(1)), known(arg(2))];
                [self.uid, self.euid, self.suid] = set_three(before, new);
            }
            IdCall::Setresgid => {
                let new = [known(arg(0)), known(arg(1)), known(arg(2))];
                [self.gid, self.egid, self.sgid] = set_three([self.gid, self.egid, self.sgid], new);
            }
        }
        if matches!(call, IdCall::Setuid | IdCall::Setreuid | IdCall::Setresuid) {
            self.fix_capabilities(before, keep_capabilities);
        }
    }

    /// What changing user ids does to capabilities (`capabilities(7)`, "Effect of user ID changes"), unless
    /// securebits say otherwise, which are not followed.
    fn fix_capabilities(&mut self, before: Ids, keep_capabilities: bool) {
        let after = [self.uid, self.euid, self.suid];
        let any_root = |ids: Ids| {
            if ids.contains(&Some(0)) {
                Some(true)
            } else if ids.contains(&None) {
                None
            } else {
                Some(false)
            }
        };
        match (any_root(before), any_root(after)) {
            (Some(true), Some(false)) if !keep_capabilities => {
                self.permitted = Some(0);
                self.effective = Some(0);
            }
            (None, _) | (_, None) => {
                self.permitted = None;
                self.effective = None;
            }
            _ => {}
        }
        match (before[1], after[1]) {
            (Some(0), Some(id)) if id != 0 => self.effective = Some(0),
            (Some(id), Some(0)) if id != 0 => self.effective = self.permitted,
            (Some(_), Some(_)) => {}
            _ => self.effective = None,
        }
    }

    /// A successful `capset`: `data` is the user's array of capability words, where recorded.
    pub(crate) fn capset(&mut self, data: Option<&[u8]>) {
        let words: Option<Vec<u32>> =
            data.map(|d| d.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect());
        let set = |at: usize| {
            let words = words.as_ref()?;
            Some(u64::from(*words.get(at)?) | u64::from(*words.get(at + 3)?) << 32)
        };
        (self.effective, self.permitted, self.inheritable) = (set(0), set(1), set(2));
    }
}

/// `setuid`, `setgid`: all three ids with the capability, else the effective one.
fn set_one(before: Ids, id: Option<u32>, privileged: Option<bool>) -> Ids {
    match privileged {
        Some(true) => [id; 3],
        Some(false) => [before[0], id, before[2]],
        // Without knowing the right, only the effective id is sure.
        None => [None, id, None],
    }
}

/// `setreuid`, `setregid`: the saved id follows when the real one is set, or the effective one to something new.
fn set_two(before: Ids, real: Option<u32>, effective: Option<u32>) -> Ids {
    let new_real = if real == Some(KEEP) { before[0] } else { real };
    let new_effective = if effective == Some(KEEP) { before[1] } else { effective };
    let follows = real != Some(KEEP) || (effective != Some(KEEP) && new_effective != before[0]);
    [new_real, new_effective, if follows { new_effective } else { before[2] }]
}

fn set_three(before: Ids, new: Ids) -> Ids {
    let pick = |at: usize| if new[at] == Some(KEEP) { before[at] } else { new[at] };
    [pick(0), pick(1), pick(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Credentials {
        let all = Some((1 << 41) - 1);
        Credentials {
            uid: Some(0),
            euid: Some(0),
            suid: Some(0),
            gid: Some(0),
            egid: Some(0),
            sgid: Some(0),
            loginuid: None,
            inheritable: Some(0),
            permitted: all,
            effective: all,
        }
    }

    const HERE: Option<u64> = Some(INITIAL_USER_NS);

    #[test]
    fn root_that_becomes_a_user_loses_its_capabilities() {
        let mut c = root();
        c.apply(IdCall::Setuid, &[1000], HERE, false);
        assert_eq!((c.uid, c.euid, c.suid), (Some(1000), Some(1000), Some(1000)));
        assert_eq!((c.permitted, c.effective), (Some(0), Some(0)));
        let mut kept = root();
        kept.apply(IdCall::Setuid, &[1000], HERE, true);
        assert_eq!((kept.permitted, kept.effective), (root().permitted, Some(0)));
    }

    #[test]
    fn a_dropped_effective_id_comes_back_with_its_capabilities() {
        let mut c = root();
        c.apply(IdCall::Setresuid, &[u64::MAX, 1000, u64::MAX], HERE, false);
        assert_eq!((c.uid, c.euid, c.suid), (Some(0), Some(1000), Some(0)));
        assert_eq!((c.permitted, c.effective), (root().permitted, Some(0)));
        c.apply(IdCall::Setresuid, &[u64::MAX, 0, u64::MAX], HERE, false);
        assert_eq!(c.effective, root().effective);
    }

    #[test]
    fn ids_of_another_user_namespace_are_not_taken_for_the_kernels() {
        let mut c = root();
        c.apply(IdCall::Setuid, &[0], Some(4_026_532_000), false);
        assert_eq!(c.uid, None);
        assert_eq!(c.effective, None);
    }

    #[test]
    fn group_changes_leave_capabilities_alone() {
        let mut c = root();
        c.apply(IdCall::Setregid, &[5, 6], HERE, false);
        assert_eq!((c.gid, c.egid, c.sgid), (Some(5), Some(6), Some(6)));
        assert_eq!(c.effective, root().effective);
    }

    #[test]
    fn capset_takes_effect_as_recorded_and_is_unknown_otherwise() {
        let mut c = root();
        let words: Vec<u8> = [1_u32, 2, 3, 4, 5, 6].iter().flat_map(|w| w.to_le_bytes()).collect();
        c.capset(Some(&words));
        assert_eq!(c.effective, Some(1 | 4 << 32));
        assert_eq!(c.permitted, Some(2 | 5 << 32));
        c.capset(None);
        assert_eq!((c.effective, c.permitted, c.inheritable), (None, None, None));
    }
}
