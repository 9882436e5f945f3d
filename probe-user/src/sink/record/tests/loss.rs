//! Disks that are slow, full or gone: what is lost is counted to the line, and nobody waits.

use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
    thread::UnshareFlags,
};

use super::*;

/// A recorder whose second part does not come before it is let.
struct Slow {
    recorder: Recorder<Vec<u64>>,
    go: Sender<()>,
    waits: Receiver<()>,
}

impl Slow {
    fn new(path: &Path, queue_bytes: usize) -> Self {
        let (go, may) = channel::<()>();
        let (tells, waits) = channel();
        let head: Head = Box::new(move |info| {
            if info.part == 2 {
                tells.send(()).unwrap();
                let _ = may.recv_timeout(PATIENCE);
            }
            head_line(info)
        });
        let target = Target::of(path);
        let options = options(Some(1), None);
        let mut recorder = Recorder::bounded(&target, &options, head, queue_bytes).unwrap();
        // The first frame goes to the first part, the second waits for the second part.
        for n in 0..2 {
            Self::add(&mut recorder, n);
            recorder.hand_over(false);
        }
        waits.recv_timeout(PATIENCE).unwrap();
        Self {
            recorder,
            go,
            waits,
        }
    }

    fn add(recorder: &mut Recorder<Vec<u64>>, n: u64) {
        recorder.text().push_str(&bulky(n));
        recorder.line_done_with(|tag| tag.push(n));
    }
}

#[test]
fn a_full_queue_loses_whole_batches_and_says_which() {
    let scratch = Scratch::new();
    let bound = 20 * bulky(0).len();
    let mut slow = Slow::new(&scratch.file(), bound);
    let started = Instant::now();
    for n in 2..100 {
        Slow::add(&mut slow.recorder, n);
        slow.recorder.hand_over(false);
    }
    assert!(started.elapsed() < PATIENCE / 4, "whoever records waited");
    let status = slow.recorder.status();
    let lost = slow.recorder.lost();
    assert_eq!(
        status.lost_lines,
        lost.iter().map(|lost| lost.lines).sum::<u64>()
    );
    assert_eq!(
        status.lost_bytes,
        lost.iter().map(|lost| lost.bytes).sum::<u64>()
    );
    assert!((70..80).contains(&status.lost_lines), "{status:?}");
    assert!(lost.iter().all(|lost| lost.lines == lost.tag.len() as u64));

    slow.go.send(()).unwrap();
    let status = slow.recorder.finish(PATIENCE);
    assert_eq!(slow.recorder.lost(), [], "told once");
    assert_eq!(status.lines_written + status.lost_lines, 100);
    let mut all: Vec<u64> = lost.into_iter().flat_map(|lost| lost.tag).collect();
    let recorded: Vec<u64> = files(&scratch.0)
        .iter()
        .flat_map(|path| numbers(&recorded(std::slice::from_ref(path))))
        .collect();
    assert_eq!(recorded.len() as u64, status.lines_written);
    all.extend(recorded);
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..100), "{all:?}");
    drop(slow.waits);
}

fn numbers(lines: &[String]) -> Vec<u64> {
    let number = |line: &String| line[5..].split(',').next().unwrap().parse().unwrap();
    lines.iter().map(number).collect()
}

#[test]
fn while_the_thread_is_behind_small_batches_grow() {
    let scratch = Scratch::new();
    let mut slow = Slow::new(&scratch.file(), usize::MAX);
    Slow::add(&mut slow.recorder, 2);
    slow.recorder.hand_over(false);
    Slow::add(&mut slow.recorder, 3);
    let due = slow.recorder.due().unwrap();
    slow.recorder.tick(due);
    assert_eq!(slow.recorder.due(), Some(due + BEHIND));
    assert_eq!(slow.recorder.batch.lines, 1);
    slow.go.send(()).unwrap();
    wait_written(&slow.recorder, 3);
    slow.recorder.tick(due + BEHIND);
    assert_eq!(slow.recorder.batch.lines, 0);
    wait_written(&slow.recorder, 4);
}

