//! Adds what user space knows to an event: an [`Event`] comes in, an
//! [`Observation`] with its cause, the `sock_diag` snapshot of the same socket,
//! its owner and its cgroup goes out. Best effort: what cannot be had is `None`
//! with the reason, never a missing event.

mod dumps;
mod history;
mod identity;
mod listener;
mod listening;
mod pick;
mod refusal;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::HashMap;
use probe_common::{flag, state};

pub use self::history::History;
use self::{dumps::Dumps, identity::Holders, listening::Listening};
use crate::{
    cause,
    host::{
        Host,
        clock::mono_ns,
        diag::{Diag, DiagError},
        route,
    },
    model::{
        cause::Reasons,
        event::Event,
        kind::Kind,
        observation::{Observation, Snapshot},
        owner::Owner,
        refusal::Refusal,
    },
};

/// So many addresses are remembered in a second at most.
const OWN_AT_MOST: usize = 4096;

/// A watch does not begin later than that for thousands of namespaces: those that are left are asked when something happens there.
const PRIME_AT_MOST: Duration = Duration::from_secs(1);

/// What a first look at all listeners has found.
#[derive(Debug)]
pub struct Primed {
    /// How many listeners there are.
    pub listeners: usize,
    /// Namespaces that are there and whose listeners could not be listed.
    pub unlisted: BTreeMap<u32, DiagError>,
}

impl Primed {
    /// Whether no namespace of this host answers.
    pub fn no_module(&self) -> Option<&DiagError> {
        let mut errors = self.unlisted.values();
        errors.find(|error| matches!(error, DiagError::NoModule))
    }
}

/// Says what is missing, where something is.
impl fmt::Display for Primed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((netns, error)) = self.unlisted.first_key_value() else {
            return Ok(());
        };
        write!(
            f,
            "the listeners of netns {netns} could not be listed ({error})"
        )?;
        match self.unlisted.len() - 1 {
            0 => Ok(()),
            others => write!(f, ", nor those of {others} others"),
        }
    }
}

/// Who answers the questions.
pub struct Enricher {
    /// What is asked of this machine.
    pub host: Host,
    dumps: Dumps,
    /// Cookies of listeners that the kernel side knew by their address only.
    cookies: HashMap<u64, u64>,
    /// Listeners that are no more.
    history: History,
    /// Who listens where.
    listening: Listening,
    /// Whether an address is its namespace's own; asked anew every second.
    own: HashMap<(u32, IpAddr), bool>,
    /// The kernel's own names of its reasons.
    reasons: Reasons,
    /// Of the sockets of one batch; empty between two.
    holders: Holders,
    /// When the batch began, or its last look that was not shared: the clock is not read for each event.
    now: Instant,
    nobody: Arc<[Owner]>,
}

