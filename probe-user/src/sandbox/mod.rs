//! What this process may still do once everything is attached: a mode and the folders that are written to come in, what is in
//! force goes out. It takes privileges away from every thread, and never gives one.

mod calls;
mod capabilities;
mod threads;

#[cfg(test)]
mod tests;

use std::path::Path;

use clap::ValueEnum;

use self::capabilities::Needs;
use crate::model::sandbox::{Confine, Extent, Sandbox};

/// How much of it is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// What this kernel has
    #[default]
    Best,
    /// All of it, or status 3
    Strict,
    /// None
    Off,
}

impl Mode {
    /// Takes from all threads what nothing needs from here on; `None` where whoever conducts goes on with it all. An error is
    /// a sentence, and what was taken is gone then, too.
    pub fn begin(
        self,
        confine: Confine,
        is_nice: bool,
        written: &[Option<&Path>],
    ) -> Result<Option<Sandbox>, String> {
        let sandbox = match (confine, self) {
            (Confine::No, _) => return Ok(None),
            (Confine::Yes, Self::Off) => Sandbox::off("--sandbox off"),
            // It would be held with whydrop.
            (Confine::Starts, _) => Sandbox::off("a command is started"),
            (Confine::Yes, _) => confine_all(&Needs { is_nice, written }),
        };
        self.accept(sandbox).map(Some)
    }

    fn accept(self, sandbox: Sandbox) -> Result<Sandbox, String> {
        match (self, &sandbox.lacks) {
            (Self::Strict, Some(lacks)) => Err(format!(
                "--sandbox strict: {lacks}; `--sandbox best` does without"
            )),
            _ => Ok(sandbox),
        }
    }
}

/// As much as this kernel has; what it lacks is said.
fn confine_all(needs: &Needs<'_>) -> Sandbox {
    let keep = match capabilities::needed(needs) {
        Ok(keep) => keep,
        Err(error) => return Sandbox::off(&format!("what is needed cannot be tried: {error}")),
    };
    // Capabilities first: the filter lets no thread be left out of it by a signal.
    let mut lacks: Vec<String> = threads::reduce_all(keep).err().into_iter().collect();
    lacks.extend(calls::refuse().err());
    // Whatever was tried, /proc has the last word.
    lacks.extend(threads::unconfined(keep).err());
    let (is_part, lacks) = (!lacks.is_empty(), lacks.join("; "));
    Sandbox {
        extent: if is_part { Extent::Part } else { Extent::All },
        capabilities: capabilities::names(capabilities::held()),
        lacks: is_part.then_some(lacks),
    }
}
