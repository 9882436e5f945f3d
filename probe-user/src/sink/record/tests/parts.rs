//! How parts begin, follow each other and go.

use std::{fs::File, os::unix::fs::symlink, time::SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::model::format::PartName;

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let scratch = Scratch::new();
    fs::write(scratch.file(), "mine").unwrap();
    let error = refused(&scratch.file());
    assert!(
        matches!(error, RecordError::Exists { .. }) && error.is_usage(),
        "{error}"
    );
    assert_eq!(fs::read(scratch.file()).unwrap(), b"mine");
}

#[test]
fn a_second_recorder_on_the_same_file_is_refused() {
    let scratch = Scratch::new();
    let first = create(&scratch.file(), Options::default()).unwrap();
    let error = refused(&scratch.file());
    assert!(
        matches!(error, RecordError::Held { .. }) && error.is_usage(),
        "{error}"
    );
    drop(first);
    let error = refused(&scratch.file());
    assert!(matches!(error, RecordError::Exists { .. }), "{error}");
}

#[test]
fn a_link_is_not_followed_but_on_the_way() {
    let scratch = Scratch::new();
    let inside = scratch.0.join("inside");
    let aim = inside.join("aim.whydrop");
    fs::create_dir(&inside).unwrap();
    symlink(&aim, scratch.file()).unwrap();
    for _ in 0..2 {
        let error = refused(&scratch.file());
        assert!(
            matches!(error, RecordError::Link { .. }) && error.is_usage(),
            "{error}"
        );
        // The second time there is something behind it.
        fs::write(&aim, "mine").unwrap();
    }
    assert_eq!(fs::read(&aim).unwrap(), b"mine");
    symlink(&inside, scratch.0.join("way")).unwrap();
    drop(create(&scratch.0.join("way/x.whydrop"), Options::default()).unwrap());
    assert_eq!(names(&inside), ["aim.whydrop", "x.whydrop"]);
}

#[test]
fn what_cannot_be_made_is_said() {
    let scratch = Scratch::new();
    let error = refused(&scratch.0.join("no/x.whydrop"));
    assert!(
        matches!(error, RecordError::Create { .. }) && !error.is_usage(),
        "{error}"
    );
    assert!(error.to_string().contains("no/x.whydrop"), "{error}");
    let error = refused(&scratch.0.join("no/folder/"));
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
    fs::write(scratch.file(), "").unwrap();
    let error = refused(&scratch.0.join("x.whydrop/"));
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
    assert!(matches!(
        refused(Path::new("/dev/full")),
        RecordError::Exists { .. }
    ));
}

#[test]
fn each_start_makes_a_part_of_its_own_in_a_folder() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("folder");
    // Within one second, so that names are taken.
    let statuses: Vec<Status> = (0..5)
        .map(|_| {
            let path = scratch.0.join("folder/");
            let mut recorder = create(&path, Options::default()).unwrap();
            add(&mut recorder, "{}");
            recorder.finish(PATIENCE)
        })
        .collect();
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let files = files(&folder);
    assert_eq!(files.len(), 5);
    for (file, status) in files.iter().zip(&statuses) {
        assert_eq!(&status.path, file, "names are in order of time");
        assert!(lines(file)[0].contains(&status.recording));
        let name = file.file_name().unwrap().as_encoded_bytes();
        let name = PartName::of(name);
        assert_eq!(
            (name.number, name.time.is_some()),
            (Some(1), true),
            "{file:?}"
        );
    }
}

