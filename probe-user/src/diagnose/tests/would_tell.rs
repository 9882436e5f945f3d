//! What `undetermined` says would tell: another thing for each signal that is missing.

use super::*;

/// What the advice on it has to hold, and what makes it so.
type Case = (&'static str, Signals, fn(&mut Signals));

fn cases() -> Vec<Case> {
    vec![
        ("2 of 3 processes that held", pinned(), |s| {
            s.members[0].owners = 3;
        }),
        ("which process holds the listener", pinned(), |s| {
            s.members[0].owners = 0;
            s.processes.clear();
        }),
        ("--stats 100ms", pinned(), |s| {
            s.members[0].accepted_while_full = None;
        }),
        ("no look found the listener", pinned(), |s| {
            s.members.clear();
        }),
        ("in 1 of 20 looks", burst(), |s| {
            s.members[0].drained_looks = 5;
        }),
        ("net.core.somaxconn", burst(), |s| {
            s.sysctls.somaxconn = None;
        }),
        ("/proc/7/task/7/syscall", pinned(), |s| {
            thread(s).cpu = None;
            thread(s).delayed = None;
        }),
        ("/proc/7/mem", pinned(), |s| {
            thread(s).waiting = 20;
            s.members[0].polled = Some(true);
        }),
        ("fewer than three times", pinned(), |s| thread(s).looks = 2),
        (
            "which thread accepts: server[7], which ran, or worker[8], which slept in futex",
            pinned(),
            |s| {
                s.processes[0].threads.push(Thread {
                    tid: 8,
                    comm: "worker".into(),
                    looks: 20,
                    blocked: 20,
                    blocked_in: Some("futex".into()),
                    ..Thread::default()
                });
            },
        ),
        (
            "whether server[20] accepts, or was forked for the connection that it holds, which it is no older than: `strace -f -e trace=accept,accept4 -p 7`",
            super::forked::forked(),
            |_| {},
        ),
        ("perf top -p 7", pinned(), |s| thread(s).cpu = Some(0.4)),
        ("`whydrop check` says which", pinned(), |s| {
            s.adds_up = false;
        }),
        ("these were 30 s", pinned(), |s| {
            s.causes.clear();
            s.causes.insert((Kind::ListenDrop, "not-unicast".into()), 3);
            s.watched = std::time::Duration::from_secs(30);
        }),
        ("ask `whydrop why` of this port", pinned(), |s| {
            s.causes.clear();
            s.causes.insert((Kind::Refused, "undetermined".into()), 3);
            s.is_unlooked = true;
        }),
    ]
}

#[test]
fn what_would_tell_goes_by_what_is_missing() {
    for (expected, mut signals, without) in cases() {
        without(&mut signals);
        let said = diagnose(&signals);
        let [verdict] = &said.verdicts[..] else {
            panic!("{expected}: {said:?}");
        };
        assert_eq!(verdict.id, UNDETERMINED, "{expected}");
        let advice = verdict.advice.join("\n");
        assert!(advice.contains(expected), "{expected}: {advice}");
    }
}
