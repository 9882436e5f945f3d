//! The rooms of whydrop, and which of them each may import: no arrow runs up this table.

use super::modules::{Crate, Import};

pub(super) const FOLDER: &str = "probe-user/src/";

/// A room, which is a folder or a file below the crate's root, and what it may import: a room, or one part of it.
struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
}

/// Whoever hands something on imports what it is handed to: sources import the stages and the sinks that they feed,
/// stages the verdicts that they end with, and nothing imports where it is called from.
const ROOMS: [Room; 19] = [
    Room {
        name: "model",
        may_import: &[],
    },
    Room {
        name: "btf",
        may_import: &[],
    },
    Room {
        name: "cause",
        may_import: &["model"],
    },
    Room {
        name: "decode",
        may_import: &["model"],
    },
    Room {
        name: "host",
        may_import: &["model"],
    },
    // It attaches to the root of the cgroups, and says which capabilities are missing: both are this host's answers.
    Room {
        name: "loader",
        may_import: &["model", "btf", "host::cgroup", "host::status"],
    },
    Room {
        name: "enrich",
        may_import: &["model", "cause", "host"],
    },
    // Names of drop reasons are those of this kernel's BTF, and the kernel side is told what is wanted.
    Room {
        name: "filter",
        may_import: &["model", "btf", "cause", "loader"],
    },
    // It looks at the queues that are wanted, and at no others.
    Room {
        name: "observe",
        may_import: &["model", "host", "enrich", "filter"],
    },
    Room {
        name: "diagnose",
        may_import: &["model"],
    },
    // An inquiry ends with verdicts; rules know nothing of who asks.
    Room {
        name: "analyse",
        may_import: &["model", "cause", "decode", "filter", "diagnose"],
    },
    Room {
        name: "listing",
        may_import: &["model"],
    },
    // A page is asked for by the names that causes have.
    Room {
        name: "explain",
        may_import: &["cause"],
    },
    // Its own time and its own threads: parts of a recording begin at a time, and are written beside the stream.
    Room {
        name: "sink",
        may_import: &[
            "model",
            "host::clock",
            "host::threads",
            "diagnose",
            "listing",
        ],
    },
    // It tries what it takes away, on a thread.
    Room {
        name: "sandbox",
        may_import: &["model", "host::status", "host::threads"],
    },
    Room {
        name: "source",
        may_import: &[
            "model", "cause", "decode", "host", "loader", "enrich", "filter", "observe", "analyse",
            "sink", "sandbox",
        ],
    },
    Room {
        name: "selftest",
        may_import: &["model", "host", "loader"],
    },
    // It takes part in the loop of a watch, which knows nothing of it.
    Room {
        name: "serve",
        may_import: &["model", "host", "analyse", "sink", "source", "sandbox"],
    },
    Room {
        name: "command",
        may_import: &[
            "model", "btf", "cause", "decode", "host", "loader", "enrich", "filter", "observe",
            "diagnose", "analyse", "listing", "explain", "sink", "source", "selftest", "sandbox",
            "serve",
        ],
    },
];

/// Outside of the order: what the command line says may name any room, and the root declares them all.
const ABOVE: [&str; 2] = ["cli", ""];

/// Each import that the table does not have, and each room that it does not know.
pub(super) fn check(krate: &Crate) -> Vec<String> {
    let room = |at: usize| krate.modules()[at].name.first().map_or("", String::as_str);
    let is_against = |it: &Import| {
        let (from, to) = (room(it.from), room(it.to));
        !ABOVE.contains(&from)
            && !to.is_empty()
            && from != to
            && !may_import(from, &krate.modules()[it.to].name)
    };
    let mut found: Vec<String> = unknown(krate)
        .into_iter()
        .map(|name| format!("the room {name} has no place in the order of rooms"))
        .collect();
    for import in krate.imports().iter().filter(|it| is_against(it)) {
        found.push(format!(
            "{} imports {}, and {} may not import {}",
            krate.modules()[import.from].file,
            import.what,
            room(import.from),
            room(import.to)
        ));
    }
    found
}

fn may_import(from: &str, to: &[String]) -> bool {
    let has = |of: &&str| {
        let mut parts = to.iter();
        of.split("::")
            .all(|part| parts.next().is_some_and(|it| it == part))
    };
    let mut rooms = ROOMS.iter().filter(|room| room.name == from);
    rooms.any(|room| room.may_import.iter().any(has))
}

fn unknown(krate: &Crate) -> Vec<&str> {
    let mut unknown: Vec<&str> = Vec::new();
    for module in krate.modules() {
        let name = module.name.first().map_or("", String::as_str);
        let is_known = ABOVE.contains(&name) || ROOMS.iter().any(|room| room.name == name);
        if !is_known && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::krate;
    use super::*;

    #[test]
    fn a_room_imports_those_above_it() {
        for (at, room) in ROOMS.iter().enumerate() {
            for name in room.may_import {
                let of = name.split("::").next();
                let above = ROOMS[..at].iter().any(|other| Some(other.name) == of);
                assert!(
                    above,
                    "{} may import {name}, which is not above it",
                    room.name
                );
            }
        }
    }

    #[test]
    fn a_part_of_a_room_may_be_imported_alone() {
        let found = check(&krate(&[
            ("lib.rs", "mod host; mod loader;"),
            ("host.rs", "mod cgroup; mod owner;"),
            ("host/cgroup.rs", "pub struct Root;"),
            ("host/owner.rs", "pub struct Owners;"),
            (
                "loader.rs",
                "use crate::host::{cgroup::Root, owner::Owners};",
            ),
        ]));
        assert_eq!(
            found,
            ["x/src/loader.rs imports crate::host::owner::Owners, and loader may not import host"]
        );
    }

    #[test]
    fn an_arrow_that_runs_up_is_found() {
        let found = check(&krate(&[
            ("lib.rs", "mod model; mod sink; mod cellar; mod cli;"),
            ("model.rs", "use crate::sink::Line; pub struct Item;"),
            ("sink/mod.rs", "mod text; pub use text::Line;"),
            ("sink/text.rs", "use crate::model::Item; pub struct Line;"),
            ("cellar.rs", "use crate::model::Item;"),
            ("cli.rs", "use crate::sink::Line;"),
        ]));
        assert_eq!(
            found,
            [
                "the room cellar has no place in the order of rooms",
                "x/src/model.rs imports crate::sink::Line, and model may not import sink",
                "x/src/cellar.rs imports crate::model::Item, and cellar may not import model",
            ]
        );
    }
}
