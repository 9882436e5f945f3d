//! Tries the hooks, one by one, and keeps what the kernel answered.
//!
//! The half that ends a measurement is attached before the half that begins
//! it, so that no packet is measured half.

use std::{error::Error, sync::OnceLock};

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, KProbe,
        ProgramError, RawTracePoint,
    },
};

use super::{LoadError, Tier};
use crate::inspect::cgroup;

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

/// What became of one hook.
#[derive(Clone, Debug)]
pub struct HookReport {
    pub hook: &'static str,
    /// Whether decisions are measured here (the tracepoints only tell of retransmits and resets).
    pub decides: bool,
    /// The tier it is attached at, `None` when it is not.
    pub tier: Option<Tier>,
    pub trials: Vec<Trial>,
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

/// The kernel's BTF as aya wants it; parsed once, when a typed program is first tried.
fn kernel_btf() -> Result<&'static Btf, String> {
    static BTF: OnceLock<Result<Btf, String>> = OnceLock::new();
    BTF.get_or_init(|| Btf::from_sys_fs().map_err(|error| in_short(&error)))
        .as_ref()
        .map_err(Clone::clone)
}

/// An error and its causes in one line: the verifier's last words instead of its whole log.
pub(super) fn in_short(error: &dyn Error) -> String {
    let mut text = error.to_string();
    if let Some((head, log)) = text.split_once(". Verifier output:") {
        let last = log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| {
                !line.is_empty()
                    && !["processed ", "stack depth ", "verification time "]
                        .iter()
                        .any(|trailer| line.starts_with(trailer))
            })
            .unwrap_or_default();
        text = format!("{head}: {last}");
    }
    let mut cause = error.source();
    while let Some(this) = cause {
        let more = this.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = this.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or_else(|| format!("the object has no program {name}"))?
        .try_into()
        .map_err(|error: ProgramError| in_short(&error))
}

fn short<T>(result: Result<T, ProgramError>) -> Result<T, String> {
    result.map_err(|error| in_short(&error))
}

fn trampoline(ebpf: &mut Ebpf, function: &str) -> Result<(), String> {
    let btf = kernel_btf()?;
    let exit: &mut FExit = program(ebpf, &format!("fexit_{function}"))?;
    short(exit.load(function, btf))?;
    let exit_link = short(exit.attach())?;
    let entry: &mut FEntry = program(ebpf, &format!("fentry_{function}"))?;
    let attached = short(entry.load(function, btf)).and_then(|()| short(entry.attach()));
    if let Err(error) = attached {
        let exit: &mut FExit = program(ebpf, &format!("fexit_{function}"))?;
        short(exit.detach(exit_link))?;
        return Err(error);
    }
    Ok(())
}

fn kprobe(ebpf: &mut Ebpf, function: &str) -> Result<(), String> {
    let exit: &mut KProbe = program(ebpf, &format!("kretprobe_{function}"))?;
    short(exit.load())?;
    let exit_link = short(exit.attach(function, 0))?;
    let entry: &mut KProbe = program(ebpf, &format!("kprobe_{function}"))?;
    let attached = short(entry.load()).and_then(|()| short(entry.attach(function, 0)));
    if let Err(error) = attached {
        let exit: &mut KProbe = program(ebpf, &format!("kretprobe_{function}"))?;
        short(exit.detach(exit_link))?;
        return Err(error);
    }
    Ok(())
}

fn ingress(ebpf: &mut Ebpf) -> Result<(), String> {
    for tracepoint in ["consume_skb", "kfree_skb"] {
        raw(ebpf, tracepoint)?;
    }
    let root = cgroup::root_fd()
        .map_err(|error| format!("cannot open or mount a cgroup2 hierarchy: {error}"))?;
    let program: &mut CgroupSkb = program(ebpf, "listener_ingress")?;
    short(program.load())?;
    short(program.attach(root, CgroupSkbAttachType::Ingress, CgroupAttachMode::Single))?;
    Ok(())
}

fn raw(ebpf: &mut Ebpf, tracepoint: &str) -> Result<(), String> {
    let program: &mut RawTracePoint = program(ebpf, &format!("raw_{tracepoint}"))?;
    short(program.load())?;
    short(program.attach(tracepoint))?;
    Ok(())
}

