//! A watch looks at queues and processes, too: while somebody refuses, to say why; and all the time where it is recorded,
//! since the recording holds what analysis will need.

use super::{WatchArgs, conducted, filter_of};
use crate::{
    command::Failure,
    host::Host,
    model::{Line, Summary},
    observe::{self, Ears, Refusals},
    source::Conduct,
};

pub(crate) fn run(
    args: &WatchArgs,
    host: &Host,
    mut conduct: Conduct<'_>,
) -> Result<Summary, Failure> {
    let filter = filter_of(args, host)?;
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
        conducted(args, host, conduct)
    };
    let watched = if args.record.path.is_some() {
        observe::at_the_pressed(host, filter, &refusals, watch)
    } else {
        observe::at_the_refusing(host, filter, &refusals, watch)
    };
    watched.map_err(Failure::failed)?
}
