//! The kernel's own description of its types (BTF): member offsets, enum values, tracepoint prototypes.
//!
//! Rust eBPF has no CO-RE relocations, so the recorder reads offsets here and hands them to the programs as read-only
//! globals. A member that is not found is `None`: its source is left out and named by `doctor` and the trace's header.

use std::{collections::HashMap, ops::Range, path::Path};

/// Where the running kernel keeps its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Where it keeps that of overlayfs, when that is a module and loaded.
const OVERLAY: &str = "/sys/kernel/btf/overlay";
/// A type that overlayfs alone has.
const OF_OVERLAY: &str = "ovl_inode";

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_TYPE_TAG: u32 = 18;

/// BTF could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The file is not there or cannot be read.
    #[error("cannot read the kernel's type information `{path}`")]
    Read {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The contents are not BTF.
    #[error("`{path}` is not BTF: {what} at offset `{offset}`")]
    Malformed {
        /// Which.
        path: String,
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: usize,
    },
}

/// Parsed type information.
#[derive(Debug)]
pub struct Btf {
    data: Vec<u8>,
    /// Where the strings are, and where those of a module, with the offset that its first one has.
    strings: (usize, Option<(u32, usize)>),
    /// Length of the strings: what a module's count on from.
    strings_len: u32,
    /// Offset of each type's record, by id.
    types: Vec<usize>,
    by_name: HashMap<Vec<u8>, Vec<u32>>,
}

/// Most members that are looked at for one: no structure of the kernel has a hundredth of it.
const MEMBERS: u32 = 1 << 18;

struct Sections {
    types: Range<usize>,
    strings: usize,
    strings_len: u32,
}

struct Member {
    name: u32,
    kind: u32,
    bit_offset: u32,
}

impl Btf {
    /// The running kernel's, with that of overlayfs where it is a module.
    ///
    /// # Errors
    /// [`BtfError`].
    pub fn of_kernel() -> Result<Self, BtfError> {
        let mut btf = Self::read(Path::new(VMLINUX))?;
        if btf.named(OF_OVERLAY, &[KIND_STRUCT]).is_none() && Path::new(OVERLAY).exists() {
            let data = std::fs::read(OVERLAY)
                .map_err(|source| BtfError::Read { path: OVERLAY.to_owned(), source })?;
            btf.add_module(&data).map_err(|(what, offset)| BtfError::Malformed {
                path: OVERLAY.to_owned(),
                what,
                offset,
            })?;
        }
        Ok(btf)
    }

