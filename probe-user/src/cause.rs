//! Why the kernel did it, as far as the evidence of the event itself can tell:
//! evidence comes in, a cause goes out. Where two causes cannot be told apart
//! the others stand beside it; nothing is guessed. Does no I/O and reads no
//! clock. What nobody listening means is found out in [`crate::enrich`].
//!
//! docs/causes.md describes each; the names are stable.

mod known;

use std::borrow::Cow;

use probe_common::{counter, flag, hook, state};

pub use self::known::{every_known, every_known_drop, is_known};
use crate::model::{
    cause::{Cause, Reasons},
    evidence::Evidence,
    kind::{Kind, Stage},
};

/// The cause; `None` where the event's kind says all there is, or where only a
/// look at who listens can tell.
pub fn of(
    kind: Kind,
    stage: Option<Stage>,
    evidence: &Evidence,
    reasons: &Reasons,
) -> Option<Cause> {
    let certain = |id| Some(Cause::certain(id));
    match kind {
        Kind::Overflow => Some(Cause::certain(of_overflow(stage, evidence))),
        Kind::RequestDrop => certain("syn-queue-full"),
        Kind::NearLimit | Kind::Eased if evidence.has(flag::SYN_QUEUE) => certain("syn-queue"),
        Kind::NearLimit | Kind::Eased => certain("accept-queue"),
        Kind::CookieSent if evidence.has(flag::COOKIES_FORCED) => certain("cookies-forced"),
        Kind::CookieSent if evidence.has(flag::LATE) => {
            Some(Cause::among("syn-queue-full", &["cookies-forced"]))
        }
        Kind::CookieSent => certain("syn-queue-full"),
        Kind::ListenDrop => Some(of_listen_drop(stage, evidence)),
        Kind::FastOpenFull => certain("fast-open-queue-full"),
        Kind::DeferredAccept => certain("defer-accept"),
        Kind::PacketDrop => reasons.drop.get(&evidence.reason).map(|name| Cause {
            id: Cow::Owned(name.clone()),
            or: &[],
        }),
        Kind::ListenerClosed => Some(if evidence.has(flag::MIGRATES) {
            Cause::among("queued-connections-migrated", &["queued-connections-reset"])
        } else {
            Cause::certain("queued-connections-reset")
        }),
        // What was moved to another listener has left the table in the same way.
        Kind::RequestExpired if evidence.has(flag::LISTENER_GONE) => {
            Some(Cause::among("listener-closed", &["migrated"]))
        }
        Kind::RequestExpired => certain("no-ack"),
        Kind::ResetSent => of_reset_sent(evidence, reasons),
        Kind::ResetReceived => of_reset_received(evidence),
        Kind::Refused | Kind::SynackRetransmit | Kind::Retransmit | Kind::Connected => None,
    }
}

fn of_overflow(stage: Option<Stage>, evidence: &Evidence) -> &'static str {
    match stage {
        Some(Stage::Syn) if evidence.moved(counter::FASTOPEN_PASSIVE_FAIL) => {
            "fast-open-child-refused"
        }
        // net/ipv4/tcp_minisocks.c:tcp_check_req resets the request that it unlinks.
        Some(Stage::Ack) if evidence.moved(counter::EMBRYONIC_RSTS) => "abort-on-overflow",
        Some(Stage::Ack) if evidence.moved(counter::MIGRATE_REQ_FAILURE) => "migration-target-full",
        Some(Stage::CookieAck) => "ghost-connection",
        _ => "accept-queue-full",
    }
}

