//! How the counters of `struct linux_mib` are read: those that lie near each
//! other in one go, since what a reading costs is the call.

use probe_common::{ABSENT, counter};

const WORD: u32 = 8;

/// More words than these between two counters are not worth the call that they save.
const FAR: u32 = 3;

/// The readings, and where each counter is found in what they yield.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readings {
    /// [`counter::READING`] numbers of each, zeroes after the last.
    pub readings: [u32; counter::SLOTS * counter::READING],
    /// The word of each counter; [`ABSENT`] of one that the kernel does not have.
    pub words: [u32; counter::SLOTS],
}

impl Readings {
    /// By the byte offset of each counter, [`ABSENT`] where there is none.
    pub(super) fn of(offsets: &[u32; counter::SLOTS]) -> Self {
        let mut slots: Vec<usize> = (0..counter::SLOTS)
            .filter(|slot| offsets[*slot] != ABSENT)
            .collect();
        slots.sort_by_key(|slot| offsets[*slot]);
        let words = |first: usize, last: usize| (offsets[last] - offsets[first]) / WORD + 1;
        // What lies between counters takes room as well.
        let total = |near: u32| -> u32 {
            let together = slots.chunk_by(|one, next| words(*one, *next) <= near + 2);
            together
                .map(|slots| words(slots[0], slots[slots.len() - 1]))
                .sum()
        };
        let fits = |near: &u32| total(*near) as usize <= counter::WORDS;
        let near = (0..=FAR).rev().find(fits).unwrap_or(0);
        let mut this = Self {
            readings: [0; counter::SLOTS * counter::READING],
            words: [ABSENT; counter::SLOTS],
        };
        let mut taken = 0;
        let together = slots.chunk_by(|one, next| words(*one, *next) <= near + 2);
        for (slots, reading) in together.zip(this.readings.chunks_mut(counter::READING)) {
            let (first, last) = (slots[0], slots[slots.len() - 1]);
            for slot in slots {
                this.words[*slot] = taken + words(first, *slot) - 1;
            }
            let count = words(first, last);
            reading.copy_from_slice(&[offsets[first], count * WORD, taken * WORD]);
            taken += count;
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters at these words of the struct.
    fn at(words: [u32; counter::SLOTS]) -> [u32; counter::SLOTS] {
        words.map(|word| if word == ABSENT { ABSENT } else { word * WORD })
    }

    /// What each slot is given after a struct was read whose words are their own positions.
    fn read(offsets: &[u32; counter::SLOTS]) -> [u32; counter::SLOTS] {
        let plan = Readings::of(offsets);
        let mut area = [ABSENT; counter::WORDS];
        for reading in plan.readings.chunks(counter::READING) {
            let [offset, bytes, to] = [0, 1, 2].map(|n| reading[n] / WORD);
            for word in 0..bytes {
                let place = &mut area[(to + word) as usize];
                assert_eq!(*place, ABSENT, "two readings in one place");
                *place = offset + word;
            }
        }
        let found = |word: u32| area.get(word as usize).copied();
        plan.words.map(|word| found(word).unwrap_or(ABSENT))
    }

    #[test]
    fn what_lies_near_is_read_together() {
        // As on 6.18.
        let words = [23, 24, 79, 78, 4, 75, 92, 2, 129, 91];
        let plan = Readings::of(&at(words));
        let bytes: Vec<u32> = plan.readings.iter().skip(1).step_by(3).copied().collect();
        assert_eq!(bytes, [24, 16, 40, 16, 8, 0, 0, 0, 0, 0]);
        assert_eq!(read(&at(words)), words);
    }

    #[test]
    fn a_counter_that_is_absent_is_nowhere() {
        let mut words = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        words[4] = ABSENT;
        words[0] = ABSENT;
        assert_eq!(read(&at(words)), words);
        assert_eq!(read(&[ABSENT; counter::SLOTS]), [ABSENT; counter::SLOTS]);
    }

    #[test]
    fn there_is_room_for_whatever_a_kernel_has() {
        for apart in [1, 2, 3, 4, 5, 100] {
            let words = std::array::from_fn(|slot| 7 + slot as u32 * apart);
            assert_eq!(read(&at(words)), words);
        }
    }
}
