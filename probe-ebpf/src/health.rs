//! What the kernel side has to say about itself, and the atomic adds by which everything is counted.

use core::arch::asm;

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use probe_common::Health;

#[btf_map]
static HEALTH: PerCpuArray<Health, 1> = PerCpuArray::new();

/// What the health counters count.
#[derive(Clone, Copy)]
pub(crate) enum Noted {
    RingFull,
    CountsFull,
    SumsFull,
    Late,
    Unreadable,
    Sampled,
    ClientNew,
    ClientsFull,
    StatsFull,
    Filtered,
}

/// Adds to a counter of this CPU. Atomically: a program in process context can
/// be interrupted by one in softirq that adds to the same word.
#[inline(always)]
pub(crate) fn add(word: *mut u64, n: u64) {
    // The core library has no fetch_add for BPF, since 5.10 has no atomic that
    // returns a value; the plain atomic add has been there from the start.
    // SAFETY: `word` points into a map value of this CPU, aligned to eight bytes.
    unsafe { asm!("lock *(u64 *)({word} + 0) += {n}", word = in(reg) word, n = in(reg) n) };
}

/// The same for a word of four bytes, which any CPU may add to.
#[inline(always)]
pub(crate) fn add_small(word: *mut u32, n: u32) {
    // SAFETY: `word` points into a map value, aligned to four bytes.
    unsafe {
        asm!("lock *(u32 *)({word} + 0) += {n}", word = in(reg) word, n = in(reg) u64::from(n));
    };
}

/// Counts what the kernel side has to say about itself.
#[inline(always)]
pub(crate) fn note(what: Noted) {
    let Some(health) = HEALTH.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a field of a map value that exists.
    let word = unsafe {
        match what {
            Noted::RingFull => &raw mut (*health).ring_full,
            Noted::CountsFull => &raw mut (*health).counts_full,
            Noted::SumsFull => &raw mut (*health).sums_full,
            Noted::Late => &raw mut (*health).late,
            Noted::Unreadable => &raw mut (*health).unreadable,
            Noted::Sampled => &raw mut (*health).sampled,
            Noted::ClientNew => &raw mut (*health).clients_new,
            Noted::ClientsFull => &raw mut (*health).clients_full,
            Noted::StatsFull => &raw mut (*health).stats_full,
            Noted::Filtered => &raw mut (*health).filtered,
        }
    };
    add(word, 1);
}
