//! One attempt of a client: what happened to it, in the order of time, and what became of it.

use std::{collections::BTreeMap, net::SocketAddr};

use probe_common::SAME_ATTEMPT;

use crate::model::{
    kind::Stage,
    outcome::{End, Outcome, Why},
    story::{Attempt, Refusals, Story, Whose},
};

/// SYNs after which silence says that the client has given up; Linux sends seven in all
/// (`tcp_syn_retries` 6; net/ipv4/tcp_timer.c:tcp_write_timeout, 5.10 to 7.2).
const TRIES_OF_A_CLIENT: u32 = 6;

/// Added to what a client may be late.
const MARGIN_NS: u64 = 2_000_000_000;

/// Longer than any pause of a client that still tries: twice the last one of Linux, which is 64 s.
const SILENCE_NS: u64 = 130_000_000_000;

/// The client's initial sequence number, as far as an event tells it: another one is another attempt from the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isn {
    /// Of a SYN or a request.
    Exact(u32),
    /// Derived from a later segment, which may be further on.
    Near(u32),
    /// Of a connection that entered the accept queue, or is being made: who was refused and made it is told of before.
    Unknown,
}

/// Something that happened to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// With the initial sequence number that its segment tells.
    Refused {
        /// Where in a handshake, where it was in one.
        stage: Stage,
        /// The client's initial sequence number.
        isn: u32,
        /// The refusal was answered by a reset.
        aborted: bool,
    },
    /// A SYN cookie answered the SYN.
    CookieSent(Isn),
    /// The SYN-ACK was sent again: the server knows of the attempt.
    SynackAgain(Isn),
    /// The server has forgotten its half-open request.
    Expired(Isn),
    /// One end reset it.
    Reset(End, Isn),
    /// It entered the accept queue; what the kernel side says of the time before.
    Connected {
        /// The client's initial sequence number.
        isn: u32,
        /// The first of them, CLOCK_MONOTONIC in nanoseconds.
        first_ns: u64,
        /// How often it was refused before.
        times: u32,
    },
}

impl What {
    /// Which attempt of those from the same port it is about.
    const fn isn(self) -> Isn {
        match self {
            Self::Refused {
                stage: Stage::Syn,
                isn,
                ..
            } => Isn::Exact(isn),
            Self::Refused { isn, .. } | Self::Connected { isn, .. } => Isn::Near(isn),
            Self::CookieSent(isn)
            | Self::SynackAgain(isn)
            | Self::Expired(isn)
            | Self::Reset(_, isn) => isn,
        }
    }

    /// Whether a story can begin with it.
    pub(super) const fn begins(self) -> bool {
        match self {
            // An ICMP error ends a request that the listener had taken.
            Self::Refused { stage, .. } => !matches!(stage, Stage::Icmp | Stage::SynAck),
            Self::Connected { .. } => true,
            _ => false,
        }
    }
}

/// What comes in.
#[derive(Clone, Debug)]
pub struct News {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// Which attempt it is of.
    pub attempt: Attempt,
    /// What happened to it.
    pub what: What,
    /// `kind` or `kind/cause` of the event.
    pub cause: String,
    /// The listener's cookie and the address it is bound to.
    pub listener: Option<(u64, SocketAddr)>,
    /// Whose listener it was.
    pub whose: Whose,
    /// Whether the event has a line.
    pub shown: bool,
}

impl Story {
    /// The story that begins with this.
    pub(super) fn begin(news: &News) -> Self {
        let (isn, is_isn_exact, first_ns) = match news.what {
            What::Refused { isn, stage, .. } => (isn, stage == Stage::Syn, news.mono_ns),
            What::Connected { isn, first_ns, .. } => (isn, false, first_ns),
            _ => (0, false, news.mono_ns),
        };
        let mut story = Self {
            attempt: news.attempt,
            first_ns,
            last_ns: news.mono_ns,
            refusals: Refusals::default(),
            refused: None,
            causes: BTreeMap::new(),
            listener: None,
            whose: Whose::default(),
            outcome: Outcome::StillTrying,
            shown: false,
            isn,
            is_isn_exact,
            last_syn_ns: 0,
            last_gap_ns: 0,
            has_acked: false,
            has_cookie: false,
            told: Outcome::StillTrying.name(),
        };
        story.take(news);
        story
    }

