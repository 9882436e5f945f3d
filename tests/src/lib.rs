//! What the scenario tests are written with: private network namespaces, TCP
//! handshakes injected packet by packet, the kernel's own counters as the
//! truth, and a running `whydrop` whose JSON is read with deadlines.
//!
//! Everything is done with system calls, so that the same static binary runs on
//! a developer's machine and as root in a VM that has nothing else in it.

pub mod answer;
pub mod binary;
pub mod bpf;
pub mod cgroup;
pub mod churn;
pub mod client;
pub mod command;
pub mod crowd;
pub mod deadline;
pub mod empty;
pub mod event;
pub mod every;
pub mod family;
pub mod filed;
pub mod flood;
pub mod heard;
pub mod holder;
pub mod icmp;
pub mod instructions;
pub mod interface;
pub mod listener;
pub mod log;
pub mod netlink;
pub mod netns;
pub mod netstat;
pub mod nftables;
pub mod paths;
pub mod peer;
pub mod ping;
pub mod process;
pub mod processor;
pub mod programs;
pub mod requests;
pub mod schema;
pub mod segment;
pub mod server;
pub mod skip;
pub mod sock_destroy;
pub mod sockaddr;
pub mod socket_options;
pub mod steady;
pub mod supervised;
pub mod table;
pub mod tracer;
pub mod truth;
pub mod verdict;
pub mod whydrop;
pub mod wire;
