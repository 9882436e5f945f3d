//! The lines of one part: bytes come in, zstd frames or plain text, and lines go out.
//!
//! No line goes out of a frame that turns out to be damaged, as long as the frame is one that a
//! recorder may have written: it is unpacked whole before its lines are used. What is longer, as
//! when somebody packed a large text by hand, is given while it is unpacked. So the memory is
//! bounded whatever comes.

use std::{
    io::{self, Read},
    ops::Range,
};

use serde::de::IgnoredAny;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::model::format::{FRAME_BYTES, FRAME_MAGIC, MAX_LINE_BYTES};

use super::{
    input::Input,
    problem::{Problem, ProblemKind},
};

/// Unpacked at once.
const CHUNK: usize = 128 << 10;

/// No frame of a recorder has more text.
const WHOLE_BYTES: usize = FRAME_BYTES + MAX_LINE_BYTES;

/// Frames may look back 8 MiB, as those of `zstd -19` do; those of `--long` and `--ultra` may not
/// be read, or anybody's file would say how much memory this takes.
const WINDOW_LOG: u32 = 23;

/// No header of a frame is longer (RFC 8878, 3.1.1.1).
const HEADER_BYTES: usize = 18;

/// More blank lines than this in a row are no text.
const BLANK_BYTES: usize = 1 << 20;

/// Of a file that is no recording.
const SHOWN: usize = 16;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A line, see [`Lines::line`].
    Line,
    /// The part is read no further, for this reason.
    Problem(Problem),
    /// There are no more.
    End,
}

/// The lines of one part.
pub struct Lines<R> {
    input: Input<R>,
    state: State,
    decoder: Option<Decoder<'static>>,
    /// The line that was given last, and what is not given yet.
    text: Vec<u8>,
    /// Up to where the text may be given.
    good: usize,
    line: Range<usize>,
    /// Where the next line begins.
    next: usize,
    /// Up to where no line ends.
    searched: usize,
    /// Of blank lines before the next line.
    blank_bytes: usize,
    /// Of the frame that the end of the text is from.
    frame_offset: u64,
    line_offset: u64,
    next_offset: u64,
}

enum State {
    /// Nothing was read yet.
    Begin,
    Plain,
    /// Between two frames.
    Between,
    In(Frame),
    /// The text is all there is, and then this is said.
    Last(Option<Problem>),
    Over,
}

/// A frame that is being unpacked.
struct Frame {
    /// Where its text begins.
    from: usize,
    /// It says how long its text is, as those of recorders do.
    is_sized: bool,
    /// It is longer than those of recorders, and given while it is unpacked.
    is_long: bool,
}

impl<R: Read> Lines<R> {
    /// Of a part, from its beginning on.
    pub fn new(input: R) -> Self {
        Self {
            input: Input::new(input),
            state: State::Begin,
            decoder: None,
            text: Vec::new(),
            good: 0,
            line: 0..0,
            next: 0,
            searched: 0,
            blank_bytes: 0,
            frame_offset: 0,
            line_offset: 0,
            next_offset: 0,
        }
    }

    /// Goes on to the next line that is not blank. A problem is told once, and nothing comes after
    /// it.
    pub fn advance(&mut self) -> Step {
        loop {
            if let Some(step) = self.next_line() {
                return step;
            }
            self.forget_given();
            let result = match std::mem::replace(&mut self.state, State::Over) {
                State::Begin => self.begin(),
                State::Plain => self.read_plain(),
                State::Between => self.begin_frame(),
                State::In(frame) => self.unpack(frame),
                State::Last(problem) => return problem.map_or(Step::End, Step::Problem),
                State::Over => return Step::End,
            };
            self.state = result.unwrap_or_else(|problem| State::Last(Some(problem)));
            if let State::Last(_) = self.state {
                // What is not good by now never gets so.
                self.text.truncate(self.good);
            }
        }
    }

    /// The line that was found, without its end.
    pub fn line(&self) -> &[u8] {
        self.text.get(self.line.clone()).unwrap_or_default()
    }

    /// Where in the file the line is: its first byte if the file is text, and otherwise the frame
    /// in which it begins.
    pub fn offset(&self) -> u64 {
        self.line_offset
    }

