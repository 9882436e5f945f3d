//! One look at every listener there is, its owners, and the sysctls of its namespace; and what could not be looked at.

use std::{collections::HashSet, fs};

use crate::{
    host::{Host, owner, sysctl},
    model::{Found, Missing, socket::ListenerSnapshot, sysctls::ListenSysctls},
};

/// One look at everything.
pub struct Survey {
    host: Host,
    missing: Vec<Missing>,
}

/// A namespace's listeners and sysctls.
struct Answer {
    netns: u32,
    listeners: Vec<ListenerSnapshot>,
    sysctls: ListenSysctls,
}

impl Survey {
    /// Of this machine.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            missing: Vec::new(),
        }
    }

    /// What could not be looked at.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Every listener of a namespace, or of all. An error is a sentence: nothing could be asked.
    pub fn take(&mut self, netns: Option<u32>) -> Result<Vec<Found>, String> {
        let namespaces = self.namespaces(netns);
        let answers: Vec<Answer> = namespaces
            .into_iter()
            .filter_map(|netns| self.ask(netns))
            .collect();
        if answers.is_empty() {
            let why = self.missing.first().map(|missing| missing.why.as_str());
            return Err(format!(
                "no network namespace could be asked for its listeners: {}",
                why.unwrap_or("none was found in /proc")
            ));
        }
        let sees_owners = self.look_for_owners(&answers);
        let mut found = Vec::new();
        for answer in answers {
            self.identify(answer, sees_owners, &mut found);
        }
        Ok(found)
    }

    fn namespaces(&mut self, only: Option<u32>) -> Vec<u32> {
        if let Some(netns) = only {
            return vec![netns];
        }
        self.host.namespaces().refresh_thoroughly();
        let mut namespaces: Vec<u32> = self.host.namespaces().iter().collect();
        namespaces.sort_unstable();
        namespaces
    }

    /// `None` where it does not answer, which is remembered.
    fn ask(&mut self, netns: u32) -> Option<Answer> {
        let listeners = match self.host.all_listeners(netns) {
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
            let sysctls = sysctl::listen(&mut self.host.namespaces(), netns);
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
        let unreadable = self.host.learn_owners(&inodes);
        let status = fs::read("/proc/self/status").unwrap_or_default();
        let blind_spot = if unreadable > 0 {
            Some(format!(
                "sockets and namespaces of {unreadable} process{} that may not be looked at: run as root or with CAP_SYS_PTRACE; a security module may still forbid it",
                if unreadable == 1 { "" } else { "es" }
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
        let netns_name = self.host.netns_name(answer.netns);
        for snapshot in answer.listeners {
            let (owner, cgroup) = self.host.identity(&snapshot);
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
        match self.host.listeners_of(netns, snapshot.addr.port()) {
            Ok(now) => now.iter().any(|one| one.cookie == snapshot.cookie),
            // Where it cannot be asked again it is what it was, unless all of its namespace is gone.
            Err(error) => !error.is_gone(),
        }
    }

    fn miss(&mut self, netns: Option<u32>, why: String) {
        let netns_name = netns.and_then(|netns| self.host.netns_name(netns));
        self.missing.push(Missing {
            netns,
            netns_name,
            why,
        });
    }
}
