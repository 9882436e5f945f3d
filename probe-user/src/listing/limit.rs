//! Where a listener's limit comes from, as far as a look at one moment can tell.

use super::Found;

/// The kernel takes the argument of listen(2), or `somaxconn` of that moment where that is less
/// (net/ipv4/af_inet.c:inet_listen, 5.10 to 7.2), and remembers neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitFrom {
    /// It is what `somaxconn` is: the argument was that or more, and no larger one would help.
    Somaxconn,
    /// It is less: it was the argument, unless `somaxconn` has been raised since.
    Listen,
    /// It is more: `somaxconn` has been lowered since.
    BeforeSomaxconn,
}

impl LimitFrom {
    /// `None` where `somaxconn` is not known.
    pub fn of(found: &Found) -> Option<Self> {
        let limit = found.snapshot.accept_queue_limit;
        Some(match limit.cmp(&found.sysctls.somaxconn?) {
            std::cmp::Ordering::Equal => Self::Somaxconn,
            std::cmp::Ordering::Less => Self::Listen,
            std::cmp::Ordering::Greater => Self::BeforeSomaxconn,
        })
    }

    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Somaxconn => "somaxconn",
            Self::Listen => "listen",
            Self::BeforeSomaxconn => "before-somaxconn",
        }
    }

    /// For people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Somaxconn => "somaxconn",
            Self::Listen => "listen()",
            Self::BeforeSomaxconn => "old somaxconn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn the_origin_is_told_by_somaxconn_of_now() {
        let check = |limit, somaxconn, expect| {
            let mut one = found(1, "[::]:80", (0, limit));
            one.sysctls.somaxconn = somaxconn;
            assert_eq!(LimitFrom::of(&one), expect, "{limit} of {somaxconn:?}");
        };
        check(128, Some(128), Some(LimitFrom::Somaxconn));
        check(127, Some(128), Some(LimitFrom::Listen));
        check(0, Some(128), Some(LimitFrom::Listen));
        check(129, Some(128), Some(LimitFrom::BeforeSomaxconn));
        check(128, None, None);
    }
}
