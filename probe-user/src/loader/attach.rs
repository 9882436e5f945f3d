//! Chooses the hooks by trying them, one by one, and keeps what the kernel answered.

use super::{
    LoadError,
    layout::Arguments,
    names::{KPROBE, TRAMPOLINE},
};
use crate::model::{
    hook::{HookReport, Trial},
    tier::Tier,
};

/// Attaches programs, each with the kernel's answer as a sentence: those of the object, or in tests none.
pub(super) trait Attach {
    /// fentry and fexit around a function.
    fn trampoline(&mut self, function: &'static str) -> Result<(), String>;
    /// kprobe and kretprobe at a function.
    fn kprobe(&mut self, function: &'static str) -> Result<(), String>;
    /// `cgroup_skb/ingress` at the cgroup2 root and the two tracepoints where packets end.
    /// `Ok(Some(…))` names what part of the host is out of sight.
    fn ingress(&mut self) -> Result<Option<String>, String>;
    fn raw(&mut self, name: &str, tracepoint: &'static str) -> Result<(), String>;
    fn typed(&mut self, name: &str, tracepoint: &'static str) -> Result<(), String>;
    fn fentry(&mut self, function: &'static str) -> Result<(), String>;
    fn fexit(&mut self, function: &'static str) -> Result<(), String>;
    /// kprobe at the entry of a function.
    fn kprobe_entry(&mut self, function: &'static str) -> Result<(), String>;
    /// Takes back what was attached around these functions.
    fn detach(&mut self, functions: &[&'static str]);
    /// Has a program loaded that will be asked for next if all goes well.
    fn preload_next(&mut self, kind: &str, hook: &str, target: &'static str);
    /// Has a program loaded that will probably be asked for later, and its second copy, where that will be.
    fn preload(&mut self, kind: &str, hook: &str, target: &'static str);
}

/// The functions in which a listener decides, and whether a tier can do without.
const FUNCTIONS: [(&str, bool); 4] = [
    ("tcp_conn_request", true),
    ("tcp_check_req", true),
    ("tcp_get_cookie_sock", true),
    // Only ICMP errors for half-open requests: without it they stay unattributed.
    ("tcp_req_err", false),
];

const TRACEPOINTS: [&str; 5] = [
    "tcp_retransmit_skb",
    "tcp_retransmit_synack",
    "tcp_send_reset",
    "tcp_receive_reset",
    "inet_sock_set_state",
];

/// Ends requests that nobody acknowledged.
const REQUEST_TIMER: &str = "reqsk_timer_handler";

/// Sends resets of which the tracepoint does not tell up to 6.1: those without a socket.
const SEND_RESET: [&str; 2] = ["tcp_v4_send_reset", "tcp_v6_send_reset"];

/// Takes a connection out of the accept queue.
const ACCEPT: &str = "inet_csk_accept";
/// Is called with what the former returns.
const GRAFT: &str = "security_sock_graft";

/// As hooks are called in reports: packets freed with a reason, and for want of a socket.
const DROPS: &str = "kfree_skb";
const NO_SOCKET: &str = "kfree_skb (no socket)";

/// Whether a hook is looked up in the kernel's BTF by this name.
pub(super) fn is_looked_up(name: &[u8]) -> bool {
    let mut functions = FUNCTIONS.iter().map(|(name, _)| *name);
    let others = [REQUEST_TIMER, ACCEPT];
    name.starts_with(b"btf_trace_")
        || functions.any(|function| function.as_bytes() == name)
        || others
            .iter()
            .chain(&SEND_RESET)
            .any(|other| other.as_bytes() == name)
}

/// The answer to a hook that was not attached for want of open files.
pub(super) fn limit_met(reports: &[HookReport]) -> Option<&str> {
    let trials = reports.iter().flat_map(|report| &report.trials);
    let mut answers = trials.filter_map(|trial| trial.refused.as_deref());
    answers.find(|answer| super::is_limit(answer))
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

impl HookReport {
    fn of(hook: &'static str, decides: bool) -> Self {
        Self {
            hook,
            decides,
            tier: None,
            trials: Vec::new(),
            unseen: None,
        }
    }
}

fn function(
    attacher: &mut impl Attach,
    name: &'static str,
    decides: bool,
    wanted: &[Tier],
) -> HookReport {
    let mut report = HookReport::of(name, decides);
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

fn cgroup_tier(attacher: &mut impl Attach) -> HookReport {
    let mut report = HookReport::of("listener ingress", true);
    let answer = attacher.ingress().map(|unseen| report.unseen = unseen);
    note(
        &mut report,
        Tier::Cgroup,
        "cgroup_skb/ingress + raw_tp consume_skb, kfree_skb",
        answer,
    );
    report
}

/// A tracepoint: typed where that loads, raw otherwise.
fn tracepoint(
    attacher: &mut impl Attach,
    hook: &'static str,
    program: &str,
    tracepoint: &'static str,
) -> HookReport {
    let mut report = HookReport::of(hook, false);
    let answer = attacher.typed(program, tracepoint);
    if !note(&mut report, Tier::Trampoline, "tp_btf", answer) {
        let answer = attacher.raw(program, tracepoint);
        note(&mut report, Tier::Kprobe, "raw_tp", answer);
    }
    report
}

/// The entry of a function, by what is left of trampolines and kprobes.
fn entry(attacher: &mut impl Attach, name: &'static str, wanted: &[Tier]) -> HookReport {
    let mut report = HookReport::of(name, false);
    for tier in wanted {
        let (via, answer) = match tier {
            Tier::Trampoline => ("fentry", attacher.fentry(name)),
            _ => ("kprobe", attacher.kprobe_entry(name)),
        };
        if note(&mut report, *tier, via, answer) {
            break;
        }
    }
    report
}

/// What tells of a connection that leaves the accept queue.
fn accept(attacher: &mut impl Attach, wanted: &[Tier]) -> HookReport {
    let mut report = HookReport::of(ACCEPT, false);
    for tier in wanted {
        let (via, answer) = match tier {
            Tier::Trampoline => ("fexit", attacher.fexit(ACCEPT)),
            // It sleeps, so a kretprobe would lose some.
            _ => ("kprobe", attacher.kprobe_entry(GRAFT)),
        };
        if note(&mut report, *tier, via, answer) {
            break;
        }
    }
    report
}

/// The typed tracepoints are tried on every tier.
fn preload_tracepoints(attacher: &mut impl Attach, arguments: Arguments) {
    for name in TRACEPOINTS {
        attacher.preload("typed", name, name);
    }
    if arguments.kfree_skb >= 3 {
        attacher.preload("typed", "skb_drop", "kfree_skb");
    }
}

/// What is let in at the first function is probably let in at the others. Where nothing is, what is tried at those that are
/// not needed is loaded nevertheless, for a kprobe is refused when it is attached.
fn preload_functions(attacher: &mut impl Attach, tier: Option<Tier>, arguments: Arguments) {
    let (halves, entry, accept) = match tier {
        Some(Tier::Trampoline) => (TRAMPOLINE, "fentry", ("fexit", ACCEPT)),
        _ => (KPROBE, "kprobe", ("kprobe", GRAFT)),
    };
    let halves = match tier {
        Some(_) => &halves[..],
        None => &halves[..1],
    };
    for half in halves {
        attacher.preload(half, REQUEST_TIMER, REQUEST_TIMER);
    }
    attacher.preload(accept.0, accept.1, accept.1);
    if arguments.send_reset < 3 {
        for function in SEND_RESET {
            attacher.preload(entry, function, function);
        }
    }
    if tier.is_some() {
        for (function, _) in FUNCTIONS {
            for half in halves {
                attacher.preload_next(half, function, function);
            }
        }
    }
}

/// The ways into a function that a forced tier leaves.
fn ways(wanted: Option<Tier>) -> &'static [Tier] {
    match wanted {
        None => &[Tier::Trampoline, Tier::Kprobe],
        Some(Tier::Trampoline) => &[Tier::Trampoline],
        Some(Tier::Kprobe) => &[Tier::Kprobe],
        Some(_) => &[],
    }
}

/// The hooks of what no counter decides; none of them is needed for the rest.
pub(super) fn notices(
    attacher: &mut impl Attach,
    wanted: Option<Tier>,
    arguments: Arguments,
) -> Vec<HookReport> {
    let mut reports: Vec<HookReport> = TRACEPOINTS
        .into_iter()
        .map(|name| tracepoint(attacher, name, name, name))
        .collect();
    let has_reasons = arguments.kfree_skb >= 3;
    if has_reasons {
        reports.push(tracepoint(attacher, DROPS, "skb_drop", "kfree_skb"));
    }
    if !ways(wanted).is_empty() {
        reports.push(function(attacher, REQUEST_TIMER, false, ways(wanted)));
        reports.push(accept(attacher, ways(wanted)));
    }
    if arguments.send_reset < 3 {
        let of_functions: Vec<HookReport> = SEND_RESET
            .into_iter()
            .filter(|_| !ways(wanted).is_empty())
            .map(|name| entry(attacher, name, ways(wanted)))
            .collect();
        let is_complete = !of_functions.is_empty() && of_functions.iter().all(|r| r.tier.is_some());
        reports.extend(of_functions);
        // One or the other: a reset that both tell of would be two.
        if !is_complete && has_reasons {
            attacher.detach(&SEND_RESET);
            reports.retain(|report| !SEND_RESET.contains(&report.hook));
            reports.push(tracepoint(attacher, NO_SOCKET, "no_socket", "kfree_skb"));
        }
    }
    reports
}

/// Whether a hook tells of connections that leave the accept queue.
pub(super) fn sees_accept(reports: &[HookReport]) -> bool {
    reports
        .iter()
        .any(|report| report.hook == ACCEPT && report.tier.is_some())
}

/// Whether it tells of MPTCP's too: what is grafted in place of them is another socket
/// (net/mptcp/protocol.c:mptcp_stream_accept, 6.1 to 7.2).
pub(super) fn sees_mptcp_accept(reports: &[HookReport]) -> bool {
    reports
        .iter()
        .any(|report| report.hook == ACCEPT && report.tier == Some(Tier::Trampoline))
}

/// Kinds, causes and figures that these hooks cannot see.
pub(super) fn blind(reports: &[HookReport], arguments: Arguments) -> Vec<&'static str> {
    let has = |hook: &str| {
        reports
            .iter()
            .any(|report| report.hook == hook && report.tier.is_some())
    };
    let sees_refused = arguments.send_reset >= 3 && has("tcp_send_reset")
        || SEND_RESET.iter().all(|name| has(name))
        || has(NO_SOCKET);
    let hidden = [
        ("refused", sees_refused),
        ("listener-closed", has("inet_sock_set_state")),
        ("packet-drop", has(DROPS)),
        ("request-expired", has(REQUEST_TIMER)),
        ("icmp-error", has("tcp_req_err")),
        ("not-unicast", has("listener ingress")),
        ("accept-wait", sees_accept(reports)),
    ];
    let hidden = hidden.into_iter().filter(|(_, is_seen)| !is_seen);
    hidden.map(|(what, _)| what).collect()
}

/// The hooks of one tier, whether or not they can be had.
pub(super) fn try_tier(attacher: &mut impl Attach, tier: Tier) -> Vec<HookReport> {
    match tier {
        Tier::Cgroup => vec![cgroup_tier(attacher)],
        _ => FUNCTIONS
            .into_iter()
            .map(|(name, _)| function(attacher, name, true, &[tier]))
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
    attacher: &mut impl Attach,
    wanted: Option<Tier>,
    arguments: Arguments,
) -> Result<Vec<HookReport>, LoadError> {
    let unsupported = |tier: &str, why: String| LoadError::Unsupported {
        tier: tier.into(),
        why,
    };
    let mut reports = Vec::new();
    preload_tracepoints(attacher, arguments);
    if wanted != Some(Tier::Cgroup) {
        for (name, required) in FUNCTIONS {
            let report = function(attacher, name, true, ways(wanted));
            let tier = report.tier;
            if reports.is_empty() && (tier.is_some() || wanted.is_none()) {
                preload_functions(attacher, tier, arguments);
            }
            reports.push(report);
            if tier.is_none() && required {
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
            attacher.detach(&FUNCTIONS.map(|(name, _)| name));
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
    reports.extend(notices(attacher, wanted, arguments));
    Ok(reports)
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
