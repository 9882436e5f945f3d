//! Who feeds the stream.

pub mod replay;
