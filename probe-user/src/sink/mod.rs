//! Where items end. Only this room writes.

pub mod record;
