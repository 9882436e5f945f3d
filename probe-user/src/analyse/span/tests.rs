//! Readings and events on both sides of an edge.

use super::*;
use crate::{
    analyse::judge::tests::summary,
    model::{
        event::{ListenerAt, What},
        kind::Kind,
        tier::Tier,
    },
};

const NETNS: u32 = 7;

/// From 100 to 200.
fn span() -> Span {
    Span {
        is_kept: true,
        ..Span::new(100, Some(200), None)
    }
}

fn overflow(span: &mut Span, mono_ns: u64) {
    let listener = ListenerAt {
        cookie: 1,
        addr: ([127, 0, 0, 1], 80).into(),
        accept_queue_len: 1,
        accept_queue_limit: 0,
        syn_queue_len: 0,
        syncookies: 0,
        max_syn_backlog: 0,
    };
    let mut event =
        Event::of_listener(mono_ns, NETNS, listener, Kind::Overflow, 1, What::NearLimit);
    event.moved[counter::LISTEN_OVERFLOWS] = 1;
    span.event(&event);
}

fn read(span: &mut Span, since_ns: u64, mono_ns: u64, n: u64) {
    span.moved(&CountersMoved {
        mono_ns,
        since_ns,
        netns: NETNS,
        netns_name: None,
        moved: [("ListenOverflows", n)].into(),
    });
}

#[track_caller]
fn check(mut span: Span, expect: Option<(u64, Option<u64>)>) {
    span.line(&Line::Summary(&summary(Tier::Cgroup, Some(0), Some(0))));
    is(span, expect);
}

#[track_caller]
fn is(span: Span, expect: Option<(u64, Option<u64>)>) {
    let Counted::Known { counts, .. } = span.end() else {
        panic!("not recorded");
    };
    let found = counts.get(&NETNS).and_then(|of| of.get("ListenOverflows"));
    assert_eq!(found.map(|count| (count.least, count.most)), expect);
}

#[test]
fn readings_inside_count_and_others_do_not() {
    let mut span = span();
    read(&mut span, 10, 90, 1);
    read(&mut span, 110, 120, 2);
    read(&mut span, 130, 190, 4);
    read(&mut span, 200, 300, 8);
    check(span, Some((6, Some(6))));
}

#[test]
fn events_tell_how_much_of_a_reading_was_inside() {
    let mut span = span();
    for at in [60, 99, 100, 105] {
        overflow(&mut span, at);
    }
    read(&mut span, 50, 110, 4);
    for at in [195, 200, 201] {
        overflow(&mut span, at);
    }
    read(&mut span, 150, 210, 3);
    check(span, Some((4, Some(4))));
}

#[test]
fn what_had_no_line_may_have_been_on_either_side() {
    let mut span = span();
    overflow(&mut span, 60);
    overflow(&mut span, 105);
    read(&mut span, 50, 110, 10);
    check(span, Some((1, Some(9))));
    // And without any line all of it.
    let mut span = super::tests::span();
    read(&mut span, 50, 110, 10);
    check(span, Some((0, Some(10))));
}

#[test]
fn an_event_that_was_read_after_the_counters_belongs_to_the_next_reading() {
    let mut span = span();
    overflow(&mut span, 95);
    // Already in the ring when the counters were read, taken out afterwards.
    overflow(&mut span, 120);
    read(&mut span, 50, 110, 1);
    read(&mut span, 110, 210, 1);
    check(span, Some((1, Some(1))));
}

#[test]
fn too_many_events_are_not_remembered_and_nothing_is_made_of_the_rest() {
    let mut span = span();
    for _ in 0..=EVENTS_AT_MOST {
        overflow(&mut span, 60);
    }
    read(&mut span, 50, 110, EVENTS_AT_MOST as u64 + 1);
    check(span, Some((0, Some(EVENTS_AT_MOST as u64 + 1))));
}

#[test]
fn what_came_after_the_last_reading_of_an_open_recording_may_be_more() {
    let mut span = span();
    read(&mut span, 110, 120, 2);
    overflow(&mut span, 150);
    overflow(&mut span, 250);
    is(span, Some((3, None)));
}

#[test]
fn where_lines_are_missing_there_may_have_been_more() {
    let mut gap = span();
    read(&mut gap, 110, 120, 2);
    gap.gap();
    check(gap, Some((2, None)));
    let mut gap = span();
    gap.gap();
    let said = gap.end().sentences("from 1 to 2");
    assert!(
        said[0].ends_with("as far as the recording goes"),
        "{said:?}"
    );
}

#[test]
fn nothing_is_said_of_a_namespace_that_could_not_be_read() {
    let mut span = span();
    read(&mut span, 110, 120, 2);
    span.line(&Line::Summary(&summary(Tier::Cgroup, None, None)));
    let Counted::Known {
        counts, unknown, ..
    } = span.end()
    else {
        panic!("not recorded");
    };
    assert!(counts.is_empty(), "{counts:?}");
    assert_eq!(unknown, [NETNS]);
}

#[test]
fn a_recording_without_readings_says_nothing() {
    assert_eq!(Span::new(0, None, None).end(), Counted::NotRecorded);
}
