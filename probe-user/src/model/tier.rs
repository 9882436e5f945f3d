//! How the kernel's decisions are watched.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How the kernel's decisions are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// fentry and fexit.
    Trampoline,
    /// kprobe and kretprobe.
    Kprobe,
    /// cgroup_skb/ingress and the free of the same skb.
    Cgroup,
    /// No BPF: `sock_diag` and /proc/net/netstat.
    Counters,
}

impl Tier {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Trampoline, Self::Kprobe, Self::Cgroup, Self::Counters];

    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trampoline => "trampoline",
            Self::Kprobe => "kprobe",
            Self::Cgroup => "cgroup",
            Self::Counters => "counters",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.name() == text)
            .ok_or_else(|| {
                format!(
                    "no tier is called `{text}`; there are trampoline, kprobe, cgroup and counters"
                )
            })
    }
}
