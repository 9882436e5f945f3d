//! `whydrop demo`: a cause that is really there, in a private network namespace, and what whydrop says of it.
//!
//! In: the name of a scene. Out: what `why` answers, and whether that is what was made. Traffic and servers
//! are in the namespace of the demo only, and end with whydrop, however it ends.

mod cgroup;
mod clients;
mod connections;
mod firewall;
mod kernel;
mod netfilter;
mod overflow;
mod play;
mod scenes;
mod segment;
mod server;
mod socket;
mod stage;
mod strangers;

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser},
};

use self::scenes::SCENES;
use super::{Failure, write};
use crate::{
    host::netns::Private,
    loader::{LoadError, missing_capabilities},
    model::tier::Tier,
    sink::Format,
};

#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// The scene, in most cases named after the right verdict; without one, a listener that stops accepting, event by event
    #[arg(value_name = "NAME", value_parser = names(), hide_possible_values = true)]
    pub name: Option<String>,

    /// List the scenes
    #[arg(long, conflicts_with = "name")]
    pub list: bool,

    /// Format of the lines: `text` for people, `json` for machines
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Record the scene into this new file, or into a new file in this folder; `whydrop why ADDR:PORT --from` answers from it
    #[arg(long, short = 'w', value_name = "FILE|DIR", requires = "name")]
    pub record: Option<PathBuf>,

    /// Force one way of watching (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
}

/// What whydrop starts of itself for a scene.
#[derive(Subcommand, Clone, Debug)]
pub enum Helper {
    Serve(server::ServeArgs),
    Keep(cgroup::KeepArgs),
}

pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    if args.list {
        let lines = SCENES
            .iter()
            .map(|scene| format!("{:<28} {}\n", scene.name, scene.does));
        return write(&lines.collect::<String>());
    }
    let Some(name) = &args.name else {
        return overflow::run(args);
    };
    match SCENES.iter().find(|scene| scene.name == name) {
        Some(scene) => play::play(scene, args),
        None => Err(Failure::usage(format_args!("no scene is called {name}"))),
    }
}

pub fn help(helper: &Helper) -> Result<(), Failure> {
    match helper {
        Helper::Serve(args) => server::serve(args),
        Helper::Keep(args) => cgroup::keep(args),
    }
    .map_err(|error| Failure::failed(format_args!("a helper of the demo failed: {error}")))
}

fn names() -> PossibleValuesParser {
    let names = SCENES
        .iter()
        .map(|scene| PossibleValue::new(scene.name).help(scene.does));
    PossibleValuesParser::new(names)
}

/// A namespace for the demo, when whydrop may watch at all.
fn private_namespace(tier: Option<Tier>) -> Result<Private, Failure> {
    let missing = missing_capabilities();
    if !missing.is_empty() && tier != Some(Tier::Counters) {
        return Err(LoadError::Privilege(missing).into());
    }
    Private::new().map_err(|error| {
        Failure::failed(format_args!(
            "cannot make a private network namespace: {error}; run the demo as root"
        ))
    })
}
