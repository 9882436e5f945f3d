//! Which of the listeners of a port an event is about. Does no I/O and reads no
//! clock.

use std::{borrow::Cow, net::SocketAddr};

use crate::model::socket::ListenerSnapshot;

/// The listener with this cookie; without a cookie, the only one bound to this address. Who `refused` has
/// `sk_drops` by now (include/net/tcp.h:tcp_listendrop, 5.10 to 7.2): one without took the place of a closed one.
pub(super) fn pick(
    found: &[ListenerSnapshot],
    cookie: u64,
    addr: SocketAddr,
    refused: bool,
) -> Result<ListenerSnapshot, Cow<'static, str>> {
    if cookie != 0 {
        return found
            .iter()
            .find(|listener| listener.cookie == cookie)
            .cloned()
            .ok_or_else(|| "the listener was closed before it could be asked for".into());
    }
    let mut same = found
        .iter()
        .filter(|listener| listener.addr == addr && !(refused && listener.drops == Some(0)));
    match (same.next(), same.next()) {
        (Some(listener), None) => Ok(listener.clone()),
        (None, _) => Err("the listener was closed before it could be asked for".into()),
        (Some(_), Some(_)) => Err(
            "several listeners share this address, and this kernel gave the event no socket cookie"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(cookie: u64, addr: &str) -> ListenerSnapshot {
        ListenerSnapshot {
            cookie,
            addr: addr.parse().expect("an address"),
            ..ListenerSnapshot::sample()
        }
    }

    fn check(cookie: u64, expect: Result<u64, &str>) {
        let group = [
            listener(5, "0.0.0.0:80"),
            listener(6, "0.0.0.0:80"),
            listener(7, "10.0.0.1:80"),
        ];
        let addr = if cookie == 100 {
            "10.0.0.1:80"
        } else {
            "0.0.0.0:80"
        };
        let cookie = if cookie == 100 { 0 } else { cookie };
        let got = pick(&group, cookie, addr.parse().expect("an address"), true);
        match (got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got.cookie, expect),
            (Err(got), Err(expect)) => assert!(got.contains(expect), "{got}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn the_cookie_finds_the_member_of_a_group() {
        check(6, Ok(6));
        check(9, Err("closed before"));
    }

    #[test]
    fn without_a_cookie_only_an_unmistakable_address_will_do() {
        check(100, Ok(7));
        check(0, Err("several listeners"));
    }

    #[test]
    fn a_listener_that_dropped_nothing_is_not_the_one_that_refused() {
        let successor = listener(5, "10.0.0.1:80");
        let addr = successor.addr;
        let picked = |drops, refused| {
            let found = ListenerSnapshot {
                drops: Some(drops),
                ..successor.clone()
            };
            pick(&[found], 0, addr, refused).is_ok()
        };
        assert!(!picked(0, true));
        assert!(picked(1, true));
        assert!(picked(0, false), "a cookie is sent without a drop");
    }
}
