//! Which places are looked at, and what is made of them.

use super::*;
use crate::{
    analyse::judge::tests::summary,
    model::{
        ListenerStatsRow, Sampled,
        kind::{Kind, Stage},
        tier::Tier,
    },
};

fn place(port: u16) -> Place {
    Place {
        netns: 7,
        addr: ([127, 0, 0, 1], port).into(),
    }
}

fn tally(port: u16, cookie: u64, refusals: u64) -> ListenerTally {
    ListenerTally {
        cookie,
        netns: 7,
        addr: Some(place(port).addr),
        owner: Arc::from([]),
        cgroup: None,
        counts: [((Kind::Overflow, Some(Stage::Syn)), refusals)].into(),
        causes: [((Kind::Overflow, "accept-queue-full".into()), refusals)].into(),
    }
}

#[test]
fn a_place_is_judged_by_what_happened_there() {
    let mut all = summary(Tier::Kprobe, Some(9), Some(0));
    all.listeners = vec![tally(80, 5, 3), tally(80, 6, 2), tally(81, 7, 4)];
    all.counts.insert((Kind::Overflow, Some(Stage::Syn)), 9);
    let others = Causes::from([((Kind::CookieSent, "syn-queue-full".into()), 8)]);
    let is_there = |netns, addr| place(80) == Place { netns, addr };
    let one = narrowed(&all, is_there, others);
    assert_eq!((one.listeners.len(), one.refusals()), (2, 5));
    let causes: Vec<u64> = one.causes.values().copied().collect();
    assert_eq!(causes.iter().sum::<u64>(), 13);
}

#[test]
fn who_never_refused_is_not_looked_at() {
    let hurt = Arc::new(Hurt::default());
    let mut places = Places::new(Arc::clone(&hurt));
    for port in 0..2 * SOUND_AT_MOST as u16 {
        let row = ListenerStatsRow {
            netns: 7,
            addr: Some(place(port).addr),
            ..ListenerStatsRow::default()
        };
        places.line(0, &Line::Stats(&row));
    }
    let sampled = Sampled {
        netns_name: None,
        netns: 7,
        listener: Some(place(2047).addr),
        cookie: 5,
        kind: Kind::CookieSent,
        stage: Some(Stage::Syn),
        cause: None,
        count: 7,
        clients: 2,
        clients_exact: true,
    };
    places.line(0, &Line::Sampled(&sampled));
    assert!(hurt.all().is_empty());
    assert!(places.places.len() <= SOUND_AT_MOST);
    let quiet = summary(Tier::Kprobe, Some(0), Some(0));
    assert!(places.diagnoses(&Beside::default(), &quiet).is_empty());
}
