//! What ends a watch (a signal, its time, or whoever conducts it), and what else signals ask of it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::host::{status::mask, terminal::has_terminal};

/// What a watch is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end.
    End,
    /// To go on in files that have the names by now.
    Reopen,
    /// A summary of what was until now.
    Interim,
}

/// Signals that end a process by default, and of which a summary is to be left. The first two end a watch even if they were
/// ignored at the start: a shell ignores SIGINT for what it runs in the background.
const ALWAYS: [i32; 2] = [libc::SIGINT, libc::SIGTERM];
const UNLESS_IGNORED: [i32; 7] = [
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    // Who started whydrop with SIGHUP ignored (nohup) wants it to outlive the terminal.
    libc::SIGHUP,
];

/// What ends a watch.
pub struct Stop<'a> {
    signals: Vec<(SignalKind, Signal)>,
    ends_by_signal: bool,
    signalled: Box<dyn FnMut(SignalKind) + 'a>,
    /// Whether there is a file that can be opened by its name again.
    pub has_file: bool,
    had_terminal: Option<bool>,
    /// When its time is up.
    pub end: Option<Instant>,
    until: Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<'a> Stop<'a> {
    /// Catches signals.
    ///
    /// # Errors
    /// They cannot be caught.
    pub fn new(
        until: Pin<Box<dyn Future<Output = ()> + 'a>>,
        ends_by_signal: bool,
        signalled: Box<dyn FnMut(SignalKind) + 'a>,
    ) -> std::io::Result<Self> {
        let others = UNLESS_IGNORED.map(SignalKind::from_raw).into_iter();
        let kinds = (ALWAYS.map(SignalKind::from_raw).into_iter())
            .chain(others.filter(|kind| !is_ignored(*kind)));
        Ok(Self {
            signals: kinds
                .map(|kind| Ok((kind, signal(kind)?)))
                .collect::<std::io::Result<_>>()?,
            ends_by_signal,
            signalled,
            has_file: false,
            had_terminal: has_terminal(),
            end: None,
            until,
        })
    }

    /// Whether a signal came before it was ready, of one that signals do not end later.
    pub fn came_early(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        !self.ends_by_signal && self.poll(&mut context).is_ready()
    }

    /// Waits until the watch has to end, or to do something else.
    pub async fn wait(&mut self) -> Asked {
        let end = self.end;
        let time_is_up = async move {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let mut time_is_up = std::pin::pin!(time_is_up);
        std::future::poll_fn(|context| {
            if let Poll::Ready(Some(asked)) = self.poll(context) {
                return Poll::Ready(asked);
            }
            if time_is_up.as_mut().poll(context).is_ready()
                || self.until.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Asked::End);
            }
            Poll::Pending
        })
        .await
    }

    /// Takes signals that have come, up to the first that asks for something; of a watch that signals do not end, all of
    /// them. Those that have not come are waited for.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Asked>> {
        let mut polled = Poll::Pending;
        for (kind, signal) in &mut self.signals {
            while let Poll::Ready(Some(())) = signal.poll_recv(context) {
                // write(2) has failed by now, and says so.
                if kind.as_raw_value() == libc::SIGXFSZ {
                    continue;
                }
                if !self.ends_by_signal {
                    (self.signalled)(*kind);
                    polled = Poll::Ready(None);
                    continue;
                }
                let has_lost_terminal =
                    || self.had_terminal == Some(true) && has_terminal() != Some(true);
                let asked = asked(*kind, self.has_file, has_lost_terminal);
                if asked == Asked::End {
                    (self.signalled)(*kind);
                }
                return Poll::Ready(Some(asked));
            }
        }
        polled
    }
}

/// What a signal asks for.
fn asked(kind: SignalKind, has_file: bool, has_lost_terminal: impl FnOnce() -> bool) -> Asked {
    match kind.as_raw_value() {
        libc::SIGUSR1 => Asked::Interim,
        libc::SIGHUP if has_file && !has_lost_terminal() => Asked::Reopen,
        _ => Asked::End,
    }
}

/// Whether this process was started to ignore a signal.
pub fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    mask(&status, "SigIgn").is_some_and(|ignored| ignored >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_for_files_unless_the_terminal_is_gone() {
        let of = |kind, has_file, is_gone: bool| asked(kind, has_file, || is_gone);
        let hangup = SignalKind::hangup();
        assert_eq!(of(hangup, true, false), Asked::Reopen);
        assert_eq!(of(hangup, true, true), Asked::End);
        assert_eq!(of(hangup, false, false), Asked::End);
        assert_eq!(of(SignalKind::user_defined1(), true, true), Asked::Interim);
        for kind in [SignalKind::terminate(), SignalKind::quit()] {
            assert_eq!(of(kind, true, false), Asked::End);
        }
    }
}
