//! The rooms of whydrop, and which of them each may import: data flows down this table, and no arrow runs up.

use super::modules::{Crate, Import};

/// Whether an import against the table is a failure. Until every room is where the table has it, it is only counted.
pub const JUDGED: bool = false;

pub const FOLDER: &str = "probe-user/src/";

/// A room, which is a folder or a file below the crate's root, and what it may import.
struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
}

const ROOMS: [Room; 17] = [
    Room {
        name: "model",
        may_import: &[],
    },
    Room {
        name: "btf",
        may_import: &[],
    },
    Room {
        name: "loader",
        may_import: &["model", "btf"],
    },
    Room {
        name: "cause",
        may_import: &["model"],
    },
    Room {
        name: "decode",
        may_import: &["model", "btf", "loader", "cause"],
    },
    Room {
        name: "host",
        may_import: &["model", "btf"],
    },
    Room {
        name: "enrich",
        may_import: &["model", "cause", "decode", "host"],
    },
    Room {
        name: "observe",
        may_import: &["model", "cause", "decode", "host", "enrich"],
    },
    Room {
        name: "source",
        may_import: &[
            "model", "btf", "loader", "cause", "decode", "host", "enrich", "observe",
        ],
    },
    Room {
        name: "filter",
        may_import: &[
            "model", "loader", "cause", "decode", "host", "enrich", "observe",
        ],
    },
    Room {
        name: "analyse",
        may_import: &["model", "cause", "decode", "filter"],
    },
    Room {
        name: "diagnose",
        may_import: &["model", "cause", "analyse"],
    },
    Room {
        name: "listing",
        may_import: &["model", "host"],
    },
    Room {
        name: "explain",
        may_import: &["model"],
    },
    Room {
        name: "sink",
        may_import: &[
            "model", "cause", "analyse", "diagnose", "listing", "explain",
        ],
    },
    Room {
        name: "selftest",
        may_import: &["model", "loader", "cause", "decode", "host"],
    },
    Room {
        name: "command",
        may_import: &[
            "model", "btf", "loader", "cause", "decode", "host", "enrich", "observe", "source",
            "filter", "analyse", "diagnose", "listing", "explain", "sink", "selftest",
        ],
    },
];

/// Outside of the order: what the command line says may name any room, and the root declares them all.
const ABOVE: [&str; 2] = ["cli", ""];

/// Each import that the table does not have, and each room that it does not know.
pub fn check(krate: &Crate) -> Vec<String> {
    let room = |at: usize| krate.modules()[at].name.first().map_or("", String::as_str);
    let is_against = |it: &Import| {
        let (from, to) = (room(it.from), room(it.to));
        !ABOVE.contains(&from) && !to.is_empty() && from != to && !may_import(from, to)
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

fn may_import(from: &str, to: &str) -> bool {
    let mut rooms = ROOMS.iter();
    rooms.any(|room| room.name == from && room.may_import.contains(&to))
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
                let above = ROOMS[..at].iter().any(|other| other.name == *name);
                assert!(
                    above,
                    "{} may import {name}, which is not above it",
                    room.name
                );
            }
        }
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
