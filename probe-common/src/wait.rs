//! Steps of a time, each at most a sixteenth longer than the one before.

/// Up to 2^37 ns, about 137 s.
pub const STEPS: usize = 384;

/// Nanoseconds of the first sixteen steps, as a power of two.
const UNIT: u32 = 10;

/// The step of so many nanoseconds; what is longer than the last is in it.
#[inline(always)]
pub const fn step(ns: u64) -> usize {
    let units = ns >> UNIT;
    // No count of leading zeroes: BPF has none.
    let (mut rest, mut power) = (units, 0);
    let mut half = 32;
    while half > 0 {
        if rest >> half != 0 {
            rest >>= half;
            power += half;
        }
        half >>= 1;
    }
    let step = if power < 4 {
        units
    } else {
        (power as u64 - 3) * 16 + (units >> (power - 4) & 15)
    };
    if step < STEPS as u64 {
        step as usize
    } else {
        STEPS - 1
    }
}

/// The shortest time of a step, and the shortest that is too long for it.
pub const fn bounds(step: usize) -> (u64, u64) {
    let (first, width) = if step < 16 {
        (step as u64, 1)
    } else {
        let power = step / 16 - 1;
        ((16 + step as u64 % 16) << power, 1 << power)
    };
    (first << UNIT, (first + width) << UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_within_the_bounds_of_its_step() {
        let (mut ns, mut last) = (1u64, 0);
        while ns < 1 << 37 {
            for near in [ns - 1, ns, ns + 1] {
                let (first, end) = bounds(step(near));
                assert!((first..end).contains(&near), "{near} in {first}..{end}");
            }
            let step = step(ns);
            assert!(step >= last, "{ns}");
            last = step;
            ns += ns / 7 + 1;
        }
        assert_eq!(step((1 << 37) - 1), STEPS - 1);
        assert_eq!(step(u64::MAX), STEPS - 1);
    }
}
