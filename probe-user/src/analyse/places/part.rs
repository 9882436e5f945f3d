//! The part of a summary that is of one place.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::Told;
use crate::{
    analyse::{
        beside::Beside,
        looks::Looks,
        narrow,
        signals::{add_unlooked, signals},
    },
    diagnose::diagnose,
    model::{
        Holding, ListenerAnswer, ListenerStatsRow, ListenerTally, Listening, Others, Summary,
        cgroup::Cgroup, incident::Place, owner::Owner,
    },
};

/// Listeners at one place that are named one by one.
const MEMBERS_AT_MOST: usize = 32;

/// Whether each of so many listeners was found only when the one before was found no more.
fn are_in_turn(listeners: usize, looks: &Looks) -> bool {
    let mut found: Vec<(u64, u64)> = looks
        .queues
        .values()
        .map(|queue| (queue.first_ns, queue.last.taken_mono_ns))
        .collect();
    found.sort_unstable();
    let mut next = found.windows(2);
    found.len() == listeners && listeners > 1 && next.all(|two| two[0].1 < two[1].0)
}

/// What is known of one place.
#[derive(Clone, Default)]
pub(super) struct Part {
    pub told: Told,
    pub tallies: Vec<ListenerTally>,
    pub rows: Vec<ListenerStatsRow>,
    /// Who listened there before the watch.
    pub before: Vec<Listening>,
}

impl Part {
    /// Who listens there, and whose each of them is: of a group the members that refused most first, then those that still
    /// have an owner, then those that were found first. One that is opened and closed again and again is as many.
    fn members(&self, looks: &Looks) -> (Vec<Holding>, Others) {
        let mut members: BTreeMap<u64, Holding> = BTreeMap::new();
        let mut add =
            |cookie: u64, owner: &Arc<[Owner]>, cgroup: Option<&Arc<Cgroup>>, refusals| {
                let member = members.entry(cookie).or_insert_with(|| Holding {
                    cookie,
                    owner: Arc::clone(owner),
                    cgroup: None,
                    refusals: 0,
                });
                if member.owner.is_empty() {
                    member.owner = Arc::clone(owner);
                }
                member.cgroup = member.cgroup.take().or_else(|| cgroup.cloned());
                member.refusals += refusals;
            };
        for tally in &self.tallies {
            let cgroup = tally.cgroup.as_ref();
            add(tally.cookie, &tally.owner, cgroup, tally.refusals());
        }
        for row in &self.rows {
            add(row.cookie, &row.owner, row.cgroup.as_ref(), 0);
        }
        for listening in &self.before {
            let cgroup = listening.cgroup.as_ref();
            add(listening.snapshot.cookie, &listening.owner, cgroup, 0);
        }
        for queue in looks.queues.values() {
            add(queue.last.cookie, &queue.holders, None, 0);
        }
        let mut members: Vec<Holding> = members.into_values().collect();
        let found = |cookie: u64| {
            let mut queues = looks.queues.values();
            queues.find(|queue| queue.last.cookie == cookie)
        };
        members.sort_by_key(|member| {
            let when = found(member.cookie).map_or(u64::MAX, |queue| queue.first_ns);
            (Reverse(member.refusals), member.owner.is_empty(), when)
        });
        let left = members.split_off(members.len().min(MEMBERS_AT_MOST));
        let others = Others {
            listeners: left.len(),
            refusals: left.iter().map(|member| member.refusals).sum(),
            are_in_turn: are_in_turn(members.len() + left.len(), looks),
        };
        (members, others)
    }

    /// The answer of a place where somebody listens, or nobody, or of one that is not known.
    pub(super) fn answer(
        self,
        place: Option<Place>,
        beside: &Beside,
        summary: &Summary,
        is_looked: bool,
    ) -> ListenerAnswer {
        let netns = place.map(|place| place.netns);
        let looks = place.map(|place| beside.looks.of(place));
        let looks = looks.unwrap_or_default();
        let (members, others) = self.members(&looks);
        let mut summary = narrow::part(summary, self.tallies, self.rows, self.told.others);
        summary
            .rows
            .retain(|row| netns.is_none_or(|netns| row.netns == netns));
        let top_clients = self.told.heard.top_clients();
        let first_drop_ns = self.told.heard.first_drop_ns;
        let mut signals = signals(self.told.heard, &looks, &summary);
        if !is_looked {
            add_unlooked(&mut signals, &summary);
        }
        if let Some(netns) = netns {
            beside.add_host(&mut signals, netns);
        }
        if let Some(place) = place {
            beside.around.add(&mut signals, place);
        }
        for member in &mut signals.members {
            member.stood_still = beside.stood_still(&summary, member.cookie);
        }
        ListenerAnswer {
            place,
            members,
            others,
            diagnosis: diagnose(&signals),
            signals,
            first_drop_ns,
            top_clients,
        }
    }
}
