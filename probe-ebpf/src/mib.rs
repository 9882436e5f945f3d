//! The counters of a namespace on this CPU: `NET_INC_STATS` is
//! `this_cpu_inc(net->mib.net_statistics->mibs[i])` on 64-bit kernels
//! (include/net/snmp.h, 5.10 to 7.2).

use core::arch::asm;

use aya_ebpf::{cty::c_void, helpers::generated};
use probe_common::{ABSENT, counter};

use crate::{
    config,
    kernel::{self, Ptr},
    memory,
};

/// All counters at one moment: where programs may load from any address each by itself, a word for a slot; elsewhere what
/// lies near each other together, each reading one after the other.
#[repr(C)]
pub(crate) struct Reading {
    words: [u64; counter::WORDS],
}

impl Reading {
    /// Reads this CPU's `struct linux_mib`.
    #[inline(always)]
    pub(crate) fn take(&mut self, mib: Ptr) {
        if config::HAVE_CAST.load() == 1 {
            let mib = memory::cast(mib);
            let mut slot = 0;
            while slot < counter::SLOTS {
                // SAFETY: it was cast.
                self.words[slot] = unsafe { counter_of(mib, slot) };
                slot += 1;
            }
            return;
        }
        let mut first = 0;
        while kept(&mut first) < counter::SLOTS * counter::READING {
            let number = |n| config::item(&config::READINGS, first + n);
            let bytes = number(1);
            if bytes == 0 {
                break;
            }
            // SAFETY: the verifier sees that it is within the array; the helper checks the source.
            unsafe {
                let to = (&raw mut self.words).byte_add(number(2) as usize);
                let from = mib.byte_add(number(0) as usize);
                generated::bpf_probe_read_kernel(to.cast::<c_void>(), bytes, from);
            }
            first += counter::READING;
        }
    }

    /// Whether a decisive counter has moved since `self`; what may have been read for it is left in `after`.
    #[inline(always)]
    pub(crate) fn has_moved(&self, mib: Ptr, after: &mut Self) -> bool {
        let mut differences = 0;
        if config::HAVE_CAST.load() == 1 {
            let mib = memory::cast(mib);
            let mut slot = 0;
            while slot < counter::DECISIVE {
                // SAFETY: it was cast.
                differences |= self.words[slot] ^ unsafe { counter_of(mib, slot) };
                slot += 1;
            }
        } else {
            // What lies between the counters as well.
            after.take(mib);
            let mut word = 0;
            while word < counter::WORDS {
                differences |= self.words[word] ^ after.words[word];
                word += 1;
            }
        }
        differences != 0
    }

    /// One of them; 0 where this kernel does not have it.
    #[inline(always)]
    pub(crate) fn of(&self, slot: usize) -> u64 {
        let word = config::item(&config::MIB_WORD, slot) as usize;
        if word >= counter::WORDS {
            return 0;
        }
        // SAFETY: within the array.
        unsafe { *self.words.as_ptr().add(word) }
    }
}

/// The counter of a slot; 0 where this kernel does not have it.
///
/// # Safety
///
/// `mib` must come from [`memory::cast`].
#[inline(always)]
unsafe fn counter_of(mib: Ptr, slot: usize) -> u64 {
    match config::item(&config::MIB_OFFSET, slot) {
        ABSENT => 0,
        // SAFETY: the caller's word.
        offset => unsafe { memory::load(mib, offset) },
    }
}

/// The compiler does not know how far a loop with this counter has come, and so keeps it a loop:
/// what runs for a packet has to be fetched first, so its length counts as much as what it does.
#[inline(always)]
fn kept(counter: &mut usize) -> usize {
    // SAFETY: it does nothing.
    unsafe {
        asm!(
            "{0} = {0}",
            inout(reg) * counter,
            options(pure, nomem, nostack)
        );
    };
    *counter
}

/// A namespace, and where its counters are: addresses that are the same on every CPU, which
/// with a CPU's own offset are those of its counters.
pub(crate) struct Netns {
    pub net: Ptr,
    /// `struct linux_mib __percpu *`
    pub statistics: u64,
    /// `struct tcp_mib __percpu *`
    pub tcp_statistics: u64,
    pub inum: u32,
}

impl Netns {
    #[inline(always)]
    pub(crate) fn of(sock: Ptr) -> Self {
        let net = kernel::net_of(sock);
        Self {
            net,
            statistics: kernel::read(net, config::NET_STATISTICS.load()),
            tcp_statistics: kernel::read(net, config::NET_TCP_STATISTICS.load()),
            inum: kernel::inum_of(net),
        }
    }

    /// The same of a socket whose type the verifier knows: without a call for each field.
    ///
    /// # Safety
    ///
    /// The verifier must know `sock`'s type.
    #[inline(always)]
    pub(crate) unsafe fn of_typed(sock: Ptr) -> Self {
        // SAFETY: fields of what the verifier knows, at offsets from its own types.
        unsafe {
            let net = kernel::load::<u64>(sock, config::SKC_NET.load()) as Ptr;
            let tcp_statistics = match config::NET_TCP_STATISTICS.load() {
                ABSENT => 0,
                offset => kernel::load(net, offset),
            };
            Self {
                net,
                statistics: kernel::load(net, config::NET_STATISTICS.load()),
                tcp_statistics,
                inum: kernel::load(net, config::NET_INUM.load()),
            }
        }
    }
}
