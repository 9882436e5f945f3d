//! Who feeds the pipeline.

pub mod replay;
