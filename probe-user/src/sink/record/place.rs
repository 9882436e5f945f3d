//! Where a recording goes, and what its parts are called there.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use super::error::RecordError;
use crate::{
    host::clock::{self, mono_ns},
    model::format::{END, PartName, name_beside, name_in_folder, name_with_time},
};

/// Where the command line wants the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of this name, which must be free; `x.whydrop` goes on as `x-0002.whydrop`.
    File(PathBuf),
    /// With a name from host, time and number in this folder, which is made if it is not there.
    Folder(PathBuf),
}

impl Target {
    /// A folder if it is one, or if the path ends in `/`.
    pub fn of(path: &Path) -> Self {
        if path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir() {
            Self::Folder(path.to_owned())
        } else {
            Self::File(path.to_owned())
        }
    }
}

/// A target that does not change with the working directory.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File {
        folder: PathBuf,
        name: OsString,
    },
    Folder {
        folder: PathBuf,
        host: String,
    },
    /// Beside a file of lines, whose name they begin and end with.
    Beside {
        folder: PathBuf,
        stem: String,
        end: String,
    },
}

impl Place {
    pub(super) fn of(target: &Target) -> Result<Self, RecordError> {
        let (Target::File(path) | Target::Folder(path)) = target;
        let usage = |why: &str| RecordError::Usage(format!("{}: {why}", path.display()));
        let whole = std::path::absolute(path).map_err(|error| RecordError::Create {
            path: path.clone(),
            error,
        })?;
        if let Target::Folder(_) = target {
            make_folder(&whole)?;
            let host = host();
            return Ok(Self::Folder {
                folder: whole,
                host,
            });
        }
        if path.as_os_str() == "-" {
            return Err(usage(
                "a recording is a file or a folder; for lines on standard output there is `--format json`",
            ));
        }
        match (whole.parent(), whole.file_name()) {
            (Some(folder), Some(name)) => Ok(Self::File {
                folder: folder.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(usage("this names no file")),
        }
    }

    /// Where a file of lines is moved aside; `None` if this names none.
    pub(super) fn beside(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let dot = name.rfind('.').filter(|at| *at > 0);
        let (stem, end) = name.split_at(dot.unwrap_or(name.len()));
        Some(Self::Beside {
            folder: path.parent()?.to_owned(),
            stem: stem.to_owned(),
            end: end.to_owned(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        let (Self::File { folder, .. } | Self::Folder { folder, .. } | Self::Beside { folder, .. }) =
            self;
        folder
    }

    /// Where part `number` goes; `again` counts from 1 on, as long as names are taken.
    pub(super) fn part(&self, number: u32, again: u32) -> PathBuf {
        match self {
            Self::File { folder, name } if number == 1 => folder.join(name),
            Self::File { folder, name } => {
                let name = name_beside(name.as_bytes(), number, again);
                folder.join(OsString::from_vec(name))
            }
            Self::Folder { folder, host } => {
                folder.join(name_in_folder(host, &time(), number, again))
            }
            Self::Beside { folder, stem, end } => {
                folder.join(name_with_time(stem, &time(), number, again, end))
            }
        }
    }

    /// Whether a part has just this one name, which the user gave.
    pub(super) fn is_exact(&self, number: u32) -> bool {
        number == 1 && matches!(self, Self::File { .. })
    }

    /// Whether this host made a file of this name in the folder, in this run or in another.
    pub(super) fn made(&self, name: &[u8]) -> bool {
        let (series, name, end) = match self {
            Self::File { .. } => return false,
            Self::Folder { host, .. } => (host, PartName::of(name), END),
            Self::Beside { stem, end, .. } => match name.strip_suffix(end.as_bytes()) {
                Some(name) => (stem, PartName::of(name), ""),
                None => return false,
            },
        };
        name.series == series.as_bytes() && name.time.is_some() && name.end == end.as_bytes()
    }
}

fn make_folder(path: &Path) -> Result<(), RecordError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(RecordError::Create {
            path: path.to_owned(),
            error,
        }),
    }
}

/// Name of this host, of bytes that are harmless in the name of a file.
fn host() -> String {
    harmless(rustix::system::uname().nodename().to_bytes())
}

fn harmless(name: &[u8]) -> String {
    let keep = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(*byte),
        _ => '_',
    };
    // include/uapi/linux/utsname.h:__NEW_UTS_LEN is 64.
    let name: String = name.iter().take(64).map(keep).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() {
        "host".to_owned()
    } else {
        name.to_owned()
    }
}

/// Now, as `20261127T052100Z`.
fn time() -> String {
    let stamp = clock::wall().at(mono_ns()).stamp();
    let digits = stamp.whole().chars().filter(|c| !matches!(c, '-' | ':'));
    digits.take_while(|c| *c != '.').chain(['Z']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_harmless_in_a_path() {
        assert_eq!(harmless(b"web-1.example"), "web-1.example");
        assert_eq!(harmless(b"../../etc/x"), "_.._etc_x");
        assert_eq!(harmless("b\u{fc}ro\n".as_bytes()), "b__ro_");
        assert_eq!(harmless(b""), "host");
        assert_eq!(harmless(b"--.."), "host");
    }

    #[test]
    fn the_time_is_one_that_names_have() {
        let name = name_in_folder("h", &time(), 1, 1);
        assert_eq!(
            PartName::of(name.as_bytes()).time.map(<[u8]>::len),
            Some(16),
            "{name}"
        );
    }

    #[test]
    fn only_names_of_this_host_are_its_own() {
        let place = Place::Folder {
            folder: "/r".into(),
            host: "web".into(),
        };
        assert!(place.made(b"web-20261127T052100Z-0001.whydrop"));
        assert!(place.made(b"web-20261127T052100Z-0001_2.whydrop"));
        for other in [
            &b"web2-20261127T052100Z-0001.whydrop"[..],
            b"web-20261127T052100Z-0001.zst",
            b"web-0001.whydrop",
            b"web.whydrop",
            b"notes-web-20261127T052100Z-0001.whydrop",
            b"web-20261127T052100Z-0001.whydrop.bak",
        ] {
            assert!(!place.made(other), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn files_that_were_moved_aside_are_known_by_their_names() {
        let place = Place::beside(Path::new("/r/drops.v2.jsonl")).expect("a file");
        let path = place.part(3, 1);
        let name = path.file_name().expect("a name").as_bytes();
        assert!(place.made(name), "{}", path.display());
        assert!(place.made(b"drops.v2-20261127T052100Z-0001_2.jsonl"));
        for other in [
            &b"drops.v2.jsonl"[..],
            b"drops.v2-0001.jsonl",
            b"drops-20261127T052100Z-0001.jsonl",
            b"drops.v2-20261127T052100Z-0001.jsonl.gz",
            b"drops.v2-20261127T052100Z-0001",
        ] {
            assert!(!place.made(other), "{}", other.escape_ascii());
        }
        let bare = Place::beside(Path::new("/r/drops")).expect("a file");
        assert!(bare.made(b"drops-20261127T052100Z-0001"));
        assert!(!bare.made(b"drops-20261127T052100Z-0001.zst"));
        assert!(Place::beside(Path::new("/")).is_none());
    }

    #[test]
    fn a_dash_is_no_file() {
        let error = Place::of(&Target::of(Path::new("-"))).unwrap_err();
        assert!(error.is_usage(), "{error}");
    }
}
