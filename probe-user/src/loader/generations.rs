//! When the maps of the kernel side are half full a new generation begins, and what is left of the last one is taken out: but
//! only when every program that may still hold an entry of it has ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, ArrayOfMaps, MapData, MapError, PerCpuArray},
    util::nr_cpus,
};
use probe_common::{Made, room};
use zerocopy::transmute;

use super::{answer::in_short, looks::Looks, read::ReadError};

const MADE: usize = size_of::<Made>();

/// Which generation the kernel side counts in.
pub(super) struct Generations {
    word: Array<MapData, u32>,
    made: PerCpuArray<MapData, [u8; MADE]>,
    looks: Looks,
    grace: Arc<Mutex<Grace>>,
    current: u32,
    /// What had been made when this one began.
    at_begin: Made,
    room: Made,
    last: Last,
}

/// What becomes of generations.
pub(super) enum Turn {
    Same,
    /// A new one has begun.
    Begun,
    /// This one is over, and is to be emptied.
    Over(u32),
}

/// The generation before, in which no program counts that begins now.
enum Last {
    Empty,
    /// Programs that began before may write to it; somebody waits for their end.
    Ending(JoinHandle<Result<(), String>>),
    /// The same, and nobody waits yet.
    Unsettled,
    /// No program writes to it.
    Over,
}

/// Waits until every program has ended that is running now: an update of a map of maps does so before it returns
/// (kernel/bpf/syscall.c:maybe_wait_bpf_programs, 5.10 to 7.2).
struct Grace {
    outer: ArrayOfMaps<MapData, Array<MapData, u32>>,
    inner: Array<MapData, u32>,
}

impl Grace {
    fn wait(&mut self) -> Result<(), String> {
        let set = self.outer.set(0, &self.inner, 0);
        set.map_err(|error| in_short(&error))
    }
}

impl Generations {
    pub(super) fn take(ebpf: &mut Ebpf, looks: Looks) -> Result<Self, String> {
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: MapError| error.to_string();
        let grace = Grace {
            outer: map("GRACE")?.try_into().map_err(bad)?,
            inner: map("GRACE_INNER")?.try_into().map_err(bad)?,
        };
        Ok(Self {
            word: map("GENERATION")?.try_into().map_err(bad)?,
            made: map("MADE")?.try_into().map_err(bad)?,
            looks,
            grace: Arc::new(Mutex::new(grace)),
            current: 0,
            at_begin: Made::default(),
            room: room_here(),
            last: Last::Empty,
        })
    }

    /// How far it is. Where the maps are filling, or `now`, the next generation begins.
    pub(super) fn go_on(&mut self, now: bool) -> Result<Turn, ReadError> {
        match std::mem::replace(&mut self.last, Last::Unsettled) {
            Last::Empty => {
                self.last = Last::Empty;
                if self.begin_next(now)? {
                    return Ok(Turn::Begun);
                }
            }
            Last::Unsettled => self.last = self.settle()?,
            Last::Over => self.last = Last::Over,
            Last::Ending(waiting) if waiting.is_finished() => match waiting.join() {
                Ok(Ok(())) => self.last = Last::Over,
                Ok(Err(why)) => return Err(ReadError::of_grace(why)),
                Err(_) => return Err(ReadError::of_grace("its thread ended".into())),
            },
            waiting @ Last::Ending(_) => self.last = waiting,
        }
        Ok(match self.last {
            Last::Over => Turn::Over(self.current.wrapping_sub(1)),
            _ => Turn::Same,
        })
    }

    /// The last generation is empty by now.
    pub(super) fn emptied(&mut self) {
        self.last = Last::Empty;
    }

    fn begin_next(&mut self, now: bool) -> Result<bool, ReadError> {
        let made = self.made()?;
        if !now && !is_filling(&since(&made, &self.at_begin), &self.room) {
            return Ok(false);
        }
        let next = self.current.wrapping_add(1);
        let set = self.word.set(0, next, 0);
        set.map_err(ReadError::of_map("GENERATION"))?;
        self.current = next;
        self.at_begin = made;
        self.last = Last::Unsettled;
        self.last = self.settle()?;
        Ok(true)
    }

    /// Waits aside, since it takes some hundredths of a second; here where no thread is to be had.
    fn settle(&self) -> Result<Last, ReadError> {
        let grace = Arc::clone(&self.grace);
        let wait = move || lock(&grace).wait();
        match thread::Builder::new().name("grace".into()).spawn(wait) {
            Ok(waiting) => Ok(Last::Ending(waiting)),
            Err(_) => lock(&self.grace)
                .wait()
                .map(|()| Last::Over)
                .map_err(ReadError::of_grace),
        }
    }

    fn made(&self) -> Result<Made, ReadError> {
        let _look = self.looks.begin();
        let read = self.made.get(&0, 0).map_err(ReadError::of_map("MADE"))?;
        let mut total = Made::default();
        for bytes in read.iter() {
            let one: Made = transmute!(*bytes);
            total.counts += one.counts;
            total.rest += one.rest;
            total.sums += one.sums;
            total.stats += one.stats;
            total.waits += one.waits;
        }
        Ok(total)
    }
}

fn lock(grace: &Mutex<Grace>) -> std::sync::MutexGuard<'_, Grace> {
    grace.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for two generations. An entry has a value for each processor: where there are many there is room for fewer, since
/// no more than those of a second are in it at once.
fn room_here() -> Made {
    let cpus = nr_cpus().unwrap_or(1);
    let share = match cpus {
        0..=16 => 1,
        17..=48 => 2,
        _ => 4,
    };
    let of = |room: usize| (room / share) as u64;
    Made {
        counts: of(room::COUNTS),
        rest: of(room::REST),
        sums: of(room::SUMS),
        stats: of(room::STATS),
        // These are one for all processors.
        waits: room::WAITS as u64,
    }
}

/// Tells the loader.
pub(super) fn fit(loader: &mut EbpfLoader<'_>) {
    let room = room_here();
    let maps = [
        ("COUNTS", room.counts),
        ("REST", room.rest),
        ("SUMS", room.sums),
        ("STATS", room.stats),
    ];
    for (name, room) in maps {
        loader.map_max_entries(name, room as u32);
    }
}

const fn since(now: &Made, before: &Made) -> Made {
    Made {
        counts: now.counts.wrapping_sub(before.counts),
        rest: now.rest.wrapping_sub(before.rest),
        sums: now.sums.wrapping_sub(before.sums),
        stats: now.stats.wrapping_sub(before.stats),
        waits: now.waits.wrapping_sub(before.waits),
    }
}

/// Whether one of the maps is half full.
const fn is_filling(made: &Made, room: &Made) -> bool {
    made.counts >= room.counts / 2
        || made.rest >= room.rest / 2
        || made.sums >= room.sums / 2
        || made.stats >= room.stats / 2
        || made.waits >= room.waits / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_half_full_is_enough() {
        let room = Made {
            counts: 8,
            rest: 4,
            sums: 4,
            stats: 4,
            waits: 2,
        };
        assert!(!is_filling(&Made::default(), &room));
        let counts = |counts| Made {
            counts,
            ..Made::default()
        };
        assert!(!is_filling(&counts(3), &room));
        assert!(is_filling(&counts(4), &room));
        let waits = Made {
            waits: 1,
            ..Made::default()
        };
        assert!(is_filling(&waits, &room));
        assert!(!is_filling(&since(&counts(9), &counts(6)), &room));
    }
}
