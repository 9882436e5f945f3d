//! Texts of /proc: the first byte says which file it is, the rest is the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whydrop::{
    host::{cgroup::path_of_process, fuzz, mountinfo::mounts, netstat::Counters, status::mask},
    model::cgroup::Cgroup,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((file, text)) = bytes.split_first() else {
        return;
    };
    match file % 6 {
        // Two files, parted by a zero byte.
        0 => {
            let middle = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            counters(&text[..middle], &text[middle..]);
        }
        1 => mountinfo(text),
        2 => cgroup(text),
        3 => status(text),
        4 => links(text),
        _ => assert!(fuzz::comm_text(text).len() <= text.len() * 3),
    }
});

fn cgroup(text: &[u8]) {
    let Some(path) = path_of_process(text) else {
        return;
    };
    assert!(path.starts_with('/'));
    let cgroup = Cgroup::of(path);
    let of_name = [cgroup.unit, cgroup.container.map(|container| container.id)];
    assert!(
        of_name
            .iter()
            .flatten()
            .all(|name| cgroup.path.contains(name))
    );
}

fn counters(netstat: &[u8], snmp: &[u8]) {
    let Ok(counters) = Counters::parse(netstat, snmp) else {
        return;
    };
    for (name, _) in counters.iter().take(50) {
        assert!(!name.is_empty());
        assert!(counters.get(name).is_some(), "{name}");
    }
    let _ = counters.get("ListenOverflows");
}

fn mountinfo(text: &[u8]) {
    let lines = text.split(|b| *b == b'\n').count();
    assert!(mounts(text).count() <= lines);
    for mount in mounts(text) {
        assert!(mount.point().as_os_str().len() <= text.len());
        let _ = fuzz::link_of_netns(&mount.root);
    }
}

fn status(text: &[u8]) {
    for name in ["CapEff", "SigIgn"] {
        if mask(text, name).is_some() {
            assert!(text.windows(name.len()).any(|part| part == name.as_bytes()));
        }
    }
}

/// A number is read only where it is written out, leading zeros apart.
fn links(text: &[u8]) {
    for (kind, number) in [
        ("socket", fuzz::link_of_socket(text)),
        ("net", fuzz::link_of_netns(text)),
    ] {
        let Some(number) = number else { continue };
        let link = std::str::from_utf8(text).expect("the link has digits only");
        let digits = link.split(['[', ']']).nth(1).expect("brackets");
        let plain = digits.trim_start_matches('0');
        assert_eq!(format!("{kind}:[{digits}]"), link);
        assert_eq!(format!("{plain:0>1}"), number.to_string());
    }
    assert!(fuzz::number(text).is_none() || text.iter().all(u8::is_ascii_digit));
}
