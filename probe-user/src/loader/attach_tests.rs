//! Which tier is chosen, by kernels that are made up: what each lets in, and what it answers to the rest.

use std::collections::BTreeSet;

use super::*;

/// What a kernel lets in, and what is attached there.
struct Kernel {
    trampolines: BTreeSet<&'static str>,
    kprobes: BTreeSet<&'static str>,
    has_typed: bool,
    has_ingress: bool,
    attached: BTreeSet<String>,
}

/// The functions that may be hooked on the kernels of today.
const ALL: [&str; 9] = [
    "tcp_conn_request",
    "tcp_check_req",
    "tcp_get_cookie_sock",
    "tcp_req_err",
    REQUEST_TIMER,
    ACCEPT,
    GRAFT,
    SEND_RESET[0],
    SEND_RESET[1],
];

/// 6.12 and later: the tracepoints have reasons.
const WITH_REASONS: Arguments = Arguments {
    send_reset: 3,
    kfree_skb: 4,
};

/// 6.1: `kfree_skb` has one, `tcp_send_reset` none.
const OF_6_1: Arguments = Arguments {
    send_reset: 2,
    kfree_skb: 3,
};

impl Kernel {
    fn with(trampolines: &[&'static str], kprobes: &[&'static str]) -> Self {
        Self {
            trampolines: trampolines.iter().copied().collect(),
            kprobes: kprobes.iter().copied().collect(),
            has_typed: true,
            has_ingress: true,
            attached: BTreeSet::new(),
        }
    }

    fn answer(&mut self, is_let_in: bool, name: String) -> Result<(), String> {
        if !is_let_in {
            return Err(format!("{name}: not here"));
        }
        assert!(self.attached.insert(name.clone()), "{name} twice");
        Ok(())
    }
}

impl Attach for Kernel {
    fn trampoline(&mut self, function: &'static str) -> Result<(), String> {
        self.answer(self.trampolines.contains(function), function.into())
    }

    fn kprobe(&mut self, function: &'static str) -> Result<(), String> {
        self.answer(self.kprobes.contains(function), function.into())
    }

    fn ingress(&mut self) -> Result<Option<String>, String> {
        self.answer(self.has_ingress, "ingress".into())?;
        Ok(None)
    }

    fn raw(&mut self, name: &str, _: &'static str) -> Result<(), String> {
        self.answer(true, format!("raw {name}"))
    }

    fn typed(&mut self, name: &str, _: &'static str) -> Result<(), String> {
        self.answer(self.has_typed, format!("typed {name}"))
    }

    fn fentry(&mut self, function: &'static str) -> Result<(), String> {
        self.trampoline(function)
    }

    fn fexit(&mut self, function: &'static str) -> Result<(), String> {
        self.trampoline(function)
    }

    fn kprobe_entry(&mut self, function: &'static str) -> Result<(), String> {
        self.kprobe(function)
    }

