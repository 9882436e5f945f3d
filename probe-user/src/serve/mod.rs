//! Hands out what a watch has counted while it goes on: over HTTP, in a file for node_exporter, and to the service manager.
//! Lines and censuses come in, answers go out. It never reads a counter, and nothing that it waits for holds up the ring.

mod address;
mod answers;
mod args;
mod http;
mod notify;
mod service;
mod textfile;

pub use self::{
    address::{Address, Bound},
    args::ServeArgs,
    http::serve,
    notify::Notify,
    service::{Daemon, Shared, say_ready},
    textfile::Textfile,
};
