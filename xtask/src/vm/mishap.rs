//! What QEMU's emulation does to a kernel now and then, told from the kernel's last words: a processor runs into code that
//! another one is patching. Pure: a recorded console tests it.

use std::fmt;

/// Why a VM is booted again.
#[derive(Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Seen on 6.12 and 7.2: an `int3` oops at boot.
    BeforeTheTests,
    /// Seen on 7.2: a program counter five bytes into a function, where the patched no-op ends, when a trampoline is attached.
    InPatchedCode,
    /// Seen once, on 5.10: a processor that never gets on. Where it stood.
    StoodStill(String),
}

impl Mishap {
    pub fn of(last_words: &str) -> Option<Self> {
        let after = |mark: &str| {
            last_words
                .lines()
                .find_map(|line| Some(line.split_once(mark)?.1))
        };
        let rip = after("RIP: ");
        if last_words.contains("softlockup: hung tasks") {
            let place = rip.unwrap_or("an unknown place");
            let code = after("Code: ").unwrap_or("unknown");
            return Some(Self::StoodStill(format!("{place} (code {code})")));
        }
        rip.filter(|rip| rip.contains("+0x5/0x"))
            .map(|_| Self::InPatchedCode)
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeTheTests => f.write_str("the kernel died before the tests began"),
            Self::InPatchedCode => f.write_str("the kernel died while its code was being patched"),
            Self::StoodStill(place) => write!(f, "a processor stood still for a minute at {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_is_told_from_a_bug() {
        let oops = |rip: &str| format!("BUG: unable to handle page fault\nRIP: 0010:{rip}\n");
        assert_eq!(
            Mishap::of(&oops("tcp_rcv+0x5/0x90")),
            Some(Mishap::InPatchedCode)
        );
        assert_eq!(Mishap::of(&oops("tcp_rcv+0x15/0x90")), None);
        assert_eq!(Mishap::of("vm-init: begin kprobe\n"), None);
    }

    #[test]
    fn who_stood_still_is_said_where() {
        let text = "Kernel panic - not syncing: softlockup: hung tasks\n[ 1.0] RIP: 0010:native_safe_halt+0xe/0x10\n\
                    Code: 00 <f4> c3\n";
        let place = "0010:native_safe_halt+0xe/0x10 (code 00 <f4> c3)".to_owned();
        assert_eq!(Mishap::of(text), Some(Mishap::StoodStill(place)));
    }
}
