//! Rows, residuals and doubts of readings that are given.

use probe_common::CountKey;

use super::*;

const NETNS: u32 = 7;

fn totals(sum: u64, shed: u64) -> Totals {
    let key = CountKey {
        listener: 1,
        netns: NETNS,
        moved: 0b11,
        flags: 0,
        reason: 0,
        hook: 1,
        sock_state: 10,
        generation: 0,
    };
    let value = CountValue {
        events: sum,
        shed,
        ..CountValue::default()
    };
    let mut sums = [0; counter::SLOTS];
    sums[..2].fill(sum);
    Totals {
        counts: HashMap::from([(key, value)]),
        sums: HashMap::from([(NETNS, sums)]),
        ..Totals::default()
    }
}

fn sample(kernel: Option<u64>, sum: u64, shed: u64) -> Sample {
    Sample {
        kernel: kernel
            .map(|n| (NETNS, [n, n, 0, 0, 0, 0, 0]))
            .into_iter()
            .collect(),
        totals: totals(sum, shed),
        ..Sample::default()
    }
}

fn overflow_row(base: Sample, last: Sample) -> Row {
    Reconciler::new(base)
        .rows(&last, &LostInUserSpace::default(), NETNS)
        .remove(0)
}

#[test]
fn what_is_shed_is_lost_and_the_rest_is_seen() {
    let row = overflow_row(sample(Some(100), 0, 0), sample(Some(164), 64, 4));
    assert_eq!((row.counter, row.kernel), ("ListenOverflows", Some(64)));
    assert_eq!((row.seen, row.lost, row.unattributed), (60, 4, Some(0)));
}

#[test]
fn sums_agree_with_what_the_kernel_counted_since() {
    let reconciler = Reconciler::new(sample(Some(100), 3, 0));
    let differing = |kernel, sum| {
        let now = sample(Some(kernel), sum, 0);
        reconciler.differing(&now.kernel, &now.totals.sums)
    };
    assert!(differing(110, 13).is_empty());
    assert_eq!(differing(110, 12), [NETNS]);
    assert_eq!(differing(110, 14), [NETNS]);
}

#[test]
fn what_no_hook_saw_is_unattributed() {
    let row = overflow_row(sample(Some(0), 0, 0), sample(Some(10), 7, 0));
    assert_eq!(row.unattributed, Some(3));
}

#[test]
fn what_was_seen_before_the_base_does_not_count() {
    let row = overflow_row(sample(Some(5), 5, 2), sample(Some(6), 6, 2));
    assert_eq!((row.seen, row.lost, row.unattributed), (1, 0, Some(0)));
}

#[test]
fn a_growing_difference_is_told_once_per_growth() {
    let mut reconciler = Reconciler::new(sample(Some(0), 0, 0));
    let mut told = |kernel, sum| {
        let now = sample(Some(kernel), sum, 0);
        let mut look = || reconciler.residuals(&now.kernel, &now.totals.sums, &now.totals.sums);
        assert!(look().is_empty(), "told at the first look");
        let found = look();
        assert!(!reconciler.is_unsettled());
        found.first().map(|r| (r.counter, r.unattributed, r.news))
    };
    assert_eq!(told(5, 5), None);
    assert_eq!(told(7, 5), Some(("ListenOverflows", 2, 2)));
    assert_eq!(told(9, 7), None);
    assert_eq!(told(12, 7), Some(("ListenOverflows", 5, 3)));
}

#[test]
fn a_difference_is_settled_when_it_is_found_again_or_gone() {
    let mut reconciler = Reconciler::new(sample(Some(0), 0, 0));
    let mut look = |kernel, sum| {
        let now = sample(Some(kernel), sum, 0);
        let _ = reconciler.residuals(&now.kernel, &now.totals.sums, &now.totals.sums);
        reconciler.is_unsettled()
    };
    assert!(!look(5, 5));
    assert!(look(7, 5));
    assert!(!look(7, 7));
    assert!(look(9, 7));
    assert!(!look(9, 7));
    let gone = sample(None, 7, 0);
    assert!(look(12, 7));
    let _ = reconciler.residuals(&gone.kernel, &gone.totals.sums, &gone.totals.sums);
    assert!(!reconciler.is_unsettled());
}

