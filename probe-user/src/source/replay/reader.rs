//! A recording from its first line to its last, over all of its parts.

use std::{fs::File, io, os::fd::AsFd, path::PathBuf, vec};

use rustix::event::{PollFd, PollFlags, poll};

use super::{
    find::{self, Found, PartId, STDIN},
    lines::{Lines, Step},
    problem::{Problem, ProblemKind, ReadError},
};

/// A part that is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub path: PathBuf,
    /// What its first line said; not known of standard input.
    pub id: Option<PartId>,
    /// Whether a recorder had it open when it was opened here.
    pub is_held: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// A line without its end, and where in the part it is.
    Line {
        /// The part that it is of.
        part: &'a Part,
        /// Where it stands in the part, in bytes.
        offset: u64,
        /// The line, without its newline.
        line: &'a [u8],
    },
    /// A part is read no further; the next one follows.
    Problem(Problem),
}

/// Reads what was named on a command line.
pub struct Reader {
    rest: vec::IntoIter<Found>,
    current: Option<(Part, Lines<Source>)>,
}

impl Reader {
    /// Finds all parts: of a folder its `*.whydrop`, of a file those that follow it too, and `-` is
    /// standard input. `identify` says from the first line of a file which part it is, as
    /// [`super::identify`] does.
    pub fn open(
        paths: &[PathBuf],
        identify: fn(&[u8]) -> Option<PartId>,
    ) -> Result<Self, ReadError> {
        Ok(Self {
            rest: find::find(paths, identify)?.into_iter(),
            current: None,
        })
    }

    /// How many parts are not begun.
    pub fn parts_left(&self) -> usize {
        self.rest.len()
    }

    /// The next line, or what is wrong instead.
    pub fn advance(&mut self) -> Option<Read<'_>> {
        loop {
            let Some((part, lines)) = &mut self.current else {
                match open(self.rest.next()?) {
                    Ok(opened) => self.current = Some(opened),
                    Err(problem) => return Some(Read::Problem(problem)),
                }
                continue;
            };
            match lines.advance() {
                Step::Line => break,
                Step::Problem(problem) => {
                    let number = part.id.as_ref().map(|id| id.part);
                    let problem = problem.at(&part.path, number);
                    self.current = None;
                    return Some(Read::Problem(problem));
                }
                Step::End => self.current = None,
            }
        }
        let (part, lines) = self.current.as_ref()?;
        Some(Read::Line {
            part,
            offset: lines.offset(),
            line: lines.line(),
        })
    }
}

fn open(found: Found) -> Result<(Part, Lines<Source>), Problem> {
    let source = if found.path.as_os_str() == STDIN {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        find::open(&found.path)
    };
    match source {
        Ok(file) => {
            let part = Part {
                is_held: find::is_held(&file),
                path: found.path,
                id: found.id,
            };
            Ok((part, Lines::new(Source(file))))
        }
        Err(error) => {
            let what = format!("it cannot be opened: {error}");
            let problem = Problem::new(ProblemKind::Unreadable, 0, what);
            Err(problem.at(&found.path, found.id.map(|id| id.part)))
        }
    }
}

/// A file that is waited for: whoever gave standard input may have made it non-blocking.
struct Source(File);

impl io::Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None)?;
                }
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests;
