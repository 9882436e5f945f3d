//! What ends a watch: a signal, its time, or whoever conducts it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::host::status::mask;

/// What ends a watch.
pub struct Stop<'a> {
    signals: Vec<(SignalKind, Signal)>,
    ends_by_signal: bool,
    signalled: Box<dyn FnMut(SignalKind) + 'a>,
    /// When its time is up.
    pub end: Option<Instant>,
    until: Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<'a> Stop<'a> {
    /// Catches SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// They cannot be caught.
    pub fn new(
        until: Pin<Box<dyn Future<Output = ()> + 'a>>,
        ends_by_signal: bool,
        signalled: Box<dyn FnMut(SignalKind) + 'a>,
    ) -> std::io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // Who started whydrop with SIGHUP ignored (nohup) wants it to outlive the terminal.
        if !is_ignored(SignalKind::hangup()) {
            kinds.push(SignalKind::hangup());
        }
        let listen = |kind| Ok((kind, signal(kind)?));
        Ok(Self {
            signals: kinds
                .into_iter()
                .map(listen)
                .collect::<std::io::Result<_>>()?,
            ends_by_signal,
            signalled,
            end: None,
            until,
        })
    }

    /// Whether a signal came before it was ready, of one that signals do not end later.
    pub fn came_early(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        !self.ends_by_signal && take(&mut self.signals, &mut self.signalled, &mut context)
    }

    /// Waits until the watch has to end.
    pub async fn wait(&mut self) {
        let (signals, ends_by_signal) = (&mut self.signals, self.ends_by_signal);
        let signalled = &mut self.signalled;
        let any_signal = std::future::poll_fn(|context| {
            if take(signals, signalled, context) && ends_by_signal {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let end = self.end;
        let time_is_up = async move {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = any_signal => {}
            () = time_is_up => {}
            () = &mut self.until => {}
        }
    }
}

/// Takes every signal that has come; whether one has. Those that have not are waited for.
fn take(
    signals: &mut [(SignalKind, Signal)],
    signalled: &mut dyn FnMut(SignalKind),
    context: &mut Context<'_>,
) -> bool {
    let mut came = false;
    for (kind, signal) in signals {
        while let Poll::Ready(Some(())) = signal.poll_recv(context) {
            came = true;
            signalled(*kind);
        }
    }
    came
}

/// Whether this process was started to ignore a signal.
pub fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    mask(&status, "SigIgn").is_some_and(|ignored| ignored >> (kind.as_raw_value() - 1) & 1 == 1)
}
