//! What became of the hooks, and each way in that was tried.

use serde::{Deserialize, Serialize};

use super::{intern, tier::Tier};

/// One way in that was tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// `fentry+fexit`, `kprobe+kretprobe`, `tp_btf`, …
    #[serde(deserialize_with = "crate::model::intern::name")]
    pub via: intern::Name,
    /// The kernel's answer, `None` when it let us in.
    pub refused: Option<String>,
}

impl Trial {
    /// Since which version this way in exists, and with which configuration.
    pub fn needs(&self) -> &'static str {
        match self.via {
            "fentry" | "fexit" | "fentry+fexit" => {
                "since 5.5 on x86_64; needs CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
            }
            "kprobe" | "kprobe+kretprobe" => {
                "in every version; needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS"
            }
            "tp_btf" => "since 5.5; needs CONFIG_DEBUG_INFO_BTF",
            "raw_tp" => "since 4.17; needs CONFIG_BPF_EVENTS",
            _ => "seen from 5.10 on; needs CONFIG_CGROUP_BPF and CONFIG_BPF_EVENTS",
        }
    }
}

/// What became of one hook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HookReport {
    /// What it is called in the readiness line.
    #[serde(deserialize_with = "crate::model::intern::name")]
    pub hook: intern::Name,
    /// Whether decisions are measured here; the others tell of what no counter decides.
    pub decides: bool,
    /// The tier it is attached at, `None` when it is not.
    pub tier: Option<Tier>,
    /// What was tried, in order.
    pub trials: Vec<Trial>,
    /// What this hook cannot see here although it is attached.
    pub unseen: Option<String>,
}

impl HookReport {
    /// How it is attached.
    pub fn via(&self) -> Option<&'static str> {
        self.trials
            .iter()
            .find(|trial| trial.refused.is_none())
            .map(|trial| trial.via)
    }
}
