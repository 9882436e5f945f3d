//! The kernels that the scenarios run on in virtual machines, by name alone: nothing here fetches or boots one.

use anyhow::{Context, Result};

/// A kernel series by the Debian release that ships it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub name: &'static str,
    pub suite: &'static str,
    /// Whether it is an error when Debian no longer has it. bullseye is leaving the mirrors and sid moves on.
    pub required: bool,
}

pub(crate) const ALL: &[Series] = &[
    Series {
        name: "5.10",
        suite: "bullseye",
        required: false,
    },
    Series {
        name: "6.1",
        suite: "bookworm",
        required: true,
    },
    Series {
        name: "6.12",
        suite: "trixie",
        required: true,
    },
    // sid's kernel is whatever is newest; 7.2 is what it was when this was written.
    Series {
        name: "7.2",
        suite: "sid",
        required: false,
    },
];

/// The names of all kernels, oldest first.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|series| series.name)
}

impl Series {
    /// Finds a series by its name or by its Debian release.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        let known = ALL
            .iter()
            .map(|series| series.name)
            .collect::<Vec<_>>()
            .join(", ");
        ALL.iter()
            .find(|series| series.name == name || series.suite == name)
            .with_context(|| format!("no kernel is called \"{name}\"; there are {known}"))
    }
}