fn typed(ebpf: &mut Ebpf, tracepoint: &str) -> Result<(), String> {
    let program: &mut BtfTracePoint = program(ebpf, &format!("typed_{tracepoint}"))?;
    short(program.load(tracepoint, kernel_btf()?))?;
    short(program.attach())?;
    Ok(())
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

fn function(ebpf: &mut Ebpf, name: &'static str, wanted: &[Tier]) -> HookReport {
    let mut report = HookReport {
        hook: name,
        decides: true,
        tier: None,
        trials: Vec::new(),
    };
    for tier in wanted {
        let (via, answer) = match tier {
            Tier::Trampoline => ("fentry+fexit", trampoline(ebpf, name)),
            Tier::Kprobe => ("kprobe+kretprobe", kprobe(ebpf, name)),
            Tier::Cgroup | Tier::Counters => continue,
        };
        if note(&mut report, *tier, via, answer) {
            break;
        }
    }
    report
}

fn cgroup_tier(ebpf: &mut Ebpf) -> HookReport {
    let mut report = HookReport {
        hook: "listener ingress",
        decides: true,
        tier: None,
        trials: Vec::new(),
    };
    let answer = ingress(ebpf);
    note(
        &mut report,
        Tier::Cgroup,
        "cgroup_skb/ingress + raw_tp consume_skb, kfree_skb",
        answer,
    );
    report
}

/// The tracepoints of retransmits and resets: typed where that loads, raw otherwise.
pub(super) fn tracepoints(ebpf: &mut Ebpf) -> Vec<HookReport> {
    TRACEPOINTS
        .into_iter()
        .map(|name| {
            let mut report = HookReport {
                hook: name,
                decides: false,
                tier: None,
                trials: Vec::new(),
            };
            let answer = typed(ebpf, name);
            if !note(&mut report, Tier::Trampoline, "tp_btf", answer) {
                let answer = raw(ebpf, name);
                note(&mut report, Tier::Kprobe, "raw_tp", answer);
            }
            report
        })
        .collect()
}

/// The hooks of one tier, whether or not they can be had.
pub(super) fn try_tier(ebpf: &mut Ebpf, tier: Tier) -> Vec<HookReport> {
    match tier {
        Tier::Cgroup => vec![cgroup_tier(ebpf)],
        _ => FUNCTIONS
            .into_iter()
            .map(|(name, _)| function(ebpf, name, &[tier]))
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
                "{} at {} was refused ({})",
                trial.via,
                report.hook,
                trial.refused.as_deref()?
            ))
        })
}

/// Attaches the hooks of the wanted tier, or the best for each function.
pub(super) fn all(ebpf: &mut Ebpf, wanted: Option<Tier>) -> Result<Vec<HookReport>, LoadError> {
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
            let report = function(ebpf, name, tiers);
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
            detach_functions(ebpf);
        }
    }
    if reports.iter().all(|report| report.tier.is_none()) {
        let report = cgroup_tier(ebpf);
        let refused = report.tier.is_none();
        reports.push(report);
        if refused {
            let why = why(&reports[reports.len() - 1..]).unwrap_or_default();
            let tried = wanted.map_or("trampoline, kprobe or cgroup", Tier::name);
            return Err(unsupported(tried, why));
        }
    }
    reports.extend(tracepoints(ebpf));
    Ok(reports)
}

/// Takes back what was attached around the four functions.
fn detach_functions(ebpf: &mut Ebpf) {
    for (name, _) in FUNCTIONS {
        if let Ok(entry) = program::<FEntry>(ebpf, &format!("fentry_{name}")) {
            let _ = entry.unload();
        }
        if let Ok(exit) = program::<FExit>(ebpf, &format!("fexit_{name}")) {
            let _ = exit.unload();
        }
        for half in ["kprobe", "kretprobe"] {
            if let Ok(probe) = program::<KProbe>(ebpf, &format!("{half}_{name}")) {
                let _ = probe.unload();
            }
        }
    }
}
