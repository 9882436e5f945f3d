//! What the stream is made of: how its nouns are spelled when they are recorded, and how they come back. It does no I/O
//! and reads no clock.

pub mod format;
pub mod health;
pub mod intern;
pub mod pairs;
pub mod rest;
pub mod steps;
