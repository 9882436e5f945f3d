//! Recordings that come out of a VM: it writes them to its second serial port, whose other end is a file here.
//!
//! Each is a line `NAME LENGTH` and so many bytes. vm-init is the writer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Writes each file of the stream into the folder, and says how many there were.
pub(super) fn unpack(stream: &Path, folder: &Path) -> Result<usize> {
    let bytes = fs::read(stream).with_context(|| format!("cannot read {}", stream.display()))?;
    let mut left = bytes.as_slice();
    let mut count = 0;
    while let Some((name, content, rest)) = next(left)? {
        let to = folder.join(name);
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        left = rest;
        count += 1;
    }
    Ok(count)
}

/// Name and bytes of a file, and what follows it.
type File<'a> = (&'a str, &'a [u8], &'a [u8]);

/// The first file of a stream.
fn next(stream: &[u8]) -> Result<Option<File<'_>>> {
    let Some(end) = stream.iter().position(|byte| *byte == b'\n') else {
        ensure!(stream.is_empty(), "the stream of recordings is torn");
        return Ok(None);
    };
    let head = std::str::from_utf8(&stream[..end])?;
    let (name, length) = head
        .split_once(' ')
        .with_context(|| format!("`{head}` is no head of a recording"))?;
    ensure!(
        !name.contains('/') && !name.starts_with('.'),
        "`{name}` is no name of a recording"
    );
    let length: usize = length.parse()?;
    let left = &stream[end + 1..];
    ensure!(length <= left.len(), "the recording {name} is torn");
    let (content, rest) = left.split_at(length);
    Ok(Some((name, content, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_each_other() {
        let stream = b"a.x 3\n\n12b.y 0\n";
        let (name, content, rest) = next(stream).expect("a stream").expect("a file");
        assert_eq!((name, content), ("a.x", &b"\n12"[..]));
        let (name, content, rest) = next(rest).expect("a stream").expect("a file");
        assert_eq!((name, content), ("b.y", &b""[..]));
        assert!(next(rest).expect("the end").is_none());
    }

    #[test]
    fn what_is_torn_or_names_another_folder_is_an_error() {
        for stream in [&b"a.x 4\n123"[..], b"a.x", b"../a 1\n1", b"a\n1", b"a x\n"] {
            assert!(next(stream).is_err(), "{stream:?}");
        }
    }
}