#[test]
fn what_moves_meanwhile_is_not_judged() {
    let mut reconciler = Reconciler::new(sample(Some(0), 0, 0));
    let now = sample(Some(7), 5, 0);
    let earlier = sample(Some(7), 4, 0).totals.sums;
    let found = reconciler.residuals(&now.kernel, &earlier, &now.totals.sums);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_namespace_that_ended_is_not_known() {
    let row = overflow_row(sample(Some(0), 0, 0), sample(None, 3, 0));
    assert_eq!((row.kernel, row.unattributed, row.seen), (None, None, 3));
}

#[test]
fn a_number_that_was_given_again_is_not_known() {
    let check = |present: &[u32], then: u64| {
        let mut reconciler = Reconciler::new(sample(Some(1), 0, 0));
        reconciler.observe(present, &BTreeMap::new(), &BTreeMap::new());
        let last = sample(Some(then), 4, 0);
        reconciler.observe(&[NETNS], &last.kernel, &last.cookies);
        let rows = reconciler.rows(&last, &LostInUserSpace::default(), 0);
        (rows[0].kernel, rows[0].seen)
    };
    assert_eq!(check(&[NETNS], 5), (Some(4), 4));
    assert_eq!(check(&[NETNS], 0), (None, 4), "counters never fall");
    assert_eq!(check(&[], 5), (None, 4), "what ended does not come back");
}

#[test]
fn a_namespace_that_was_made_since_began_at_zero() {
    let mut reconciler = Reconciler::new(Sample::default());
    let last = sample(Some(4), 4, 0);
    reconciler.observe(&[NETNS], &last.kernel, &last.cookies);
    let rows = reconciler.rows(&last, &LostInUserSpace::default(), 0);
    assert_eq!((rows[0].kernel, rows[0].unattributed), (Some(4), Some(0)));
}

/// What is told of a namespace that counted and was seen so often, of a number that was read and looked for before.
fn told(mut reconciler: Reconciler, last: &Sample) -> (Option<i64>, Option<NoKernel>) {
    reconciler.observe(&[NETNS], &last.kernel, &last.cookies);
    let accounted = reconciler.accounted(last);
    let row = reconciler
        .rows(last, &LostInUserSpace::default(), 0)
        .remove(0);
    assert_eq!(accounted.is_empty(), row.kernel.is_none());
    (row.unattributed, row.no_kernel)
}

const REUSED: (Option<i64>, Option<NoKernel>) = (None, Some(NoKernel::NumberReused));

fn with_cookie(mut sample: Sample, cookie: u64) -> Sample {
    sample.cookies.insert(NETNS, cookie);
    sample
}

#[test]
fn more_than_a_namespace_that_was_made_since_counted_is_of_another_one_too() {
    let new = || Reconciler::new(Sample::default());
    assert_eq!(told(new(), &sample(Some(10), 15, 0)), REUSED);
    let moving = Sample {
        moving: true,
        ..sample(Some(10), 15, 0)
    };
    assert_eq!(told(new(), &moving), (None, Some(NoKernel::Moving)));
    assert_eq!(told(new(), &sample(Some(15), 10, 0)), (Some(5), None));
}

#[test]
fn a_cookie_tells_namespaces_of_one_number_apart() {
    let base = || with_cookie(sample(Some(5), 0, 0), 1);
    let then = |kernel, sum, cookie| {
        told(
            Reconciler::new(base()),
            &with_cookie(sample(Some(kernel), sum, 0), cookie),
        )
    };
    assert_eq!(then(9, 4, 1), (Some(0), None));
    assert_eq!(then(9, 4, 2), REUSED, "although it adds up");
    // Whatever is found in the namespace of the start is true.
    assert_eq!(then(9, 5, 1), (Some(-1), None));
    let without = |kernel, sum| {
        let reconciler = Reconciler::new(sample(Some(5), 0, 0));
        told(reconciler, &sample(Some(kernel), sum, 0))
    };
    assert_eq!(without(9, 5), REUSED);
    assert_eq!(without(9, 3), (Some(1), None));
}

/// It was seen and not found: either it has ended, or it was only found later.
#[test]
fn a_number_that_was_seen_before_it_was_found() {
    let then = |kernel, sum| {
        let mut reconciler = Reconciler::new(Sample::default());
        reconciler.looked(&totals(3, 0).sums, |_| false);
        told(reconciler, &sample(Some(kernel), sum, 0))
    };
    assert_eq!(then(8, 8), (Some(0), None), "found later");
    assert_eq!(then(5, 8), REUSED);
    assert_eq!(then(9, 8), REUSED, "four may be missing");
}

#[test]
fn what_is_of_several_is_no_residual() {
    let mut reconciler = Reconciler::new(Sample::default());
    let now = sample(Some(10), 15, 0);
    for is_unsettled in [true, false] {
        let found = reconciler.residuals(&now.kernel, &now.totals.sums, &now.totals.sums);
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(reconciler.is_unsettled(), is_unsettled);
    }
    assert!(reconciler.unknown().contains(&NETNS));
}

#[test]
fn cookies_are_asked_for_where_something_moves() {
    let reconciler = Reconciler::new(with_cookie(sample(Some(5), 2, 0), 1));
    let needs = |sum, kernel: Option<u64>| {
        let now = sample(kernel, sum, 0);
        reconciler.needs_cookie(NETNS, &now.totals.sums, now.kernel.get(&NETNS))
    };
    assert!(!needs(2, None));
    assert!(!needs(2, Some(5)));
    assert!(needs(2, Some(6)));
    assert!(needs(3, None));
    assert!(reconciler.needs_cookie(NETNS + 1, &Sums::new(), None));
}
