//! Chooses the hooks by trying them, one by one, and keeps what the kernel answered.

use super::{LoadError, Tier, programs::Attacher};

/// The functions in which a listener decides, and whether a tier can do without.
const FUNCTIONS: [(&str, bool); 4] = [
    ("tcp_conn_request", true),
    ("tcp_check_req", true),
    ("tcp_get_cookie_sock", true),
    // Only ICMP errors for half-open requests: without it they stay unattributed.
    ("tcp_req_err", false),
];

const TRACEPOINTS: [&str; 4] = [
    "tcp_retransmit_skb",
    "tcp_retransmit_synack",
    "tcp_send_reset",
    "tcp_receive_reset",
];

/// One way in that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// `fentry+fexit`, `kprobe+kretprobe`, `tp_btf`, …
    pub via: &'static str,
    /// The kernel's answer, `None` when it let us in.
    pub refused: Option<String>,
}

impl Trial {
    /// Since which version this way in exists, and with which configuration.
    pub fn needs(&self) -> &'static str {
        match self.via {
            "fentry+fexit" => "since 5.5 on x86_64; needs CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
            "kprobe+kretprobe" => "in every version; needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS",
            "tp_btf" => "since 5.5; needs CONFIG_DEBUG_INFO_BTF",
            "raw_tp" => "since 4.17; needs CONFIG_BPF_EVENTS",
            _ => "seen from 5.10 on; needs CONFIG_CGROUP_BPF and CONFIG_BPF_EVENTS",
        }
    }
}

/// What became of one hook.
#[derive(Clone, Debug)]
pub struct HookReport {
    pub hook: &'static str,
    /// Whether decisions are measured here (the tracepoints only tell of retransmits and resets).
    pub decides: bool,
    /// The tier it is attached at, `None` when it is not.
    pub tier: Option<Tier>,
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

/// Tries one way in and notes the answer.
fn note(
    report: &mut HookReport,
    tier: Tier,
    via: &'static str,
    answer: Result<(), String>,
) -> bool {
    let refused = answer.err();
    let attached = refused.is_none();
    if attached {
        report.tier = Some(tier);
    }
    report.trials.push(Trial { via, refused });
    attached
}

fn function(attacher: &mut Attacher<'_>, name: &'static str, wanted: &[Tier]) -> HookReport {
    let mut report = HookReport {
        hook: name,
        decides: true,
        tier: None,
        trials: Vec::new(),
        unseen: None,
    };
    for tier in wanted {
        let (via, answer) = match tier {
            Tier::Trampoline => ("fentry+fexit", attacher.trampoline(name)),
            Tier::Kprobe => ("kprobe+kretprobe", attacher.kprobe(name)),
            Tier::Cgroup | Tier::Counters => continue,
        };
        if note(&mut report, *tier, via, answer) {
            break;
        }
    }
    report
}

fn cgroup_tier(attacher: &mut Attacher<'_>) -> HookReport {
    let mut report = HookReport {
        hook: "listener ingress",
        decides: true,
        tier: None,
        trials: Vec::new(),
        unseen: None,
    };
    let answer = attacher.ingress().map(|unseen| report.unseen = unseen);
    note(
        &mut report,
        Tier::Cgroup,
        "cgroup_skb/ingress + raw_tp consume_skb, kfree_skb",
        answer,
    );
    report
}

/// The tracepoints of retransmits and resets: typed where that loads, raw otherwise.
pub(super) fn tracepoints(attacher: &mut Attacher<'_>) -> Vec<HookReport> {
    TRACEPOINTS
        .into_iter()
        .map(|name| {
            let mut report = HookReport {
                hook: name,
                decides: false,
                tier: None,
                trials: Vec::new(),
                unseen: None,
            };
            let answer = attacher.typed(name);
            if !note(&mut report, Tier::Trampoline, "tp_btf", answer) {
                let answer = attacher.raw(name);
                note(&mut report, Tier::Kprobe, "raw_tp", answer);
            }
            report
        })
        .collect()
}

/// The hooks of one tier, whether or not they can be had.
pub(super) fn try_tier(attacher: &mut Attacher<'_>, tier: Tier) -> Vec<HookReport> {
    match tier {
        Tier::Cgroup => vec![cgroup_tier(attacher)],
        _ => FUNCTIONS
            .into_iter()
            .map(|(name, _)| function(attacher, name, &[tier]))
            .collect(),
    }
}

/// Why a tier cannot be used, from the first required hook that was refused.
fn why(reports: &[HookReport]) -> Option<String> {
    reports
        .iter()
        .filter(|report| report.tier.is_none())
        .filter(|report| {
            FUNCTIONS
                .iter()
                .all(|(name, required)| *name != report.hook || *required)
        })
        .find_map(|report| {
            let trial = report.trials.last()?;
            Some(format!(
                "{} at {} was refused: {} ({})",
                trial.via,
                report.hook,
                trial.refused.as_deref()?,
                trial.needs()
            ))
        })
}

/// Attaches the hooks of the wanted tier, or the best for each function.
pub(super) fn all(
    attacher: &mut Attacher<'_>,
    wanted: Option<Tier>,
) -> Result<Vec<HookReport>, LoadError> {
    let unsupported = |tier: &str, why: String| LoadError::Unsupported {
        tier: tier.into(),
        why,
    };
    let mut reports = Vec::new();
    if wanted != Some(Tier::Cgroup) {
        let tiers: &[Tier] = match wanted {
            Some(Tier::Trampoline) => &[Tier::Trampoline],
            Some(Tier::Kprobe) => &[Tier::Kprobe],
            _ => &[Tier::Trampoline, Tier::Kprobe],
        };
        for (name, required) in FUNCTIONS {
            let report = function(attacher, name, tiers);
            let refused = report.tier.is_none();
            reports.push(report);
            if refused && required {
                break;
            }
        }
        if let Some(why) = why(&reports) {
            if let Some(tier) = wanted {
                return Err(unsupported(tier.name(), why));
            }
            // One function without a hook would be a hole: the cgroup tier
            // covers them all, and no packet must be counted twice.
            for report in &mut reports {
                report.tier = None;
            }
            attacher.detach(FUNCTIONS.map(|(name, _)| name));
        }
    }
    if reports.iter().all(|report| report.tier.is_none()) {
        let report = cgroup_tier(attacher);
        let refused = report.tier.is_none();
        reports.push(report);
        if refused {
            let why = why(&reports[reports.len() - 1..]).unwrap_or_default();
            let tried = wanted.map_or("trampoline, kprobe or cgroup", Tier::name);
            return Err(unsupported(tried, why));
        }
    }
    reports.extend(tracepoints(attacher));
    Ok(reports)
}
