//! Packets at a steady rate, a few at a time: what something costs is measured
//! where neither side is in a hurry.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{Timespec, poll};

use crate::wire::Wire;

const AT_ONCE: u32 = 10;

/// How many in a second, and for how many seconds.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    pub rate: u32,
    pub seconds: u32,
}

impl Steady {
    pub const fn packets(self) -> u32 {
        self.rate * self.seconds
    }

    /// Writes these packets over and over; returns, with the time it took, when
    /// the kernel has decided about all.
    pub fn send(self, wire: &Wire, packets: &[Vec<u8>]) -> Result<Duration> {
        let began = Instant::now();
        let every = Duration::from_secs(1) / self.rate * AT_ONCE;
        let mut packets = packets.iter().cycle();
        for round in 1..=self.packets() / AT_ONCE {
            for packet in packets.by_ref().take(AT_ONCE as usize) {
                wire.write(packet)?;
            }
            rest((every * round).saturating_sub(began.elapsed()))?;
        }
        wire.barrier()?;
        Ok(began.elapsed())
    }
}

/// Lets time pass in which nothing is asked of anybody, because that is what is measured.
pub fn rest(time: Duration) -> Result<()> {
    let time = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    poll(&mut [], Some(&time))?;
    Ok(())
}
