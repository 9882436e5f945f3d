//! The recorder as a whole, against real files.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
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
        let path =
            std::env::temp_dir().join(format!("whydrop-record-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("x.whydrop")
    }

    /// Names in it, in order.
    fn names(&self) -> Vec<String> {
        names(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn head() -> Head {
    Box::new(|info| {
        format!(
            r#"{{"type":"start","recording":{{"id":"{}","part":{}}},"lost":{}}}"#,
            info.recording, info.part, info.lost_lines
        )
    })
}

fn create(path: &Path, options: &Options) -> Result<Recorder, RecordError> {
    Recorder::create(&Target::of(path), options, head())
}

fn line(recorder: &mut Recorder, line: &str) {
    recorder.text().push_str(line);
    recorder.line_done();
}

/// All lines of a part, as `zstd -dc` gives them.
fn lines(path: &Path) -> Vec<String> {
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Lines without those of heads, over all parts in order.
fn recorded(paths: &[PathBuf]) -> Vec<String> {
    let all = paths.iter().flat_map(|path| lines(path));
    all.filter(|line| !line.contains(r#""start""#)).collect()
}

#[test]
fn what_goes_in_is_in_the_file() {
    let scratch = Scratch::new();
    let mut recorder = create(&scratch.file(), &Options::default()).unwrap();
    for n in 0..10_000 {
        line(
            &mut recorder,
            &format!(r#"{{"n":{n},"what":"something that is told"}}"#),
        );
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
