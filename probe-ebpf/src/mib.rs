//! The counters of a namespace on this CPU: `NET_INC_STATS` is
//! `this_cpu_inc(net->mib.net_statistics->mibs[i])` on 64-bit kernels
//! (include/net/snmp.h, 5.10 to 7.2).

use core::arch::asm;

use aya_ebpf::{cty::c_void, helpers::generated};
use probe_common::{ABSENT, counter};

use crate::{
    config,
    kernel::{self, Ptr},
};

/// All counters at one moment: each reading of what lies near each other, one after the other.
#[repr(C)]
pub struct Reading {
    words: [u64; counter::WORDS],
}

impl Reading {
    /// Reads this CPU's `struct linux_mib`.
    #[inline(always)]
    pub fn take(&mut self, mib: Ptr) {
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

    /// Whether anything moved at all, what lies between the counters included.
    #[inline(always)]
    pub fn differs(&self, before: &Self) -> bool {
        let mut differences = 0;
        let mut word = 0;
        while word < counter::WORDS {
            differences |= self.words[word] ^ before.words[word];
            word += 1;
        }
        differences != 0
    }

    /// One of them; 0 where this kernel does not have it.
    #[inline(always)]
    pub fn of(&self, slot: usize) -> u64 {
        let word = config::item(&config::MIB_WORD, slot) as usize;
        if word >= counter::WORDS {
            return 0;
        }
        // SAFETY: within the array.
        unsafe { *self.words.as_ptr().add(word) }
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
        )
    };
    *counter
}

/// A namespace, and where its counters are: addresses that are the same on every CPU, which
/// with a CPU's own offset are those of its counters.
pub struct Netns {
    pub net: Ptr,
    /// `struct linux_mib __percpu *`
    pub statistics: u64,
    /// `struct tcp_mib __percpu *`
    pub tcp_statistics: u64,
    pub inum: u32,
}

impl Netns {
    #[inline(always)]
    pub fn of(sock: Ptr) -> Self {
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
    pub unsafe fn of_typed(sock: Ptr) -> Self {
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
