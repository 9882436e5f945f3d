//! A pipe that is written to at once as far as it has room, without waiting
//! and without another thread: a wake-up costs more than the write.
//!
//! Its O_NONBLOCK stays as it is, since others may share it: each write says for
//! itself that it does not wait (RWF_NOWAIT; of pipes since 6.4, fs/pipe.c).

use std::{
    io::IoSlice,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{FileType, fstat},
    io::{ReadWriteFlags, pwritev2},
};

/// As far as the kernel lets it.
pub struct Pipe(OwnedFd);

impl Pipe {
    /// `None` of whatever else it is.
    pub fn of(fd: impl AsFd) -> Option<Self> {
        let kind = FileType::from_raw_mode(fstat(&fd).ok()?.st_mode);
        let is_pipe = kind == FileType::Fifo;
        is_pipe.then(|| fd.as_fd().try_clone_to_owned().ok().map(Self))?
    }

    /// How much of it was taken; nothing where it is full, was closed, or the kernel cannot.
    pub fn write(&self, text: &str) -> usize {
        // The position of a stream.
        const ANYWHERE: u64 = u64::MAX;
        let text = [IoSlice::new(text.as_bytes())];
        pwritev2(&self.0, &text, ANYWHERE, ReadWriteFlags::NOWAIT).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use super::*;

    fn read(mut reader: PipeReader, writer: OwnedFd) -> Vec<u8> {
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).expect("reads");
        all
    }

    #[test]
    fn a_pipe_takes_as_much_as_it_has_room_for() {
        let (reader, writer) = pipe().expect("a pipe");
        let ours = Pipe::of(&writer).expect("it is one");
        drop(writer);
        let text = "0123456789abcde\n".repeat(8192);
        let mut taken = 0;
        // It neither waits nor says that it was taken twice.
        for _ in 0..3 {
            taken += ours.write(&text[taken..]);
        }
        assert!(taken < text.len());
        assert_eq!(read(reader, ours.0), text.as_bytes()[..taken]);
    }

    #[test]
    fn what_nobody_reads_is_not_taken() {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        assert_eq!(Pipe::of(&writer).map(|ours| ours.write("line\n")), Some(0));
    }

    #[test]
    fn a_file_is_no_pipe() {
        let file = std::fs::File::open("/dev/null").expect("opens");
        assert!(Pipe::of(file).is_none());
    }
}
