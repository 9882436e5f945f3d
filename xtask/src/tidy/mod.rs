//! `cargo xtask tidy`, and the step of `cargo xtask test`: whether the sources are in the order in which a reader expects them.
//!
//! Files are short and say first what they are; the files of a crate import each other in one direction, and the rooms of
//! whydrop in that of the data; what documents name is there. Nothing here compiles anything: it reads text.

mod circles;
mod imports;
mod lex;
mod modules;
mod named;
mod rooms;
mod sizes;
mod tree;

use anyhow::{Result, bail};

use crate::proc;
use modules::Crate;
use tree::is_rust;

/// Where crates have their sources; a circle among their files is a failure.
const CRATES: [&str; 5] = [
    "probe-ebpf/src/",
    rooms::FOLDER,
    "tests/src/",
    "tests/tests/scenarios/",
    "xtask/src/",
];

pub(crate) fn run() -> Result<()> {
    let mut wrong = Vec::new();
    let sources = tree::read(proc::root(), &["rs", "md"])?;
    let (rust, _): (Vec<_>, Vec<_>) = sources.iter().partition(|source| is_rust(&source.path));
    for source in &rust {
        wrong.extend(sizes::too_long(source));
        wrong.extend(sizes::without_doc(source));
    }
    wrong.extend(sizes::too_much(rust.iter().copied()));
    for folder in CRATES {
        let krate = Crate::of(folder, &sources);
        if krate.modules().is_empty() {
            bail!("{folder} declares no modules: where are its files?");
        }
        wrong.extend(circles::find(&krate));
        if folder == rooms::FOLDER {
            wrong.extend(rooms::check(&krate));
        }
    }
    wrong.extend(named::missing(proc::root(), &sources));
    if !wrong.is_empty() {
        bail!(
            "{} things are untidy:\n  {}",
            wrong.len(),
            wrong.join("\n  ")
        );
    }
    Ok(())
}
