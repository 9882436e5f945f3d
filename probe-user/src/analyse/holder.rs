//! What looks at a process that holds a listener say of it, as rules judge by it.

use super::{
    looks::{ProcessLooks, Queue},
    who,
};
use crate::model::signals::{Cgroup, Process, Thread};

pub(super) fn of_process(pid: u32, looks: &ProcessLooks, queue: Option<&Queue>) -> Process {
    let cgroup = looks.cgroup.as_ref().map(|cgroup| {
        let share = |micros: u64| {
            let time = cgroup.time().as_secs_f64();
            (time > 0.1).then(|| micros as f64 / 1e6 / time)
        };
        let throttled = cgroup
            .grown(|stall| Some(stall.throttled?.0))
            .and_then(share)
            .zip(cgroup.grown(|stall| Some(stall.throttled?.1)));
        Cgroup {
            path: cgroup.path.clone(),
            throttled,
            looks: cgroup.looks,
            frozen: cgroup.frozen,
            memory_stalled: cgroup
                .grown(|stall| stall.memory_stalled_us)
                .and_then(share),
            memory_high: cgroup.grown(|stall| stall.memory_high),
        }
    });
    Process {
        pid,
        comm: looks.comm.clone(),
        is_whole: !looks.has_more,
        has_accepted: queue.is_some_and(|queue| queue.has_accepted(pid)),
        has_inherited: queue.is_some_and(|queue| queue.has_inherited(pid)),
        is_child: queue.is_some_and(|queue| queue.holders_seen.is_child(pid)),
        threads: looks
            .threads
            .iter()
            .map(|(tid, thread)| Thread {
                awaits: looks.awaits(thread),
                ..who::of_thread(*tid, thread, pid, queue)
            })
            .collect(),
        fds: looks.fds,
        cgroup,
    }
}
