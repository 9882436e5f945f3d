//! `--on-incident`: each line of an incident goes to the standard input of a command, one command at a time, on a thread of
//! its own. What comes while one runs is not handed over, and counted.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use super::{Format, Reporter, aside, text::plural};
use crate::{
    host::threads::{NoThread, spawn},
    model::{Line, Start, request::Words},
};

/// A command that is not done by then is killed, and whom it has started.
const AT_MOST: Duration = Duration::from_secs(10);

/// The command, and who runs it.
pub struct OnIncident {
    reporter: Reporter,
    to: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    /// One runs, or is about to.
    is_busy: Arc<AtomicBool>,
    /// Lines that came meanwhile, since this was last told.
    missed: u64,
}

impl OnIncident {
    /// Runs this command, of a watch that begins like this.
    pub fn new(words: &Words, start: &Start) -> Result<Self, NoThread> {
        let (to, lines) = sync_channel::<String>(1);
        let is_busy = Arc::new(AtomicBool::new(false));
        let (words, busy) = (words.clone(), Arc::clone(&is_busy));
        let thread = spawn("for --on-incident", move || {
            for line in lines {
                if let Err(why) = run(&words, &line) {
                    aside(format_args!("--on-incident: {}: {why}", words.program));
                }
                busy.store(false, Ordering::Release);
            }
        })?;
        Ok(Self {
            reporter: Reporter::of(Format::Json, start),
            to: Some(to),
            thread: Some(thread),
            is_busy,
            missed: 0,
        })
    }

    pub(super) fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Clock(clock) => self.reporter.set_clock(*clock),
            Line::Incident(_) if self.is_busy.swap(true, Ordering::AcqRel) => self.missed += 1,
            Line::Incident(_) => {
                let mut text = String::new();
                self.reporter.write(mono_ns, line, &mut text);
                if self.to.as_ref().is_none_or(|to| to.try_send(text).is_err()) {
                    self.missed += 1;
                }
            }
            _ => {}
        }
    }

    /// To be called every second or so: says what was not handed over, once the command is done.
    pub(super) fn second(&mut self) {
        if !self.is_busy.load(Ordering::Acquire) {
            self.tell_missed();
        }
    }

    fn tell_missed(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            aside(format_args!(
                "--on-incident: {missed} line{} of incidents came while the command ran, and were not handed over",
                plural(missed as usize)
            ));
        }
    }

    /// Waits for the command that runs.
    pub(super) fn finish(mut self) {
        drop(self.to.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            aside("--on-incident: the thread that runs the command panicked");
        }
        self.tell_missed();
    }
}

/// Runs it to its end; an error is a sentence.
fn run(words: &Words, line: &str) -> Result<(), String> {
    let mut child = start(words, line).map_err(|error| error.to_string())?;
    match ended(&mut child, AT_MOST) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(match status.signal() {
            Some(signal) => format!("it was killed by signal {signal}"),
            None => format!("it ended with status {}", status.code().unwrap_or_default()),
        }),
        Ok(None) => Err(format!("it took longer than {AT_MOST:?}, and was killed")),
        Err(error) => Err(format!("whether it has ended is not known: {error}")),
    }
}

/// Its input is a file in memory, so that nobody waits for it to read; what it prints goes to standard error, since
/// standard output has the lines of the watch.
fn start(words: &Words, line: &str) -> io::Result<Child> {
    let mut input = File::from(memfd_create("incident", MemfdFlags::CLOEXEC)?);
    input.write_all(line.as_bytes())?;
    input.rewind()?;
    let printed = io::stderr().as_fd().try_clone_to_owned()?;
    Command::new(&words.program)
        .args(&words.arguments)
        .stdin(input)
        .stdout(Stdio::from(printed))
        // So that it can be ended with all that it has started, and a Ctrl-C is not for it.
        .process_group(0)
        .spawn()
}

/// Waits for it, and ends it when its time is over: then there is no status.
fn ended(child: &mut Child, at_most: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let has_ended = pidfd_open(pid, PidfdFlags::empty()).and_then(|pidfd| {
        let timeout = Timespec {
            tv_sec: at_most.as_secs() as i64,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut ends = [PollFd::new(&pidfd, PollFlags::IN)];
        // A signal for this thread is rare, and only makes the time shorter.
        poll(&mut ends, Some(&timeout)).map(|ready| ready > 0)
    });
    if has_ended != Ok(true) {
        // It is not waited for yet, so that its number is its own.
        kill_process_group(pid, Signal::KILL)?;
    }
    let status = child.wait()?;
    Ok(has_ended?.then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::golden_tests::{alarms, lines};

    fn words(text: &str) -> Words {
        text.parse().expect(text)
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_whom_it_started() {
        let mut child = start(&words("sh -c 'sleep 600 & wait'"), "{}").expect("sh");
        let ended = ended(&mut child, Duration::from_millis(50)).expect("a child");
        assert!(ended.is_none(), "{ended:?}");
        let group = Pid::from_child(&child);
        // Nobody is left in its group but who is not waited for yet by its own parent.
        let began = std::time::Instant::now();
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5), "somebody is left");
            std::thread::yield_now();
        }
    }

    #[test]
    fn how_it_ended_is_said() {
        assert_eq!(run(&words("true"), "{}"), Ok(()));
        assert_eq!(run(&words("grep -q drops"), "drops"), Ok(()));
        let check = |text: &str, expect: &str| {
            let why = run(&words(text), "{}").expect_err(text);
            assert!(why.contains(expect), "{why}");
        };
        check("false", "status 1");
        check("sh -c 'kill -9 $$'", "signal 9");
        check("/nowhere/at/all", "No such file");
        // Its input is not read: nobody waits for that.
        assert_eq!(run(&words("true"), &"x".repeat(1 << 20)), Ok(()));
    }

    #[test]
    fn what_comes_while_one_runs_is_counted() {
        let mut command = OnIncident::new(&words("true"), &lines::start()).expect("a thread");
        // As if one ran.
        command.is_busy.store(true, Ordering::Release);
        let all = alarms::incidents();
        for alarm in &all {
            command.take(1, &Line::Incident(alarm));
        }
        command.second();
        assert_eq!(command.missed, all.len() as u64, "it still runs");
        command.is_busy.store(false, Ordering::Release);
        command.second();
        assert_eq!(command.missed, 0);
        command.take(1, &Line::Incident(&all[0]));
        assert_eq!(command.missed, 0);
        command.finish();
    }
}
