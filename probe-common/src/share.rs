//! When a queue is near its limit, and when it is well below again: the law of `--warn`.

/// A queue takes one more than its limit (include/net/sock.h:sk_acceptq_is_full, 5.10 to 7.2).
const fn room(limit: u32) -> u64 {
    limit as u64 + 1
}

/// Whether so many fill this share of the queue's room, in percent.
#[inline(always)]
pub const fn is_near(len: u32, limit: u32, percent: u32) -> bool {
    len as u64 * 100 >= room(limit) * percent as u64
}

/// Whether they are fewer than half of that.
#[inline(always)]
pub const fn is_low(len: u32, limit: u32, percent: u32) -> bool {
    len as u64 * 200 < room(limit) * percent as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_from_the_share_on_and_low_below_half_of_it() {
        // Room for 10: 80 % are 8, half of that is 4.
        let states = [3, 4, 7, 8, 10].map(|len| (is_low(len, 9, 80), is_near(len, 9, 80)));
        let (low, between, near) = ((true, false), (false, false), (false, true));
        assert_eq!(states, [low, between, between, near, near]);
    }

    #[test]
    fn an_empty_queue_is_low_whatever_its_limit() {
        for limit in [0, 1, u32::MAX] {
            for percent in [1, 50, 100] {
                assert!(is_low(0, limit, percent) && !is_near(0, limit, percent));
            }
        }
        // Room for 1.
        assert!(is_near(1, 0, 100));
        assert!(is_near(u32::MAX, u32::MAX - 1, 100));
    }
}
