//! Every bar of the benchmark, in one place. A bar of a figure is what this project aims at, and only said; a ratio that
//! misses its bar is a failure.

/// A path through the hooks.
pub(super) struct Path {
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    /// Above empty programs: an aim.
    pub ns: f64,
    /// The same in runs of an empty program, at most.
    pub empty_runs: f64,
}

/// An empty program takes about 45 ns with BPF statistics on, most of it for reading the clock twice.
pub(super) const PATHS: [Path; 4] = [
    Path {
        name: "elsewhere",
        what: "a packet of a connection",
        ns: 30.0,
        empty_runs: 30.0 / 45.0,
    },
    Path {
        name: "freed",
        what: "a packet that is freed elsewhere, and its answer",
        ns: 80.0,
        empty_runs: 80.0 / 45.0,
    },
    Path {
        name: "taken",
        what: "a SYN that its listener answers",
        ns: 150.0,
        // One binary gave 0.9 to 4.1: how its programs lie in memory decides. What they pay in instructions, which does not
        // depend on it, is in docs/instructions.md.
        empty_runs: 6.5,
    },
    Path {
        name: "refused",
        what: "a SYN into a full accept queue, with its record",
        ns: 1500.0,
        // Twice what it is, which is far below the aim.
        empty_runs: 15.0,
    },
];

/// What a line may take of user space.
pub(super) const LINE_NS: f64 = 2000.0;

/// What its recording may take beside it.
pub(super) const RECORDED_NS: f64 = 3000.0;

/// Bytes of an event in a recording, where many come at once.
pub(super) const RECORDED_BYTES: f64 = 32.0;

/// An event in one format.
pub(super) struct Line {
    pub format: &'static str,
    /// As the bench names it.
    pub bench: &'static str,
    /// In user space, from its record to its line. A twentieth above what it is.
    pub instructions: f64,
}

pub(super) const LINES: [Line; 2] = [
    Line {
        format: "text",
        bench: "Text",
        instructions: 2700.0,
    },
    Line {
        format: "json",
        bench: "Json",
        instructions: 3550.0,
    },
];

pub(super) const READY_MS: f64 = 300.0;
pub(super) const RSS_MIB: f64 = 24.0;
pub(super) const IDLE_PERCENT: f64 = 0.1;

pub(super) const FLOOD_PER_SECOND: f64 = 200_000.0;
/// Of the SYNs that a CPU drops in a second without whydrop, those that it must still drop with it: two thirds
/// of what it does.
pub(super) const FLOOD_SHARE: f64 = 0.45;
