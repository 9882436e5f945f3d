//! What an event costs from the bytes of its record to its line. One turn is a batch of 100 events of one listener.
//!
//! `cargo bench -p whydrop --features benchmark`; instructions, see `benches/README.md`.

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use whydrop::{
    sink::Format,
    source::benchmark::{EVENTS, Pipeline},
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = [Format::Text, Format::Json])]
fn line(bencher: Bencher, format: Format) {
    let mut pipeline = Pipeline::new(format).expect("a listener of our own");
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench_local(|| pipeline.run(EVENTS));
}
