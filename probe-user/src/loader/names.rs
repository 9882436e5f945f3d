//! How programs of the object are called: by kind, by hook, and whether they are second copies.

/// What the name of a program's second copy ends with.
pub(super) const COPY: &str = "_again";

/// What the names of the two programs around a function begin with.
pub(super) const TRAMPOLINE: [&str; 2] = ["fexit", "fentry"];
pub(super) const KPROBE: [&str; 2] = ["kretprobe", "kprobe"];

/// What the names of programs begin with, before the hook's.
pub(super) const KINDS: [&str; 6] = [
    "fentry_",
    "fexit_",
    "kprobe_",
    "kretprobe_",
    "typed_",
    "raw_",
];
