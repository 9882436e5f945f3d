//! What is made of the stream: observations, counts and looks come in; figures, stories, incidents and judgements go out.
//! It knows nothing of how anything is shown.

pub mod beside;
pub mod correlate;
pub mod facts;
pub mod group;
pub mod incident;
pub mod inquiry;
pub mod judge;
pub mod ledger;
pub mod looks;
pub mod narrow;
pub mod pressure;
pub mod reconcile;
pub mod sampled;
pub mod signals;
pub mod stories;
pub mod tally;
pub mod verify;
mod who;
