//! Bytes of a part with their place in the file.

use std::io::{ErrorKind, Read};

use super::problem::{Problem, ProblemKind};

/// Read at once.
const CHUNK: usize = 128 << 10;

pub(super) struct Input<R> {
    from: R,
    bytes: Box<[u8]>,
    /// Up to where they are used.
    at: usize,
    /// Where in the file that is.
    pub offset: u64,
    /// Up to where there are some.
    end: usize,
    is_over: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            bytes: vec![0; CHUNK].into_boxed_slice(),
            at: 0,
            offset: 0,
            end: 0,
            is_over: false,
        }
    }

    /// What comes next: so many bytes at least, which are few, unless there are no more.
    pub(super) fn peek(&mut self, least: usize) -> Result<&[u8], Problem> {
        while self.end - self.at < least && !self.is_over {
            self.read()?;
        }
        Ok(&self.bytes[self.at..self.end])
    }

    /// So many bytes are used.
    pub(super) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.at);
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Leaves so many bytes out; whether there were so many.
    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<bool, Problem> {
        while bytes > 0 {
            let here = self.peek(1)?.len();
            if here == 0 {
                return Ok(false);
            }
            let here = usize::try_from(bytes).map_or(here, |bytes| bytes.min(here));
            self.take(here);
            bytes -= here as u64;
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<(), Problem> {
        self.bytes.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        loop {
            match self.from.read(&mut self.bytes[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.is_over = read == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = self.offset + self.end as u64;
                    let what = format!("it cannot be read from byte {offset} on: {error}");
                    return Err(Problem::new(ProblemKind::Unreadable, offset, what));
                }
            }
        }
    }
}
