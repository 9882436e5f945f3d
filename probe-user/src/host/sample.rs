//! Some of many, the same ones each time.

/// Leaves about so many of them at most, the first one among them, chosen by a number that each keeps for its life: of
/// workers that come one after another, not one kind only.
pub fn sample<T>(all: &mut Vec<T>, at_most: usize, number: impl Fn(&T) -> u32) {
    let mut one_in = 1_u32;
    while all.len() > at_most.saturating_mul(one_in as usize) && one_in < 1 << 16 {
        one_in *= 2;
    }
    let Some(first) = all.first().map(&number) else {
        return;
    };
    // Fibonacci hashing: the higher bits of a product with 2^32 / phi.
    let is_chosen = |one: u32| one.wrapping_mul(0x9E37_79B9) >> 16 & (one_in - 1) == 0;
    all.retain(|one| number(one) == first || is_chosen(number(one)));
    all.truncate(at_most);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(of: std::ops::Range<u32>, at_most: usize) -> Vec<u32> {
        let mut all: Vec<u32> = of.collect();
        sample(&mut all, at_most, |one| *one);
        all
    }

    #[test]
    fn few_are_all_there() {
        assert_eq!(some(5..21, 16), (5..21).collect::<Vec<u32>>());
        assert_eq!(some(0..0, 16), [0_u32; 0]);
    }

    #[test]
    fn of_many_there_are_some_and_the_first() {
        for many in [17_u32, 40, 400, 5000] {
            let found = some(1000..1000 + many, 16);
            assert_eq!(found.first(), Some(&1000));
            assert!((4..=16).contains(&found.len()), "{} of {many}", found.len());
            let odd = found.iter().filter(|one| *one % 2 == 1).count();
            assert!(odd > 0 && odd < found.len(), "{found:?}");
        }
    }

    #[test]
    fn they_are_the_same_when_others_end() {
        let mut fewer: Vec<u32> = (1000..1400).filter(|one| one % 7 != 3).collect();
        sample(&mut fewer, 16, |one| *one);
        let before = some(1000..1400, 16);
        let kept = fewer.iter().filter(|one| before.contains(one)).count();
        assert!(kept * 10 >= fewer.len() * 6, "{kept} of {fewer:?}");
    }
}
