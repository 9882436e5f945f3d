//! Scenarios of whydrop against the running kernel, whose own counters are the
//! truth. Run as root: `cargo xtask test`, or `cargo xtask vm` for other kernels.
//! `WHYDROP_BIN` names the binary, `WHYDROP_TIER` forces a tier.

mod against;
mod attack;
mod bad_input;
mod bench;
mod demo;
mod faults;
mod filters;
mod flood;
mod identity;
mod incidents;
mod instructions;
mod kernel;
mod lifecycle;
mod list;
mod listen_drops;
mod loss;
mod manners;
mod measure;
mod migration;
mod mptcp;
mod output;
mod pressure;
mod privilege;
mod quiet;
mod record;
mod refused;
mod requests;
mod resets;
mod residual;
mod retransmits;
mod run;
mod sandbox;
mod serve;
mod servers;
mod soak;
mod stories;
mod stress;
mod tiers;
mod together;
mod traced;
mod verify;
mod wanted;
mod why;
