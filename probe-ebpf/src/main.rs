//! The kernel side of whydrop. It measures and never judges: it reads the
//! kernel's own counters around a decision, counts what moved, and hands the
//! detail out through a ring buffer. The user side says what it means.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a key that is given away is copied once more, on a stack of 512 bytes"
)]

#[macro_use]
mod debug;

mod attempt;
mod config;
mod emit;
mod event;
mod frame;
mod generation;
mod health;
mod kernel;
mod listener_id;
mod memory;
mod mib;
mod notice;
mod probes;
mod sample;
mod stats;
mod twice;
mod wanted;
mod warn;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
