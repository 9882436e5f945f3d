//! The turn of a VM that asks whydrop for answers: `why`, `run`, `verify` and who an event is about, on the trampolines.
//!
//! Each starts whydrop anew, for which an emulated processor takes some ten seconds: these are one of each kind, and all others
//! run where the build runs. Those of `run` whose command is a line of a shell are not among them, since a VM has none; nor those
//! in which a queue has to be full for some tenths of a second and no longer, which an emulated processor does not keep to.

/// The name that xtask gives to this turn, among those of tiers.
pub(crate) const TURN: &str = "answers";

/// What it runs on.
pub(crate) const TIER: &str = "trampoline";

/// By their whole names.
pub(crate) const SCENARIOS: [&str; 20] = [
    "identity::cgroups::container_of_docker",
    "identity::each_member_of_a_reuseport_group",
    "identity::owners::workers_of_a_forking_server",
    "identity::two_namespaces_with_the_same_port",
    "run::command_that_cannot_be_started",
    "run::nothing_stays_attached",
    "run::nobody::other_listeners_are_not_judged",
    "run::overflow_during_the_command",
    "verify::every_member_of_a_group_is_judged",
    "verify::overflow_does_not_hold",
    "verify::sound_listener_holds",
    "why::acceptor::acceptor_that_is_stopped",
    "why::acceptor::acceptor_that_sleeps_elsewhere",
    "why::acceptor::acceptor_that_waits_for_something_else",
    "why::client::one_of_many_that_are_refused",
    "why::group::member_that_nobody_serves",
    "why::path::firewall_that_drops",
    "why::place::listener_that_comes_and_goes",
    "why::sound::sound_server",
    "why::syn::syns_that_nobody_completes",
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A name that no scenario has is run by nobody, and libtest does not mind.
    #[test]
    fn each_is_a_scenario() {
        let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        for name in SCENARIOS {
            let (room, function) = name.rsplit_once("::").expect("a room");
            let file = scenarios.join(room.replace("::", "/"));
            let text = fs::read_to_string(file.with_extension("rs"))
                .or_else(|_| fs::read_to_string(file.join("mod.rs")))
                .expect("the file of a room");
            let is_there = text.contains(&format!("#[test]\nfn {function}()"));
            assert!(is_there, "{name}");
        }
    }

    /// Of each room that VMs leave out otherwise.
    #[test]
    fn each_room_has_its_turn() {
        for room in ["identity::", "run::", "verify::", "why::"] {
            assert!(crate::LEFT_OUT.contains(&room), "{room}");
            assert!(
                SCENARIOS.iter().any(|name| name.starts_with(room)),
                "{room}"
            );
        }
    }
}