    /// A file's.
    ///
    /// # Errors
    /// [`BtfError`].
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let name = path.display().to_string();
        let data = std::fs::read(path).map_err(|source| BtfError::Read { path: name.clone(), source })?;
        Self::parse(data).map_err(|(what, offset)| BtfError::Malformed { path: name, what, offset })
    }

    /// Bytes as the kernel gives them.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn parse(data: Vec<u8>) -> Result<Self, (&'static str, usize)> {
        let mut btf =
            Self { data, strings: (0, None), strings_len: 0, types: vec![0], by_name: HashMap::new() };
        let sections = btf.sections(0)?;
        btf.strings.0 = sections.strings;
        btf.strings_len = sections.strings_len;
        btf.add_types(sections.types)?;
        Ok(btf)
    }

    /// Adds the types of one module, whose ids and strings count on from the kernel's.
    ///
    /// # Errors
    /// As of [`Self::parse`].
    pub fn add_module(&mut self, data: &[u8]) -> Result<(), (&'static str, usize)> {
        let begin = self.data.len();
        self.data.extend_from_slice(data);
        let sections = self.sections(begin)?;
        self.strings.1 = Some((self.strings_len, sections.strings));
        self.add_types(sections.types)
    }

    /// Where the parts of the BTF at `begin` are.
    fn sections(&self, begin: usize) -> Result<Sections, (&'static str, usize)> {
        let u32_at = |at: usize| self.word(at).ok_or(("cut short", at));
        if self.data.get(begin..begin + 2) != Some(&[0x9f, 0xeb]) {
            return Err(("no magic number", begin));
        }
        let header = begin + u32_at(begin + 4)? as usize;
        let types = header + u32_at(begin + 8)? as usize;
        Ok(Sections {
            types: types..types + u32_at(begin + 12)? as usize,
            strings: header + u32_at(begin + 16)? as usize,
            strings_len: u32_at(begin + 20)?,
        })
    }

    fn add_types(&mut self, range: Range<usize>) -> Result<(), (&'static str, usize)> {
        let mut at = range.start;
        while at < range.end {
            let u32_at = |at: usize| self.word(at).ok_or(("cut short", at));
            let info = u32_at(at + 4)?;
            let vlen = (info & 0xffff) as usize;
            let extra = match info >> 24 & 0x1f {
                1 | 14 | 17 => 4,
                3 => 12,
                KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * vlen,
                KIND_ENUM | 13 => 8 * vlen,
                2 | 7..=12 | 16 | KIND_TYPE_TAG => 0,
                _ => return Err(("unknown kind of type", at)),
            };
            let name = self.string(u32_at(at)?).to_vec();
            if !name.is_empty() {
                self.by_name.entry(name).or_default().push(self.types.len() as u32);
            }
            self.types.push(at);
            at += 12 + extra;
        }
        Ok(())
    }

    fn string(&self, offset: u32) -> &[u8] {
        let at = match self.strings.1 {
            Some((first, at)) if offset >= first => at + (offset - first) as usize,
            _ => self.strings.0 + offset as usize,
        };
        let Some(rest) = self.data.get(at..) else { return &[] };
        rest.split(|&b| b == 0).next().unwrap_or(&[])
    }

    fn word(&self, at: usize) -> Option<u32> {
        word(&self.data, at)
    }

    fn kind(&self, id: u32) -> Option<(u32, u32, usize)> {
        let at = *self.types.get(id as usize).filter(|&&at| at != 0)?;
        let info = self.word(at + 4)?;
        Some((info >> 24 & 0x1f, info & 0xffff, at))
    }

    fn named(&self, name: &str, kinds: &[u32]) -> Option<u32> {
        let ids = self.by_name.get(name.as_bytes())?;
        ids.iter().copied().find(|&id| self.kind(id).is_some_and(|(kind, ..)| kinds.contains(&kind)))
    }

    /// Through typedefs and qualifiers to the type itself.
    fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..32 {
            match self.kind(id) {
                Some((KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG, _, at)) => {
                    id = self.word(at + 8).unwrap_or(0)
                }
                _ => break,
            }
        }
        id
    }

    fn members(&self, id: u32) -> impl Iterator<Item = Member> + '_ {
        let (kind, vlen, at) = self.kind(id).unwrap_or((0, 0, 0));
        let count = if matches!(kind, KIND_STRUCT | KIND_UNION) { vlen as usize } else { 0 };
        let bitfields = self.word(at + 4).unwrap_or(0) >> 31 == 1;
        (0..count).map_while(move |index| {
            let member = at + 12 + 12 * index;
            let offset = self.word(member + 8)?;
            let bit_offset = if bitfields { offset & 0x00ff_ffff } else { offset };
            Some(Member { name: self.word(member)?, kind: self.word(member + 4)?, bit_offset })
        })
    }

    /// Looks for a member; `budget` is how many may be looked at, which bounds what nested structures cost.
    fn find(&self, id: u32, name: &[u8], depth: u32, budget: &mut u32) -> Option<(u32, u32)> {
        if depth > 8 {
            return None;
        }
        for member in self.members(self.resolve(id)) {
            *budget = budget.checked_sub(1)?;
            let own = self.string(member.name);
            if own == name {
                return Some((member.bit_offset / 8, member.kind));
            }
            if own.is_empty() {
                // Members of anonymous structures and unions belong to the outer one.
                if let Some((inner, kind)) = self.find(member.kind, name, depth + 1, budget) {
                    return Some(((member.bit_offset / 8).saturating_add(inner), kind));
                }
            }
        }
        None
    }

    /// Byte offset of a member; `member` may descend by dots.
    pub fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let mut id = self.named(structure, &[KIND_STRUCT, KIND_UNION])?;
        let mut offset = 0;
        for part in member.split('.') {
            let (inner, kind) = self.find(id, part.as_bytes(), 0, &mut { MEMBERS })?;
            offset = inner.saturating_add(offset);
            id = kind;
        }
        Some(offset)
    }

    /// Value of an enumerator.
    pub fn enumerator(&self, enumeration: &str, name: &str) -> Option<u32> {
        let (_, vlen, at) = self.kind(self.named(enumeration, &[KIND_ENUM])?)?;
        let mut entries = (0..vlen as usize).map_while(|index| {
            let entry = at + 12 + 8 * index;
            Some((self.word(entry)?, self.word(entry + 4)?))
        });
        entries.find(|(own, _)| self.string(*own) == name.as_bytes()).map(|(_, value)| value)
    }

    /// How many arguments a tracepoint hands to its programs; `None` when the kernel has no such tracepoint.
    pub fn tracepoint_arguments(&self, name: &str) -> Option<u32> {
        let typedef = self.named(&format!("btf_trace_{name}"), &[KIND_TYPEDEF])?;
        let (_, _, at) = self.kind(typedef)?;
        let (_, _, pointer) = self.kind(self.resolve(self.word(at + 8)?))?;
        let (_, parameters, _) = self.kind(self.resolve(self.word(pointer + 8)?))?;
        // The first parameter is the program's own data.
        Some(parameters.saturating_sub(1))
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_btf_is_named() {
        assert_eq!(Btf::parse(b"nonsense".to_vec()).unwrap_err().0, "no magic number");
        assert_eq!(Btf::parse(vec![0x9f, 0xeb, 1, 0]).unwrap_err().0, "cut short");
    }

    #[test]
    #[ignore = "needs a kernel with BTF"]
    fn kernel_btf_has_the_members_that_everything_hangs_on() {
        let btf = Btf::of_kernel().unwrap();
        assert!(btf.offset("task_struct", "start_boottime").is_some());
        assert!(btf.offset("sock", "__sk_common.skc_daddr").is_some());
        assert_eq!(btf.offset("task_struct", "no_such_member"), None);
        assert_eq!(btf.offset("pt_regs", "orig_ax"), Some(120));
        assert!(btf.tracepoint_arguments("sched_process_exit").is_some_and(|n| n == 1 || n == 2));
        assert_eq!(btf.tracepoint_arguments("no_such_tracepoint"), None);
    }

    /// BTF of the types given as words and of strings.
    fn made(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let len = types.len() as u32 * 4;
        let mut data = vec![0x9f, 0xeb, 1, 0];
        [24, 0, len, len, strings.len() as u32].iter().for_each(|word: &u32| data.extend(word.to_le_bytes()));
        types.iter().for_each(|word| data.extend(word.to_le_bytes()));
        data.extend(strings);
        data
    }

    #[test]
    fn a_modules_types_and_strings_count_on_from_the_kernels() {
        // 1: int; 2: struct in_kernel { int here; }
        let kernel = [1, 1 << 24, 4, 32, 5, KIND_STRUCT << 24 | 1, 4, 15, 1, 0];
        let mut btf = Btf::parse(made(&kernel, b"\0int\0in_kernel\0here\0")).unwrap();
        assert_eq!(btf.offset("in_kernel", "here"), Some(0));
        // 3: struct in_module { int pad; struct in_kernel here; }
        let module = [20, KIND_STRUCT << 24 | 2, 8, 30, 1, 0, 15, 2, 32];
        btf.add_module(&made(&module, b"in_module\0pad\0")).unwrap();
        assert_eq!(btf.offset("in_module", "here"), Some(4));
        assert_eq!(btf.offset("in_module", "here.here"), Some(4));
        assert_eq!(btf.offset("in_module", "pad"), Some(0));
        assert!(btf.add_module(b"nonsense").is_err());
    }
}
