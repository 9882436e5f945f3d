//! Recordings as a source. Files come in, lines of bytes go out in the order in which they were
//! recorded; what the lines say is for whoever reads them.

pub mod format;
