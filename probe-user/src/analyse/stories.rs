//! Which observations are about an attempt, and what is told of its story.

use probe_common::{counter, flag, hook};

use crate::{
    analyse::correlate::{Isn, News, Stories, What},
    filter::Filter,
    model::{
        Loss,
        event::Event,
        kind::{Kind, Stage},
        observation::Observation,
        outcome::{End, Why},
        story::{Attempt, Story, Totals, Whose},
    },
};

/// The stories of one watch, where they are wanted.
#[derive(Default)]
pub struct Told {
    stories: Option<Stories>,
    /// What stories already know to be left out and lost.
    sampled: u64,
    lost: u64,
}

impl Told {
    /// Whether anybody asked for them.
    pub const fn are_wanted(&self) -> bool {
        self.stories.is_some()
    }

    /// `sampled`: how many records had been left out before the watch began.
    pub fn new(wanted: bool, sampled: u64) -> Self {
        Self {
            stories: wanted.then(Stories::default),
            sampled,
            lost: 0,
        }
    }

    /// An event, shown or not.
    pub fn take(&mut self, seen: &Observation, filter: &Filter) -> Vec<Story> {
        let Some(stories) = &mut self.stories else {
            return Vec::new();
        };
        let event = &seen.event;
        if event.late && event.kind.is_refusal() {
            // Whose it was is not known.
            stories.missed(Why::Lost, 1, event.mono_ns);
        }
        match news(seen, filter.takes_observation(seen)) {
            Some(news) => stories.take(news),
            None => Vec::new(),
        }
    }

    /// Those of a recording, which may lack who connected in the end.
    pub fn recorded(has_connected: bool) -> Self {
        let mut told = Self::new(true, 0);
        if let (Some(stories), false) = (&mut told.stories, has_connected) {
            stories.never_connected();
        }
        told
    }

    /// What is old enough by now to be in order.
    pub fn settle(&mut self, now_ns: u64) -> Vec<Story> {
        let stories = self.stories.as_mut();
        stories.map_or_else(Vec::new, |stories| stories.settle(now_ns))
    }

    /// What silence says by now, given how many records were left out and lost so far.
    pub fn tick(&mut self, now_ns: u64, sampled: u64, loss: &Loss) -> Vec<Story> {
        self.note_missed(now_ns, sampled, loss);
        let stories = self.stories.as_mut();
        stories.map_or_else(Vec::new, |stories| stories.tick(now_ns))
    }

    /// How often which outcome was told until now.
    pub fn so_far(&self) -> Option<Totals> {
        self.stories.as_ref().map(Stories::so_far)
    }

    /// The watch is over: the stories that are left, and how often which outcome was.
    pub fn end(mut self, now_ns: u64, sampled: u64, loss: &Loss) -> (Vec<Story>, Option<Totals>) {
        self.note_missed(now_ns, sampled, loss);
        match self.stories {
            Some(stories) => {
                let (told, totals) = stories.end(now_ns);
                (told, Some(totals))
            }
            None => (Vec::new(), None),
        }
    }

    fn note_missed(&mut self, now_ns: u64, sampled: u64, loss: &Loss) {
        let Some(stories) = &mut self.stories else {
            return;
        };
        let lost = loss.ring_full + loss.undecodable;
        if sampled > self.sampled {
            stories.missed(Why::Sampled, sampled - self.sampled, now_ns);
            self.sampled = sampled;
        }
        if lost > self.lost {
            stories.missed(Why::Lost, lost - self.lost, now_ns);
            self.lost = lost;
        }
    }
}

/// What an event says about an attempt, if it does.
fn news(seen: &Observation, shown: bool) -> Option<News> {
    let event = &seen.event;
    let attempt = Attempt {
        netns: event.netns,
        client: event.client?,
        local: event.local?,
    };
    Some(News {
        mono_ns: event.mono_ns,
        attempt,
        what: what(event)?,
        cause: match &seen.cause {
            Some(cause) => format!("{}/{}", event.kind, cause.id),
            None => event.kind.name().to_owned(),
        },
        listener: event.listener.map(|at| (at.cookie, at.addr)),
        whose: Whose {
            owner: seen.owner.clone(),
            cgroup: seen.cgroup.clone(),
            netns_name: seen.netns_name.clone(),
        },
        shown,
    })
}

fn what(event: &Event) -> Option<What> {
    // This host's own attempts are told of by their listener, if it is one of this host.
    if event.client == event.local && event.remote != event.local {
        return None;
    }
    Some(match event.kind {
        kind if kind.is_refusal() => {
            let stage = event.stage?;
            let is_syn = stage == Stage::Syn;
            What::Refused {
                stage,
                isn: event.segment()?.seq.wrapping_sub(u32::from(!is_syn)),
                aborted: event.evidence.moved(counter::EMBRYONIC_RSTS),
            }
        }
        // It never came as far as its listener, and its client tries again.
        Kind::PacketDrop if event.stage == Some(Stage::Syn) => What::Refused {
            stage: Stage::Syn,
            isn: event.segment()?.seq,
            aborted: false,
        },
        Kind::CookieSent => What::CookieSent(isn(event)),
        Kind::SynackRetransmit => What::SynackAgain(isn(event)),
        Kind::RequestExpired if event.evidence.has(flag::LISTENER_GONE) => return None,
        Kind::RequestExpired => What::Expired(isn(event)),
        Kind::Refused | Kind::ResetSent => What::Reset(End::Server, isn(event)),
        Kind::ResetReceived => What::Reset(End::Client, isn(event)),
        Kind::Connected => {
            let refused = event.refused()?;
            What::Connected {
                isn: refused.isn,
                first_ns: refused.first_ns,
                times: refused.times,
            }
        }
        _ => return None,
    })
}

/// The client's initial sequence number.
fn isn(event: &Event) -> Isn {
    let Some(segment) = event.segment() else {
        return Isn::Unknown;
    };
    let is_of_request = matches!(
        event.evidence.hook,
        hook::RETRANSMIT_SYNACK | hook::REQUEST_TIMER
    );
    match event.kind {
        // Another SYN ends a request as a reset does: its number is not that of the request.
        Kind::ResetReceived if event.evidence.has(flag::SYN) => Isn::Near(segment.seq),
        _ if !event.evidence.has(flag::PACKET) => Isn::Unknown,
        _ if is_of_request || event.evidence.has(flag::SYN) => Isn::Exact(segment.seq),
        _ => Isn::Near(segment.seq.wrapping_sub(1)),
    }
}
