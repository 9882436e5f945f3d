//! Which files are read, in which order, and what is said of those that are not.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::fs::{FileType, FlockOperation, Mode, flock};

use super::*;
use crate::source::replay::identify;

/// A folder of a test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("whydrop-replay-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A part with a line that has its own name.
    fn part(&self, name: &str, recording: &str, part: u32) {
        let start =
            format!(r#"{{"type":"start","recording":{{"id":"{recording}","part":{part}}}}}"#);
        let line = format!(r#"{{"in":"{name}"}}"#);
        let frames =
            [start, line].map(|line| zstd::encode_all(format!("{line}\n").as_bytes(), 3).unwrap());
        fs::write(self.path(name), frames.concat()).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Names of the parts in order, and sentences of problems between them.
fn read(paths: &[PathBuf]) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::open(paths, identify)?;
    let mut all = Vec::new();
    while let Some(read) = reader.advance() {
        match read {
            Read::Line { part, line, .. } => {
                let line = str::from_utf8(line).unwrap();
                if let Some(name) = line.strip_prefix(r#"{"in":""#) {
                    let name = name.trim_end_matches(r#""}"#);
                    assert_eq!(part.path.file_name().unwrap(), name);
                    all.push(name.to_owned());
                }
            }
            Read::Problem(problem) => all.push(problem.to_string()),
        }
    }
    Ok(all)
}

#[track_caller]
fn check(scratch: &Scratch, names: &[&str], expect: &[&str]) {
    let paths: Vec<PathBuf> = names.iter().map(|name| scratch.path(name)).collect();
    assert_eq!(read(&paths).unwrap(), expect, "{names:?}");
}

#[test]
fn a_folder_is_read_by_recordings_and_parts() {
    let scratch = Scratch::new();
    // The clock was set back while `b` was recorded, and two hosts write into this folder.
    scratch.part("h-20260101T000000Z-0001.whydrop", "a", 1);
    scratch.part("h-20260101T000000Z-0001_2.whydrop", "b", 1);
    scratch.part("h-20250101T000000Z-0002.whydrop", "b", 2);
    scratch.part("h-20260102T000000Z-0002.whydrop", "a", 2);
    scratch.part("h-20260102T000000Z-0010.whydrop", "b", 10);
    scratch.part("g-20260101T120000Z-0001.whydrop", "c", 1);
    scratch.part("notes.txt", "a", 3);
    fs::create_dir(scratch.path("folder.whydrop")).unwrap();
    let expect = [
        "g-20260101T120000Z-0001.whydrop",
        "h-20260101T000000Z-0001_2.whydrop",
        "h-20250101T000000Z-0002.whydrop",
        "h-20260102T000000Z-0010.whydrop",
        "h-20260101T000000Z-0001.whydrop",
        "h-20260102T000000Z-0002.whydrop",
    ];
    check(&scratch, &[""], &expect);
    check(&scratch, &["", ""], &expect);
}

#[test]
fn a_file_brings_the_parts_that_follow_it() {
    let scratch = Scratch::new();
    scratch.part("x.whydrop", "a", 1);
    scratch.part("x-0002.whydrop", "a", 2);
    scratch.part("x-0003_2.whydrop", "a", 3);
    scratch.part("x-0003.whydrop", "b", 3);
    scratch.part("y-0002.whydrop", "a", 2);
    let all = ["x.whydrop", "x-0002.whydrop", "x-0003_2.whydrop"];
    check(&scratch, &["x.whydrop"], &all);
    check(&scratch, &["x-0002.whydrop"], &all[1..]);
    check(&scratch, &["x-0003.whydrop"], &["x-0003.whydrop"]);
    check(
        &scratch,
        &["x.whydrop", "x-0002.whydrop", "x-0003.whydrop"],
        &[
            "x.whydrop",
            "x-0002.whydrop",
            "x-0003_2.whydrop",
            "x-0003.whydrop",
        ],
    );
    symlink(scratch.path("x.whydrop"), scratch.path("link.whydrop")).unwrap();
    check(&scratch, &["x.whydrop", "link.whydrop"], &all);
}

#[test]
fn a_part_in_a_folder_brings_those_that_follow_it() {
    let scratch = Scratch::new();
    let names = [
        "h-20260101T000000Z-0001.whydrop",
        "h-20260102T000000Z-0002.whydrop",
    ];
    scratch.part(names[0], "a", 1);
    scratch.part(names[1], "a", 2);
    scratch.part("h-20260102T000000Z-0001.whydrop", "b", 1);
    check(&scratch, &names[..1], &names);
}

#[test]
fn a_file_whose_first_parts_were_deleted_gives_the_rest() {
    let scratch = Scratch::new();
    scratch.part("x-0004.whydrop", "a", 4);
    scratch.part("x-0005.whydrop", "a", 5);
    check(
        &scratch,
        &["x.whydrop"],
        &["x-0004.whydrop", "x-0005.whydrop"],
    );
    // Of two recordings none is the one that was named.
    scratch.part("x-0002.whydrop", "b", 2);
    let error = read(&[scratch.path("x.whydrop")]).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn text_that_was_kept_by_hand_is_read_alone() {
    let scratch = Scratch::new();
    fs::write(scratch.path("x.json"), "{\"in\":\"x.json\"}\n").unwrap();
    fs::write(scratch.path("x-0002.json"), "{\"in\":\"x-0002.json\"}\n").unwrap();
    check(&scratch, &["x.json"], &["x.json"]);
}

#[test]
fn damage_costs_the_rest_of_its_part_and_no_other() {
    let scratch = Scratch::new();
    for part in 1..=3 {
        scratch.part(&format!("x-000{part}.whydrop"), "a", part);
    }
    let second = scratch.path("x-0002.whydrop");
    let mut bytes = fs::read(&second).unwrap();
    let length = bytes.len();
    bytes.extend(*b"rubbish");
    fs::write(&second, bytes).unwrap();
    let said = format!(
        "{}, part 2: bytes from {length} on are not a zstd frame; what stands before is used",
        second.display()
    );
    check(
        &scratch,
        &["x-0001.whydrop"],
        &["x-0001.whydrop", "x-0002.whydrop", &said, "x-0003.whydrop"],
    );
    // What cannot be told to be a part is read by its name.
    fs::write(&second, "").unwrap();
    let said = format!("{}: it is empty", second.display());
    check(
        &scratch,
        &[""],
        &["x-0001.whydrop", "x-0003.whydrop", &said],
    );
}

#[test]
fn only_files_are_read() {
    let scratch = Scratch::new();
    let said = |name: &str| read(&[scratch.path(name)]).unwrap_err().to_string();
    assert!(said("none.whydrop").contains("No such file"));
    assert!(said("").contains("no `*.whydrop`"));
    let pipe = scratch.path("pipe.whydrop");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(said("pipe.whydrop").contains("is a named pipe"));
    let _socket = UnixListener::bind(scratch.path("socket")).unwrap();
    assert!(said("socket").contains("is a socket"));
    let error = read(&["/dev/null".into()]).unwrap_err();
    assert!(error.to_string().contains("is a device"), "{error}");
    // In a folder they are not in the way.
    scratch.part("x.whydrop", "a", 1);
    check(&scratch, &[""], &["x.whydrop"]);
}

#[test]
fn a_part_that_is_gone_when_it_is_its_turn_is_said() {
    let scratch = Scratch::new();
    scratch.part("x.whydrop", "a", 1);
    scratch.part("x-0002.whydrop", "a", 2);
    let mut reader = Reader::open(&[scratch.path("x.whydrop")], identify).unwrap();
    assert_eq!(reader.parts_left(), 2);
    fs::remove_file(scratch.path("x-0002.whydrop")).unwrap();
    let mut problems = Vec::new();
    while let Some(read) = reader.advance() {
        if let Read::Problem(problem) = read {
            problems.push((problem.kind, problem.part));
        }
    }
    assert_eq!(problems, [(ProblemKind::Unreadable, Some(2))]);
}

#[test]
fn a_part_that_is_being_written_says_so() {
    let scratch = Scratch::new();
    scratch.part("x.whydrop", "a", 1);
    let is_held = || {
        let mut reader = Reader::open(&[scratch.path("x.whydrop")], identify).unwrap();
        let Some(Read::Line { part, .. }) = reader.advance() else {
            panic!("no line");
        };
        part.is_held
    };
    assert!(!is_held());
    let lock = File::open(scratch.path("x.whydrop")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(is_held());
}

#[test]
fn a_name_is_harmless_in_a_sentence() {
    let problem = Problem::new(ProblemKind::Empty, 0, "it is empty");
    let path = Path::new(std::ffi::OsStr::from_bytes(b"a\x1b[2J\n\xff.whydrop"));
    let said = problem.at(path, None).to_string();
    assert!(!said.contains(char::is_control), "{said}");
    assert!(said.ends_with(".whydrop: it is empty"), "{said}");
}
