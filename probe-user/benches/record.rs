//! What a recording costs who records, what its thread does, and how large the file gets.
//!
//! `cargo bench -p probe-user --bench record -- FILE` records the lines of a file that `whydrop
//! watch --format json` wrote, so often that it takes some seconds, and reads them back.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use whydrop::{
    sink::record::{Options, PartInfo, Recorder, Status, Target},
    source::replay::{Read, Reader, identify},
};

const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    let file = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let Some(file) = file else {
        println!("give a file of JSON lines: cargo bench -p probe-user --bench record -- FILE");
        return;
    };
    let text = std::fs::read_to_string(&file).expect("the file");
    let lines: Vec<&str> = text.lines().collect();
    let folder = std::env::temp_dir().join(format!("whydrop-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");

    let kilobyte = "x".repeat(1023);
    caller("lines of 1 KB", &folder, &[&kilobyte]);
    caller("these lines", &folder, &lines);
    for size in [10, 50, 200, usize::MAX] {
        frames(&folder, &lines, size);
    }
    let path = writer(&folder, &lines);
    reader(path);
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

fn recorder(folder: &Path, name: &str) -> Recorder {
    let target = Target::File(folder.join(name));
    let head = Box::new(|_: &PartInfo<'_>| "{}".to_owned());
    Recorder::create(&target, &Options::default(), head).expect("a recorder")
}

fn add(recorder: &mut Recorder, line: &str) {
    recorder.text().push_str(line);
    recorder.line_done();
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Lines that wait for the thread are no part of it.
fn let_it_catch_up(recorder: &Recorder, lines: u64) -> Status {
    loop {
        let status = recorder.status();
        if status.lines_written + status.lost_lines + 2000 > lines {
            return status;
        }
        std::thread::yield_now();
    }
}

fn caller(what: &str, folder: &Path, lines: &[&str]) {
    let mut recorder = recorder(folder, what);
    let (mut used, mut done) = (Duration::ZERO, 0);
    for lines in lines
        .iter()
        .cycle()
        .take(500_000)
        .collect::<Vec<_>>()
        .chunks(1000)
    {
        let before = cpu();
        for line in lines {
            add(&mut recorder, line);
        }
        used += cpu().saturating_sub(before);
        done += lines.len() as u64;
        let_it_catch_up(&recorder, done);
    }
    let ns = used.as_nanos() / u128::from(done);
    let status = recorder.finish(PATIENCE);
    println!(
        "{what}: {ns} ns a line for who records, {} lost",
        status.lost_lines
    );
}

/// So many lines a frame.
fn frames(folder: &Path, lines: &[&str], size: usize) {
    let mut recorder = recorder(folder, &format!("frames-{size}"));
    for lines in lines.chunks(size.min(lines.len())) {
        for line in lines {
            add(&mut recorder, line);
        }
        // As if a second had passed.
        let done = recorder.status().lines_written;
        while recorder.due().is_some() {
            recorder.tick(Instant::now() + PATIENCE);
        }
        while size < 1000 && recorder.status().lines_written < done + lines.len() as u64 {
            std::thread::yield_now();
        }
    }
    let status = recorder.finish(PATIENCE);
    assert_eq!(status.lines_written, lines.len() as u64);
    let bytes = status.bytes_written as f64 / status.lines_written as f64;
    let size = match size {
        usize::MAX => "256 KiB".to_owned(),
        size => format!("{size} lines"),
    };
    println!("frames of {size}: {bytes:.1} bytes a line");
}

fn writer(folder: &Path, lines: &[&str]) -> PathBuf {
    let mut recorder = recorder(folder, "flood");
    let started = Instant::now();
    let (mut bytes, mut done) = (0, 0);
    for line in lines.iter().cycle().take(1_000_000) {
        add(&mut recorder, line);
        bytes += line.len() + 1;
        done += 1;
        if done % 10_000 == 0 {
            let_it_catch_up(&recorder, done);
        }
    }
    let status = recorder.finish(PATIENCE);
    let took = started.elapsed().as_secs_f64();
    println!(
        "flood: {:.0} MB/s of text, {:.0} lines/s, {} lost, {} bytes on the disk",
        bytes as f64 / 1e6 / took,
        done as f64 / took,
        status.lost_lines,
        status.bytes_written
    );
    status.path
}

fn reader(path: PathBuf) {
    let started = Instant::now();
    let mut reader = Reader::open(&[path], identify).expect("the recording");
    let (mut lines, mut bytes) = (0_u64, 0);
    while let Some(Read::Line { line, .. }) = reader.advance() {
        lines += 1;
        bytes += line.len() + 1;
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "reader: {lines} lines, {:.0} MB/s of text",
        bytes as f64 / 1e6 / took
    );
}
