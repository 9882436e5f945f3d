//! The one place that reads kernel memory, whatever its type. A field that this
//! kernel does not have, or that cannot be read, is zero.
//!
//! From 6.2 on the verifier lets a program load from any address: what the
//! kernel function `bpf_rdonly_cast` returns may be loaded from, and a load that
//! faults yields zero (kernel/bpf/verifier.c: check_special_kfunc;
//! arch/x86/net/bpf_jit_comp.c:ex_handler_bpf; seen on 6.12, 6.18 and 7.2). From
//! 6.17 on its type may be `void`; before, it is a struct that is an array of
//! numbers from its first byte to its last, since within an array of numbers the
//! verifier takes a load of any size (kernel/bpf/btf.c:btf_struct_walk). That is
//! one instruction and a test of its address. Elsewhere every read goes through
//! `bpf_probe_read_kernel`, which takes some 25 ns here. Both work in every
//! program type, so twins (fentry and kprobe of one function) share one body.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{cty::c_void, helpers::generated};
use probe_common::{ABSENT, CAST_CALL};

use crate::config::HAVE_CAST;

pub(crate) type Ptr = *const c_void;

/// Types of which every bit pattern is a value.
///
/// # Safety
///
/// No padding and no invalid values.
pub(crate) unsafe trait Plain: Copy {
    /// Loads it from memory that the verifier lets programs load from.
    ///
    /// # Safety
    ///
    /// `from` must come from [`cast`], or point to what the verifier knows.
    #[inline(always)]
    unsafe fn load_from(from: Ptr) -> Self {
        // SAFETY: the caller's word. A load of a size that the machine has may be unaligned.
        unsafe { from.cast::<Self>().read_volatile() }
    }
}

// SAFETY: numbers and arrays of them.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    #[inline(always)]
    unsafe fn load_from(from: Ptr) -> Self {
        let mut value = MaybeUninit::<Self>::uninit();
        let to = value.as_mut_ptr();
        // SAFETY: the words lie one after the other on both sides, and together are the value.
        unsafe {
            if size_of::<Self>().is_multiple_of(8) {
                words::<u64>(from, to.cast(), size_of::<Self>());
            } else if size_of::<Self>().is_multiple_of(4) {
                words::<u32>(from, to.cast(), size_of::<Self>());
            } else {
                words::<u8>(from, to.cast(), size_of::<Self>());
            }
            value.assume_init()
        }
    }
}

/// Loads so many bytes word by word.
///
/// # Safety
///
/// As of [`Plain::load_from`], and there must be room behind `to`.
#[inline(always)]
unsafe fn words<T: Plain>(from: Ptr, to: *mut T, bytes: usize) {
    let mut word = 0;
    while word < bytes / size_of::<T>() {
        // SAFETY: the caller's word.
        unsafe {
            let value = T::load_from(from.byte_add(word * size_of::<T>()));
            to.add(word).write_unaligned(value);
        }
        word += 1;
    }
}

/// Makes an address one that may be loaded from. The loader puts the number of
/// the kernel's function into the call and the type's into the instruction before
/// it, and `HAVE_CAST` says that it did: without, the verifier must never come here.
#[inline(always)]
pub(crate) fn cast(address: Ptr) -> Ptr {
    let readable: u64;
    // SAFETY: the function returns its first argument; the second is the type's number.
    unsafe {
        asm!(
            "r2 = 0",
            "call {call}",
            call = const CAST_CALL,
            inlateout("r1") address as u64 => _,
            out("r2") _,
            lateout("r0") readable,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(pure, nomem, nostack)
        );
    }
    readable as Ptr
}

/// Reads a `T` at `base + offset`; zero when it cannot be read.
///
/// Without a branch on the outcome, since each would double what an old
/// verifier has to walk through: the helper itself clears what it could not
/// read (kernel/trace/bpf_trace.c:bpf_probe_read_kernel_common, 5.10 to 7.2),
/// and a null pointer is an address like any other to it.
#[inline(always)]
pub(crate) fn read<T: Plain>(base: Ptr, offset: u32) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    if offset != ABSENT {
        // SAFETY: the destination is this value; what it is read from is the kernel's to judge.
        unsafe {
            let from = base.byte_add(offset as usize);
            if HAVE_CAST.load() == 1 {
                return T::load_from(cast(from));
            }
            generated::bpf_probe_read_kernel(
                value.as_mut_ptr().cast::<c_void>(),
                size_of::<T>() as u32,
                from,
            );
        }
    }
    // SAFETY: every bit pattern is a `Plain`, and all bytes are written.
    unsafe { value.assume_init() }
}

/// Loads a `T` from memory whose type the verifier knows: one instruction, which
/// yields zero where there is no such memory (5.5 to 7.2).
///
/// # Safety
///
/// The verifier must know the type that `base` points to, and a `T` at that offset:
/// one that every kernel has.
#[inline(always)]
pub(crate) unsafe fn load<T: Plain>(base: Ptr, offset: u32) -> T {
    // SAFETY: the caller's word, and the verifier's.
    unsafe { T::load_from(base.byte_add(offset as usize)) }
}

/// Reads a pointer at `base + offset`.
#[inline(always)]
pub(crate) fn read_ptr(base: Ptr, offset: u32) -> Ptr {
    read::<u64>(base, offset) as Ptr
}

/// Copies `N` bytes at `base + offset` to `to`; zeroes when they cannot be read.
#[inline(always)]
pub(crate) fn copy<const N: usize>(base: Ptr, offset: u32, to: *mut [u8; N]) {
    if offset != ABSENT {
        // SAFETY: `to` is a field of a record at hand; what it is read from is the kernel's to judge.
        unsafe {
            let from = base.byte_add(offset as usize);
            if HAVE_CAST.load() == 1 {
                to.write(Plain::load_from(cast(from)));
                return;
            }
            generated::bpf_probe_read_kernel(to.cast::<c_void>(), N as u32, from);
        }
    }
}
