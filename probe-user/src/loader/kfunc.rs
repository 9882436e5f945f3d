//! Loads from any address, where this kernel lets programs do that: the kernel side's calls of `bpf_rdonly_cast` are
//! given the function's number, which aya 0.14 cannot. Whether the kernel agrees is found out by trying.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
    ptr,
};

use probe_common::CAST_CALL;

use crate::btf::Btf;

/// The kernel's function (kernel/bpf/helpers.c, since 6.2).
const FUNCTION: &str = "bpf_rdonly_cast";

/// Its type `void` (since 6.17).
const VOID: u32 = 0;

/// A struct that is one array of numbers, so that a program may load anything from what is cast to it: the counters of a
/// namespace (include/net/snmp.h), some thousand bytes.
const NUMBERS: &str = "linux_mib";

/// What the kernel side's calls become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    /// The function's id in BTF.
    function: u32,
    /// That of the type that an address is cast to.
    to: u32,
}

/// Types of programs that call it (`enum bpf_prog_type`): if these may, typed tracepoints and trampolines may, since the
/// function is for all (kernel/bpf/helpers.c:common_kfunc_set).
const KPROBE: u32 = 2;
const CGROUP_SKB: u32 = 8;
const RAW_TRACEPOINT: u32 = 17;

const BPF_PROG_LOAD: libc::c_int = 5;

/// `struct bpf_insn`: a number of eight bytes here, the first byte lowest.
const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> u64 {
    code as u64
        | (registers as u64) << 8
        | (offset as u16 as u64) << 16
        | (immediate as u32 as u64) << 32
}

const CALL: u8 = 0x85;
/// `r2 = immediate`, with which the type is given.
const SET: u8 = 0xb7;
const TYPE: u8 = 2;
/// As a source register: what is called is a function of the kernel, by its id (include/uapi/linux/bpf.h:BPF_PSEUDO_KFUNC_CALL).
const OF_THE_KERNEL: u8 = 2 << 4;

/// How programs may load from any address, where they may.
pub(super) fn cast(btf: &Btf) -> Option<Cast> {
    let function = btf.function(FUNCTION)?;
    let types = [Some(VOID), btf.structure(NUMBERS)];
    let casts = types.into_iter().flatten().map(|to| Cast { function, to });
    casts.into_iter().find(|cast| {
        let may = |kind: &u32| may_load_anywhere(*kind, *cast).is_ok();
        [KPROBE, CGROUP_SKB, RAW_TRACEPOINT].iter().all(may)
    })
}

/// Whether programs may load from any address here.
pub fn loads_anywhere(btf: &Btf) -> bool {
    cast(btf).is_some()
}

/// The object with its calls made ones of the kernel's function, for this type.
pub(super) fn with_calls(object: &[u8], cast: Cast) -> Vec<u8> {
    let placeholder = [
        instruction(SET, TYPE, 0, 0),
        instruction(CALL, 0, 0, CAST_CALL),
    ];
    let call = [
        instruction(SET, TYPE, 0, cast.to as i32),
        instruction(CALL, OF_THE_KERNEL, 0, cast.function as i32),
    ];
    let [placeholder, call] = [placeholder, call].map(|both| both.map(u64::to_le_bytes).concat());
    let mut object = object.to_vec();
    // Instructions lie at multiples of eight. Nothing else in the object can be taken for these: its constants are small, and
    // the number of a helper that no kernel has stands in the upper half of the second one.
    let mut at = 0;
    while let Some(bytes) = object.get_mut(at..at + placeholder.len()) {
        if *bytes == placeholder {
            bytes.copy_from_slice(&call);
        }
        at += size_of::<u64>();
    }
    object
}

/// Has the kernel verify a program that loads from address 0, and lets go of it.
fn may_load_anywhere(kind: u32, cast: Cast) -> io::Result<()> {
    /// The first fields of the attributes of BPF_PROG_LOAD (include/uapi/linux/bpf.h).
    #[repr(C)]
    struct Attributes {
        kind: u32,
        instructions: u32,
        at: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
    }
    let instructions = [
        // r1 = 0; r2 = type; r0 = cast(r1, r2); r1 = *(u64 *)(r0 + 8); r1 = *(u8 *)(r0 + 1); r0 = 1; exit
        instruction(0xb7, 1, 0, 0),
        instruction(SET, TYPE, 0, cast.to as i32),
        instruction(CALL, OF_THE_KERNEL, 0, cast.function as i32),
        instruction(0x79, 1, 8, 0),
        instruction(0x71, 1, 1, 0),
        instruction(0xb7, 0, 0, 1),
        instruction(0x95, 0, 0, 0),
    ];
    let attributes = Attributes {
        kind,
        instructions: instructions.len() as u32,
        at: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: ptr::null::<u8>() as u64,
    };
    // SAFETY: the attributes and what they point to live for the call, and their size is given.
    let program = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if program < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else knows of.
    drop(unsafe { OwnedFd::from_raw_fd(program as libc::c_int) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAST: Cast = Cast {
        function: 0x1234,
        to: 0x56,
    };

    #[test]
    fn only_calls_at_their_places_are_changed() {
        let call = [
            instruction(SET, TYPE, 0, 0),
            instruction(CALL, 0, 0, CAST_CALL),
        ];
        let call = call.map(u64::to_le_bytes).concat();
        let mut object = [0; 56];
        object[8..24].copy_from_slice(&call);
        object[36..52].copy_from_slice(&call);
        let changed = with_calls(&object, CAST);
        assert_eq!(changed[8..16], [SET, TYPE, 0, 0, 0x56, 0, 0, 0]);
        assert_eq!(changed[16..24], [CALL, 0x20, 0, 0, 0x34, 0x12, 0, 0]);
        object[8..24].copy_from_slice(&changed[8..24]);
        assert_eq!(changed, object);
    }

    #[test]
    fn every_call_of_the_object_is_changed() {
        let changed = with_calls(super::super::OBJECT, CAST);
        assert_ne!(changed, super::super::OBJECT);
        let call = instruction(CALL, 0, 0, CAST_CALL).to_le_bytes();
        assert!(!changed.chunks_exact(8).any(|bytes| bytes == call));
    }
}
