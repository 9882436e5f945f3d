//! What the kernel tells user space about sockets, namespaces, processes and cgroups.
//!
//! In: the names the kernel gives things (a socket cookie, a namespace inode, a cgroup id, a socket inode).
//! Out: snapshots of `sock_diag`, counters of `/proc/net/netstat`, owners and paths, each stamped or checked where it can go stale.
//! It never loads BPF, never changes a socket, never prints, and keeps no namespace alive longer than a question takes
//! (the one exception is [`netns::Private`], which is ours).

pub mod accepted;
pub mod awaits;
mod call;
pub mod cgroup;
pub mod clock;
pub mod conntrack;
pub mod diag;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod holder;
pub mod holds;
pub mod kernel_log;
mod known;
pub mod mountinfo;
pub mod netns;
pub mod netstat;
pub mod open_files;
pub mod origin;
pub mod owner;
pub mod pace;
pub mod parent;
mod procfs;
pub mod route;
pub mod sample;
pub mod stack;
pub mod status;
pub mod sysctl;
pub mod task;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod threads;
pub mod translated;
pub mod unread;

pub use self::known::Host;
