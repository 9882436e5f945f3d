//! Why nobody listened, and who does elsewhere or did a moment ago.

use std::{net::SocketAddr, sync::Arc};

use super::{cause::Cause, event::Task, netns_name::NetnsName, owner::Owner};

/// A listener of the same port that the packet did not reach.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// The address and port that it is bound to.
    pub addr: SocketAddr,
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The socket's inode number.
    pub inode: u32,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
}

impl Elsewhere {
    /// Where that is for a client of this namespace, and whose.
    pub fn seen_from(&self, netns: u32) -> String {
        let mut text = self.addr.to_string();
        match self.netns_name.as_deref() {
            _ if self.netns == netns => {}
            Some(NetnsName::Given(name)) => text.push_str(&format!(" in netns {name}")),
            Some(NetnsName::Process { pid, .. }) => {
                text.push_str(&format!(" in netns {} (pid {pid})", self.netns));
            }
            None => text.push_str(&format!(" in netns {}", self.netns)),
        }
        if let Some(owner) = self.owner.first() {
            text.push_str(&format!(", {}[{}]", owner.comm, owner.pid));
        }
        text
    }
}

/// Why nobody listened.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// Why nobody answered.
    pub cause: Option<Cause>,
    /// Who listens on that port somewhere else.
    pub elsewhere: Vec<Elsewhere>,
    /// The listener that was closed there a moment ago.
    pub closed: Option<Closed>,
}

/// A listener that was closed.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The address and port that it is bound to.
    pub addr: SocketAddr,
    /// 0 where nobody had asked for one.
    pub cookie: u64,
    /// The process that closed it.
    pub by: Option<Task>,
    /// Who held it when it was last looked at; empty when it never was.
    pub owner: Arc<[Owner]>,
}