impl Enricher {
    /// Of this machine, of which nothing is known yet.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            dumps: Dumps::default(),
            cookies: HashMap::default(),
            history: History::default(),
            listening: Listening::new(),
            own: HashMap::default(),
            reasons: Reasons::default(),
            holders: Holders::default(),
            now: Instant::now(),
            nobody: Arc::from([]),
        }
    }

    /// To be given before the first event: the running kernel's names.
    pub fn name_reasons(&mut self, reasons: Reasons) {
        self.reasons = reasons;
    }

    /// The running kernel's names of its reasons.
    pub const fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// Lists every listener of every namespace once: gives each a cookie, and learns its owner. Namespaces that only an open
    /// file or a thread leads to are known afterwards: one that turns up later was made since.
    pub fn prime(&mut self) -> Primed {
        let mut inodes = std::collections::HashSet::new();
        let mut found_listeners = Vec::new();
        let mut unlisted = BTreeMap::new();
        let mut namespaces: Vec<u32> = self.host.namespaces().iter().collect();
        // The host's own is the first that was made.
        namespaces.sort_unstable();
        let latest = Instant::now() + PRIME_AT_MOST;
        for netns in namespaces {
            let listed = if Instant::now() > latest {
                Err(DiagError::NoTime(PRIME_AT_MOST))
            } else {
                self.host.all_listeners(netns)
            };
            match listed {
                Ok(listeners) => {
                    inodes.extend(listeners.iter().map(|l| l.inode));
                    found_listeners.extend(listeners.iter().map(|l| (l.cookie, l.inode)));
                }
                // A namespace may end meanwhile.
                Err(error) if error.is_gone() => {}
                Err(error) => {
                    unlisted.insert(netns, error);
                }
            }
        }
        self.host.search(&inodes);
        for (cookie, inode) in found_listeners {
            self.history.meet(cookie, &self.host.known_owner(inode));
        }
        Primed {
            listeners: inodes.len(),
            unlisted,
        }
    }

    /// To be called every second or so.
    pub fn tick(&mut self, now: Instant) {
        self.host.tick(now);
        self.dumps.forget(now);
        // Kernel addresses are used again; a wrong cookie would be worse than none.
        self.cookies.clear();
        self.own.clear();
        self.history.forget(mono_ns());
    }

    /// To be told of every listener that was closed, shown or not, in the ring's order.
    pub fn closed(&mut self, event: &Event) {
        self.history.close(event);
    }

    /// An event of which nothing else is known yet.
    pub fn begin(&self, event: Event) -> Observation {
        Observation {
            event,
            cause: None,
            reset_reason: None,
            refusal: Refusal::default(),
            snapshot: Err(Cow::Borrowed("it was not asked for")),
            shared: false,
            owner: Arc::clone(&self.nobody),
            cgroup: None,
            netns_name: None,
        }
    }

    /// Adds what is known to the events of one batch, whose sockets' owners are looked for together. What turns out to
    /// be no matter of a listener of this host is left out.
    pub fn observe(&mut self, batch: &mut Vec<Observation>) {
        self.now = Instant::now();
        batch.retain_mut(|seen| self.look_up(seen));
        let mut inodes: Vec<u32> = Vec::new();
        for inode in batch.iter().filter_map(inode) {
            if inodes.last() != Some(&inode) {
                inodes.push(inode);
            }
        }
        self.host.learn(inodes);
        // Most events of a batch are of one socket, and each look is a system call.
        let mut holders = std::mem::take(&mut self.holders);
        for seen in batch {
            self.identify(seen, &mut holders);
        }
        holders.clear();
        self.holders = holders;
    }

    /// All but whose it is; whether it is a matter of this host.
    fn look_up(&mut self, seen: &mut Observation) -> bool {
        let event = &seen.event;
        seen.cause = cause::of(event.kind, event.stage, &event.evidence, &self.reasons);
        seen.reset_reason = self.reasons.of_reset(&event.evidence);
        match event.kind {
            Kind::Refused => self.refused(seen),
            Kind::PacketDrop if event.listener.is_none() => return self.dropped(seen),
            Kind::ListenerClosed => {
                seen.owner = self.history.owner_of(event);
                seen.snapshot = Err("the listener was closed".into());
            }
            _ => self.snapshot(seen),
        }
        true
    }

    fn snapshot(&mut self, seen: &mut Observation) {
        match seen.event.listener {
            Some(listener) => {
                (seen.snapshot, seen.shared) = self.listener(&mut seen.event, listener);
            }
            None => seen.snapshot = self.connection(&seen.event),
        }
        if let (Some(listener), Ok(snapshot)) = (&mut seen.event.listener, &seen.snapshot)
            && listener.cookie == 0
        {
            listener.cookie = snapshot.cookie();
        }
    }

    /// Nobody listened there: who did a moment ago, and who does elsewhere?
    fn refused(&mut self, seen: &mut Observation) {
        let event = &seen.event;
        let closed = event.local.and_then(|local| {
            self.history
                .closed_at(event.netns, local, event.mono_ns)
                .cloned()
        });
        let mut refusal = match closed {
            Some(closed) => Refusal::closed(closed),
            // A segment without a SYN is told of only where a listener was closed.
            None if !event.evidence.has(flag::SYN) => Refusal::unknown_close(),
            None => self.nobody(event),
        };
        for one in &mut refusal.elsewhere {
            one.owner = self.host.owner(one.inode);
            one.netns_name = self.host.netns_name(one.netns);
        }
        seen.snapshot = Err("there is no socket".into());
        seen.cause.clone_from(&refusal.cause);
        seen.refusal = refusal;
    }

    fn nobody(&mut self, event: &Event) -> Refusal {
        let Some(local) = event.local else {
            return Refusal::nowhere(false, false);
        };
        let here = self.on_port(event.netns, local.port(), event.mono_ns);
        let knows_here = here.is_ok();
        if let Ok(here) = here
            && let Some(refusal) = refusal::among(here, local, event.netns)
        {
            return refusal;
        }
        let (others, knows_others) =
            self.listening
                .elsewhere(&mut self.host, event.netns, event.mono_ns);
        refusal::in_other_namespaces(others, local.port(), knows_here)
            .unwrap_or_else(|| Refusal::nowhere(knows_here, knows_others))
    }

    /// A SYN that never came as far as its listener; whether there is one.
    fn dropped(&mut self, seen: &mut Observation) -> bool {
        let event = &seen.event;
        let Some(local) = event.local else {
            return false;
        };
        let found = self
            .on_port(event.netns, local.port(), event.mono_ns)
            .map(|here| here.iter().find(|l| l.takes(local)).cloned());
        // A router drops what is only passing, too. A listener at this very address says enough.
        let is_own = match &found {
            Ok(None) => return false,
            Ok(Some(listener)) if !listener.addr.ip().is_unspecified() => Ok(true),
            Ok(Some(_)) | Err(_) => self.is_own(event.netns, local),
        };
        seen.snapshot = match (found, is_own) {
            (_, Ok(false)) | (Ok(None), _) => return false,
            (Ok(Some(listener)), Ok(true)) => Ok(Snapshot::Listener(listener)),
            (Err(why), _) => Err(why.into()),
            (Ok(Some(_)), Err(why)) => Err(why.into()),
        };
        seen.shared = true;
        true
    }

    /// Whether the address is one of the namespace's own; or why the kernel does not say.
    fn is_own(&mut self, netns: u32, local: SocketAddr) -> Result<bool, String> {
        let key = (netns, local.ip());
        if let Some(own) = self.own.get(&key) {
            return Ok(*own);
        }
        let own =
            route::is_local(&mut self.host.namespaces(), netns, local.ip()).map_err(|error| {
                format!(
                    "whether {} is an address of this namespace is not known: {error}",
                    local.ip()
                )
            })?;
        if self.own.len() < OWN_AT_MOST {
            self.own.insert(key, own);
        }
        Ok(own)
    }

    fn diag(&mut self, netns: u32) -> Result<&mut Diag, String> {
        self.host.diag(netns).map_err(|error| error.to_string())
    }

    fn connection(&mut self, event: &Event) -> Result<Snapshot, Cow<'static, str>> {
        if event.sock == 0 {
            return Err("the event has no socket".into());
        }
        if event.evidence.sock_state == state::CLOSE {
            return Err("the socket was closed".into());
        }
        let (Some(local), Some(remote)) = (event.local, event.remote) else {
            return Err("the event has no addresses".into());
        };
        let cookie = (event.cookie != 0).then_some(event.cookie);
        let found = self.diag(event.netns)?.connection(local, remote, cookie);
        self.now = Instant::now();
        match found {
            Ok(Some(snapshot)) => Ok(Snapshot::Connection(snapshot)),
            Ok(None) => Err("the socket was gone when it was asked for".into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

fn inode(seen: &Observation) -> Option<u32> {
    seen.snapshot.as_ref().ok().and_then(Snapshot::inode)
}
