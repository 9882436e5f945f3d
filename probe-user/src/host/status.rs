//! Parser of /proc/<pid>/status.
//!
//! In: the file's bytes. Out: a mask of capabilities or signals. It never fails on odd text, and takes no name of a process for a line.

/// A mask by the kernel's name, `CapEff` or `SigIgn`; `None` where the kernel does not show it.
pub fn mask(text: &[u8], name: &str) -> Option<u64> {
    let value = text
        .split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?
        .trim_ascii();
    if !value.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_by_name() {
        let text = b"Name:\t\xffCapEff:\t1\nSigIgn:\t0000000000000001\nCapEff:\t000001ffffffffff\n";
        assert_eq!(mask(text, "CapEff"), Some(0x1ff_ffff_ffff));
        assert_eq!(mask(text, "SigIgn"), Some(1));
        for odd in [
            "",
            "CapEff:",
            "CapEff:\t+1",
            "CapEff:\t1 2",
            "CapEff",
            "CapEff:\t10000000000000000",
        ] {
            assert_eq!(mask(odd.as_bytes(), "CapEff"), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn odd_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "(CapEff:?[\t +0-9a-g\n]{0,30}){0,4}") {
            let _ = mask(&bytes, "CapEff");
            let _ = mask(text.as_bytes(), "CapEff");
        }

        #[test]
        fn what_the_kernel_writes_is_read_back(comm in proptest::collection::vec(any::<u8>().prop_filter("escaped by the kernel", |b| *b != b'\n'), 0..16), value: u64) {
            let text = [b"Name:\t".as_slice(), &comm, format!("\nCapEff:\t{value:016x}\n").as_bytes()].concat();
            prop_assert_eq!(mask(&text, "CapEff"), Some(value));
            prop_assert_eq!(mask(&text, "CapPrm"), None);
        }
    }
}
