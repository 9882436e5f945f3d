//! An open file that others share, who may have made it non-blocking: where it has no room it is waited for, as for any other
//! slow reader. And standard error, for which nobody waits long: what is said there is said beside something else.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, write},
};

use crate::model::harmless;

/// So long a reader of standard error may take for each piece of what is said.
const PATIENCE: Timespec = Timespec {
    tv_sec: 3,
    tv_nsec: 0,
};

/// A pipe that has any room has room for this much (PIPE_BUF), so the write does not wait.
const PIECE: usize = 4096;

/// Waits for room.
pub struct Patient<T>(pub T);

impl<T: AsFd> Write for Patient<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match write(&self.0, bytes) {
                Err(Errno::AGAIN) => wait(&self.0, None).map(drop)?,
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether there is room, or an error to be told of, by then.
fn wait(file: impl AsFd, until: Option<&Timespec>) -> io::Result<bool> {
    match poll(&mut [PollFd::new(&file, PollFlags::OUT)], until) {
        Ok(ready) => Ok(ready > 0),
        // Whoever waits without an end waits again.
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Says a sentence of whydrop's own on standard error.
pub fn aside(says: impl Display) {
    whole_aside(&format!("whydrop: {says}\n"));
}

/// Says whole lines on standard error. There is nobody to be told that they could not be written.
pub fn whole_aside(lines: &str) {
    let lines = harmless::lines(lines);
    let mut left = lines.as_bytes();
    let stderr = io::stderr();
    while !left.is_empty() && wait(&stderr, Some(&PATIENCE)).unwrap_or(false) {
        let piece = left.get(..PIECE).unwrap_or(left);
        match write(&stderr, piece) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if io::Error::from(error).kind() == ErrorKind::WouldBlock => {}
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, thread, time::Duration};

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::*;

    #[test]
    fn a_pipe_that_others_made_non_blocking_is_waited_for() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let flags = fcntl_getfl(&writer).expect("flags");
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("are set");
        // Far more than it holds.
        let text = "0123456789abcde\n".repeat(64 << 10);
        let all = text.clone();
        let writing = thread::spawn(move || Patient(writer).write_all(all.as_bytes()));
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("is text");
        writing.join().expect("ends").expect("was taken");
        assert!(read == text, "{} bytes of {}", read.len(), text.len());
    }

    #[test]
    fn room_is_not_waited_for_without_an_end_where_there_is_one() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        let flags = fcntl_getfl(&writer).expect("flags");
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("are set");
        while write(&writer, &[b'x'; PIECE]).is_ok() {}
        let moment = Timespec::try_from(Duration::from_millis(1)).expect("is short");
        assert_eq!(wait(&writer, Some(&moment)).ok(), Some(false));
    }
}
