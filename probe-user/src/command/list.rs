//! `whydrop list`: every listener as it is now. No hook is needed.

use std::{collections::HashSet, fs};

use clap::Args;

use super::{Failure, watch::netns_of, write};
use crate::{
    enrich::Enricher,
    filter::{Filter, ListenerFilter, Only, Whose},
    host::{
        diag::ListenerSnapshot,
        owner,
        sysctl::{self, ListenSysctls},
    },
    listing::{self, Found, Listed},
    model::Missing,
    sink::{Format, listing},
};

#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// List only what takes connections to this, as ADDR:PORT or :PORT (several are "or")
    #[arg(value_name = "ADDR:PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// How lines look: `text` for people, `json` for machines (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// List only this network namespace: a name of `ip netns`, a PID, a path, `self` or `all`
    #[arg(long, value_name = "NETNS", default_value = "all")]
    pub netns: String,

    #[command(flatten)]
    pub whose: Whose,
}

pub fn run(args: &ListArgs) -> Result<(), Failure> {
    args.whose.check().map_err(Failure::usage)?;
    let mut enricher = Enricher::new();
    let filter = Filter {
        listeners: args.listeners.clone(),
        netns: netns_of(&args.netns, &mut enricher.registry)?,
        only: Only {
            whose: args.whose.clone(),
            ..Only::default()
        },
    };
    let mut survey = Survey {
        enricher,
        missing: Vec::new(),
    };
    let rows = survey.rows(&filter)?;
    write(&listing(
        args.format,
        &super::origin(),
        &rows,
        &survey.missing,
    ))
}

/// One look at everything.
struct Survey {
    enricher: Enricher,
    missing: Vec<Missing>,
}

/// A namespace's listeners and sysctls.
struct Answer {
    netns: u32,
    listeners: Vec<ListenerSnapshot>,
    sysctls: ListenSysctls,
}

impl Survey {
    fn rows(&mut self, filter: &Filter) -> Result<Vec<Listed>, Failure> {
        let namespaces = self.namespaces(filter.netns);
        let answers: Vec<Answer> = namespaces
            .into_iter()
            .filter_map(|netns| self.ask(netns))
            .collect();
        if answers.is_empty() {
            let why = self.missing.first().map(|missing| missing.why.as_str());
            return Err(Failure::failed(format!(
                "no network namespace could be asked for its listeners: {}",
                why.unwrap_or("none was found in /proc")
            )));
        }
        let sees_owners = self.look_for_owners(&answers);
        let mut found = Vec::new();
        for answer in answers {
            self.identify(answer, sees_owners, &mut found);
        }
        let mut rows = listing::list(found);
        rows.retain(|row| {
            let found = &row.found;
            filter.takes_row(found.snapshot.addr, &found.owner, found.cgroup.as_deref())
        });
        Ok(rows)
    }

    fn namespaces(&mut self, only: Option<u32>) -> Vec<u32> {
        if let Some(netns) = only {
            return vec![netns];
        }
        self.enricher.registry.refresh_thoroughly();
        let mut namespaces: Vec<u32> = self.enricher.registry.iter().collect();
        namespaces.sort_unstable();
        namespaces
    }

    /// `None` where it does not answer, which is remembered.
    fn ask(&mut self, netns: u32) -> Option<Answer> {
        let listeners = match self.enricher.all_listeners(netns) {
            Ok(listeners) => listeners,
            Err(why) => {
                self.miss(
                    Some(netns),
                    format!("listeners of namespace {netns}: {why}"),
                );
                return None;
            }
        };
        let sysctls = if listeners.is_empty() {
            ListenSysctls::default()
        } else {
            let sysctls = sysctl::ListenSysctls::of_netns(&mut self.enricher.registry, netns);
            sysctls.unwrap_or_else(|error| {
                self.miss(
                    Some(netns),
                    format!("sysctls of namespace {netns}: {error}"),
                );
                ListenSysctls::default()
            })
        };
        Some(Answer {
            netns,
            listeners,
            sysctls,
        })
    }

    /// Whether every owner there is has been seen.
    fn look_for_owners(&mut self, answers: &[Answer]) -> bool {
        let listeners = answers.iter().flat_map(|answer| &answer.listeners);
        let inodes: HashSet<u32> = listeners.map(|listener| listener.inode).collect();
        let unreadable = self.enricher.learn_owners(&inodes);
        let status = fs::read("/proc/self/status").unwrap_or_default();
        let blind_spot = if unreadable > 0 {
            Some(format!(
                "sockets and namespaces of processes that may not be looked at, of which there are {unreadable}: run as root or with CAP_SYS_PTRACE"
            ))
        } else {
            owner::blind_spot(&status).map(str::to_owned)
        };
        let sees_owners = blind_spot.is_none();
        if let Some(why) = blind_spot {
            self.miss(None, why);
        }
        sees_owners
    }

    fn identify(&mut self, answer: Answer, sees_owners: bool, to: &mut Vec<Found>) {
        let netns_name = self.enricher.netns_name(answer.netns);
        for snapshot in answer.listeners {
            let (owner, cgroup) = self.enricher.identity(&snapshot);
            // A listener that was closed meanwhile has no owner, and is none any more.
            if owner.is_empty() && sees_owners && !self.still_listens(answer.netns, &snapshot) {
                continue;
            }
            to.push(Found {
                netns: answer.netns,
                netns_name: netns_name.clone(),
                snapshot,
                sysctls: answer.sysctls,
                owner,
                sees_owners,
                cgroup,
            });
        }
    }

    fn still_listens(&mut self, netns: u32, snapshot: &ListenerSnapshot) -> bool {
        let now = self
            .enricher
            .listeners_of(netns, snapshot.addr.port())
            .unwrap_or_default();
        now.iter().any(|one| one.cookie == snapshot.cookie)
    }

    fn miss(&mut self, netns: Option<u32>, why: String) {
        let netns_name = netns.and_then(|netns| self.enricher.netns_name(netns));
        self.missing.push(Missing {
            netns,
            netns_name,
            why,
        });
    }
}
