//! Firewalls, ways, half-open requests, other places: what looks the same and is not it.

use super::*;

fn of(causes: &[(Kind, &str, u64)]) -> Signals {
    let causes = causes.iter();
    Signals {
        causes: causes
            .map(|(kind, cause, n)| ((*kind, (*cause).to_owned()), *n))
            .collect(),
        ..Signals::default()
    }
}

#[test]
fn the_kernel_names_a_reason() {
    let check = |cause: &str, expected: &[&str], says: &str| {
        let diagnosis = diagnose(&of(&[(Kind::PacketDrop, cause, 3)]));
        let ids: Vec<&str> = diagnosis.verdicts.iter().map(|one| one.id).collect();
        assert_eq!(ids, expected, "{cause}");
        let all = format!("{:?}", diagnosis.verdicts);
        assert!(all.contains(says), "{cause}: {all}");
    };
    let by_kernel = &["dropped-by-kernel"];
    check("tcp-md5failure", by_kernel, "keys of the two ends differ");
    check("tcp-md5notfound", by_kernel, "its segments have none");
    check("ip-rpfilter", by_kernel, "ip route get CLIENT");
    check("tcp-minttl", by_kernel, "IP_MINTTL");
    check("xfrm-policy", by_kernel, "ip xfrm policy");
    check("tc-ingress", by_kernel, "tc -s filter show");
    check("socket-filter", by_kernel, "bpftool cgroup tree");
    check(
        "of-a-later-kernel",
        by_kernel,
        "include/net/dropreason-core.h",
    );
    // These have a verdict of their own, or nobody meant to connect.
    check("netfilter-drop", &["rejected-by-firewall"], "");
    check("tcp-rfc7323-paws", &["timestamps-rejected"], "");
    check("tcp-flags", &[], "");
    check("tcp-reset", &[], "");
}

/// What to do is that of the reason which was given most often.
#[test]
fn advice_of_the_reason_that_was_given_most() {
    let advice = |rpfilter: u64| {
        let signals = of(&[
            (Kind::PacketDrop, "ip-rpfilter", rpfilter),
            (Kind::PacketDrop, "tcp-md5failure", 5),
        ]);
        let verdicts = diagnose(&signals).verdicts;
        assert_eq!(verdicts[0].evidence.len(), 2);
        verdicts[0].advice[0].contains("ip route get")
    };
    assert_eq!([advice(9), advice(1)], [true, false]);
}