fn of_listen_drop(stage: Option<Stage>, evidence: &Evidence) -> Cause {
    match stage {
        // Another processor closes it: no request is made of a listener that nobody holds, and no child gets a port that was given
        // back (net/ipv4/inet_hashtables.c:__inet_inherit_port, 5.10 to 7.2).
        Some(Stage::Syn) if evidence.sock_state == state::CLOSE => Cause::among(
            "listener-closed",
            &["no-route", "security-module", "no-memory", "not-unicast"],
        ),
        Some(Stage::Ack | Stage::CookieAck) if evidence.sock_state == state::CLOSE => {
            Cause::among("listener-closed", &["no-memory", "no-route"])
        }
        Some(Stage::Syn) if evidence.has(flag::NEARLY_FULL) => Cause::among(
            "max-syn-backlog",
            &["no-route", "security-module", "no-memory"],
        ),
        Some(Stage::Syn) => Cause::among(
            "no-route",
            &["security-module", "no-memory", "not-unicast", "mptcp-join"],
        ),
        Some(Stage::Icmp) => Cause::certain("icmp-error"),
        // Neither its packet nor its listener is known, and what no hook covers is found so.
        _ if evidence.has(flag::LATE) => Cause::among(
            "icmp-error",
            &[
                "no-route",
                "security-module",
                "no-memory",
                "not-unicast",
                "max-syn-backlog",
            ],
        ),
        _ => Cause::among("no-memory", &["no-route"]),
    }
}

fn of_reset_sent(evidence: &Evidence, reasons: &Reasons) -> Option<Cause> {
    const ACTIVE: [&str; 3] = [
        "tcp-abort-on-close",
        "tcp-abort-on-linger",
        "tcp-disconnect-with-data",
    ];
    let is_answer = evidence.has(flag::ANSWER);
    match evidence.sock_state {
        // net/ipv4/tcp_minisocks.c:tcp_check_req: from 6.12 on the kernel calls it `invalid-syn`.
        state::LISTEN if evidence.has(flag::OVERFLOWN) => Some(Cause::certain("abort-on-overflow")),
        // net/mptcp/subflow.c:subflow_v4_route_req: the kernel says so from 6.12 on.
        state::LISTEN if evidence.has(flag::SYN) => Some(match reasons.of_reset(evidence) {
            Some(reason) if reason.starts_with("mptcp") => Cause::certain("mptcp-join"),
            Some(_) => Cause::certain("syn-in-window"),
            None => Cause::among("syn-in-window", &["mptcp-join"]),
        }),
        state::LISTEN => Some(Cause::among(
            "unknown-ack",
            &[
                "request-expired",
                "bad-ack",
                "invalid-cookie",
                "syn-in-window",
            ],
        )),
        0 => Some(Cause::certain("no-socket")),
        state::TIME_WAIT => Some(Cause::certain("time-wait")),
        // net/ipv4/inet_connection_sock.c:inet_child_forget closes a child before it resets it.
        state::CLOSE if evidence.has(flag::UNACCEPTED) && !is_answer => {
            Some(Cause::certain("listener-closed"))
        }
        _ if is_answer || evidence.has(flag::UNACCEPTED) => None,
        _ if reasons
            .of_reset(evidence)
            .is_some_and(|reason| ACTIVE.contains(&&*reason)) =>
        {
            Some(Cause::certain("application"))
        }
        _ => Some(Cause::among("application", &["timeout"])),
    }
}

