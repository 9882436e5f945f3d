//! Why the kernel did it, as far as the event itself can tell: an event comes
//! in, a cause goes out. Where two causes cannot be told apart the others
//! stand beside it; nothing is guessed. Does no I/O and reads no clock.
//!
//! docs/causes.md describes each; the names are stable.

use probe_common::counter;

use crate::decode::{Event, Kind, ListenerAt, Stage};

/// A cause, and what else it may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    pub id: &'static str,
    /// The causes that this event cannot be told apart from; empty when it is certain.
    pub or: &'static [&'static str],
}

const fn certain(id: &'static str) -> Option<Cause> {
    Some(Cause { id, or: &[] })
}

/// The cause of a refusal or of a SYN cookie; `None` for retransmits and resets.
pub fn of(event: &Event) -> Option<Cause> {
    let moved = |slot: usize| event.moved[slot] > 0;
    match (event.kind, event.stage) {
        (Kind::Overflow, Some(Stage::Syn)) if moved(counter::FASTOPEN_PASSIVE_FAIL) => {
            certain("fast-open-child-refused")
        }
        // net/ipv4/tcp_minisocks.c:tcp_check_req resets the request that it unlinks.
        (Kind::Overflow, Some(Stage::Ack)) if moved(counter::EMBRYONIC_RSTS) => {
            certain("abort-on-overflow")
        }
        (Kind::Overflow, Some(Stage::Ack)) if moved(counter::MIGRATE_REQ_FAILURE) => {
            certain("migration-target-full")
        }
        (Kind::Overflow, Some(Stage::CookieAck)) => certain("ghost-connection"),
        (Kind::Overflow, _) => certain("accept-queue-full"),
        (Kind::RequestDrop, _) => certain("syn-queue-full"),
        (Kind::CookieSent, _) => match event.listener {
            Some(listener) if listener.syncookies == 2 => certain("cookies-forced"),
            Some(_) => certain("syn-queue-full"),
            None => Some(Cause {
                id: "syn-queue-full",
                or: &["cookies-forced"],
            }),
        },
        (Kind::ListenDrop, Some(Stage::Syn)) if event.listener.is_some_and(is_nearly_full) => {
            Some(Cause {
                id: "max-syn-backlog",
                or: &["no-route", "security-module", "no-memory"],
            })
        }
        (Kind::ListenDrop, Some(Stage::Syn)) => Some(Cause {
            id: "no-route",
            or: &["security-module", "no-memory", "not-unicast"],
        }),
        (Kind::ListenDrop, Some(Stage::Icmp)) => certain("icmp-error"),
        (Kind::ListenDrop, _) => Some(Cause {
            id: "no-memory",
            or: &["no-route"],
        }),
        (Kind::SynackRetransmit | Kind::Retransmit | Kind::ResetSent | Kind::ResetReceived, _) => {
            None
        }
    }
}

/// Whether less than a quarter of `tcp_max_syn_backlog` is left while cookies
/// are off (net/ipv4/tcp_input.c:tcp_conn_request, 5.10 to 7.2).
fn is_nearly_full(listener: ListenerAt) -> bool {
    let left = i64::from(listener.max_syn_backlog) - i64::from(listener.syn_queue_len);
    listener.syncookies == 0 && left < i64::from(listener.max_syn_backlog >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, stage: Stage, slots: &[usize]) -> Event {
        let mut moved = [0; counter::SLOTS];
        for slot in slots {
            moved[*slot] = 1;
        }
        Event {
            mono_ns: 0,
            kind,
            stage: Some(stage),
            client: None,
            local: None,
            remote: None,
            netns: 1,
            cpu: 0,
            listener: Some(ListenerAt {
                cookie: 1,
                addr: ([0, 0, 0, 0], 80).into(),
                accept_queue_len: 0,
                accept_queue_limit: 0,
                syn_queue_len: 100,
                syncookies: 1,
                max_syn_backlog: 128,
            }),
            sock: 0,
            cookie: 0,
            sock_state: 10,
            retransmits: 0,
            reset_reason: 0,
            moved,
            late: false,
            raw_flags: 0,
            hook: 1,
            seq: 0,
            ack_seq: 0,
        }
    }

    fn check(kind: Kind, stage: Stage, slots: &[usize], id: &str, or: usize) {
        let cause = of(&event(kind, stage, slots)).expect("a cause");
        assert_eq!((cause.id, cause.or.len()), (id, or));
    }

    #[test]
    fn overflows_are_told_apart_by_what_else_moved() {
        use counter::*;
        check(Kind::Overflow, Stage::Syn, &[], "accept-queue-full", 0);
        check(Kind::Overflow, Stage::Ack, &[], "accept-queue-full", 0);
        check(
            Kind::Overflow,
            Stage::Ack,
            &[EMBRYONIC_RSTS],
            "abort-on-overflow",
            0,
        );
        check(
            Kind::Overflow,
            Stage::Ack,
            &[MIGRATE_REQ_FAILURE],
            "migration-target-full",
            0,
        );
        check(
            Kind::Overflow,
            Stage::Syn,
            &[FASTOPEN_PASSIVE_FAIL],
            "fast-open-child-refused",
            0,
        );
        check(Kind::Overflow, Stage::CookieAck, &[], "ghost-connection", 0);
    }

    #[test]
    fn the_sysctls_tell_forced_cookies_and_the_last_quarter() {
        let mut forced = event(Kind::CookieSent, Stage::Syn, &[]);
        assert_eq!(of(&forced).map(|c| c.id), Some("syn-queue-full"));
        forced.listener = forced.listener.map(|l| ListenerAt { syncookies: 2, ..l });
        assert_eq!(of(&forced).map(|c| c.id), Some("cookies-forced"));

        let mut quarter = event(Kind::ListenDrop, Stage::Syn, &[]);
        assert_eq!(of(&quarter).map(|c| c.id), Some("no-route"));
        quarter.listener = quarter.listener.map(|l| ListenerAt { syncookies: 0, ..l });
        assert_eq!(of(&quarter).map(|c| c.id), Some("max-syn-backlog"));
    }

    #[test]
    fn what_cannot_be_told_apart_says_so() {
        check(Kind::ListenDrop, Stage::Ack, &[], "no-memory", 1);
        check(Kind::ListenDrop, Stage::Icmp, &[], "icmp-error", 0);
    }
}