    /// Whether this is about the same attempt, or about another one from the same port.
    pub(super) fn is_about(&self, news: &News) -> bool {
        match news.what.isn() {
            Isn::Exact(isn) if self.is_isn_exact => isn == self.isn,
            Isn::Exact(isn) | Isn::Near(isn) => {
                isn.wrapping_sub(self.isn).wrapping_add(SAME_ATTEMPT) < 2 * SAME_ATTEMPT
            }
            Isn::Unknown => false,
        }
    }

    /// The next thing that happened.
    pub(super) fn take(&mut self, news: &News) {
        self.last_ns = self.last_ns.max(news.mono_ns);
        self.shown |= news.shown;
        if news.listener.is_some() {
            self.listener = news.listener;
            self.whose = news.whose.clone();
        }
        match news.what {
            What::Connected { .. } => {}
            _ => *self.causes.entry(news.cause.clone()).or_default() += 1,
        }
        match news.what {
            What::Refused { stage, aborted, .. } => {
                self.refused_at(stage, news.mono_ns);
                if aborted {
                    self.outcome = Outcome::Reset { by: End::Server };
                }
            }
            What::Connected {
                first_ns, times, ..
            } => {
                self.first_ns = first_ns;
                self.refused = Some(times);
                self.outcome = Outcome::ConnectedLate {
                    delay_ns: news.mono_ns.saturating_sub(first_ns),
                };
            }
            // Whoever has connected is; what comes later is of a connection, or of another attempt.
            _ if matches!(self.outcome, Outcome::ConnectedLate { .. }) => {}
            What::CookieSent(_) => {
                self.has_cookie = true;
                self.goes_on();
            }
            What::SynackAgain(_) => self.goes_on(),
            What::Expired(_) if self.has_acked => self.outcome = Outcome::Ghost,
            What::Expired(_) => {
                let silent_ns = self.last_ns.saturating_sub(self.last_syn_ns);
                self.outcome = Outcome::GaveUp { silent_ns };
            }
            What::Reset(by, _) => self.outcome = Outcome::Reset { by },
        }
    }

    /// What silence had said was wrong.
    fn goes_on(&mut self) {
        if matches!(
            self.outcome,
            Outcome::GaveUp { .. } | Outcome::Unknown { .. }
        ) {
            self.outcome = Outcome::StillTrying;
        }
    }

    fn refused_at(&mut self, stage: Stage, mono_ns: u64) {
        self.outcome = Outcome::StillTrying;
        match stage {
            Stage::Syn => {
                if self.refusals.syn > 0 {
                    self.last_gap_ns = mono_ns.saturating_sub(self.last_syn_ns);
                }
                self.last_syn_ns = mono_ns;
                self.refusals.syn += 1;
                self.has_acked = false;
            }
            Stage::CookieAck => {
                self.refusals.cookie_ack += 1;
                self.outcome = Outcome::Ghost;
            }
            Stage::Ack => {
                self.refusals.ack += 1;
                self.has_acked = true;
            }
            // The request is gone; a client that has not acknowledged anything tries again.
            Stage::Icmp | Stage::SynAck => {}
        }
    }

    /// What silence until now says, if no record is `missed` since its beginning.
    pub(super) fn in_silence(&self, now_ns: u64, missed: Option<Why>) -> Outcome {
        let silent_ns = now_ns.saturating_sub(self.last_ns);
        // A client that still tries would have come again.
        let schedule = match self.refusals.syn {
            TRIES_OF_A_CLIENT.. => 2 * self.last_gap_ns + MARGIN_NS,
            _ => SILENCE_NS,
        };
        let is_over = silent_ns > schedule.min(SILENCE_NS);
        match missed {
            _ if !is_over => self.outcome,
            Some(why) => Outcome::Unknown { why },
            None if self.has_acked => Outcome::Unknown {
                why: Why::SilentAfterAck,
            },
            None if self.has_cookie => Outcome::Unknown {
                why: Why::SilentAfterCookie,
            },
            None => Outcome::GaveUp { silent_ns },
        }
    }
}
