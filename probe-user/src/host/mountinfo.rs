//! Parser of /proc/<pid>/mountinfo.
//!
//! In: the file's bytes. Out: one [`Mount`] a line that can be understood. It never fails: a line of a shape not known is left out.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One mount: what of the file system (`root`) is visible where (`point`).
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Mount<'a> {
    /// What of its file system is mounted there.
    pub root: Cow<'a, [u8]>,
    /// Where, with its escapes undone.
    pub point: Cow<'a, [u8]>,
    /// The kind of file system.
    pub fs_type: &'a [u8],
}

impl Mount<'_> {
    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.point))
    }
}

/// The mounts of a text of /proc/PID/mountinfo.
pub fn mounts(text: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    text.split(|&b| b == b'\n').filter_map(mount)
}

/// `id parent major:minor root point options [tag…] - type source superoptions`, see proc(5).
fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = line.split(|&b| b == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        root: unescape(root),
        point: unescape(point),
        fs_type,
    })
}

/// Characters that would break a line apart are written as three octal digits: a blank is `\040` (fs/proc_namespace.c:mangle).
fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) =
            (first, tail)
        {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = tail;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, expect: Option<(&str, &str, &str)>) {
        let got = mount(line.as_bytes());
        let got = got.as_ref().map(|m| (&m.root[..], &m.point[..], m.fs_type));
        assert_eq!(
            got,
            expect.map(|(r, p, t)| (r.as_bytes(), p.as_bytes(), t.as_bytes())),
            "{line}"
        );
    }

    #[test]
    fn lines_of_all_shapes() {
        check(
            "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
            Some(("/", "/sys/fs/cgroup/unified", "cgroup2")),
        );
        check(
            "30 23 0:26 /../.. /sys/fs/cgroup rw shared:9 master:1 - cgroup2 cgroup rw",
            Some(("/../..", "/sys/fs/cgroup", "cgroup2")),
        );
        check(
            "9 1 0:4 net:[4026532290] /run/netns/a\\040b rw - nsfs nsfs rw",
            Some(("net:[4026532290]", "/run/netns/a b", "nsfs")),
        );
        check(
            "9 1 0:4 / /odd\\08x\\134 rw - tmpfs x rw",
            Some(("/", "/odd\\08x\\", "tmpfs")),
        );
        check("9 1 0:4 / /x rw shared:1", None);
        check("9 1 0:4 / /x rw -", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn odd_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = mounts(&bytes).count();
        }

        #[test]
        fn odd_fields_never_panic(text in "[0-9 :/\\\\a-c\n-]{0,120}") {
            let _ = mounts(text.as_bytes()).count();
        }

        #[test]
        fn what_the_kernel_writes_is_read_back(lines in proptest::collection::vec((path(), path(), "[a-z0-9]{1,8}", "( (shared|master):[0-9]{1,3}){0,2}"), 0..5)) {
            let text: Vec<u8> = lines.iter().flat_map(|(root, point, fs_type, tags)| {
                [b"9 1 0:4 ".as_slice(), &mangled(root), b" ", &mangled(point), format!(" rw{tags} - {fs_type} source rw\n").as_bytes()].concat()
            }).collect();
            let got: Vec<_> = mounts(&text).map(|m| (m.root.into_owned(), m.point.into_owned(), m.fs_type.to_vec())).collect();
            let expect: Vec<_> = lines.into_iter().map(|(root, point, fs_type, _)| (root, point, fs_type.into_bytes())).collect();
            prop_assert_eq!(&got, &expect);
            for cut in 0..text.len() {
                // Only the last field that is read may be shorter than it was.
                let of_cut: Vec<_> = mounts(&text[..cut]).map(|m| (m.root.into_owned(), m.point.into_owned())).collect();
                let whole: Vec<_> = expect[..of_cut.len()].iter().map(|(root, point, _)| (root.clone(), point.clone())).collect();
                prop_assert_eq!(of_cut, whole);
            }
        }
    }

    fn path() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![Just(b' '), Just(b'\\'), Just(b'\n'), 1u8..=255],
            0..12,
        )
        .prop_map(|rest| [b"/".as_slice(), &rest].concat())
    }

    /// As the kernel writes a path (fs/proc_namespace.c:show_mountinfo): blank, tab, newline, backslash and # in octal.
    fn mangled(path: &[u8]) -> Vec<u8> {
        path.iter()
            .flat_map(|byte| match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
                _ => vec![*byte],
            })
            .collect()
    }
}
