//! Readings of the kernel's own counters, beside what the hooks had seen by then.

use std::collections::{BTreeMap, HashMap};

use probe_common::counter;

use super::counted::Totals;

/// The decisive counters of one namespace, in the order of `probe_common::counter`.
pub type Reading = [u64; counter::DECISIVE];

/// All namespaces at one moment, with what the hooks had seen by then.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The kernel's own counters, by namespace.
    pub kernel: BTreeMap<u32, Reading>,
    /// Namespaces that are there, and whose counters could not be read: why not.
    pub unread: BTreeMap<u32, String>,
    /// Namespaces that are there, whether they were read or not.
    pub present: Vec<u32>,
    /// Net cookies, where the kernel has them and they were asked for: numbers are given again, cookies never.
    pub cookies: BTreeMap<u32, u64>,
    /// The hooks' counts of the same moment.
    pub totals: Totals,
    /// Whether the hooks saw something while the counters were being read, so
    /// that rows may be off by what happened in between.
    pub moving: bool,
}

/// Detail that got lost in user space, by namespace and counter.
#[derive(Clone, Debug, Default)]
pub struct LostInUserSpace(pub HashMap<u32, Reading>);
