//! The recorder as a whole, against real files.

mod loss;
mod parts;
mod process;
mod reread;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of a test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("whydrop-record-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("x.whydrop")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is in a folder, in order of the names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files(folder).into_iter().map(name).collect()
}

fn head_line(info: &PartInfo<'_>) -> String {
    let after = info.after.unwrap_or("nothing");
    format!(
        r#"{{"type":"start","id":"{}","part":{},"lost":{},"after":"{after}"}}"#,
        info.recording, info.part, info.lost_lines
    )
}

fn head() -> Head {
    Box::new(head_line)
}

fn options(rotate: Option<u64>, keep: Option<u64>) -> Options {
    Options {
        rotate: rotate.map(|bytes| Turn::Size(Size(bytes))),
        keep: keep.map(Size),
        keep_for: None,
    }
}

fn create(path: &Path, options: Options) -> Result<Recorder, RecordError> {
    Recorder::create(&Target::of(path), &options, head())
}

/// The error of a recorder that must not come to be.
#[track_caller]
fn refused(path: &Path) -> RecordError {
    let Err(error) = create(path, Options::default()) else {
        panic!("{} was recorded to", path.display());
    };
    error
}

fn add(recorder: &mut Recorder, line: &str) {
    recorder.text().push_str(line);
    recorder.line_done();
}

/// A line of about a kilobyte that compresses badly.
fn bulky(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    let words: Vec<String> = (0..60).map(|_| word()).collect();
    format!(r#"{{"n":{n},"what":"{}"}}"#, words.concat())
}

/// Adds a bulky line to a frame of its own, and waits until it is written.
fn add_frame(recorder: &mut Recorder, n: u64) {
    let before = recorder.status();
    add(recorder, &bulky(n));
    recorder.hand_over(false);
    wait(recorder, |status| {
        status.lines_written > before.lines_written
    });
}

/// Waits for a status.
#[track_caller]
fn wait(recorder: &Recorder, until: impl Fn(&Status) -> bool) -> Status {
    let started = Instant::now();
    loop {
        let status = recorder.status();
        if until(&status) {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "{status:?}");
        std::thread::yield_now();
    }
}

/// All lines of a part, as `zstd -dc` gives them.
fn lines(path: &Path) -> Vec<String> {
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Lines without those of heads, over all these parts in order.
fn recorded(paths: &[PathBuf]) -> Vec<String> {
    let all = paths.iter().flat_map(|path| lines(path));
    all.filter(|line| !line.contains(r#""start""#)).collect()
}

#[test]
fn what_goes_in_is_in_the_file() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    for n in 0..10_000 {
        add(&mut recorder, &format!(r#"{{"n":{n},"what":"is told"}}"#));
    }
    let status = recorder.finish(PATIENCE);
    assert_eq!((status.lines_written, status.lost_lines), (10_000, 0));
    assert_eq!(
        (status.parts, &status.failing, &status.trouble),
        (1, &None, &None)
    );
    let about = fs::metadata(scratch.file()).unwrap();
    assert_eq!(about.len(), status.bytes_written);
    assert_eq!(about.permissions().mode() & 0o7777, 0o600);
    let lines = lines(&scratch.file());
    assert!(lines[0].contains(r#""type":"start""#) && lines[0].contains(&status.recording));
    assert_eq!(lines.len(), 10_001);
    assert!(lines[10_000].contains(r#""n":9999"#));
}

#[test]
fn the_zstd_tool_reads_and_checks_it() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    for n in 0..500 {
        add(&mut recorder, &bulky(n));
    }
    recorder.finish(PATIENCE);
    let tool = |argument: &str| {
        let mut command = std::process::Command::new("zstd");
        command
            .args([argument, "--stdout"])
            .arg(scratch.file())
            .output()
    };
    let Ok(output) = tool("-d") else {
        eprintln!("SKIPPED: there is no zstd tool here");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let expect = lines(&scratch.file()).join("\n") + "\n";
    assert!(output.stdout == expect.as_bytes());
    let listed = tool("-lv").unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains("XXH64"),
        "frames have no checksum:\n{listed}"
    );
}

#[test]
fn a_line_waits_for_its_frame_no_longer_than_it_may() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    assert_eq!(recorder.due(), None);
    let before = Instant::now();
    add(&mut recorder, "{}");
    let due = recorder.due().unwrap();
    assert!(due <= Instant::now() + FRAME_AGE && due >= before + FRAME_AGE);
    add(&mut recorder, "{}");
    assert_eq!(recorder.due(), Some(due), "the first line counts");
    recorder.tick(due.checked_sub(Duration::from_nanos(1)).unwrap());
    assert_eq!(recorder.due(), Some(due));
    recorder.tick(due);
    assert_eq!(recorder.due(), None);
    wait(&recorder, |status| status.lines_written == 2);
    assert_eq!(recorded(&[scratch.file()]), ["{}", "{}"], "before the end");
}

#[test]
fn a_line_in_the_making_is_not_torn() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    add(&mut recorder, r#"{"n":1}"#);
    recorder.text().push_str(r#"{"n":"#);
    recorder.tick(recorder.due().unwrap());
    recorder.text().push('2');
    recorder.text().push('}');
    recorder.line_done();
    recorder.text().push_str(r#"{"n":"#);
    recorder.finish(PATIENCE);
    assert_eq!(recorded(&[scratch.file()]), [r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[test]
fn a_recorder_that_is_dropped_closes_its_file() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    add(&mut recorder, "{}");
    drop(recorder);
    assert_eq!(recorded(&[scratch.file()]), ["{}"]);
}

#[test]
fn lines_allocate_nothing_once_there_is_a_buffer() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), Options::default()).unwrap();
    let line = bulky(1);
    add_frame(&mut recorder, 0);
    let count = crate::allocations::count(|| {
        for _ in 0..200 {
            add(&mut recorder, &line);
        }
    });
    assert_eq!(count, 0);
}
