//! Writes the VM's whole file system: a cpio archive in the "newc" format, which the kernel unpacks at boot.
//!
//! The format is a header of hexadecimal numbers, a name and the content, each padded to four bytes
//! (Documentation/driver-api/early-userspace/buffer-format.rst); writing it takes fewer lines than calling cpio.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

pub(super) struct Initramfs {
    archive: Vec<u8>,
    directories: BTreeSet<String>,
    inode: u32,
}

impl Initramfs {
    /// An archive with the console in it: the kernel opens /dev/console before the first process can make it.
    pub(super) fn new() -> Self {
        let mut this = Self {
            archive: Vec::new(),
            directories: BTreeSet::new(),
            inode: 0,
        };
        this.directory("dev");
        this.entry("dev/console", CHARACTER_DEVICE, (5, 1), &[]);
        this
    }

    pub(super) fn file(&mut self, name: &str, content: &[u8]) {
        let name = name.trim_start_matches('/');
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.directory(parent);
        }
        self.entry(name, EXECUTABLE, (0, 0), content);
    }

    pub(super) fn copy(&mut self, name: &str, from: &Path) -> Result<()> {
        let content =
            std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(name, &content);
        Ok(())
    }

    pub(super) fn write(mut self, to: &Path) -> Result<()> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        std::fs::write(to, self.archive).with_context(|| format!("cannot write {}", to.display()))
    }

    fn directory(&mut self, name: &str) {
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.directory(parent);
        }
        if self.directories.insert(name.to_owned()) {
            self.entry(name, DIRECTORY, (0, 0), &[]);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let (uid, gid, links, mtime, checksum) = (0, 0, 1, 0, 0);
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let (major, minor) = (0, 0);
        let header = [
            self.inode, mode, uid, gid, links, mtime, size, major, minor, device.0, device.1,
            name_size, checksum,
        ];
        self.archive.extend_from_slice(b"070701");
        for number in header {
            self.archive
                .extend_from_slice(format!("{number:08X}").as_bytes());
        }
        self.archive.extend_from_slice(name.as_bytes());
        self.archive.push(0);
        self.pad();
        self.archive.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive
            .resize(self.archive.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_name_and_content_each_padded() {
        let mut initramfs = Initramfs {
            archive: Vec::new(),
            directories: BTreeSet::new(),
            inode: 0,
        };
        initramfs.file("a", b"hello");
        let text = String::from_utf8(initramfs.archive).unwrap();
        assert_eq!(&text[..14], "07070100000001");
        assert_eq!(&text[14..22], "000081ED");
        assert_eq!(&text[110..], "a\0hello\0\0\0");
        assert_eq!(text.len() % 4, 0);
    }

    #[test]
    fn parents_come_once_and_before_their_files() {
        let mut initramfs = Initramfs::new();
        initramfs.file("/lib/x/one", b"");
        initramfs.file("/lib/x/two", b"");
        let directories: Vec<_> = initramfs.directories.iter().map(String::as_str).collect();
        assert_eq!(directories, ["dev", "lib", "lib/x"]);
        assert_eq!(initramfs.inode, 6);
    }
}
