//! What QEMU's emulation does to a kernel now and then, told from the kernel's last words: a processor runs into code that
//! another one is patching. Pure: a recorded console tests it.

use std::fmt;

/// Why a VM is booted again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// Seen on 6.12 and 7.2: an `int3` oops at boot.
    BeforeTheTests,
    /// Seen on 7.2: a program counter five bytes into a function, where the patched no-op ends, when a trampoline is attached.
    InPatchedCode,
    /// Seen twice, on 5.10: a processor that never gets on. Where it stood.
    StoodStill(String),
}

/// What a kernel says that has noticed it, and vm-init, which ends the VM then.
const STOOD_STILL: [&str; 2] = ["softlockup: hung tasks", "rcu: INFO: "];

impl Mishap {
    /// Of the lines since the tests began. A processor that stands in a tracing program is no mishap of QEMU's.
    pub(super) fn of(lines: &[String]) -> Option<Self> {
        let after = |mark: &str| {
            let mut lines = lines.iter().enumerate();
            lines.find_map(|(number, line)| Some((number, line.split_once(mark)?.1)))
        };
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        // Of the kernel's own code; the stack of who reports has only its system call's.
        let rip = after("RIP: 0010:");
        if STOOD_STILL.into_iter().any(has) {
            let place = match rip {
                Some((number, place)) => {
                    let code = lines[number..]
                        .iter()
                        .find_map(|line| line.split_once("Code: "));
                    let code = code.map_or("unknown", |(_, code)| code);
                    format!("{place} (code {code})")
                }
                None => "an unknown place".to_owned(),
            };
            return (!has("bpf_prog_")).then_some(Self::StoodStill(place));
        }
        rip.filter(|(_, rip)| rip.contains("+0x5/0x"))
            .map(|_| Self::InPatchedCode)
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeTheTests => f.write_str("the kernel died before the tests began"),
            Self::InPatchedCode => f.write_str("the kernel died while its code was being patched"),
            Self::StoodStill(place) => write!(f, "a processor stood still for a minute: {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mishap(text: &str) -> Option<Mishap> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Mishap::of(&lines)
    }

    #[test]
    fn emulation_is_told_from_a_bug() {
        let oops = |rip: &str| {
            mishap(&format!(
                "BUG: unable to handle page fault\nRIP: 0010:{rip}\n"
            ))
        };
        assert_eq!(oops("tcp_rcv+0x5/0x90"), Some(Mishap::InPatchedCode));
        assert_eq!(oops("tcp_rcv+0x15/0x90"), None);
        assert_eq!(mishap("vm-init: begin kprobe\n"), None);
    }

    #[test]
    fn who_stood_still_is_said_where() {
        let text = "[ 1.0] Kernel panic - not syncing: softlockup: hung tasks\n[ 1.0] RIP: 0010:native_safe_halt+0xe/0x10\n\
                    Code: 00 <f4> c3\n";
        let place = "native_safe_halt+0xe/0x10 (code 00 <f4> c3)".to_owned();
        assert_eq!(mishap(text), Some(Mishap::StoodStill(place)));
        let stall = "[ 9.0] rcu: INFO: rcu_sched self-detected stall on CPU\n";
        let unknown = "an unknown place".to_owned();
        assert_eq!(mishap(stall), Some(Mishap::StoodStill(unknown)));
    }

    #[test]
    fn who_stands_in_a_program_is_a_bug() {
        let text = "[ 9.0] rcu: INFO: rcu_sched self-detected stall on CPU\n[ 9.1] RIP: 0010:bpf_get_stackid+0x9/0x10\n\
                    [ 9.1]  bpf_prog_6deef7357e7b4530_tcp_conn_request+0x1/0x5\n";
        assert_eq!(mishap(text), None);
    }
}
