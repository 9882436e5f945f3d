//! Threads of language runtimes, by the names that they give themselves: they never accept.
//!
//! The kernel keeps 15 characters of a name. OpenJDK 8 to 21 (os::Linux, `Thread::name`), .NET 6 to 9.

const COLLECT: [&str; 14] = [
    "GC Thread#",
    "G1 Conc#",
    "G1 Main Marker",
    "G1 Refine#",
    "G1 Service",
    "GC task thread#",
    "Gang worker#",
    "Concurrent Mark",
    "ParGC Thread",
    "ZWorker",
    "ZDriver",
    "Shenandoah GC",
    "VM Thread",
    ".NET Server GC",
];

const COMPILE: [&str; 4] = [
    "C1 CompilerThre",
    "C2 CompilerThre",
    ".NET Tiered Com",
    "Graal",
];

/// Whether the thread collects garbage. "VM Thread" does so with the serial collector, and else stops all others for it.
pub(super) fn collects(comm: &str) -> bool {
    COLLECT.iter().any(|name| comm.starts_with(name))
}

/// Whether it compiles: others go on meanwhile.
pub(super) fn compiles(comm: &str) -> bool {
    COMPILE.iter().any(|name| comm.starts_with(name))
}

pub(super) fn is_part_of(comm: &str) -> bool {
    collects(comm) || compiles(comm)
}
