//! The listener of an event, as `sock_diag` has it: the event and what its
//! record says of the listener come in, a snapshot or the reason why there is
//! none goes out. An answer serves the events before it for a moment.

use std::{borrow::Cow, net::SocketAddr, time::Instant};

use super::{
    Enricher,
    dumps::{Dump, Family, Key, SHARED_FOR},
    pick::pick,
};
use crate::{
    host::clock::mono_ns,
    model::{
        event::{Event, ListenerAt},
        observation::Snapshot,
        socket::ListenerSnapshot,
    },
};

impl Enricher {
    /// The listener by cookie: by itself where an exact lookup comes upon it, else out of a LISTEN dump of its port.
    pub(super) fn listener(
        &mut self,
        event: &mut Event,
        at: ListenerAt,
    ) -> (Result<Snapshot, Cow<'static, str>>, bool) {
        if event.cookie == 0
            && let Some(cookie) = self.cookies.get(&event.sock)
        {
            event.cookie = *cookie;
        }
        let key = Key::bound(event.netns, at.addr);
        // Without a cookie the only one at its address is meant.
        let dump = self.dumps.get(key).filter(|dump| {
            dump.serves(event.mono_ns, self.now) && (event.cookie != 0 || dump.is_whole)
        });
        let shared = dump.is_some();
        let mut found = if let Some(dump) = dump {
            look_in(dump, event, at)
        } else {
            if !self.ask(key, event.cookie, at.addr) {
                self.dump(key);
            }
            self.look(key, event, at)
        };
        // A listener may be younger than a dump that was made for another one.
        if shared && found.is_err() {
            self.dump(key);
            found = self.look(key, event, at);
        }
        if let Ok(snapshot) = &found
            && event.cookie == 0
        {
            self.cookies.insert(event.sock, snapshot.cookie);
            event.cookie = snapshot.cookie;
        }
        (found.map(Snapshot::Listener), shared)
    }

    /// Asks for one listener; whether it was found.
    fn ask(&mut self, key: Key, cookie: u64, at: SocketAddr) -> bool {
        if cookie == 0 {
            return false;
        }
        let (taken, taken_ns) = (Instant::now(), mono_ns());
        let found = self.diag(key.netns).map(|diag| diag.listener(at, cookie));
        let Ok(Ok(Some(found))) = found else {
            return false;
        };
        self.now = taken;
        let dump = Dump {
            fresh_until: taken + SHARED_FOR,
            taken_ns,
            is_whole: false,
            found: Ok(vec![found]),
        };
        self.dumps.put(key, dump);
        true
    }

    /// Asks for every listener of a port.
    fn dump(&mut self, key: Key) {
        let (taken, taken_ns) = (Instant::now(), mono_ns());
        self.now = taken;
        let Key { netns, port, .. } = key;
        let found = self.diag(netns).and_then(|diag| {
            let found = match key.family {
                Family::V4 => diag.listeners_of(false, port),
                Family::V6 => diag.listeners_of(true, port),
                Family::Both => diag.listeners(Some(port)),
            };
            found.map_err(|error| error.to_string())
        });
        let dump = Dump {
            fresh_until: taken + SHARED_FOR,
            taken_ns,
            is_whole: true,
            found,
        };
        self.dumps.put(key, dump);
    }

    /// The listeners of a port, looked up after `event_ns`.
    pub(super) fn on_port(
        &mut self,
        netns: u32,
        port: u16,
        event_ns: u64,
    ) -> Result<&[ListenerSnapshot], String> {
        let key = Key::port(netns, port);
        let known = self.dumps.get(key);
        if known.is_none_or(|dump| dump.taken_ns < event_ns) {
            self.dump(key);
        }
        match self.dumps.get(key).map(|dump| &dump.found) {
            Some(Ok(found)) => Ok(found),
            Some(Err(why)) => Err(why.clone()),
            None => Err("no dump of the listeners".into()),
        }
    }

    fn look(
        &self,
        key: Key,
        event: &Event,
        at: ListenerAt,
    ) -> Result<ListenerSnapshot, Cow<'static, str>> {
        match self.dumps.get(key) {
            Some(dump) => look_in(dump, event, at),
            None => Err("no dump of the listeners".into()),
        }
    }
}

fn look_in(
    dump: &Dump,
    event: &Event,
    at: ListenerAt,
) -> Result<ListenerSnapshot, Cow<'static, str>> {
    match &dump.found {
        Ok(found) => pick(found, event.cookie, at.addr, event.kind.is_refusal()),
        Err(why) => Err(why.clone().into()),
    }
}

#[cfg(any(test, feature = "benchmark"))]
impl Enricher {
    /// Door of benches: what `sock_diag` would say of this listener, for an hour.
    pub fn fix(&mut self, netns: u32, listener: ListenerSnapshot) {
        let key = Key::bound(netns, listener.addr);
        let dump = Dump {
            fresh_until: Instant::now() + std::time::Duration::from_hours(1),
            taken_ns: u64::MAX,
            is_whole: true,
            found: Ok(vec![listener]),
        };
        self.dumps.put(key, dump);
    }
}
