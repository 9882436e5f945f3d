//! Those who accepted are gone, or have only just been started.

use std::time::Duration;

use super::{
    Judged,
    said::{OF_FDINFO, OF_HOOKS, OF_QUEUE, evidence, pinned_with_everybody, refused},
    who::{OF_SIGNALS, mostly},
};
use crate::model::{
    signals::{Member, Missing, Process, Signals, Thread},
    verdict::{Confidence, Evidence},
};

/// Connections that live are asked for once a second.
const LONG: Duration = Duration::from_millis(1500);

/// And until a child ends. Where children come and go and nobody is accepted, it is for them.
const OF_CHILDREN: [&str; 2] = ["wait4", "waitid"];

pub(super) fn acceptors(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    if worst.unsampled > 0 || worst.holders_cut {
        return Judged::Abstains;
    }
    let Some(missing) = &worst.missing else {
        return Judged::No("nobody who held the listener has left it".into());
    };
    let (Some(before), Some(since), Some(served)) = (
        missing.accepted_before,
        missing.accepted_since,
        worst.served,
    ) else {
        return Judged::Abstains;
    };
    if since > 0 || served > 0 {
        return Judged::No(format!(
            "{since} were accepted since others left it, and {served} connections that came from it live"
        ));
    }
    // One child that passes by may have had nothing to do with it.
    if before > 0 && !missing.may_have_accepted || before == 0 && !come_and_go(missing) {
        return Judged::No("whether those who left it accepted is not known".into());
    }
    let since = if before > 0 {
        missing.since
    } else {
        missing.since_first
    };
    if since < LONG {
        return Judged::No(format!(
            "whoever left it did so {} ms before the end",
            since.as_millis()
        ));
    }
    if missing.is_left_to_one_that_waited {
        return Judged::No("one that holds it has waited for it".into());
    }
    if let Err(no) = nobody_else_may(signals, missing) {
        return no;
    }
    Judged::Yes(Confidence::Likely, told(signals, missing, before))
}

/// Whether some left and others came, as workers do that end before they accept.
const fn come_and_go(missing: &Missing) -> bool {
    missing.in_all >= 2 && missing.came >= 2
}

/// Whether those who left may be the ones that accepted, where nobody has a connection that came from the listener: then who
/// stayed has not stopped anything.
pub(super) fn may_be_missing(worst: &Member) -> bool {
    let accepted = |missing: &Missing| missing.stayed_long && missing.accepted_before != Some(0);
    worst.served == Some(0) && worst.missing.as_ref().is_some_and(accepted)
}

/// Whether all who stay wait for other files, or for signals; who has come since then may be starting.
fn nobody_else_may(signals: &Signals, missing: &Missing) -> Result<(), Judged> {
    let is_new = |process: &Process| missing.newcomers.contains(&process.pid);
    let waits_in = |thread: &Thread, calls: &[&str]| {
        let place = thread.blocked_in.as_deref();
        place.is_some_and(|place| calls.iter().any(|call| place.starts_with(call)))
    };
    let loops = missing.accepted_before == Some(0) && come_and_go(missing);
    let is_idle = |thread: &Thread| {
        let sleeps = waits_in(thread, &OF_SIGNALS) || loops && waits_in(thread, &OF_CHILDREN);
        let asleep = if sleeps { thread.blocked } else { 0 };
        // Who polls a single socket waits for a peer, and may be who accepts.
        mostly(thread.elsewhere + asleep, thread) && (sleeps || !mostly(thread.stuck, thread))
    };
    let may_accept = |process: &Process, thread: &Thread| {
        thread.here > 0 || !is_new(process) && thread.looks >= 3 && !is_idle(thread)
    };
    match signals.threads().find(|(p, t)| may_accept(p, t)) {
        Some((process, thread)) => Err(Judged::No(format!(
            "thread {}[{}] of {}[{}] stayed, and may be the one that accepts",
            thread.comm, thread.tid, process.comm, process.pid
        ))),
        None => Ok(()),
    }
}

fn told(signals: &Signals, missing: &Missing, before: u64) -> Vec<Evidence> {
    let more = missing.in_all.saturating_sub(missing.gone.len());
    let more = match more {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let since = if before > 0 {
        missing.since
    } else {
        missing.since_first
    };
    let mut found = vec![
        refused(signals),
        evidence(
            format!(
                "{}{more} held the listener and {} no more, since {} ms before the end",
                missing.gone.join(", "),
                if missing.in_all == 1 { "does" } else { "do" },
                since.as_millis()
            ),
            "/proc/PID/fd",
        ),
        evidence(
            format!(
                "{before} were accepted until then, none since, and nobody holds a connection that came from it"
            ),
            OF_HOOKS,
        ),
    ];
    let new = |process: &&Process| missing.newcomers.contains(&process.pid);
    let new = signals.processes.iter().filter(new);
    found.extend(new.map(|process| {
        evidence(
            format!(
                "{}[{}] has come since and has accepted nothing yet",
                process.comm, process.pid
            ),
            OF_QUEUE,
        )
    }));
    if signals.processes.len() > missing.newcomers.len() {
        found.push(evidence(
            "those who stayed wait for other files, for signals or for their children, and never for the listener"
                .into(),
            OF_FDINFO,
        ));
    }
    found
}
