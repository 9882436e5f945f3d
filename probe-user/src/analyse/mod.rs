//! What is made of the stream: observations, counts and looks come in; figures, stories, incidents and judgements go out.
//! It knows nothing of how anything is shown.

pub mod against;
pub mod alarm;
pub mod around;
pub mod astray;
pub mod beside;
pub mod clients;
pub mod correlate;
pub mod exposed;
pub mod facts;
mod gone;
pub mod group;
pub mod growth;
mod holder;
pub mod incident;
pub mod inquiry;
pub mod judge;
pub mod ledger;
pub mod looks;
mod missing;
pub mod moved;
pub mod narrow;
pub mod places;
pub mod pressure;
pub mod ran;
pub mod reconcile;
pub mod sampled;
pub mod signals;
pub mod span;
pub mod steady;
pub mod stories;
pub mod tally;
mod tries;
mod turnover;
pub mod verify;
mod who;
