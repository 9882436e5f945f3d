//! Parser of /proc/<pid>/cgroup.
//!
//! In: the file's bytes. Out: the one path that names the process's service for people. It never fails on odd text.

/// The `0::` line where cgroup v2 is used, else the one of systemd's named v1 hierarchy. On a host of v1 every process is
/// in the root of v2, if that is mounted at all.
pub fn path_of_process(text: &[u8]) -> Option<String> {
    let (mut of_v2, mut of_systemd) = (None, None);
    for line in text.split(|&b| b == b'\n') {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (Some(id), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !path.starts_with(b"/") {
            continue;
        }
        if id == b"0" && controllers.is_empty() {
            of_v2 = Some(path);
        } else if controllers == b"name=systemd" {
            of_systemd = Some(path);
        }
    }
    let placed = of_v2.filter(|path| *path != b"/");
    placed.or(of_systemd).or(of_v2).map(lossy)
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(
            path_of_process(text.as_bytes()).as_deref(),
            expect,
            "{text:?}"
        );
    }

    #[test]
    fn hosts_of_all_kinds() {
        check(
            "0::/system.slice/nginx.service\n",
            Some("/system.slice/nginx.service"),
        );
        check(
            "9:name=systemd:/user.slice\n4:memory:/x\n0::/a:b\n",
            Some("/a:b"),
        );
        check(
            "9:name=systemd:/user.slice\n4:memory:/x\n",
            Some("/user.slice"),
        );
        check("1:name=systemd:/user.slice\n0::/\n", Some("/user.slice"));
        check("1:name=systemd:/\n0::/\n", Some("/"));
        check("4:memory:/x\n0::/\n", Some("/"));
        check("4:memory:/x\n", None);
        check("0::relative\n0:\n::\n\n", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn odd_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "[0-9:/a-z=\n]{0,80}") {
            let _ = path_of_process(&bytes);
            let _ = path_of_process(text.as_bytes());
        }

        #[test]
        fn the_line_of_v2_is_read_back(before in proptest::collection::vec("[1-9]{1,2}:(memory|cpu,cpuacct|name=systemd):/[a-z/:]{0,8}\n", 0..4), path in "/[ -~]{1,30}") {
            let line = format!("0::{path}\n");
            let text = before.concat() + &line;
            prop_assert_eq!(path_of_process(text.as_bytes()), Some(path));
            // Cut before the path begins, it is not there.
            let cut = before.concat() + &line[..3];
            let of_systemd = before.iter().any(|line| line.contains("name=systemd"));
            prop_assert_eq!(path_of_process(cut.as_bytes()).is_some(), of_systemd);
        }
    }
}