/// Parts in order, none above the limit, each of which opens alone, and all lines over them.
#[track_caller]
fn check_rotated(parts: &[PathBuf], limit: u64, lines_in: u64, status: &Status) {
    assert_eq!(parts.len(), status.parts as usize);
    for (at, part) in parts.iter().enumerate() {
        assert!(fs::metadata(part).unwrap().len() <= limit, "{part:?}");
        let first = &lines(part)[0];
        let expect = format!(r#""id":"{}","part":{},"#, status.recording, at + 1);
        assert!(first.contains(&expect), "{first}");
    }
    let recorded = recorded(parts);
    assert_eq!(recorded.len() as u64, lines_in);
    assert!(recorded.iter().zip(0..).all(|(line, n)| *line == bulky(n)));
}

#[test]
fn a_file_goes_on_in_numbered_parts() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("x-0003.whydrop"), "mine").unwrap();
    let mut recorder = create(&scratch.file(), options(Some(3200), None)).unwrap();
    for n in 0..8 {
        add_frame(&mut recorder, n);
    }
    let status = recorder.finish(PATIENCE);
    // A frame has some 1000 bytes, so there are two or three in a part.
    assert!((3..=4).contains(&status.parts), "{status:?}");
    let mine = scratch.0.join("x-0003.whydrop");
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    let mut parts = vec![scratch.file()];
    parts.extend(
        files(&scratch.0)
            .into_iter()
            .filter(|path| *path != mine && *path != scratch.file()),
    );
    let expect = [
        "x.whydrop",
        "x-0002.whydrop",
        "x-0003_2.whydrop",
        "x-0004.whydrop",
    ];
    let names = parts.iter().map(|path| path.file_name().unwrap());
    assert!(names.eq(expect[..parts.len()].iter().copied()), "{parts:?}");
    check_rotated(&parts, 3200, 8, &status);
}

#[test]
fn a_folder_goes_on_in_the_next_number() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.0, options(Some(2000), None)).unwrap();
    for n in 0..8 {
        add_frame(&mut recorder, n);
    }
    let status = recorder.finish(PATIENCE);
    check_rotated(&files(&scratch.0), 2000, 8, &status);
}

#[test]
fn a_frame_above_the_limit_is_a_part_of_its_own() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), options(Some(1), None)).unwrap();
    for n in 0..3 {
        add_frame(&mut recorder, n);
    }
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.parts, status.lost_lines), (3, 0));
}

#[test]
fn the_oldest_parts_of_a_file_go_and_nothing_else() {
    let scratch = Scratch::new();
    let other = scratch.0.join("x-0001.whydrop");
    fs::write(&other, bulky(1)).unwrap();
    let mut recorder = create(&scratch.file(), options(Some(2000), Some(6000))).unwrap();
    let mut most = 0;
    for n in 0..40 {
        add_frame(&mut recorder, n);
        let all = files(&scratch.0).into_iter().filter(|path| *path != other);
        most = most.max(
            all.map(|path| fs::metadata(path).unwrap().len())
                .sum::<u64>(),
        );
    }
    let status = recorder.finish(PATIENCE);
    assert!((4000..=6000).contains(&most), "{most} bytes");
    assert!(other.exists() && !scratch.file().exists());
    let left = files(&scratch.0).len() as u64 - 1;
    assert_eq!(u64::from(status.parts) - status.deleted_parts, left);
    let newest: Vec<PathBuf> = files(&scratch.0).split_off(1);
    let recorded = recorded(&newest);
    let from = 40 - recorded.len() as u64;
    assert!(
        recorded
            .iter()
            .zip(from..)
            .all(|(line, n)| *line == bulky(n))
    );
}

/// A part of this host in a folder, as an earlier run left it.
fn leave_part(folder: &Path, time: &str, bytes: usize) -> PathBuf {
    let place = Place::of(&Target::Folder(folder.to_owned())).unwrap();
    let name = place.part(1, 1);
    let name = name.file_name().unwrap().to_str().unwrap();
    let now = PartName::of(name.as_bytes()).time.unwrap();
    let path = folder.join(name.replace(str::from_utf8(now).unwrap(), time));
    fs::write(&path, vec![b'x'; bytes]).unwrap();
    path
}

#[test]
fn old_parts_of_earlier_runs_go_unless_somebody_writes_them() {
    let scratch = Scratch::new();
    let old = leave_part(&scratch.0, "20200101T000000Z", 4000);
    let held = leave_part(&scratch.0, "20200101T000001Z", 4000);
    let newer = leave_part(&scratch.0, "20200101T000002Z", 3000);
    let lock = File::open(&held).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    // Of this name, but no parts.
    let link = leave_part(&scratch.0, "20190101T000000Z", 1);
    fs::remove_file(&link).unwrap();
    let aim = scratch.0.join("aim");
    fs::write(&aim, vec![b'x'; 9000]).unwrap();
    symlink(&aim, &link).unwrap();
    let folder = leave_part(&scratch.0, "20190101T000001Z", 1);
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let other = scratch.0.join("otherhost-20190101T000000Z-0001.whydrop");
    fs::write(&other, vec![b'x'; 9000]).unwrap();

    let mut recorder = create(&scratch.0, options(Some(2000), Some(10_000))).unwrap();
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.deleted_parts, &status.trouble), (1, &None));
    assert!(!old.exists(), "11 kB are too much");
    for stays in [&held, &newer, &aim, &link, &folder, &other, &status.path] {
        assert!(stays.symlink_metadata().is_ok(), "{stays:?} is gone");
    }
}

