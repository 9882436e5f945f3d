//! Why nobody listened: who listens goes in, a cause with the listeners that
//! come near goes out. Does no I/O and reads no clock.

use std::{net::SocketAddr, sync::Arc};

use crate::model::{
    cause::Cause,
    refusal::{Closed, Elsewhere, Refusal},
    socket::{ListenerSnapshot, is_bound_for},
};

impl Elsewhere {
    fn of(netns: u32, listener: &ListenerSnapshot) -> Self {
        Self {
            netns,
            netns_name: None,
            addr: listener.addr,
            cookie: listener.cookie,
            inode: listener.inode,
            owner: Arc::from([]),
        }
    }
}

/// Where a listener of the packet's own namespace can be instead.
const BESIDE: [&str; 2] = ["listener-on-other-address", "listener-on-other-device"];

/// Where one of another namespace is.
const ELSEWHERE: &str = "listener-in-other-namespace";

/// So many are named; a port may have a listener in each of a thousand namespaces.
const NAMED_AT_MOST: usize = 8;

impl Refusal {
    fn because(cause: Cause, elsewhere: Vec<Elsewhere>) -> Self {
        Self {
            cause: Some(cause),
            elsewhere,
            closed: None,
        }
    }

    /// The listener was closed before.
    pub fn closed(closed: Closed) -> Self {
        Self {
            closed: Some(closed),
            ..Self::because(Cause::certain("listener-closed"), Vec::new())
        }
    }

    /// A listener of that port was closed, but none that is known would have taken it.
    pub fn unknown_close() -> Self {
        let cause = Cause::among("listener-closed", &["no-socket"]);
        Self::because(cause, Vec::new())
    }

    /// Nobody is known to listen on that port. Whether this was looked up
    /// after the event, in its namespace and in the others, decides what it may be instead.
    pub fn nowhere(knows_here: bool, knows_others: bool) -> Self {
        let or: &[&str] = match (knows_here, knows_others) {
            (true, true) => &[],
            (true, false) => &[ELSEWHERE],
            (false, true) => &BESIDE,
            (false, false) => &[BESIDE[0], BESIDE[1], ELSEWHERE],
        };
        Self::because(Cause::among("no-listener", or), Vec::new())
    }
}

/// The answer of the packet's own namespace; `None` when nobody has that port there.
pub(super) fn among(here: &[ListenerSnapshot], local: SocketAddr, netns: u32) -> Option<Refusal> {
    let same_port: Vec<&ListenerSnapshot> = here
        .iter()
        .filter(|listener| listener.addr.port() == local.port())
        .collect();
    if same_port.is_empty() {
        return None;
    }
    let named = |wanted: &dyn Fn(&ListenerSnapshot) -> bool| -> Vec<Elsewhere> {
        let fitting = same_port.iter().filter(|listener| wanted(listener));
        fitting
            .take(NAMED_AT_MOST)
            .map(|listener| Elsewhere::of(netns, listener))
            .collect()
    };
    // It is there now, and was not when the kernel looked.
    let since = named(&|listener| listener.takes(local));
    if !since.is_empty() {
        let cause = Cause::among("not-yet-listening", &["sk-lookup-program"]);
        return Some(Refusal::because(cause, since));
    }
    let on_device = named(&|l| l.ifindex != 0 && is_bound_for(l.addr, local));
    if !on_device.is_empty() {
        let cause = Cause::certain("listener-on-other-device");
        return Some(Refusal::because(cause, on_device));
    }
    let cause = Cause::certain("listener-on-other-address");
    Some(Refusal::because(cause, named(&|_| true)))
}

/// The answer of all other namespaces; `None` when nobody has that port there.
/// `knows_here`: the packet's own was looked up after the event.
pub(super) fn in_other_namespaces<'a>(
    others: impl Iterator<Item = (u32, &'a [ListenerSnapshot])>,
    port: u16,
    knows_here: bool,
) -> Option<Refusal> {
    let found: Vec<Elsewhere> = others
        .flat_map(|(netns, listeners)| listeners.iter().map(move |l| (netns, l)))
        .filter(|(_, listener)| listener.addr.port() == port)
        .take(NAMED_AT_MOST)
        .map(|(netns, listener)| Elsewhere::of(netns, listener))
        .collect();
    let or: &[&str] = if knows_here { &[] } else { &BESIDE };
    let cause = Cause::among(ELSEWHERE, or);
    (!found.is_empty()).then(|| Refusal::because(cause, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(addr: &str) -> ListenerSnapshot {
        ListenerSnapshot {
            cookie: 1,
            addr: addr.parse().expect("an address"),
            ..ListenerSnapshot::sample()
        }
    }

    fn check(listener: ListenerSnapshot, local: &str, id: Option<&str>) {
        let local = local.parse().expect("an address");
        let got = among(&[listener], local, 1).and_then(|refusal| refusal.cause);
        assert_eq!(got.as_ref().map(|cause| &*cause.id), id, "{local}");
    }

    #[test]
    fn a_listener_that_comes_near_is_named_as_what_it_is() {
        check(listener("127.0.0.1:80"), "10.0.0.1:81", None);
        let other = Some("listener-on-other-address");
        check(listener("127.0.0.1:80"), "10.0.0.1:80", other);
        check(listener("0.0.0.0:80"), "[fd00::1]:80", other);
        let only_ipv6 = ListenerSnapshot {
            v6only: Some(true),
            ..listener("[::]:80")
        };
        check(only_ipv6, "10.0.0.1:80", other);
        let on_device = ListenerSnapshot {
            ifindex: 3,
            ..listener("0.0.0.0:80")
        };
        check(on_device, "10.0.0.1:80", Some("listener-on-other-device"));
        check(
            listener("[::]:80"),
            "10.0.0.1:80",
            Some("not-yet-listening"),
        );
    }

    fn check_nowhere(knows_here: bool, knows_others: bool, or: &[&str]) {
        let cause = Refusal::nowhere(knows_here, knows_others).cause;
        let cause = cause.expect("a cause");
        assert_eq!(&*cause.id, "no-listener");
        assert_eq!(cause.or, or);
    }

    #[test]
    fn what_was_not_looked_up_in_time_is_not_ruled_out() {
        let [address, device] = BESIDE;
        check_nowhere(true, true, &[]);
        check_nowhere(true, false, &[ELSEWHERE]);
        check_nowhere(false, true, &[address, device]);
        check_nowhere(false, false, &[address, device, ELSEWHERE]);
    }

    #[test]
    fn other_namespaces_are_named() {
        let others = [(7, vec![listener("0.0.0.0:80")])];
        let find =
            |port| in_other_namespaces(others.iter().map(|(n, l)| (*n, l.as_slice())), port, true);
        let refusal = find(80).expect("one");
        assert_eq!(refusal.elsewhere[0].netns, 7);
        assert!(find(81).is_none());
    }
}
