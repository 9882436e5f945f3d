//! Reads the running kernel's type information (BTF): the bytes of
//! /sys/kernel/btf/vmlinux come in; offsets of members, values of enum
//! constants and argument counts of functions go out. What the kernel does not
//! have is an error that names it. Never reads kernel memory, never guesses.
//!
//! The format is in the kernel's Documentation/bpf/btf.rst. Names are compared
//! in place and only the positions of types are kept: about 6 ms and no copy
//! for a distribution kernel.

use std::{fs, io};

use thiserror::Error;

/// Where the kernel shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why the kernel's type information cannot be used.
#[derive(Debug, Error)]
pub enum BtfError {
    #[error(
        "cannot read {VMLINUX}: {0}; whydrop needs a kernel built with CONFIG_DEBUG_INFO_BTF (all big distributions since 5.10 are)"
    )]
    /// It cannot be read.
    Read(#[source] io::Error),
    /// It breaks off, or points outside of itself.
    #[error("the kernel's type information is malformed: {0}")]
    Malformed(&'static str),
    /// It lacks a type or a member.
    #[error("this kernel has no `{0}`")]
    Missing(String),
}

const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_header` (include/uapi/linux/btf.h).
const HEADER: usize = 24;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// How deep members may nest before the reader gives up; the kernel's own limit is 32.
const MAX_DEPTH: usize = 32;
/// How many members one lookup may pass. The largest struct of a kernel has some hundreds, but unnamed structs
/// that hold each other twice would never end.
const MAX_MEMBERS: u32 = 100_000;
/// Longer names the kernel refuses itself (kernel/bpf/btf.c:btf_name_valid_identifier, KSYM_NAME_LEN).
const MAX_NAME_BYTES: usize = 512;

/// A parsed BTF blob.
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    strings_end: usize,
    /// Position of each type; index 0 is `void`.
    types: Vec<u32>,
}

/// Where a member lies, in bits from the start of the outermost struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    bits: u32,
    type_id: u32,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    vlen: usize,
    kind_flag: bool,
    /// Size, or the id of the type referred to.
    size_or_type: u32,
    /// Position of what follows the common header.
    tail: usize,
}

impl Btf {
    /// The running kernel's.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::parse(fs::read(VMLINUX).map_err(BtfError::Read)?)
    }

    /// Checks the frame of a blob and finds where each type begins.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let malformed = BtfError::Malformed;
        let head = |at| read_u32(&bytes, at).ok_or(malformed("header too short"));
        if bytes.get(..2) != Some(&MAGIC.to_le_bytes()) {
            return Err(malformed("wrong magic number or byte order"));
        }
        let header_len = head(4)? as usize;
        let section = |offset: u32, len: u32| {
            let start = header_len.checked_add(offset as usize)?;
            let end = start.checked_add(len as usize)?;
            (end <= bytes.len()).then_some((start, end))
        };
        let (mut at, types_end) =
            section(head(8)?, head(12)?).ok_or(malformed("type section out of bounds"))?;
        let (strings, strings_end) =
            section(head(16)?, head(20)?).ok_or(malformed("string section out of bounds"))?;
        let mut types = vec![0];
        while at < types_end {
            types.push(at as u32);
            let this = read_type(&bytes, at).ok_or(malformed("type cut short"))?;
            let tail = tail_len(&this).ok_or(malformed("unknown kind of type"))?;
            at = this.tail + tail;
        }
        if at != types_end {
            return Err(malformed("last type cut short"));
        }
        Ok(Self {
            bytes,
            strings,
            strings_end,
            types,
        })
    }

    fn get(&self, id: u32) -> Option<Type> {
        match id {
            0 => None,
            _ => read_type(&self.bytes, *self.types.get(id as usize)? as usize),
        }
    }

    fn u32(&self, at: usize) -> u32 {
        read_u32(&self.bytes, at).unwrap_or(0)
    }

    fn name_is(&self, name: u32, wanted: &str) -> bool {
        let start = self.strings + name as usize;
        self.bytes
            .get(start..self.strings_end)
            .and_then(|rest| rest.strip_prefix(wanted.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn iter(&self) -> impl Iterator<Item = (u32, Type)> + '_ {
        (1..self.types.len() as u32).filter_map(|id| Some((id, self.get(id)?)))
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        self.iter()
            .find(|(_, this)| this.kind == kind && self.name_is(this.name, name))
            .map(|(id, _)| id)
    }

    /// Follows typedefs and qualifiers to the type itself.
    fn resolve(&self, mut id: u32) -> Option<(u32, Type)> {
        for _ in 0..MAX_DEPTH {
            let this = self.get(id)?;
            match this.kind {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = this.size_or_type,
                _ => return Some((id, this)),
            }
        }
        None
    }

    /// One member of a struct or union by name, looking into unnamed members.
    fn member(&self, id: u32, name: &str, depth: usize, left: &mut u32) -> Option<Place> {
        let (_, this) = self.resolve(id)?;
        if !matches!(this.kind, STRUCT | UNION) || depth > MAX_DEPTH {
            return None;
        }
        for index in 0..this.vlen {
            *left = left.checked_sub(1)?;
            let at = this.tail + index * 12;
            let (member_name, type_id, offset) = (self.u32(at), self.u32(at + 4), self.u32(at + 8));
            let bits = if this.kind_flag {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            if self.name_is(member_name, name) {
                return Some(Place { bits, type_id });
            }
            if self.name_is(member_name, "")
                && let Some(inner) = self.member(type_id, name, depth + 1, left)
            {
                return Some(Place {
                    bits: bits.checked_add(inner.bits)?,
                    ..inner
                });
            }
        }
        None
    }

    /// Byte offset of `path` (members joined by dots) in struct `name`.
    pub fn offset(&self, name: &str, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing(format!("struct {name} member {path}"));
        let mut id = self.find(STRUCT, name).ok_or_else(missing)?;
        let mut bits = 0u32;
        let mut left = MAX_MEMBERS;
        for member in path.split('.') {
            let place = self.member(id, member, 0, &mut left).ok_or_else(missing)?;
            bits = bits.checked_add(place.bits).ok_or_else(missing)?;
            id = place.type_id;
        }
        Ok(bits / 8)
    }

    /// Value of an enum constant, of whichever enum has it.
    pub fn constant(&self, name: &str) -> Result<u32, BtfError> {
        for (_, this) in self.iter() {
            let step = match this.kind {
                ENUM => 8,
                ENUM64 => 12,
                _ => continue,
            };
            for index in 0..this.vlen {
                let at = this.tail + index * step;
                if self.name_is(self.u32(at), name) {
                    return Ok(self.u32(at + 4));
                }
            }
        }
        Err(BtfError::Missing(format!("enum constant {name}")))
    }

    /// Names and values of the enum called `name`.
    pub fn constants(&self, name: &str) -> Result<Vec<(u32, String)>, BtfError> {
        let missing = || BtfError::Missing(format!("enum {name}"));
        let this = self
            .find(ENUM, name)
            .and_then(|id| self.get(id))
            .ok_or_else(missing)?;
        Ok((0..this.vlen)
            .map(|index| {
                let at = this.tail + index * 8;
                (self.u32(at + 4), self.string(self.u32(at)))
            })
            .collect())
    }

    fn string(&self, name: u32) -> String {
        String::from_utf8_lossy(self.name_bytes(name)).into_owned()
    }

    /// A name, as far as it may be long.
    fn name_bytes(&self, name: u32) -> &[u8] {
        let rest = self
            .bytes
            .get(self.strings + name as usize..self.strings_end)
            .unwrap_or_default();
        let rest = &rest[..rest.len().min(MAX_NAME_BYTES)];
        let len = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
        &rest[..len]
    }

    /// The id of the function of this name.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(FUNC, name)
    }

    /// The id of the struct of this name.
    pub fn structure(&self, name: &str) -> Option<u32> {
        self.find(STRUCT, name)
    }

    /// Whether the kernel has a function of this name.
    pub fn has_function(&self, name: &str) -> bool {
        self.function(name).is_some()
    }

    /// How many arguments the function has.
    pub fn function_args(&self, name: &str) -> Result<usize, BtfError> {
        self.find(FUNC, name)
            .and_then(|id| self.get(id))
            .and_then(|function| self.get(function.size_or_type))
            .map(|prototype| prototype.vlen)
            .ok_or_else(|| BtfError::Missing(format!("function {name}")))
    }

    /// The same ids, of which the functions and typedefs that are kept have their names, and all else is left out: what
    /// a loader looks up, in a fraction of the memory. It ends with the last one that is kept.
    pub fn outline(&self, keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        const TYPE: usize = 12;
        let types_len = (self.types.len() - 1) * TYPE;
        let mut types = Vec::with_capacity(types_len);
        // An empty name is at 0.
        let mut strings = vec![0];
        let mut needed = 0;
        for (_, this) in self.iter() {
            let name = match this.kind {
                FUNC | TYPEDEF => Some(self.name_bytes(this.name)).filter(|name| keep(name)),
                _ => None,
            };
            let (at, kind) = match name {
                Some(_) => (strings.len() as u32, this.kind),
                None => (0, FWD),
            };
            types.extend_from_slice(&at.to_le_bytes());
            types.extend_from_slice(&(kind << 24).to_le_bytes());
            types.extend_from_slice(&[0; 4]);
            if let Some(name) = name {
                strings.extend(name);
                strings.push(0);
                needed = types.len();
            }
        }
        types.truncate(needed);
        let version_and_flags: [u8; 2] = [1, 0];
        let mut outline = Vec::with_capacity(HEADER + types.len() + strings.len());
        outline.extend(MAGIC.to_le_bytes());
        outline.extend(version_and_flags);
        let sizes = [HEADER, 0, types.len(), types.len(), strings.len()];
        outline.extend(sizes.into_iter().flat_map(|n| (n as u32).to_le_bytes()));
        outline.extend(types);
        outline.extend(strings);
        outline
    }

    /// How many arguments a tracepoint passes to a raw or typed program.
    pub fn tracepoint_args(&self, name: &str) -> Result<usize, BtfError> {
        let alias = format!("btf_trace_{name}");
        self.find(TYPEDEF, &alias)
            .and_then(|id| self.resolve(id))
            .filter(|(_, pointer)| pointer.kind == PTR)
            .and_then(|(_, pointer)| self.resolve(pointer.size_or_type))
            .filter(|(_, prototype)| prototype.kind == FUNC_PROTO)
            // The first one is the tracepoint's own data pointer.
            .and_then(|(_, prototype)| prototype.vlen.checked_sub(1))
            .ok_or_else(|| BtfError::Missing(format!("tracepoint {name}")))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

fn read_type(bytes: &[u8], at: usize) -> Option<Type> {
    let info = read_u32(bytes, at.checked_add(4)?)?;
    Some(Type {
        name: read_u32(bytes, at)?,
        kind: (info >> 24) & 0x1f,
        vlen: (info & 0xffff) as usize,
        kind_flag: info >> 31 == 1,
        size_or_type: read_u32(bytes, at + 8)?,
        tail: at + 12,
    })
}

/// How many bytes follow the common header of a type.
fn tail_len(this: &Type) -> Option<usize> {
    Some(match this.kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => this.vlen * 12,
        ENUM | FUNC_PROTO => this.vlen * 8,
        PTR | 7..=FUNC | 16 | TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// struct outer { int a; struct { int b; struct inner c; }; } with
    /// struct inner { int d; int e; }; enum { RED = 5 }; void f(int, int).
    fn sample() -> Vec<u8> {
        let names = [
            "", "int", "outer", "a", "b", "c", "inner", "d", "e", "RED", "f",
        ];
        let mut strings = Vec::new();
        let mut offsets = Vec::new();
        for name in names {
            offsets.push(strings.len() as u32);
            strings.extend(name.as_bytes());
            strings.push(0);
        }
        let name = |wanted| offsets[names.iter().position(|n| *n == wanted).expect("a name")];
        let mut types: Vec<u32> = Vec::new();
        types.extend([name("int"), INT << 24, 4, 32]); // 1
        types.extend([
            name("inner"),
            STRUCT << 24 | 2,
            8,
            name("d"),
            1,
            0,
            name("e"),
            1,
            32,
        ]); // 2
        types.extend([0, STRUCT << 24 | 2, 12, name("b"), 1, 0, name("c"), 2, 32]); // 3
        types.extend([
            name("outer"),
            STRUCT << 24 | 2,
            16,
            name("a"),
            1,
            0,
            0,
            3,
            32,
        ]); // 4
        types.extend([0, ENUM << 24 | 1, 4, name("RED"), 5]); // 5
        types.extend([0, FUNC_PROTO << 24 | 2, 0, 0, 1, 0, 1]); // 6
        types.extend([name("f"), FUNC << 24, 6]); // 7
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([1, 0]);
        let types_len = types.len() as u32 * 4;
        for word in [24, 0, types_len, types_len, strings.len() as u32] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(types.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn finds_members_through_unnamed_and_nested_structs() {
        let btf = Btf::parse(sample()).expect("well-formed");
        assert_eq!(btf.offset("outer", "a").expect("a"), 0);
        assert_eq!(btf.offset("outer", "b").expect("b"), 4);
        assert_eq!(btf.offset("outer", "c.e").expect("c.e"), 12);
        assert_eq!(btf.constant("RED").expect("RED"), 5);
        assert_eq!(btf.function_args("f").expect("f"), 2);
    }

    #[test]
    fn names_what_is_missing() {
        let btf = Btf::parse(sample()).expect("well-formed");
        let error = btf.offset("outer", "c.z").expect_err("no z");
        assert_eq!(
            error.to_string(),
            "this kernel has no `struct outer member c.z`"
        );
        assert!(!btf.has_function("g"));
    }

    proptest! {
        #[test]
        fn never_panics_on_broken_input(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = sample();
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(cut.max(1));
            if let Ok(btf) = Btf::parse(bytes) {
                let _ = btf.offset("outer", "c.e");
                let _ = btf.constant("RED");
                let _ = btf.tracepoint_args("f");
                let _ = btf.function_args("f");
            }
        }
    }
}

#[cfg(test)]
#[path = "btf_blob_tests.rs"]
mod blob_tests;
