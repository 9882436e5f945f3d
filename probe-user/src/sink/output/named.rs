//! A file of lines by its name: they are added to what is there, so that a start never takes away what an earlier one wrote, and
//! whoever has moved or emptied it meanwhile finds no hole in it.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

use super::OutputError;
use crate::sink::record::{Kept, Turns};

pub(super) struct Named {
    path: PathBuf,
    open: Open,
    turns: Option<Turns>,
}

/// The file that had the name.
struct Open {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    is_regular: bool,
    /// It ends in the middle of a line, by whoever was killed or had no room.
    is_torn: bool,
}

impl Named {
    /// The file of this name, made if it is not there; where it is to be rotated, by these rules.
    pub(super) fn open(path: &Path, kept: &Kept) -> Result<Self, OutputError> {
        // It is opened again, in whatever folder this runs by then.
        let path = std::path::absolute(path).map_err(|source| OutputError::Create {
            path: path.display().to_string(),
            source,
        })?;
        let turns = Turns::of(&path, kept).map_err(OutputError::Usage)?;
        let open = Open::by_name(&path)?;
        if turns.is_some() && !open.is_regular {
            return Err(OutputError::Usage(format!(
                "{} is no regular file, so there is nothing to rotate",
                path.display()
            )));
        }
        Ok(Self { path, open, turns })
    }

    pub(super) const fn is_regular(&self) -> bool {
        self.open.is_regular
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.is_torn {
            self.open.file.write_all(b"\n")?;
            self.open.is_torn = false;
        }
        self.open.file.write(bytes)
    }

    /// Goes on in the file that has the name by now; a sentence if there is none to be had.
    pub(super) fn reopen(&mut self) -> Option<String> {
        match Open::by_name(&self.path) {
            Ok(open) => {
                if open.id != self.open.id {
                    self.open = open;
                    if let Some(turns) = &mut self.turns {
                        turns.begin();
                    }
                }
                None
            }
            Err(error) => Some(format!(
                "{error}; lines go on into the file that was open before"
            )),
        }
    }

    /// Begins a new file, if the one that is there has no room for so much more or is too old; a sentence if that fails.
    pub(super) fn turn_if_due(&mut self, bytes: usize) -> Option<String> {
        let turns = self.turns.as_mut()?;
        // Others may have written to it, or have emptied it.
        let len = self.open.file.metadata().ok()?.len();
        if !turns.is_due(len, bytes as u64) {
            return None;
        }
        let about = std::fs::symlink_metadata(&self.path);
        // Somebody else has moved it.
        if about.is_ok_and(|about| (about.dev(), about.ino()) == self.open.id)
            && let Err(sentence) = turns.move_aside(&self.path, self.open.id, len)
        {
            return Some(sentence);
        }
        let trouble = self.reopen();
        let turns = self.turns.as_mut()?;
        trouble.or_else(|| turns.tidy())
    }
}

impl Open {
    fn by_name(path: &Path) -> Result<Self, OutputError> {
        let name = || path.display().to_string();
        let failed = |source: io::Error| OutputError::Create {
            path: name(),
            source,
        };
        // O_NONBLOCK: a FIFO that nobody reads, or a device, would hold up the start for ever.
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            Err(Errno::NXIO) => return Err(OutputError::Unread(name())),
            Err(Errno::LOOP) if path.is_symlink() => return Err(OutputError::Link(name())),
            Err(error) => return Err(failed(error.into())),
        };
        // From here on a slow reader is waited for, by the thread that writes.
        let flags = fcntl_getfl(&file).map_err(|error| failed(error.into()))?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
        let about = file.metadata().map_err(failed)?;
        let is_regular = about.is_file();
        Ok(Self {
            is_torn: is_regular && ends_torn(&file, about.len()),
            file,
            id: (about.dev(), about.ino()),
            is_regular,
        })
    }
}

