//! `whydrop check`: this kernel, its type information, the privileges, and for
//! each hook whether it can be had here, by trying.

use clap::Args;

use super::{Failure, say};
use crate::{
    btf::Btf,
    host::{cgroup, diag::Diag, origin::kernel_release},
    loader::{LoadError, Probe, loads_anywhere, missing_capabilities},
    model::{SelfTest, hook::HookReport, request::Request, tier::Tier},
    selftest,
};

#[derive(Args, Clone, Debug)]
pub struct CheckArgs {}

/// Prints the report; exit 0 when at least one tier can watch decisions.
pub fn run(_: &CheckArgs) -> Result<(), Failure> {
    let fact = |name: &str, value: String| say(format_args!("{name:<22} {value}"));
    fact("kernel", format!("Linux {}", kernel_release()))?;
    let btf = Btf::of_kernel();
    fact(
        "type information",
        match &btf {
            Ok(_) => crate::btf::VMLINUX.into(),
            Err(error) => format!("no: {error}"),
        },
    )?;
    let missing = missing_capabilities();
    fact(
        "capabilities",
        if missing.is_empty() {
            "enough".into()
        } else {
            format!("missing {}", missing.join(", "))
        },
    )?;
    fact(
        "sock_diag",
        match Diag::open().and_then(|mut diag| diag.probe()) {
            Ok(()) => "answers".into(),
            Err(error) => format!("no: {error}"),
        },
    )?;
    fact(
        "cgroup2 root",
        match cgroup::root() {
            Ok(root) if root.whole => "can be attached to".into(),
            Ok(_) => "this cgroup namespace reaches only a part of the host".into(),
            Err(error) => format!("no: {error}"),
        },
    )?;
    if !missing.is_empty() {
        return Err(LoadError::Privilege(missing).into());
    }
    let btf = btf.map_err(LoadError::from)?;
    fact(
        "reads of the kernel",
        if loads_anywhere(&btf) {
            "one instruction each".into()
        } else {
            "a call of bpf_probe_read_kernel each (until 6.2)".into()
        },
    )?;
    say("")?;
    for report in Probe::try_everything()? {
        say_hook(&report)?;
    }
    say("")?;
    prove()
}

fn say_hook(report: &HookReport) -> Result<(), Failure> {
    for trial in &report.trials {
        let (hook, via) = (report.hook, trial.via);
        match &trial.refused {
            None => say(format_args!("{hook:<22} {via:<18} attaches"))?,
            Some(why) => say(format_args!(
                "{hook:<22} {via:<18} no: {why} ({})",
                trial.needs()
            ))?,
        }
    }
    Ok(())
}

/// Attaches for real, as `watch` would, and lets the self-test decide.
fn prove() -> Result<(), Failure> {
    let request = Request {
        ring_bytes: 1 << 16,
        ..Request::default()
    };
    let probe = match Probe::attach(&request, None, &[]) {
        Ok(probe) => probe,
        Err(error) => {
            say(format_args!(
                "no tier can watch decisions here; `whydrop watch --tier {}` still names the losing listener",
                Tier::Counters
            ))?;
            return Err(error.into());
        }
    };
    for absent in &probe.absent {
        say(absent)?;
    }
    match selftest::run(&probe)? {
        SelfTest::Passed { overflows } => say(format_args!(
            "self-test passed on tier {}: the kernel refused {overflows} connection, the hooks saw {overflows}",
            probe.tier()
        )),
        SelfTest::Skipped(why) => say(format_args!("self-test skipped: {why}")),
    }
}