#[test]
fn parts_go_by_their_age() {
    let scratch = Scratch::new();
    let old = leave_part(&scratch.0, "20200101T000000Z", 10);
    let recent = leave_part(&scratch.0, "20200101T000001Z", 10);
    let ahead = leave_part(&scratch.0, "20200101T000002Z", 10);
    let date = |path, at| {
        File::options()
            .write(true)
            .open(path)
            .and_then(|file: File| file.set_modified(at))
    };
    let hour = Duration::from_hours(1);
    date(&old, SystemTime::now() - 2 * hour - hour / 60).unwrap();
    date(&recent, SystemTime::now() - 2 * hour + hour / 60).unwrap();
    date(&ahead, SystemTime::now() + 9 * hour).unwrap();
    let options = Options {
        keep_for: Some("2h".parse().unwrap()),
        ..Options::default()
    };
    let mut recorder = create(&scratch.0, options).unwrap();
    let status = recorder.finish(PATIENCE);
    assert_eq!(status.deleted_parts, 1);
    assert!(!old.exists() && recent.exists() && ahead.exists());
}

#[test]
fn parts_end_by_age_so_that_they_can_go_by_it() {
    let scratch = Scratch::new();
    let options = Options {
        keep_for: Some(Age(Duration::from_millis(8))),
        ..Options::default()
    };
    let mut recorder = create(&scratch.file(), options).unwrap();
    let started = Instant::now();
    let mut n = 0;
    while recorder.status().deleted_parts < 2 {
        assert!(started.elapsed() < PATIENCE, "{:?}", recorder.status());
        add_frame(&mut recorder, n);
        n += 1;
    }
    let status = recorder.finish(PATIENCE);
    assert!(status.parts >= 3 && !scratch.file().exists(), "{status:?}");
    assert_eq!((status.lines_written, status.lost_lines), (n, 0));
}

#[test]
fn what_is_kept_holds_one_part_at_least() {
    let limits = |rotate, keep| Limits::of(&options(rotate, keep)).map(|limits| limits.part_bytes);
    assert_eq!(limits(None, None), Ok(None));
    assert_eq!(limits(Some(5), None), Ok(Some(5)));
    assert_eq!(limits(Some(5), Some(5)), Ok(Some(5)));
    assert_eq!(limits(None, Some(100 << 20)), Ok(Some(25 << 20)));
    assert_eq!(limits(None, Some(1 << 30)), Ok(Some(64 << 20)));
    assert!(limits(Some(6), Some(5)).is_err());
    let scratch = Scratch::new();
    let Err(error) = create(&scratch.file(), options(Some(6), Some(5))) else {
        panic!("one part is more than what is kept");
    };
    assert!(error.is_usage() && !scratch.file().exists(), "{error}");
}

/// As logrotate moves it, and as somebody deletes it.
#[test]
fn a_part_that_has_lost_its_name_is_followed_by_one_of_the_same_name() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    add_frame(&mut recorder, 1);
    let moved = scratch.0.join("moved");
    fs::rename(scratch.file(), &moved).unwrap();
    add_frame(&mut recorder, 2);
    recorder.reopen();
    // One that has its name stays.
    for n in 3..6 {
        add_frame(&mut recorder, n);
        recorder.reopen();
    }
    fs::remove_file(scratch.file()).unwrap();
    recorder.reopen();
    add_frame(&mut recorder, 6);
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.lines_written, status.lost_lines), (6, 0));
    assert_eq!(status.parts, 3, "{status:?}");
    let numbers = |path: &Path| {
        let text = zstd::decode_all(File::open(path).unwrap()).unwrap();
        let lines = String::from_utf8(text).unwrap();
        let number = |n: &u64| lines.contains(&format!(r#"{{"n":{n},"#));
        (1..=6).filter(number).collect::<Vec<u64>>()
    };
    assert_eq!(numbers(&moved), [1, 2]);
    assert_eq!(numbers(&scratch.file()), [6]);
    assert_eq!(names(&scratch.0).len(), 2);
}
