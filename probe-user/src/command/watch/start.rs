//! What a watch says of itself when it begins.

use std::path::Path;

use super::WatchArgs;
use crate::{
    command::{Failure, status},
    filter::Filter,
    host::{
        Host,
        clock::{self, mono_ns},
        netns,
        origin::{boot_id, host_name, kernel_release},
    },
    loader::{Probe, reads_every_netns},
    model::{Asked, SelfTest, Start, sandbox::Sandbox, tier::Tier},
    source::Confine,
};

/// `listeners`: how many were there; `observes`: whether queues and processes are looked at.
pub(super) fn start(
    args: &WatchArgs,
    probe: Option<&Probe>,
    self_test: SelfTest,
    filter: &Filter,
    (listeners, observes): (usize, bool),
    confine: Confine,
    host: &Host,
) -> Result<Start, Failure> {
    let sandbox = confined(args, probe, confine);
    Ok(Start {
        sandbox: sandbox.map_err(|why| Failure::new(status::KERNEL, why))?,
        tier: probe.map_or(Tier::Counters, Probe::tier),
        hooks: probe.map_or_else(Vec::new, |probe| probe.hooks.clone()),
        absent: probe.map_or_else(Vec::new, |probe| probe.absent.clone()),
        self_test,
        kernel: kernel_release(),
        filters: filter.in_words(),
        listeners,
        namespaces: host.namespaces().iter().count(),
        blind: probe.map_or_else(Vec::new, |probe| probe.blind.clone()),
        own_netns: filter.netns.or_else(|| netns::current().ok()).unwrap_or(0),
        mono_ns: mono_ns(),
        clock: clock::wall(),
        host: host_name(),
        boot_id: boot_id(),
        command: std::env::args().collect(),
        asked: Asked::from(&args.request),
        observes,
        counts_kernel: true,
        reads_all: args.netns != "all" || reads_every_netns(),
    })
}

/// What this process is left with from here on, if it is to give anything up.
fn confined(
    args: &WatchArgs,
    probe: Option<&Probe>,
    confine: Confine,
) -> Result<Option<Sandbox>, String> {
    let begun = match confine {
        Confine::No => return Ok(None),
        Confine::Starts => args.sandbox.go_without("a command is started"),
        Confine::Yes if args.on_incident.is_some() => {
            args.sandbox.go_without("--on-incident starts a command")
        }
        Confine::Yes => {
            let written: Vec<&Path> = [args.file(), args.record.path.as_deref()]
                .into_iter()
                .flatten()
                .collect();
            let has_kprobes = probe.is_some_and(Probe::has_kprobes);
            args.sandbox.begin(has_kprobes, &written)
        }
    };
    begun.map(Some)
}
