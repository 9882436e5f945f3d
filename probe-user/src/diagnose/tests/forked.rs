//! Processes that were started for a connection each, and pools of processes that accept: both hold the listener and
//! connections of it, and sleep.

use super::acceptors::{epoll_elsewhere, idles, reads, reads_from_client, standing, with};
use super::*;
use crate::model::hold::Standing;

/// Its first process does this; two others hold a connection each, and do that.
fn family(parent: fn(&mut Thread), children: fn(&mut Thread), has_inherited: bool) -> Signals {
    let mut signals = with(standing(Standing::NoEpoll, true), parent);
    signals.members[0].served = Some(2);
    for pid in [20, 21] {
        let mut child = with(standing(Standing::NoEpoll, true), children)
            .processes
            .remove(0);
        (child.pid, child.is_child) = (pid, true);
        (child.has_inherited, child.has_accepted) = (has_inherited, !has_inherited);
        child.threads[0].tid = pid;
        signals.processes.push(child);
    }
    signals.members[0].owners = 3;
    signals
}

pub(super) fn forked() -> Signals {
    family(selects, idles, true)
}

/// One file that is no socket, as a pipe to a child.
fn selects(thread: &mut Thread) {
    (thread.waiting, thread.elsewhere) = (20, 20);
}

fn pauses(thread: &mut Thread) {
    thread.blocked = 20;
    thread.blocked_in = Some("rt_sigsuspend (sigsuspend)".into());
}

fn waits_for_a_child(thread: &mut Thread) {
    (thread.blocked, thread.stuck) = (20, 20);
    thread.blocked_in = Some("wait4 (do_wait)".into());
}

fn says(id: &str, signals: &Signals) -> String {
    let said = diagnose(signals);
    assert_eq!(found(signals), [id], "{:?}", said.ruled_out);
    format!("{:?}", said.verdicts[0].evidence)
}

#[test]
fn children_that_were_forked_for_a_connection_do_not_keep_others_from_accepting() {
    for children in [idles as fn(&mut Thread), reads, reads_from_client] {
        for parent in [selects as fn(&mut Thread), pauses, epoll_elsewhere] {
            says("undetermined", &family(parent, children, true));
        }
    }
}

#[test]
fn a_pool_whose_workers_are_stuck_does() {
    for workers in [idles as fn(&mut Thread), reads, reads_from_client] {
        for master in [selects as fn(&mut Thread), pauses] {
            let evidence = says("acceptor-blocked", &family(master, workers, false));
            assert!(!evidence.contains("started for"), "{evidence}");
        }
    }
    // One that has come later and holds what was queued before says nothing, beside one that has accepted.
    let mut pool = family(selects, reads_from_client, false);
    pool.processes[1].has_inherited = true;
    says("acceptor-blocked", &pool);
    // Nor does one whose client has left.
    pool.processes[1].has_inherited = false;
    says("acceptor-blocked", &pool);
}

#[test]
fn a_child_whose_client_has_left_is_as_its_sisters_are() {
    let mut family = family(selects, idles, true);
    family.processes[1].has_inherited = false;
    says("undetermined", &family);
    // Beside one that has accepted it may have as well.
    family.processes[2].has_inherited = false;
    family.processes[2].has_accepted = true;
    says("acceptor-blocked", &family);
}

#[test]
fn the_parent_that_waits_for_somebody_does() {
    for parent in [waits_for_a_child as fn(&mut Thread), reads, idles] {
        let evidence = says("acceptor-blocked", &family(parent, reads_from_client, true));
        assert!(evidence.contains("server[20] is no older"), "{evidence}");
        // Those who were forked are not who blocks.
        assert!(!evidence.contains("server[20] slept"), "{evidence}");
        assert!(!evidence.contains("10.0.0.9"), "{evidence}");
    }
}

#[test]
fn beside_a_parent_that_computes_a_child_on_its_client_is_not_who_accepts() {
    let computes = super::acceptors::computes;
    let mut one = family(computes, reads_from_client, true);
    one.processes.truncate(2);
    one.members[0].owners = 2;
    let so = found(&one);
    assert!(!so.contains(&"acceptor-blocked"), "{so:?}");
}
