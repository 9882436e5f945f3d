//! Parts of recordings as lines: files come in, whole lines go out, and a sentence where a file is damaged. What stands
//! before the damage is used. Memory is bounded by the longest line that a recording may have.

use std::{
    cell::Cell,
    collections::VecDeque,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::model::format::{END, FRAME_MAGIC, MAX_LINE_BYTES, name_beside};

/// The first three bytes of a zstd frame that says nothing (RFC 8878, 3.1.2), behind any of 16.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// A line, or what is wrong with the part that it was looked for in.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Without its newline.
    Line(Vec<u8>),
    Damage(String),
}

/// All lines of some parts, one after another.
pub struct Lines {
    parts: VecDeque<PathBuf>,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    from: Box<dyn BufRead>,
    /// Bytes of the file that were read so far.
    at: Rc<Cell<u64>>,
}

impl Lines {
    /// Says what is missing before anything is read.
    pub fn of(paths: &[PathBuf]) -> Result<Self, String> {
        let mut parts = VecDeque::new();
        for path in paths {
            if path.as_os_str() == "-" {
                parts.push_back(path.clone());
            } else if path.is_dir() {
                parts.extend(in_folder(path)?);
            } else {
                parts.extend(with_successors(path)?);
            }
        }
        Ok(Self { parts, open: None })
    }

    /// The part that the last piece was of.
    pub fn part(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }
}

/// The parts in a folder, in the order of their names, which is that of time.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("{} cannot be read: {error}", folder.display());
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.as_os_str().as_bytes().ends_with(END.as_bytes()) {
            parts.push(path);
        }
    }
    if parts.is_empty() {
        return Err(format!(
            "{} holds no recording: no name in it ends with {END}",
            folder.display()
        ));
    }
    parts.sort();
    Ok(parts)
}

/// A file, and the parts that its recorder went on in.
fn with_successors(path: &Path) -> Result<Vec<PathBuf>, String> {
    let kind = fs::metadata(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}; name a recording, or a folder of recordings",
            path.display()
        )
    })?;
    let kind = kind.file_type();
    if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket() {
        return Err(format!(
            "{} is no file; `-` reads a recording from standard input",
            path.display()
        ));
    }
    let mut parts = vec![path.to_owned()];
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
        let beside = |number| OsString::from_vec(name_beside(name.as_bytes(), number, 1));
        let more = (2..).map(|number| folder.join(beside(number)));
        parts.extend(more.take_while(|next| next.is_file()));
    }
    Ok(parts)
}

/// Counts what is read through it.
struct Counted<R>(R, Rc<Cell<u64>>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(to)?;
        self.1.set(self.1.get() + n as u64);
        Ok(n)
    }
}

fn open(path: &Path) -> Result<Open, String> {
    let cannot = |error| format!("{} cannot be read: {error}", path.display());
    let at = Rc::new(Cell::new(0));
    let raw: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        // It may have been made a FIFO meanwhile.
        let mut how = OpenOptions::new();
        how.read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
        let file: File = how.open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        Box::new(file)
    };
    let mut raw = BufReader::new(Counted(raw, Rc::clone(&at)));
    let first = raw.fill_buf().map_err(cannot)?;
    let is_zstd = first.starts_with(&FRAME_MAGIC)
        || first.get(1..4) == Some(&SKIPPABLE) && first[0] & 0xf0 == 0x50;
    let from: Box<dyn BufRead> = match first.first() {
        _ if is_zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(cannot)?;
            Box::new(BufReader::new(decoder))
        }
        None | Some(b'{') => Box::new(raw),
        Some(_) => {
            return Err(format!(
                "{} is no recording: it begins neither with a zstd frame nor with a line of JSON",
                path.display()
            ));
        }
    };
    Ok(Open {
        path: path.to_owned(),
        from,
        at,
    })
}

impl Open {
    /// The next line, `None` at the end.
    fn next(&mut self) -> Option<Piece> {
        let mut line = Vec::new();
        let mut limited = self.from.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        let damage = match limited.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.ends_with(b"\n") => {
                line.pop();
                return Some(Piece::Line(line));
            }
            Ok(n) if n > MAX_LINE_BYTES => "a line longer than a recording has".to_owned(),
            // A frame is written whole; only plain text ends within a line.
            Ok(_) => "a line that does not end".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "a frame that does not end".to_owned()
            }
            Err(error) => format!("no zstd frame ({error})"),
        };
        let (path, at) = (self.path.display(), self.at.get());
        Some(Piece::Damage(format!(
            "{path}: {damage} before byte {at}; what stands before is used"
        )))
    }
}

impl Iterator for Lines {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            if self.open.is_none() {
                let path = self.parts.pop_front()?;
                match open(&path) {
                    Ok(opened) => self.open = Some(opened),
                    Err(sentence) => return Some(Piece::Damage(sentence)),
                }
            }
            match self.open.as_mut().and_then(Open::next) {
                Some(Piece::Line(line)) if line.is_empty() => {}
                Some(Piece::Damage(sentence)) => {
                    self.open = None;
                    return Some(Piece::Damage(sentence));
                }
                Some(line) => return Some(line),
                None => self.open = None,
            }
        }
    }
}
