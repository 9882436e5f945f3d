//! What was seen while a command ran becomes a report: lines come in, live or from a recording, and when they end, the
//! report goes out. It asks nobody and reads no clock.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    hurt::Hurt as HurtPlaces,
    judged::{judge, status_of, without_others},
};
use crate::{
    analyse::{
        astray::Strays,
        beside::Beside,
        judge::Scope,
        ledger::Ledger,
        places::{Asks, Places},
    },
    model::{
        Diagnosed, Hurt, Line, ListenerAnswer, ListenerTally, Observed, Ran, Start, Summary,
        ToldRan, astray::Astray, incident::Place, kind::Kind, tier::Tier,
    },
};

/// Places beside those that refused that are answered for.
const OTHERS_AT_MOST: usize = 16;

/// What the lines have told.
pub(crate) struct Heard {
    ledger: Ledger,
    hurt: Arc<HurtPlaces>,
    places: Places,
    beside: Beside,
    strays: Strays,
    /// Where something was dropped before a listener.
    dropped_in: BTreeSet<u32>,
    /// The command, where `run` itself has recorded it.
    pub told: Option<ToldRan>,
}

impl Heard {
    /// Nothing is known yet.
    pub(crate) fn new(hurt: Arc<HurtPlaces>) -> Self {
        Self {
            ledger: Ledger::default(),
            hurt,
            places: Places::of_listeners(),
            beside: Beside::default(),
            strays: Strays::default(),
            dropped_in: BTreeSet::new(),
            told: None,
        }
    }

    /// To be told of every line.
    pub(crate) fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        if let Line::Observed(Observed::Ran(told)) = line {
            self.told = Some(ToldRan::clone(told));
        }
        if let Line::Event(seen) = line
            && seen.event.kind == Kind::PacketDrop
        {
            self.dropped_in.insert(seen.event.netns);
        }
        self.ledger.line(line);
        self.hurt.line(line);
        self.places.line(mono_ns, line);
        self.beside.line(mono_ns, line);
        self.strays.line(mono_ns, line);
    }

    /// Namespaces whose facts may matter.
    pub(crate) fn namespaces(&self) -> BTreeSet<u32> {
        let hurt = self.hurt.all();
        let refused_in = hurt.iter().map(|place| place.netns);
        refused_in.chain(self.dropped_in.iter().copied()).collect()
    }

    /// Client addresses of which it is not known whether they are of this host.
    pub(crate) fn clients(&self) -> BTreeSet<IpAddr> {
        self.strays.clients()
    }

    /// Of the watch that began and ended like this, while this command ran.
    pub(crate) fn ran(
        self,
        told: ToldRan,
        start: &Start,
        summary: Summary,
        fail_on_drop: bool,
    ) -> Ran {
        let scope = Scope {
            namespaces: None,
            picks_listeners: start
                .filters
                .iter()
                .any(|words| words.starts_with("listener ")),
            reads_all: start.reads_all,
        };
        let astray = self.strays.astray(&told.own_clients, &summary.stats);
        let judged = without_others(&summary, told.listening_in.as_deref());
        let (dropped, mut doubts) = judge(&judged, scope, &told.without_listener, &astray);
        if astray.others > 0 {
            doubts.extend(told.unasked_clients);
        }
        let hurt = |tally: &ListenerTally| Hurt {
            moments: self.ledger.moments(tally),
            tally: tally.clone(),
        };
        let hurt = summary.listeners.iter().map(hurt).collect();
        let diagnosed = (summary.tier != Tier::Counters).then(|| {
            let (answers, more_places) =
                answers(self.places, &self.hurt, &self.beside, &summary, &astray);
            Diagnosed {
                answers,
                more_places,
                incidents: self.beside.told(&summary),
            }
        });
        Ran {
            command: told.command,
            lasted: told.lasted,
            ended: told.ended,
            status: status_of(told.ended, dropped, fail_on_drop),
            filters: start.filters.clone(),
            dropped,
            doubts,
            hurt,
            astray,
            candidates: self.ledger.candidates(),
            diagnosed,
            summary,
            against: None,
        }
    }
}

/// Of those that refused and were looked at, of those before which something was dropped, and of where clients of this host
/// found nobody; the worst first, and how many others there are.
fn answers(
    places: Places,
    hurt: &HurtPlaces,
    beside: &Beside,
    summary: &Summary,
    astray: &Astray,
) -> (Vec<ListenerAnswer>, usize) {
    let hurt = hurt.all();
    let mut answers = places.answers(Asks {
        beside,
        summary,
        is_looked: true,
        before: &[],
    });
    answers.all.retain(|one| {
        let is_hurt = one.place.is_some_and(|place| hurt.contains(&place));
        let is_dropped = one.signals.of_kind(Kind::PacketDrop) > 0;
        let is_astray = one.place.is_some_and(|place| astray.came_to(place));
        is_hurt && one.signals.refusals > 0 || is_dropped || is_astray
    });
    let refusing = summary.listeners.iter().filter_map(|tally| {
        let netns = tally.netns;
        let addr = tally.addr.filter(|_| tally.refusals() > 0)?;
        Some(Place { netns, addr })
    });
    // Those are told of with what they refused, and without a reason.
    let answered: BTreeSet<Place> = answers.all.iter().filter_map(|one| one.place).collect();
    let unlooked: BTreeSet<Place> = refusing.filter(|place| !answered.contains(place)).collect();
    let mut places = 0;
    let all = answers.all.len();
    answers.all.retain(|one| {
        let is_hurt = one.place.is_some_and(|place| hurt.contains(&place));
        places += usize::from(!is_hurt);
        is_hurt || places <= OTHERS_AT_MOST
    });
    let more = unlooked.len() + all - answers.all.len();
    (answers.all, more)
}
