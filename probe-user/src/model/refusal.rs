//! Why nobody listened, and who does elsewhere or did a moment ago.

use std::{net::SocketAddr, sync::Arc};

use super::{cause::Cause, event::Task, netns_name::NetnsName, owner::Owner};

/// A listener of the same port that the packet did not reach.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub addr: SocketAddr,
    pub cookie: u64,
    pub inode: u32,
    pub owner: Arc<[Owner]>,
}

/// Why nobody listened.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    pub cause: Option<Cause>,
    pub elsewhere: Vec<Elsewhere>,
    pub closed: Option<Closed>,
}

/// A listener that was closed.
#[derive(Clone, Debug)]
pub struct Closed {
    pub mono_ns: u64,
    pub netns: u32,
    pub addr: SocketAddr,
    /// 0 where nobody had asked for one.
    pub cookie: u64,
    /// The process that closed it.
    pub by: Option<Task>,
    /// Who held it when it was last looked at; empty when it never was.
    pub owner: Arc<[Owner]>,
}
