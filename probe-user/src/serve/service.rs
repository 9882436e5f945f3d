//! Between the loop of a watch and whoever asks: requests for a census go in, families come out; each second it beats.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{
    notify::Notify,
    textfile::{Textfile, Writing},
};
use crate::{
    analyse::exposed::{Exposed, Limits},
    host::clock::mono_ns,
    model::{Line, PART_OF_THE_HOST, SelfTest, Start, census::Census, exposition::Family},
    sink::{Sink, aside},
    source::Service,
};

/// A loop that has not been through for so long does not go on.
const DEAD_NS: u64 = 10_000_000_000;

/// How long a client waits for a census.
const PATIENCE: Duration = Duration::from_secs(2);

/// A census that is younger is handed out again, and one takes this part of the time at most.
const FRESH: Duration = Duration::from_millis(200);
const SHARE: u32 = 20;

/// node_exporter is scraped about as often.
const FILE_EVERY: Duration = Duration::from_secs(15);

const HEARTBEAT_EVERY: Duration = Duration::from_mins(1);

type Answer = Result<Arc<Vec<Family>>, String>;

/// What the threads of connections know.
pub struct Shared {
    beat_ns: AtomicU64,
    ready: OnceLock<Result<String, String>>,
    ask: Sender<mpsc::SyncSender<Answer>>,
}

impl Shared {
    /// All metrics by now.
    pub(super) fn families(&self) -> Answer {
        let (to, answer) = mpsc::sync_channel(1);
        let asked = self.ask.try_send(to);
        asked.map_err(|_| "the watch is busy or has ended".to_owned())?;
        let late = |_| format!("the watch had no answer within {PATIENCE:?}");
        answer.recv_timeout(PATIENCE).map_err(late)?
    }

    /// Whether the loop goes on.
    pub(super) fn health(&self) -> Result<String, String> {
        match mono_ns().saturating_sub(self.beat_ns.load(Ordering::Relaxed)) {
            0..DEAD_NS => Ok("ok".into()),
            silent => Err(format!(
                "the watch has been busy for {} s",
                silent / 1_000_000_000
            )),
        }
    }

    /// Whether it goes on and sees the whole host.
    pub(super) fn readiness(&self) -> Result<String, String> {
        self.health()?;
        let ready = self.ready.get().cloned();
        ready.unwrap_or_else(|| Err("it is not attached yet".into()))
    }
}

/// What is said of readiness: hooks that reach only a part of the host are not ready for it.
fn readiness(start: &Start) -> Result<String, String> {
    if let Some(part) = start
        .absent
        .iter()
        .find(|one| one.contains(PART_OF_THE_HOST))
    {
        return Err(part.clone());
    }
    Ok(match &start.self_test {
        SelfTest::Passed { .. } => format!("ready, tier {}", start.tier),
        SelfTest::Skipped(why) => format!("ready, tier {}, self-test skipped: {why}", start.tier),
    })
}

/// The watch's side.
pub struct Daemon {
    /// Known once the watch has begun; lines and censuses come by different ways.
    state: Arc<Mutex<State>>,
    shared: Arc<Shared>,
    asked: Receiver<mpsc::SyncSender<Answer>>,
    waiting: Vec<mpsc::SyncSender<Answer>>,
    made: Option<(Instant, Duration, Answer)>,
    wanted_since: Option<Instant>,
    notify: Option<Arc<Notify>>,
    /// Its thread begins with the first second, when nothing is opened any more.
    file: Option<Textfile>,
    writing: Option<Writing>,
    file_due: Instant,
    heartbeat: Instant,
    alive: Instant,
}

#[derive(Default)]
struct State {
    exposed: Option<Exposed>,
    limits: Option<Limits>,
}

/// Lines on their way into the metrics.
pub struct Lines(Arc<Mutex<State>>);

impl Sink for Lines {
    fn take(&mut self, _: u64, line: &Line<'_>) {
        let is_news = matches!(line, Line::Start(_) | Line::Incident(_));
        if !is_news {
            return;
        }
        let mut state = lock(&self.0);
        match (line, state.limits) {
            (Line::Start(start), Some(limits)) => state.exposed = Some(Exposed::of(start, limits)),
            (line, _) => {
                if let Some(exposed) = &mut state.exposed {
                    exposed.line(line);
                }
            }
        }
    }
}

