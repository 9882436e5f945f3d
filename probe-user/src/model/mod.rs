//! The nouns of the stream: what is told, counted and answered. No I/O, no clock, and no way of showing anything.

mod against;
pub mod alarm;
mod answer;
pub mod around;
pub mod astray;
mod awaits;
pub mod cause;
pub mod census;
pub mod cgroup;
mod client;
mod clock;
pub mod counted;
pub mod event;
pub mod evidence;
pub mod exposition;
pub mod flood;
pub mod format;
mod found;
pub mod gone;
mod group;
pub mod harmless;
pub mod health;
pub mod histogram;
pub mod hold;
pub mod hook;
mod host_facts;
pub mod incident;
pub mod intern;
pub mod kind;
mod line;
mod loss;
mod missing;
pub mod netns_name;
pub mod observation;
mod observed;
mod origin;
pub mod outcome;
pub mod owner;
pub mod pairs;
pub mod process;
mod ran;
pub mod reading;
pub mod refusal;
pub mod request;
pub mod rest;
pub mod rows;
pub mod sandbox;
pub mod signals;
pub mod socket;
pub mod stall;
mod start;
mod stats;
pub mod status;
pub mod steps;
pub mod story;
mod summary;
pub mod sysctls;
mod tally;
mod thread_state;
pub mod tier;
pub mod verdict;
mod verified;

pub use self::{
    against::{Against, Figures, Late, Pair, Port, Watched},
    answer::{
        Answer, Early, Holding, ListenerAnswer, Listening, Now, OfClient, Others, Seen, Tried,
    },
    awaits::Awaits,
    client::TopClient,
    clock::{Clock, Stamp, Utc},
    found::Found,
    group::{Group, GroupMember},
    histogram::Histogram,
    host_facts::HostFacts,
    line::{Candidate, Heartbeat, Line, Sampled, Tick},
    loss::Loss,
    missing::Missing,
    observed::{
        Answered, CountersMoved, LogLine, Observed, ObservedCgroup, ObservedProcess, ObservedQueue,
        ToldAnswer, ToldRan, ToldVerdict, ToldVerified, WithoutListener,
    },
    origin::Origin,
    ran::{Diagnosed, Dropped, Ended, Hurt, Moments, Ran},
    rows::{Residual, Row},
    start::{Asked, PART_OF_THE_HOST, SelfTest, Start},
    stats::{Accepted, ListenerStatsRow, Refusals},
    summary::{NetnsNames, Summary},
    tally::{Causes, Counts, ListenerTally, counts_in_words, name_of},
    thread_state::ThreadState,
    verified::{OF_REFUSALS, Verdict, Verified},
};
