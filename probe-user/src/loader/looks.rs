//! Looks into maps, and what they keep from happening. While one is under way
//! the kernel runs no kprobe program on that CPU
//! (kernel/bpf/syscall.c:bpf_disable_instrumentation,
//! kernel/trace/bpf_trace.c:trace_call_bpf, 5.10 to 7.2). Where a thread may be
//! preempted in its middle (7.2), that lasts until it runs again, which is a
//! whole time slice of somebody else. So no ordinary thread preempts it.

use crate::model::hook::HookReport;

/// How maps are looked into.
#[derive(Clone, Copy)]
pub(super) struct Looks {
    /// Whether there are kprobes to keep from running.
    pub(super) has_kprobes: bool,
}

impl Looks {
    pub(super) fn beside(hooks: &[HookReport]) -> Self {
        let is_kprobe = |hook: &HookReport| hook.via().is_some_and(|via| via.starts_with("kprobe"));
        Self {
            has_kprobes: hooks.iter().any(is_kprobe),
        }
    }

    /// A look lasts as long as what this returns. They may be nested.
    pub(super) fn begin(self) -> Option<Unpreempted> {
        self.has_kprobes.then(Unpreempted::begin).flatten()
    }
}

/// This thread runs before all ordinary ones (sched(7), SCHED_FIFO).
pub(super) struct Unpreempted {
    policy: libc::c_int,
}

const ORDINARY: [libc::c_int; 3] = [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE];

impl Unpreempted {
    /// `None` where it does so already, or may not.
    fn begin() -> Option<Self> {
        let policy = get();
        let is_ordinary = ORDINARY.contains(&(policy & !libc::SCHED_RESET_ON_FORK));
        (is_ordinary && set(libc::SCHED_FIFO | policy & libc::SCHED_RESET_ON_FORK, 1))
            .then_some(Self { policy })
    }
}

impl Drop for Unpreempted {
    fn drop(&mut self) {
        // Nobody needs a privilege to be ordinary again; the nice value has stayed.
        set(self.policy, 0);
    }
}

/// Of this thread. The functions of that name are about a process, and some C libraries have them fail.
fn get() -> libc::c_int {
    // SAFETY: no pointer is passed.
    unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) as libc::c_int }
}

fn set(policy: libc::c_int, priority: libc::c_int) -> bool {
    // SAFETY: the kernel reads one `struct sched_param`, which is one number.
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_ordinary_again() {
        let before = get();
        let looks = Looks { has_kprobes: true };
        {
            let outer = looks.begin();
            // Whoever may not goes without.
            let expected = if outer.is_some() {
                libc::SCHED_FIFO
            } else {
                before
            };
            assert_eq!(get(), expected);
            drop(looks.begin());
            assert_eq!(get(), expected, "an inner look ends nothing");
        }
        assert_eq!(get(), before);
        assert!(Looks { has_kprobes: false }.begin().is_none());
    }
}
