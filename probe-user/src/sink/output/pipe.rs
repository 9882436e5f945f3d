//! A pipe that is written to at once as far as it has room, without waiting
//! and without another thread: a wake-up costs more than the write.
//!
//! Others may share its open file, whose O_NONBLOCK stays as it is: it is opened
//! once more, for ourselves (fs/pipe.c:fifo_open, 5.10 to 7.2).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open},
    io::write,
};

/// As far as the kernel lets it.
pub(super) struct Pipe(OwnedFd);

impl Pipe {
    /// `None` of whatever else it is, and where it may not be opened again.
    pub(super) fn of(fd: impl AsFd) -> Option<Self> {
        let kind = FileType::from_raw_mode(fstat(&fd).ok()?.st_mode);
        if kind != FileType::Fifo {
            return None;
        }
        let same = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        open(same, flags, Mode::empty()).ok().map(Self)
    }

    /// How much of it was taken; nothing where it is full or was closed.
    pub(super) fn write(&self, text: &str) -> usize {
        write(&self.0, text.as_bytes()).unwrap_or(0)
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
        let ours = Pipe::of(&writer).expect("it is one");
        drop(reader);
        assert_eq!(ours.write("line\n"), 0);
    }

    #[test]
    fn its_other_writers_wait_as_before() {
        let (_reader, writer) = pipe().expect("a pipe");
        let ours = Pipe::of(&writer).expect("it is one");
        let flags = |fd: &dyn AsFd| rustix::fs::fcntl_getfl(fd.as_fd()).expect("flags");
        assert!(flags(&ours.0).contains(OFlags::NONBLOCK));
        assert!(!flags(&writer).contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_file_is_no_pipe() {
        let file = std::fs::File::open("/dev/null").expect("opens");
        assert!(Pipe::of(file).is_none());
    }
}