impl Daemon {
    /// One that is not ready yet.
    pub fn new(
        limits: Limits,
        notify: Option<Arc<Notify>>,
        file: Option<Textfile>,
    ) -> (Self, Lines) {
        let (ask, asked) = channel(16);
        let shared = Arc::new(Shared {
            beat_ns: AtomicU64::new(mono_ns()),
            ready: OnceLock::new(),
            ask,
        });
        let state = Arc::new(Mutex::new(State {
            exposed: None,
            limits: Some(limits),
        }));
        let lines = Lines(Arc::clone(&state));
        let now = Instant::now();
        let daemon = Self {
            state,
            shared,
            asked,
            waiting: Vec::new(),
            made: None,
            wanted_since: None,
            notify,
            file,
            writing: None,
            file_due: now,
            heartbeat: now,
            alive: now,
        };
        (daemon, lines)
    }

    /// What connections are given.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Answers everybody who waits, where what was made last is young enough.
    fn hand_out(&mut self) -> bool {
        let Some((at, took, answer)) = &self.made else {
            return false;
        };
        if at.elapsed() >= FRESH.max(*took * SHARE).min(PATIENCE * 2) {
            return false;
        }
        for to in self.waiting.drain(..) {
            // Whoever waited may be gone.
            let _ = to.try_send(answer.clone());
        }
        true
    }

    fn beat(&mut self) {
        self.shared.beat_ns.store(mono_ns(), Ordering::Relaxed);
        let Some(notify) = &self.notify else { return };
        // A second is as fine as it beats.
        let is_due = |every: Duration| self.alive.elapsed() * 3 >= every;
        if notify.watchdog().is_some_and(is_due) {
            notify.tell("WATCHDOG=1");
            self.alive = Instant::now();
        }
    }

    fn say_alive(&mut self) {
        let state = lock(&self.state);
        let Some(exposed) = &state.exposed else {
            return;
        };
        let words = exposed.in_words();
        drop(state);
        aside(format_args!("alive: {words}"));
        if let Some(notify) = &self.notify {
            notify.tell(&format!("STATUS={words}"));
        }
    }
}

/// Says that everything is attached.
pub fn say_ready(shared: &Shared, notify: Option<&Notify>, start: &Start) {
    let said = readiness(start);
    if let Some(notify) = notify {
        let (Ok(words) | Err(words)) = &said;
        notify.tell(&format!("READY=1\nSTATUS={words}"));
    }
    // It is said once.
    let _ = shared.ready.set(said);
}

impl Service for Daemon {
    fn poll_asked(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(to)) = self.asked.poll_recv(context) {
            self.waiting.push(to);
        }
        if self.waiting.is_empty() || self.hand_out() {
            return Poll::Pending;
        }
        self.wanted_since = Some(Instant::now());
        Poll::Ready(())
    }

    fn second(&mut self) -> bool {
        self.beat();
        if self.heartbeat.elapsed() >= HEARTBEAT_EVERY {
            self.heartbeat = Instant::now();
            self.say_alive();
        }
        match self.file.take().map(Textfile::begin) {
            None => {}
            Some(Ok(writing)) => self.writing = Some(writing),
            Some(Err(error)) => aside(error),
        }
        let is_due = self.writing.is_some() && Instant::now() >= self.file_due;
        if is_due {
            self.file_due = Instant::now() + FILE_EVERY;
            self.wanted_since = Some(Instant::now());
        }
        is_due
    }

    fn take(&mut self, census: Result<Census, String>) {
        let mut state = lock(&self.state);
        let answer = match (census, &mut state.exposed) {
            (Ok(census), Some(exposed)) => {
                exposed.take(census);
                Ok(Arc::new(exposed.families()))
            }
            (Err(why), _) => Err(why),
            (Ok(_), None) => Err("the watch has not begun".into()),
        };
        drop(state);
        let took = self.wanted_since.take();
        let took = took.map_or(Duration::ZERO, |since| since.elapsed());
        if let Some(file) = &self.writing {
            file.hand(answer.as_ref().ok().map(|families| families.to_vec()));
        }
        self.made = Some((Instant::now(), took, answer));
        self.hand_out();
    }

    fn ends(&mut self) {
        if let Some(notify) = &self.notify {
            notify.tell("STOPPING=1");
        }
        if let Some(file) = self.writing.take() {
            file.end();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