fn of_reset_received(evidence: &Evidence) -> Option<Cause> {
    let certain = |id| Some(Cause::certain(id));
    match evidence.hook {
        hook::RECEIVE_RESET if evidence.sock_state == state::SYN_SENT => certain("refused-by-peer"),
        hook::RECEIVE_RESET if evidence.has(flag::UNACCEPTED) => certain("reset-by-client"),
        hook::RECEIVE_RESET => None,
        _ if evidence.has(flag::LATE) => Some(Cause::among("reset-by-client", &["syn-in-window"])),
        _ if evidence.has(flag::RST) => certain("reset-by-client"),
        _ => certain("syn-in-window"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn evidence(flags: u16, slots: &[usize]) -> Evidence {
        Evidence {
            hook: hook::CONN_REQUEST,
            flags,
            sock_state: state::LISTEN,
            reason: 0,
            moved: slots.iter().map(|slot| 1 << slot).sum(),
        }
    }

    fn check(kind: Kind, stage: Stage, evidence: Evidence, id: &str, or: usize) {
        let cause = of(kind, Some(stage), &evidence, &Reasons::default()).expect("a cause");
        assert_eq!((&*cause.id, cause.or.len()), (id, or));
    }

    #[test]
    fn overflows_are_told_apart_by_what_else_moved() {
        use counter::*;
        let cases: [(Stage, &[usize], &str); 6] = [
            (Stage::Syn, &[], "accept-queue-full"),
            (Stage::Ack, &[], "accept-queue-full"),
            (Stage::Ack, &[EMBRYONIC_RSTS], "abort-on-overflow"),
            (Stage::Ack, &[MIGRATE_REQ_FAILURE], "migration-target-full"),
            (
                Stage::Syn,
                &[FASTOPEN_PASSIVE_FAIL],
                "fast-open-child-refused",
            ),
            (Stage::CookieAck, &[], "ghost-connection"),
        ];
        for (stage, slots, id) in cases {
            check(Kind::Overflow, stage, evidence(0, slots), id, 0);
        }
    }

    #[test]
    fn the_sysctls_tell_forced_cookies_and_the_last_quarter() {
        let forced = evidence(flag::COOKIES_FORCED, &[]);
        check(Kind::CookieSent, Stage::Syn, forced, "cookies-forced", 0);
        check(
            Kind::CookieSent,
            Stage::Syn,
            evidence(0, &[]),
            "syn-queue-full",
            0,
        );
        let quarter = evidence(flag::NEARLY_FULL, &[]);
        check(Kind::ListenDrop, Stage::Syn, quarter, "max-syn-backlog", 3);
        check(
            Kind::ListenDrop,
            Stage::Syn,
            evidence(0, &[]),
            "no-route",
            4,
        );
    }

    #[test]
    fn a_listener_that_is_being_closed_is_named() {
        let closing = || Evidence {
            sock_state: state::CLOSE,
            ..evidence(0, &[])
        };
        let drop = Kind::ListenDrop;
        check(drop, Stage::Ack, closing(), "listener-closed", 2);
        check(drop, Stage::Syn, closing(), "listener-closed", 4);
    }

    #[test]
    fn what_cannot_be_told_apart_says_so() {
        check(
            Kind::ListenDrop,
            Stage::Ack,
            evidence(0, &[]),
            "no-memory",
            1,
        );
        check(
            Kind::ListenDrop,
            Stage::Icmp,
            evidence(0, &[]),
            "icmp-error",
            0,
        );
        let late = evidence(flag::LATE, &[]);
        check(Kind::CookieSent, Stage::Syn, late, "syn-queue-full", 1);
        let cause = of(Kind::ListenDrop, None, &late, &Reasons::default()).expect("a cause");
        assert_eq!((&*cause.id, cause.or.len()), ("icmp-error", 5));
    }

    fn reset(flags: u16, sock_state: u8, reason: u32) -> Option<(String, usize)> {
        let evidence = Evidence {
            hook: hook::SEND_RESET,
            flags,
            sock_state,
            reason,
            moved: 0,
        };
        let reasons = Reasons {
            reset: HashMap::from([
                (9, "tcp-abort-on-close".into()),
                (10, "mptcp-rst-emptcp".into()),
                (11, "invalid-syn".into()),
            ]),
            ..Reasons::default()
        };
        of(Kind::ResetSent, None, &evidence, &reasons).map(|c| (c.id.into_owned(), c.or.len()))
    }

    #[test]
    fn resets_are_told_apart_by_the_socket_that_sends_them() {
        let case = |id: &str, or| Some((id.to_owned(), or));
        let listen = state::LISTEN;
        assert_eq!(reset(flag::ANSWER, listen, 0), case("unknown-ack", 4));
        let of_syn = flag::ANSWER | flag::SYN;
        // Without a reason of the kernel's it may have been to join a connection.
        assert_eq!(reset(of_syn, listen, 0), case("syn-in-window", 1));
        assert_eq!(reset(of_syn, listen, 11), case("syn-in-window", 0));
        assert_eq!(reset(of_syn, listen, 10), case("mptcp-join", 0));
        assert_eq!(
            reset(flag::ANSWER | flag::OVERFLOWN, listen, 0),
            case("abort-on-overflow", 0)
        );
        assert_eq!(
            reset(flag::UNACCEPTED, state::CLOSE, 0),
            case("listener-closed", 0)
        );
        assert_eq!(reset(0, state::CLOSE, 0), case("application", 1));
        assert_eq!(reset(0, state::CLOSE, 9), case("application", 0));
        assert_eq!(reset(flag::ANSWER, state::ESTABLISHED, 0), None);
    }
}
