//! A watch that lasts as long as a command runs: `run` judges it, `record` keeps it.

use std::{
    cell::Cell,
    ffi::OsString,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::Child;
use crate::{
    model::{Line, Start},
    source::Conduct,
};

/// When nothing was told for so long, the command's last packets have been dealt with.
const QUIET: Duration = Duration::from_millis(50);

/// Others on the host may never be quiet, and what they refuse meanwhile is none of the command's.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

/// A command, and when it was last heard of.
pub(crate) struct While<'a> {
    child: Child,
    words: &'a [OsString],
    last_line: Cell<Instant>,
}

impl<'a> While<'a> {
    /// To be called before any signal is caught.
    pub(crate) fn new(words: &'a [OsString]) -> Self {
        Self {
            child: Child::new(),
            words,
            last_line: Cell::new(Instant::now()),
        }
    }

    /// Has a watch begin with the command, and end after it; `ready` is told before it is started, `stage` of each line.
    pub(crate) fn conduct<'w>(
        &'w self,
        ready: impl FnOnce(&Start) + 'w,
        mut stage: impl FnMut(u64, &Line<'_>) + 'w,
    ) -> Conduct<'w> {
        Conduct {
            ready: Box::new(|start| {
                ready(start);
                self.child.start(self.words);
            }),
            until: Box::pin(async {
                self.child.ended().await;
                self.settle().await;
            }),
            ends_by_signal: false,
            signalled: Box::new(|kind| self.child.signalled(kind)),
            ..Conduct::silent(move |mono_ns, line| {
                // All else is told of when there is time.
                if matches!(line, Line::Event(_) | Line::Tick(_)) {
                    self.last_line.set(Instant::now());
                }
                stage(mono_ns, line);
            })
        }
    }

    /// Lets what is under way come in.
    async fn settle(&self) {
        let began = Instant::now();
        loop {
            sleep(QUIET).await;
            if self.last_line.get().elapsed() >= QUIET || began.elapsed() >= SETTLED_AFTER {
                return;
            }
        }
    }

    /// The command, to be asked how it ended.
    pub(crate) fn into_child(self) -> Child {
        self.child
    }
}
