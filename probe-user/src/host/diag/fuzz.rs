//! Doors of tests/fuzz and of the property tests: one datagram, read as a [`Diag`](super::Diag) reads it. They have no logic of their own.

use super::channel::take;
use super::wire::Frames;
use super::{DiagError, snapshot};
use crate::model::socket::{ConnectionSnapshot, ListenerSnapshot};

/// Adds the listeners of a dump to `found`; says whether the answer ended.
pub fn listeners(
    datagram: &[u8],
    sequence: u32,
    found: &mut Vec<ListenerSnapshot>,
) -> Result<bool, DiagError> {
    let frames = Frames::new(datagram, sequence);
    let ended = take(frames, 0, &mut false, &mut |payload, taken_mono_ns| {
        found.extend(snapshot::listener(payload, taken_mono_ns)?);
        Ok(())
    })?;
    Ok(ended.is_some())
}

/// The same for the answer of an exact lookup.
pub fn connections(
    datagram: &[u8],
    sequence: u32,
    found: &mut Vec<ConnectionSnapshot>,
) -> Result<bool, DiagError> {
    let frames = Frames::new(datagram, sequence);
    let ended = take(frames, 0, &mut false, &mut |payload, taken_mono_ns| {
        found.push(snapshot::connection(payload, taken_mono_ns)?);
        Ok(())
    })?;
    Ok(ended.is_some())
}
