//! A watch that is recorded looks at queues and processes, too: the recording holds what analysis will need.

use super::{Conduct, WatchArgs, conducted, filter_of};
use crate::{
    command::Failure,
    host::netns::Registry,
    model::{Line, Summary},
    observe::{self, Ears, Refusals},
};

pub(super) fn run(args: &WatchArgs, mut conduct: Conduct<'_>) -> Result<Summary, Failure> {
    let filter = filter_of(args, &mut Registry::new())?;
    let refusals = Refusals::default();
    let watch = |looks| {
        let mut ears = Ears::of(&refusals);
        let mut stage = conduct.stage.take();
        conduct.stage = Some(Box::new(move |mono_ns: u64, line: &Line<'_>| {
            ears.line(line);
            if let Some(stage) = &mut stage {
                stage.take(mono_ns, line);
            }
        }));
        conduct.looks = Some(looks);
        conducted(args, conduct)
    };
    observe::at_the_pressed(filter, &refusals, watch).map_err(Failure::failed)?
}
