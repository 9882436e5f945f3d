//! The nouns of the stream: what is told, counted and answered. No I/O, no clock, and no way of showing anything.

mod answer;
mod clock;
pub mod format;
mod group;
pub mod health;
pub mod histogram;
pub mod intern;
mod line;
mod missing;
mod observed;
pub mod pairs;
mod ran;
pub mod rest;
pub mod rows;
mod start;
mod stats;
pub mod steps;
mod summary;
mod tally;
mod verified;

pub use self::{
    answer::{Answer, Listening, Now, OfClient, Tried},
    clock::{Clock, Stamp, Utc},
    group::{Group, GroupMember},
    histogram::Histogram,
    line::{Candidate, Hears, Line, Loss, Sampled, Tick},
    missing::Missing,
    observed::{
        Answered, HostFacts, LogLine, Observed, ObservedCgroup, ObservedProcess, ObservedQueue,
        ToldRan, ToldVerdict, ToldVerified,
    },
    ran::{Diagnosed, Dropped, Ended, Hurt, Moments, Ran},
    rows::{Residual, Row},
    start::{SelfTest, Start},
    stats::{Accepted, ListenerStatsRow},
    summary::Summary,
    tally::{Causes, Counts, ListenerTally, counts_in_words, name_of},
    verified::{OF_REFUSALS, Verdict, Verified},
};