fn wait_written(recorder: &Recorder<Vec<u64>>, lines: u64) {
    let started = Instant::now();
    while recorder.status().lines_written < lines || recorder.shared.is_behind() {
        assert!(started.elapsed() < PATIENCE, "{:?}", recorder.status());
        std::thread::yield_now();
    }
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_does_not_answer() {
    let scratch = Scratch::new();
    let mut slow = Slow::new(&scratch.file(), usize::MAX);
    for n in 2..10 {
        Slow::add(&mut slow.recorder, n);
    }
    let started = Instant::now();
    let within = Duration::from_millis(200);
    let status = slow.recorder.finish(within);
    let took = started.elapsed();
    assert!(took >= within && took < within * 5, "{took:?}");
    assert_eq!((status.lines_written, status.lost_lines), (1, 9));
    assert!(status.trouble.is_some());
    let tags: Vec<u64> = slow
        .recorder
        .lost()
        .into_iter()
        .flat_map(|lost| lost.tag)
        .collect();
    assert_eq!(tags, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // What comes too late to the file does not change what was said.
    slow.go.send(()).unwrap();
    assert_eq!(slow.recorder.status().lost_lines, 9);
}

#[test]
fn a_flood_ends_in_time() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    let line = bulky(7);
    let mut done = 0;
    while recorder.status().lost_lines == 0 && done < 200_000 {
        for _ in 0..1000 {
            add(&mut recorder, &line);
        }
        done += 1000;
    }
    let started = Instant::now();
    let status = recorder.finish(Duration::from_secs(2));
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(status.lines_written + status.lost_lines, done);
    assert_eq!(
        recorded(&[scratch.file()]).len() as u64,
        status.lines_written
    );
}

#[test]
fn a_line_that_is_too_long_is_lost_alone() {
    let scratch = Scratch::new();
    let mut recorder =
        Recorder::<u64>::create(&Target::of(&scratch.file()), &Options::default(), head()).unwrap();
    let mut add = |text: &str, tag: u64| {
        recorder.text().push_str(text);
        recorder.line_done_with(|sum| *sum += tag);
    };
    add("{}", 1);
    add(&"x".repeat(MAX_LINE_BYTES), 10);
    add(&"y".repeat(MAX_LINE_BYTES - 1), 100);
    add("{}", 1000);
    let status = recorder.finish(PATIENCE);
    let lost = recorder.lost();
    let bytes = MAX_LINE_BYTES as u64 + 1;
    assert_eq!(
        lost,
        [Lost {
            lines: 1,
            bytes,
            tag: 10
        }]
    );
    assert_eq!(
        (status.lines_written, status.lost_lines, status.lost_bytes),
        (3, 1, bytes)
    );
    let lengths: Vec<usize> = recorded(&[scratch.file()])
        .iter()
        .map(String::len)
        .collect();
    assert_eq!(lengths, [2, MAX_LINE_BYTES - 1, 2]);
}

#[test]
fn a_head_that_panics_loses_what_comes_and_says_so() {
    let scratch = Scratch::new();
    let head: Head = Box::new(|info| {
        assert!(info.part == 1, "this is the test's own panic");
        head_line(info)
    });
    let mut recorder: Recorder =
        Recorder::create(&Target::of(&scratch.file()), &options(Some(1), None), head).unwrap();
    for n in 0..3 {
        add(&mut recorder, &bulky(n));
        recorder.hand_over(false);
    }
    wait(&recorder, |status| status.failing.is_some());
    add(&mut recorder, "{}");
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.lines_written, status.lost_lines), (1, 3));
}

/// A folder on a small disk that only this thread, and those it starts, see.
struct Small(Scratch);

impl Small {
    fn new(bytes: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can mount a small disk");
            return None;
        }
        let scratch = Scratch::new();
        // SAFETY: the descriptors stay shared, and of the rest only this thread's working folder
        // and mounts become its own.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        mount_change("/", private).unwrap();
        let size = std::ffi::CString::new(format!("size={bytes},nr_inodes=20")).unwrap();
        mount(
            "whydrop",
            &scratch.0,
            "tmpfs",
            MountFlags::empty(),
            Some(size.as_c_str()),
        )
        .unwrap();
        Some(Self(scratch))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_ends_nothing_and_loses_what_the_queue_does_not_hold() {
    let Some(small) = Small::new(256 << 10) else {
        return;
    };
    let folder = &small.0.0;
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![0; 128 << 10]).unwrap();
    let target = Target::of(&folder.join("x.whydrop"));
    let bound = 50 * bulky(0).len();
    let mut recorder =
        Recorder::<Vec<u64>>::bounded(&target, &Options::default(), head(), bound).unwrap();
    let mut n = 0;
    let mut add = |recorder: &mut Recorder<Vec<u64>>| {
        recorder.text().push_str(&bulky(n));
        recorder.line_done_with(|tag| tag.push(n));
        recorder.hand_over(false);
        n += 1;
    };
    let started = Instant::now();
    let (status, why) = loop {
        add(&mut recorder);
        let status = recorder.status();
        assert!(started.elapsed() < PATIENCE, "{status:?}");
        match &status.failing {
            Some(why) if status.lost_lines > 20 => break (status.clone(), why.clone()),
            _ => {}
        }
    };
    assert!(
        why.contains("No space left on device") || why.contains("os error 28"),
        "{why}"
    );
    assert!(status.lines_written > 0);
    // A part is tried each second, and goes again when there is no room for its first line.
    let started = Instant::now();
    while names(folder) != ["ballast", "x.whydrop"] {
        assert!(started.elapsed() < PATIENCE, "litter: {:?}", names(folder));
        std::thread::yield_now();
    }

