//! `whydrop check`: this kernel, its type information, the privileges, and for
//! each hook whether it can be had here, by trying.

use clap::Args;

use super::{Failure, kernel_release, status};
use crate::{
    btf::Btf,
    inspect::{cgroup, diag::Diag},
    loader::{HookReport, LoadError, Probe, Request, Tier, missing_capabilities},
    report::SelfTest,
    selftest,
};

#[derive(Args, Clone, Debug)]
pub struct CheckArgs {}

/// Prints the report; exit 0 when at least one tier can watch decisions.
pub fn run(_: &CheckArgs) -> Result<(), Failure> {
    println!("{:<22} Linux {}", "kernel", kernel_release());
    let btf = Btf::of_kernel();
    match &btf {
        Ok(_) => println!("{:<22} {}", "type information", crate::btf::VMLINUX),
        Err(error) => println!("{:<22} no: {error}", "type information"),
    }
    let missing = missing_capabilities();
    if missing.is_empty() {
        println!("{:<22} enough", "capabilities");
    } else {
        println!("{:<22} missing {}", "capabilities", missing.join(", "));
    }
    match Diag::open().and_then(|mut diag| diag.probe()) {
        Ok(()) => println!("{:<22} answers", "sock_diag"),
        Err(error) => println!("{:<22} no: {error}", "sock_diag"),
    }
    match cgroup::root_fd() {
        Ok(_) => println!("{:<22} can be attached to", "cgroup2 root"),
        Err(error) => println!("{:<22} no: {error}", "cgroup2 root"),
    }
    if !missing.is_empty() {
        return Err(LoadError::Privilege(missing).into());
    }
    btf.map_err(LoadError::from)?;
    println!();
    let reports = Probe::try_everything()?;
    for report in &reports {
        print_hook(report);
    }
    println!();
    prove()
}

/// How far back each way in was seen to work (docs/kernels.md).
fn since(via: &str) -> &'static str {
    match via {
        "fentry+fexit" => {
            "since 5.5 on x86_64, 6.0 on arm64; needs CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
        }
        "kprobe+kretprobe" => "every version; needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS",
        "tp_btf" => "since 5.5",
        "raw_tp" => "since 4.17",
        _ => "seen from 5.10 on; needs CONFIG_CGROUP_BPF",
    }
}

fn print_hook(report: &HookReport) {
    for trial in &report.trials {
        match &trial.refused {
            None => println!("{:<22} {:<18} attaches", report.hook, trial.via),
            Some(why) => println!(
                "{:<22} {:<18} no: {why} ({})",
                report.hook,
                trial.via,
                since(trial.via)
            ),
        }
    }
}

/// Attaches for real, as `watch` would, and lets the self-test decide.
fn prove() -> Result<(), Failure> {
    let request = Request {
        tier: None,
        all_events: false,
        ring_bytes: 1 << 16,
    };
    let probe = match Probe::attach(&request) {
        Ok(probe) => probe,
        Err(error) => {
            println!(
                "no tier can watch decisions here; `whydrop watch --tier {}` still names the losing listener",
                Tier::Counters
            );
            return Err(error.into());
        }
    };
    for absent in &probe.absent {
        println!("{absent}: what depends on it is left out");
    }
    match selftest::run(&probe) {
        Ok(SelfTest::Passed { overflows }) => {
            println!(
                "self-test passed on tier {}: the kernel refused {overflows} connection, the hooks saw {overflows}",
                probe.tier()
            );
            Ok(())
        }
        Ok(SelfTest::Skipped(why)) => {
            println!("self-test skipped: {why}");
            Ok(())
        }
        Err(message) => Err(Failure::new(status::KERNEL, message)),
    }
}