    /// The next line of the text, if there is one.
    fn next_line(&mut self) -> Option<Step> {
        while self.next < self.good {
            let rest = &self.text[self.searched..self.good];
            let end = memchr::memchr(b'\n', rest);
            let end = end.map(|length| self.searched + length);
            self.searched = end.unwrap_or(self.good);
            let length = self.searched - self.next;
            if length >= MAX_LINE_BYTES || self.blank_bytes >= BLANK_BYTES {
                return Some(self.too_long());
            }
            let is_last = matches!(self.state, State::Last(None));
            let after = match end {
                Some(end) => end + 1,
                None if is_last => self.good,
                None => return None,
            };
            self.line = self.next..self.searched;
            self.line_offset = self.next_offset;
            self.next_offset = match self.state {
                State::Plain => self.next_offset + (after - self.next) as u64,
                _ => self.frame_offset,
            };
            self.next = after;
            self.searched = after;
            if !self.line().iter().all(u8::is_ascii_whitespace) {
                self.blank_bytes = 0;
                return Some(Step::Line);
            }
            self.blank_bytes += length + 1;
        }
        None
    }

    fn too_long(&mut self) -> Step {
        self.state = State::Over;
        self.good = self.next;
        let offset = self.next_offset;
        let what = if self.blank_bytes >= BLANK_BYTES {
            format!("from byte {offset} on there are only blank lines")
        } else {
            let most = MAX_LINE_BYTES >> 20;
            format!("from byte {offset} on a line has more than {most} MiB")
        };
        Step::Problem(Problem::new(ProblemKind::Damaged, offset, what))
    }

    fn forget_given(&mut self) {
        let given = self.next;
        self.text.drain(..given);
        self.line = 0..0;
        self.next = 0;
        self.good -= given;
        self.searched -= given;
        if let State::In(frame) = &mut self.state {
            frame.from = frame.from.saturating_sub(given);
        }
    }

    /// The first byte that is not blank, of those that are looked at: that must not depend on how
    /// many of them come at once.
    fn first_of_text(&mut self) -> Result<Option<u8>, Problem> {
        for at in 0..SHOWN {
            match self.input.peek(at + 1)?.get(at) {
                Some(byte) if byte.is_ascii_whitespace() => {}
                first => return Ok(first.copied()),
            }
        }
        Ok(None)
    }

    /// What kind of file this is.
    fn begin(&mut self) -> Result<State, Problem> {
        let first = self.first_of_text()?;
        let start = self.input.peek(FRAME_MAGIC.len())?;
        let foreign = |what| Err(Problem::new(ProblemKind::Foreign, 0, what));
        match start {
            [] => Err(Problem::new(ProblemKind::Empty, 0, "it is empty")),
            [0x1F, 0x8B, ..] => foreign("it is packed by gzip; unpack it first".to_owned()),
            [0xFD, b'7', b'z', b'X', ..] => {
                foreign("it is packed by xz; unpack it first".to_owned())
            }
            _ if may_be_frame(start) => Ok(State::Between),
            _ if first.is_none_or(|byte| byte == b'{') => Ok(State::Plain),
            _ => {
                let start = self.input.peek(SHOWN)?;
                let start = start[..start.len().min(SHOWN)].escape_ascii();
                foreign(format!("it is not a recording; it begins with `{start}`"))
            }
        }
    }

    fn read_plain(&mut self) -> Result<State, Problem> {
        let bytes = self.input.peek(1)?;
        let length = bytes.len();
        if length > 0 {
            self.text.extend_from_slice(bytes);
            self.good = self.text.len();
            self.input.take(length);
            return Ok(State::Plain);
        }
        let rest = &self.text[self.next..];
        let is_blank = rest.iter().all(u8::is_ascii_whitespace);
        if is_blank || serde_json::from_slice::<IgnoredAny>(rest).is_ok() {
            return Ok(State::Last(None));
        }
        let offset = self.next_offset;
        let what = format!("its last line, from byte {offset} on, is torn");
        Err(Problem::new(ProblemKind::Torn, offset, what))
    }