    fs::remove_file(&ballast).unwrap();
    let started = Instant::now();
    while recorder.status().failing.is_some() {
        assert!(started.elapsed() < PATIENCE, "{:?}", recorder.status());
        std::thread::yield_now();
    }
    for _ in 0..20 {
        add(&mut recorder);
    }
    let status = recorder.finish(PATIENCE);
    assert_eq!((&status.failing, &status.trouble), (&None, &None));
    assert_eq!(status.lines_written + status.lost_lines, n);
    assert_eq!(names(folder), ["x-0002.whydrop", "x.whydrop"]);
    let parts = [folder.join("x.whydrop"), folder.join("x-0002.whydrop")];
    let second = &lines(&parts[1])[0];
    assert!(second.contains("x.whydrop cannot be written"), "{second}");
    let recorded = recorded(&parts);
    assert_eq!(recorded.len() as u64, status.lines_written);
    let mut all = numbers(&recorded);
    assert!(all.is_sorted());
    all.extend(recorder.lost().into_iter().flat_map(|lost| lost.tag));
    all.sort_unstable();
    assert!(
        all.iter().copied().eq(0..n),
        "each is either written or lost"
    );
}

#[test]
fn a_disk_that_stays_full_ends_in_time() {
    let Some(small) = Small::new(64 << 10) else {
        return;
    };
    let mut recorder = create(&small.0.file(), Options::default()).unwrap();
    let mut done = 0;
    while recorder.status().failing.is_none() {
        add(&mut recorder, &bulky(done));
        recorder.hand_over(false);
        done += 1;
    }
    let started = Instant::now();
    let status = recorder.finish(Duration::from_secs(2));
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(
        status.lost_lines > 0 && status.failing.is_some(),
        "{status:?}"
    );
    assert_eq!(status.lines_written + status.lost_lines, done);
    assert_eq!(
        recorded(&[small.0.file()]).len() as u64,
        status.lines_written
    );
}

#[test]
fn a_full_disk_at_the_start_is_an_error() {
    let Some(small) = Small::new(8 << 10) else {
        return;
    };
    let ballast = small.0.0.join("ballast");
    let _ = fs::write(&ballast, vec![0; 64 << 10]);
    let error = refused(&small.0.file());
    assert!(!error.is_usage(), "{error}");
    assert_eq!(names(&small.0.0), ["ballast"]);
}

#[test]
fn without_room_for_another_part_the_old_one_goes_on() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("folder");
    fs::create_dir(&folder).unwrap();
    let mut recorder = create(&folder.join("x.whydrop"), options(Some(1), None)).unwrap();
    add_frame(&mut recorder, 0);
    // Whoever is root may write where others may not, but not where there is nothing.
    let away = scratch.0.join("away");
    fs::rename(&folder, &away).unwrap();
    add_frame(&mut recorder, 1);
    let status = recorder.status();
    assert!(
        status
            .trouble
            .is_some_and(|why| why.contains("there is no next part"))
    );
    assert_eq!((status.failing, status.parts), (None, 1));
    fs::rename(&away, &folder).unwrap();
    let started = Instant::now();
    let mut n = 2;
    while recorder.status().parts == 1 {
        add_frame(&mut recorder, n);
        n += 1;
        assert!(started.elapsed() < PATIENCE);
    }
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.lines_written, status.lost_lines), (n, 0));
    let parts = [folder.join("x.whydrop"), folder.join("x-0002.whydrop")];
    assert_eq!(recorded(&parts).len() as u64, n);
}