    fn detach(&mut self, functions: &[&'static str]) {
        self.attached
            .retain(|name| !functions.contains(&name.as_str()));
    }

    fn preload_next(&mut self, _: &str, _: &str, _: &'static str) {}

    fn preload(&mut self, _: &str, _: &str, _: &'static str) {}
}

fn without(gone: &[&str]) -> Vec<&'static str> {
    let all = ALL.into_iter();
    all.filter(|name| !gone.contains(name)).collect()
}

/// The tier of the hook of this name; it has to be among the reports once.
fn tier_of(reports: &[HookReport], hook: &str) -> Option<Tier> {
    let named: Vec<&HookReport> = reports.iter().filter(|one| one.hook == hook).collect();
    assert_eq!(named.len(), 1, "{hook}");
    named[0].tier
}

fn decided_by(reports: &[HookReport]) -> Vec<Option<Tier>> {
    FUNCTIONS
        .iter()
        .map(|(name, _)| tier_of(reports, name))
        .collect()
}

#[test]
fn trampolines_are_taken_where_they_are_let_in() {
    let mut kernel = Kernel::with(&ALL, &ALL);
    let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
    assert_eq!(decided_by(&reports), [Some(Tier::Trampoline); 4]);
    assert!(!kernel.attached.contains("ingress"));
    assert_eq!(blind(&reports, WITH_REASONS), ["not-unicast"]);
    assert!(sees_mptcp_accept(&reports));
}

#[test]
fn each_function_is_tried_by_both_ways() {
    let mut kernel = Kernel::with(&without(&["tcp_check_req", ACCEPT]), &ALL);
    let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
    assert_eq!(tier_of(&reports, "tcp_check_req"), Some(Tier::Kprobe));
    assert_eq!(
        tier_of(&reports, "tcp_conn_request"),
        Some(Tier::Trampoline)
    );
    // By security_sock_graft, which is called with another socket for MPTCP.
    assert!(sees_accept(&reports) && !sees_mptcp_accept(&reports));
}

#[test]
fn one_function_without_a_hook_gives_all_to_the_cgroup_tier() {
    for gone in ["tcp_conn_request", "tcp_check_req", "tcp_get_cookie_sock"] {
        let rest = without(&[gone]);
        let mut kernel = Kernel::with(&rest, &rest);
        let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
        assert_eq!(
            tier_of(&reports, "listener ingress"),
            Some(Tier::Cgroup),
            "{gone}"
        );
        // No packet may be counted twice.
        for (function, _) in FUNCTIONS {
            assert!(!kernel.attached.contains(function), "{function}");
            let mut decides = reports.iter().filter(|one| one.hook == function);
            assert!(decides.all(|one| one.tier.is_none()), "{function}");
        }
    }
}

#[test]
fn what_only_icmp_errors_need_may_be_missing() {
    let rest = without(&["tcp_req_err"]);
    let mut kernel = Kernel::with(&rest, &rest);
    let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
    assert!(!kernel.attached.contains("ingress"));
    assert_eq!(blind(&reports, WITH_REASONS), ["icmp-error", "not-unicast"]);
}

#[test]
fn a_kernel_that_lets_no_function_in_sees_less() {
    let mut kernel = Kernel::with(&[], &[]);
    let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
    assert_eq!(
        blind(&reports, WITH_REASONS),
        ["request-expired", "icmp-error", "accept-wait"]
    );
}

#[test]
fn a_tier_that_was_asked_for_is_had_or_refused() {
    let rest = without(&["tcp_check_req"]);
    let mut kernel = Kernel::with(&ALL, &rest);
    let refused = all(&mut kernel, Some(Tier::Kprobe), WITH_REASONS);
    let refused = refused.err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains("kprobe tier"), "{refused}");
    assert!(
        refused.contains("kprobe+kretprobe at tcp_check_req was refused"),
        "{refused}"
    );
    let mut kernel = Kernel::with(&ALL, &ALL);
    let reports = all(&mut kernel, Some(Tier::Cgroup), WITH_REASONS).unwrap();
    let functions = kernel
        .attached
        .iter()
        .filter(|name| ALL.contains(&name.as_str()));
    assert_eq!(functions.count(), 0);
    assert_eq!(tier_of(&reports, "listener ingress"), Some(Tier::Cgroup));
}

#[test]
fn where_no_tier_is_left_the_answer_names_all_three() {
    let mut kernel = Kernel {
        has_ingress: false,
        ..Kernel::with(&[], &[])
    };
    let refused = all(&mut kernel, None, WITH_REASONS).err();
    let refused = refused.map(|error| error.to_string()).unwrap();
    assert!(
        refused.contains("trampoline, kprobe or cgroup") && refused.contains("ingress: not here"),
        "{refused}"
    );
}

#[test]
fn tracepoints_are_raw_where_typed_ones_do_not_load() {
    let mut kernel = Kernel {
        has_typed: false,
        ..Kernel::with(&ALL, &ALL)
    };
    let reports = all(&mut kernel, None, WITH_REASONS).unwrap();
    for name in TRACEPOINTS {
        assert_eq!(tier_of(&reports, name), Some(Tier::Kprobe), "{name}");
        assert!(kernel.attached.contains(&format!("raw {name}")));
    }
}

/// Up to 6.1 resets without a socket are told by two functions, or by the drop reason, and never by both.
#[test]
fn a_reset_without_a_socket_is_told_once() {
    let mut kernel = Kernel::with(&ALL, &ALL);
    let reports = all(&mut kernel, None, OF_6_1).unwrap();
    assert!(
        SEND_RESET
            .iter()
            .all(|name| tier_of(&reports, name).is_some())
    );
    assert!(!kernel.attached.contains("typed no_socket"));

    let rest = without(&[SEND_RESET[1]]);
    let mut kernel = Kernel::with(&rest, &rest);
    let reports = all(&mut kernel, None, OF_6_1).unwrap();
    assert!(tier_of(&reports, NO_SOCKET).is_some());
    assert!(!kernel.attached.contains(SEND_RESET[0]));
    assert!(!blind(&reports, OF_6_1).contains(&"refused"));

    let of_5_10 = Arguments {
        send_reset: 2,
        kfree_skb: 2,
    };
    let mut kernel = Kernel::with(&rest, &rest);
    let reports = all(&mut kernel, None, of_5_10).unwrap();
    assert!(blind(&reports, of_5_10).contains(&"refused"));
    assert!(blind(&reports, of_5_10).contains(&"packet-drop"));
}
