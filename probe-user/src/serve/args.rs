//! What `whydrop serve` is asked for, and what it begins with: everything is opened and bound before anything is attached.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use super::{Address, Bound, Daemon, Notify, Textfile, say_ready, serve};
use crate::{
    analyse::exposed::Limits,
    model::request::{Request, Words},
    sandbox,
    sink::{Format, RecordArgs, aside},
    source::{Conduct, WatchArgs},
};

/// A listener that was closed keeps its series for so long.
const CLOSED: Duration = Duration::from_mins(5);

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct ServeArgs {
    /// Take options from this TOML file, each by its long name; those of the command line win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Say whether the file is right, and do nothing else
    #[arg(long, requires = "config")]
    pub check_config: bool,

    /// Serve metrics, /healthz and /readyz there: ADDR:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9435")]
    pub metrics: Option<Address>,

    /// Write metrics into whydrop.prom in this folder every 15 s, for node_exporter's textfile collector
    #[arg(long, value_name = "DIR")]
    pub textfile: Option<PathBuf>,

    /// Listeners with series of their own; the others are one series of each namespace
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_listeners: usize,

    /// Format of the lines: `text` for people, `json` for machines (one object a line)
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Run this command for each line of an incident, which it finds as JSON on its standard input
    #[arg(long, value_name = "COMMAND")]
    pub on_incident: Option<Words>,

    /// What is given up once everything is attached: privileges and system calls that nothing needs any more
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub sandbox: sandbox::Mode,

    #[command(flatten)]
    pub request: Request,

    #[command(flatten)]
    pub record: RecordArgs,
}

impl ServeArgs {
    /// Opens and binds everything, and says how the watch is conducted. No thread is made before `ready` is called.
    ///
    /// # Errors
    /// A sentence: what cannot be served is no reason to watch.
    pub fn begin(&self) -> Result<Conduct<'static>, String> {
        let notify = Notify::of_env()?.map(Arc::new);
        let bound = self.metrics.as_ref().map(Address::bind).transpose()?;
        let file = self.textfile.as_deref().map(Textfile::open).transpose()?;
        let limits = Limits {
            listeners: self.max_listeners,
            closed_ns: CLOSED.as_nanos() as u64,
        };
        let (daemon, lines) = Daemon::new(limits, notify.clone(), file);
        let shared = daemon.shared();
        let address = bound.as_ref().and_then(Bound::address);
        Ok(Conduct {
            stage: Some(Box::new(lines)),
            service: Some(Box::new(daemon)),
            ..Conduct::printed(move |start| {
                let served = bound.map(|bound| serve(bound, Arc::clone(&shared)));
                match served.transpose() {
                    Ok(_) => say_ready(&shared, notify.as_deref(), start),
                    Err(error) => aside(error),
                }
                if let Some(address) = address {
                    aside(format_args!("metrics at {address}"));
                }
            })
        })
    }

    /// The watch that it is.
    pub fn watch(&self) -> WatchArgs {
        WatchArgs {
            format: self.format,
            quiet: true,
            on_incident: self.on_incident.clone(),
            sandbox: self.sandbox,
            request: self.request.clone(),
            record: self.record.clone(),
            ..WatchArgs::default()
        }
    }

    /// Whoever comes next finds nobody there.
    pub fn end(&self) {
        if let Some(Address::Unix(path)) = &self.metrics {
            // It may be gone.
            let _ = std::fs::remove_file(path);
        }
    }
}
