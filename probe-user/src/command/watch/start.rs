//! What a watch says of itself when it begins.

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
    model::{Asked, SelfTest, Start, sandbox::Confine, tier::Tier},
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
    let confine = confine.unless(args.on_incident.is_some());
    let has_kprobes = probe.is_some_and(Probe::has_kprobes);
    let written = [args.file(), args.record.path.as_deref()];
    let sandbox = args.sandbox.begin(confine, has_kprobes, &written);
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

pub(super) fn filter_of(args: &WatchArgs, host: &Host) -> Result<Filter, Failure> {
    Ok(Filter {
        only: args.only.clone(),
        listeners: args.listeners.clone(),
        netns: super::netns_of(&args.netns, host)?,
    })
}