/// Whether the last line has no end. Who may not read it cannot know, and adds nothing.
fn ends_torn(file: &File, len: u64) -> bool {
    let same = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Some((last, readable)) = len.checked_sub(1).zip(File::open(same).ok()) else {
        return false;
    };
    let mut byte = [b'\n'];
    readable.read_exact_at(&mut byte, last).is_ok() && byte != *b"\n"
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A folder of one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("whydrop-named-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("drops.jsonl")
        }

        fn read(&self) -> String {
            fs::read_to_string(self.file()).expect("is text")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn open(path: &Path) -> Named {
        Named::open(path, &Kept::default()).expect("opens")
    }

    fn write(to: &mut Named, text: &str) {
        assert_eq!(to.write(text.as_bytes()).ok(), Some(text.len()));
    }

    #[test]
    fn lines_are_added_to_a_file_that_only_its_owner_reads() {
        let folder = Folder::new("added");
        write(&mut open(&folder.file()), "one\n");
        write(&mut open(&folder.file()), "two\n");
        assert_eq!(folder.read(), "one\ntwo\n");
        let mode = folder.file().metadata().expect("is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_torn_ends_before_the_next_start() {
        let folder = Folder::new("torn");
        fs::write(folder.file(), "one\ntw").expect("is written");
        write(&mut open(&folder.file()), "three\n");
        assert_eq!(folder.read(), "one\ntw\nthree\n");
    }

    #[test]
    fn a_file_that_is_emptied_has_no_hole() {
        let folder = Folder::new("emptied");
        let mut file = open(&folder.file());
        write(&mut file, "one\n");
        fs::write(folder.file(), "").expect("is emptied");
        write(&mut file, "two\n");
        assert_eq!(folder.read(), "two\n");
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = Folder::new("link");
        let other = folder.0.join("other");
        std::os::unix::fs::symlink(&other, folder.file()).expect("a link");
        let Err(error) = Named::open(&folder.file(), &Kept::default()) else {
            panic!("it was followed");
        };
        let sentence = error.to_string();
        assert!(sentence.contains("is a symbolic link"), "{sentence}");
        assert!(!other.exists());
    }

    #[test]
    fn what_was_moved_or_deleted_is_made_anew() {
        let folder = Folder::new("moved");
        let mut file = open(&folder.file());
        write(&mut file, "one\n");
        let moved = folder.0.join("drops.jsonl.1");
        fs::rename(folder.file(), &moved).expect("is moved");
        write(&mut file, "two\n");
        assert_eq!(file.reopen(), None);
        write(&mut file, "three\n");
        let old = fs::read_to_string(&moved).expect("is text");
        assert_eq!(
            (old.as_str(), folder.read().as_str()),
            ("one\ntwo\n", "three\n")
        );
        fs::remove_file(folder.file()).expect("is deleted");
        assert_eq!(file.reopen(), None);
        write(&mut file, "four\n");
        assert_eq!(folder.read(), "four\n");
    }

    #[test]
    fn what_cannot_be_opened_again_goes_on_in_the_old_file() {
        let folder = Folder::new("gone");
        let mut file = open(&folder.file());
        let moved = folder.0.join("drops.jsonl.1");
        fs::rename(folder.file(), &moved).expect("is moved");
        fs::create_dir(folder.file()).expect("a folder");
        let sentence = file.reopen().expect("it is a folder");
        assert!(sentence.contains("go on into the file"), "{sentence}");
        write(&mut file, "one\n");
        assert_eq!(fs::read_to_string(&moved).expect("is text"), "one\n");
    }

    #[test]
    fn files_are_rotated_by_size_and_the_oldest_go() {
        let folder = Folder::new("rotated");
        let kept = Kept {
            rotate: Some("8".parse().expect("a size")),
            keep: Some("24".parse().expect("a size")),
            keep_for: None,
        };
        let mut file = Named::open(&folder.file(), &kept).expect("opens");
        for nth in 0..8 {
            let line = format!("line {nth}\n");
            assert_eq!(file.turn_if_due(line.len()), None);
            write(&mut file, &line);
        }
        assert_eq!(folder.read(), "line 7\n");
        let mut names: Vec<PathBuf> = fs::read_dir(&folder.0)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        names.sort();
        // Two that are done, and the one that has room to grow.
        let texts = names
            .iter()
            .map(|path| fs::read_to_string(path).expect("is text"));
        let texts: Vec<String> = texts.collect();
        assert_eq!(texts, ["line 5\n", "line 6\n", "line 7\n"], "{names:?}");
    }
}
