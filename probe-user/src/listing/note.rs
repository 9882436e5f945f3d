//! What may go wrong at a listener, or already does.

use super::{Found, permille};
use crate::model::sysctls::ListenSysctls;

/// In the order of their risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Its accept queue is full.
    QueueFull,
    /// No process holds it.
    NoProcess,
    /// So many percent of its room are taken.
    QueueFilling(u8),
    /// It has refused so many since it was made (`sk_drops`).
    HasDropped(u32),
    /// Its limit is 0, which holds one connection.
    LimitZero,
    /// Its limit is small.
    LimitSmall(u32),
    /// To this.
    SomaxconnLowered(u32),
    /// It resets where it has no room (`tcp_abort_on_overflow`).
    AbortOnOverflow,
    /// Its namespace sends no SYN cookies.
    SyncookiesOff,
    /// No risk: whatever is wrong, it is wrong for this host only.
    LoopbackOnly,
}

/// From this share of its room on a queue is called filling.
const FILLING_PERCENT: u8 = 50;
/// Up to this a limit is called small: a burst of a browser's connections is enough.
const SMALL_LIMIT: u32 = 16;

/// All that hold, the worst first.
pub(super) fn of(found: &Found) -> Vec<Note> {
    let mut notes: Vec<Note> = of_queue(found)
        .into_iter()
        .chain(of_limit(found))
        .chain(of_sysctls(found.sysctls))
        .collect();
    if found.owner.is_empty() && found.sees_owners {
        notes.push(Note::NoProcess);
    }
    if let Some(drops) = found.snapshot.drops.filter(|drops| *drops > 0) {
        notes.push(Note::HasDropped(drops));
    }
    if found.snapshot.addr.ip().to_canonical().is_loopback() {
        notes.push(Note::LoopbackOnly);
    }
    notes.sort_by_key(|note| note.rank());
    notes
}

fn of_queue(found: &Found) -> Option<Note> {
    let percent = u8::try_from(permille(&found.snapshot) / 10).unwrap_or(u8::MAX);
    match percent {
        100.. => Some(Note::QueueFull),
        FILLING_PERCENT.. => Some(Note::QueueFilling(percent)),
        _ => None,
    }
}

fn of_limit(found: &Found) -> Option<Note> {
    let limit = found.snapshot.accept_queue_limit;
    match (limit, found.sysctls.somaxconn) {
        (0, _) => Some(Note::LimitZero),
        (1..=SMALL_LIMIT, _) => Some(Note::LimitSmall(limit)),
        (_, Some(now)) if limit > now => Some(Note::SomaxconnLowered(now)),
        _ => None,
    }
}

fn of_sysctls(sysctls: ListenSysctls) -> impl Iterator<Item = Note> {
    let aborts = sysctls.abort_on_overflow.is_some_and(|value| value != 0);
    let no_cookies = sysctls.syncookies == Some(0);
    let aborts = aborts.then_some(Note::AbortOnOverflow);
    aborts
        .into_iter()
        .chain(no_cookies.then_some(Note::SyncookiesOff))
}

impl Note {
    /// The rank of a listener without notes.
    pub const NOTHING: u8 = 9;

    /// The lower, the worse.
    pub const fn rank(self) -> u8 {
        match self {
            Self::QueueFull => 0,
            Self::NoProcess => 1,
            Self::QueueFilling(_) => 2,
            Self::HasDropped(_) => 3,
            Self::LimitZero => 4,
            Self::LimitSmall(_) => 5,
            Self::SomaxconnLowered(_) => 6,
            Self::AbortOnOverflow => 7,
            Self::SyncookiesOff => 8,
            // After those of which nothing is to be told.
            Self::LoopbackOnly => Self::NOTHING + 1,
        }
    }

    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::NoProcess => "no-process",
            Self::QueueFilling(_) => "queue-filling",
            Self::HasDropped(_) => "has-dropped",
            Self::LimitZero => "limit-zero",
            Self::LimitSmall(_) => "limit-small",
            Self::SomaxconnLowered(_) => "somaxconn-lowered",
            Self::AbortOnOverflow => "abort-on-overflow",
            Self::SyncookiesOff => "syncookies-off",
            Self::LoopbackOnly => "loopback-only",
        }
    }

    /// For people.
    pub fn in_words(self) -> String {
        match self {
            Self::QueueFull => "queue full".into(),
            Self::NoProcess => "no process holds it".into(),
            Self::QueueFilling(percent) => format!("queue {percent}% full"),
            Self::HasDropped(drops) => format!("has dropped {drops}"),
            Self::LimitZero => "limit 0".into(),
            Self::LimitSmall(limit) => format!("limit {limit} is small"),
            Self::SomaxconnLowered(now) => format!("somaxconn lowered to {now}"),
            Self::AbortOnOverflow => "abort-on-overflow on".into(),
            Self::SyncookiesOff => "syncookies off".into(),
            Self::LoopbackOnly => "loopback only".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::tests::found, *};

    fn check(found: &Found, expect: &[&str]) {
        let notes: Vec<String> = of(found).into_iter().map(Note::in_words).collect();
        assert_eq!(notes, expect);
    }

    #[test]
    fn a_queue_is_full_when_it_holds_more_than_its_limit() {
        let queue = |len, limit| found(1, "10.0.0.1:80", (len, limit));
        check(&queue(129, 128), &["queue full"]);
        check(&queue(500, 128), &["queue full"]);
        check(&queue(128, 128), &["queue 99% full"]);
        check(&queue(65, 128), &["queue 50% full"]);
        check(&queue(64, 128), &[]);
        check(&queue(1, 0), &["queue full", "limit 0"]);
        check(
            &queue(u32::MAX, u32::MAX),
            &["queue 99% full", "somaxconn lowered to 4096"],
        );
        check(&queue(u32::MAX, 0), &["queue full", "limit 0"]);
    }

    #[test]
    fn limits_and_sysctls_are_told_of() {
        check(&found(1, "10.0.0.1:80", (0, 16)), &["limit 16 is small"]);
        check(&found(1, "10.0.0.1:80", (0, 17)), &[]);
        check(
            &found(1, "10.0.0.1:80", (0, 4097)),
            &["somaxconn lowered to 4096"],
        );
        let mut one = found(1, "10.0.0.1:80", (0, 4097));
        one.sysctls = ListenSysctls::default();
        check(&one, &[]);
        one.sysctls.abort_on_overflow = Some(1);
        one.sysctls.syncookies = Some(0);
        check(&one, &["abort-on-overflow on", "syncookies off"]);
        one.sysctls.syncookies = Some(2);
        check(&one, &["abort-on-overflow on"]);
    }

    #[test]
    fn that_nobody_holds_it_is_said_only_by_who_would_see_it() {
        let mut one = found(1, "10.0.0.1:80", (0, 128));
        one.owner = Arc::from([]);
        check(&one, &["no process holds it"]);
        one.sees_owners = false;
        check(&one, &[]);
    }

    #[test]
    fn drops_and_loopback_are_told_of() {
        let mut one = found(1, "[::ffff:127.0.0.2]:80", (0, 128));
        one.snapshot.drops = Some(3);
        check(&one, &["has dropped 3", "loopback only"]);
        one.snapshot.drops = None;
        check(&one, &["loopback only"]);
        check(&found(1, "[::1]:80", (0, 128)), &["loopback only"]);
        check(&found(1, "[::]:80", (0, 128)), &[]);
    }
}