    /// What begins here: a frame, something to read over, or the end.
    fn begin_frame(&mut self) -> Result<State, Problem> {
        let offset = self.input.offset;
        // Magic number and the byte that says what the header has.
        let start = self.input.peek(FRAME_MAGIC.len() + 1)?;
        if start.is_empty() {
            return Ok(State::Last(None));
        }
        if !may_be_frame(start) {
            let what = format!("bytes from {offset} on are not a zstd frame");
            return Err(Problem::new(ProblemKind::Damaged, offset, what));
        }
        let &[a, b, c, d, about, ..] = start else {
            return Err(torn(offset));
        };
        if [a, b, c, d] != FRAME_MAGIC {
            let &[_, _, _, _, a, b, c, d, ..] = self.input.peek(8)? else {
                return Err(torn(offset));
            };
            let length = 8 + u64::from(u32::from_le_bytes([a, b, c, d]));
            return if self.input.skip(length)? {
                Ok(State::Between)
            } else {
                Err(torn(offset))
            };
        }
        // zstd itself asks only when it does not have all of a frame at once.
        let header = self.input.peek(HEADER_BYTES)?;
        if window_bytes(header).is_some_and(|bytes| bytes > 1 << WINDOW_LOG) {
            let most = (1 << WINDOW_LOG) >> 20;
            let what = format!(
                "the frame from byte {offset} on takes more than {most} MiB to unpack; unpack it first"
            );
            return Err(Problem::new(ProblemKind::Damaged, offset, what));
        }
        self.frame_offset = offset;
        if self.next == self.good {
            self.next_offset = offset;
        }
        Ok(State::In(Frame {
            from: self.text.len(),
            // RFC 8878, 3.1.1.1.1: a length of the text is there, or it is in one segment.
            is_sized: about >> 6 != 0 || about & 0x20 != 0,
            is_long: false,
        }))
    }

    /// Unpacks until something may be given.
    fn unpack(&mut self, mut frame: Frame) -> Result<State, Problem> {
        let offset = self.frame_offset;
        let failed = |error: io::Error| {
            let what = format!("it cannot be unpacked: {error}");
            Problem::new(ProblemKind::Unreadable, offset, what)
        };
        // What zstd says of it depends on how much of the frame it has at once.
        let damaged = |_| {
            let what = format!("the frame from byte {offset} on is damaged");
            Problem::new(ProblemKind::Damaged, offset, what)
        };
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(decoder().map_err(failed)?),
        };
        loop {
            let bytes = self.input.peek(1)?;
            if bytes.is_empty() {
                if !frame.is_sized {
                    self.good = self.text.len();
                }
                return Err(torn(offset));
            }
            self.text.reserve(CHUNK);
            let filled = self.text.len();
            let mut from = InBuffer::around(bytes);
            let mut to = OutBuffer::around_pos(&mut self.text, filled);
            let left = decoder.run(&mut from, &mut to).map_err(damaged)?;
            let used = from.pos();
            self.input.take(used);
            if left == 0 {
                self.good = self.text.len();
                return Ok(State::Between);
            }
            frame.is_long |= self.text.len() - frame.from > WHOLE_BYTES;
            if frame.is_long {
                self.good = self.text.len();
                return Ok(State::In(frame));
            }
        }
    }
}

fn decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
    Ok(decoder)
}

/// How far a frame with this header may look back (RFC 8878, 3.1.1.1.2); nothing if the header is
/// cut.
fn window_bytes(header: &[u8]) -> Option<u64> {
    let fields = header.get(FRAME_MAGIC.len()..)?;
    let (&about, fields) = fields.split_first()?;
    if about & 0x20 == 0 {
        let window = fields.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // In one segment: as far as the text is long, which stands behind the number of a dictionary.
    let fields = fields.get([0, 1, 2, 4][usize::from(about & 3)]..)?;
    let length = fields.get(..1 << (about >> 6))?;
    let mut bytes = [0; 8];
    bytes[..length.len()].copy_from_slice(length);
    Some(u64::from_le_bytes(bytes))
}

/// Whether these bytes, as far as they go, begin a frame or one to be read over.
fn may_be_frame(bytes: &[u8]) -> bool {
    let length = bytes.len().min(FRAME_MAGIC.len());
    let start = &bytes[..length];
    // RFC 8878, 3.1.2: sixteen magic numbers.
    let is_skippable = match start {
        [] => false,
        [first, rest @ ..] => first & 0xF0 == 0x50 && [0x2A, 0x4D, 0x18].starts_with(rest),
    };
    is_skippable || FRAME_MAGIC.starts_with(start)
}

fn torn(offset: u64) -> Problem {
    let what = format!("the frame from byte {offset} on is torn");
    Problem::new(ProblemKind::Torn, offset, what)
}

#[cfg(test)]
mod tests;
