//! SO_REUSEPORT groups, a line each.

use std::fmt::{self, Write as _};

use crate::model::Group;

pub(super) fn write_groups(groups: &[Group], to: &mut String) -> fmt::Result {
    for group in groups {
        writeln!(
            to,
            "group {}, {} members: {} % of drops at one",
            group.addr,
            group.members.len(),
            group.largest_percent()
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GroupMember;

    fn check(refusals: &[u64], expect: &str) {
        let group = Group {
            netns: 1,
            addr: ([0, 0, 0, 0], 8080).into(),
            members: refusals
                .iter()
                .zip(1..)
                .map(|(refusals, cookie)| GroupMember {
                    cookie,
                    refusals: *refusals,
                    accept_queue_len: 0,
                    accept_queue_limit: 0,
                })
                .collect(),
        };
        let mut text = String::new();
        assert_eq!(write_groups(&[group], &mut text), Ok(()));
        assert_eq!(text, expect);
    }

    #[test]
    fn the_member_that_drops_most_is_told_of() {
        check(
            &[1, 98, 0, 1],
            "group 0.0.0.0:8080, 4 members: 98 % of drops at one\n",
        );
        check(
            &[999, 1],
            "group 0.0.0.0:8080, 2 members: 99 % of drops at one\n",
        );
        check(
            &[29, 71],
            "group 0.0.0.0:8080, 2 members: 71 % of drops at one\n",
        );
        check(
            &[3, 0],
            "group 0.0.0.0:8080, 2 members: 100 % of drops at one\n",
        );
    }
}
