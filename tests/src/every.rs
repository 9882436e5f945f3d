//! What is done now, and then again after each pause.

use std::time::{Duration, Instant};

pub struct Every {
    pause: Duration,
    last: Option<Instant>,
}

impl Every {
    pub const fn new(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    pub fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() > self.pause);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}
