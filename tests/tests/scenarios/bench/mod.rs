//! What whydrop costs, for `cargo xtask bench`, which reads the lines. Their form is fixed:
//!
//! - `BENCH hook <path> <program> <runs per packet> <ns per run> <ns per run of an empty program of its kind>`
//! - `BENCH path <path>`, when all its hooks are told
//! - `BENCH line <format> <refusals per second> <ns of the process each> <ns of the programs each>`
//! - `BENCH flood alone <SYNs> <ns> <ns of the senders' CPU>`
//! - `BENCH flood watched <SYNs> <ns> <ns of the senders' CPU> <ns of the process> <KiB in memory at most>`
//! - `BENCH flood counter <name> <what it moved by> <and by whydrop> <seen> <sampled> <lost> <unattributed>`
//! - `BENCH host <listeners> <connections> <ms until ready> <KiB in memory then> <ns of the process for an event of its own> <ns of a
//!   snapshot> <ns of a listing> <ns of a search for owners>`
//! - `BENCH start <ms until ready> <KiB in memory then> <KiB at most>`
//! - `BENCH idle <ns of the process per second>`

mod flood;
mod hooks;
mod host;
mod lines;
mod start;

use whydrop_tests::flood::{clients, syns as syns_of};
use whydrop_tests::listener::Listener;

/// Whether ratios are to be judged soon, and no figure is for a document.
fn quick() -> bool {
    std::env::var_os("WHYDROP_BENCH").is_some_and(|how| how == "quick")
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Of many clients, to be sent over and over.
fn syns(to: &Listener) -> Vec<Vec<u8>> {
    syns_of(&clients(64, 160), to.address())
}
