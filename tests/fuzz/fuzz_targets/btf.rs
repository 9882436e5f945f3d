//! Type information of a kernel: whatever it says, parsing and every question end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whydrop::{btf::Btf, loader::fuzz::layout};

const HEADER_BYTES: u32 = 24;

fuzz_target!(|bytes: &[u8]| {
    ask(bytes.to_vec());
    // The same as the types and names of a blob with a good frame: its first word says where the names begin.
    if let Some((word, sections)) = bytes.split_first_chunk() {
        ask(framed(u32::from_le_bytes(*word), sections));
    }
});

fn framed(word: u32, sections: &[u8]) -> Vec<u8> {
    let len = sections.len() as u32;
    let types = word % (len / 4 + 1) * 4;
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [HEADER_BYTES, 0, types, types, len - types] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(sections);
    bytes
}

fn ask(bytes: Vec<u8>) {
    let len = bytes.len();
    let Ok(btf) = Btf::parse(bytes) else { return };
    let _ = layout(&btf);
    let _ = btf.offset("sock", "a.b.c");
    let _ = btf.function_args("tcp_conn_request");
    let _ = btf.tracepoint_args("tcp_retransmit_skb");
    if let Ok(constants) = btf.constants("sk_rst_reason") {
        assert!(constants.len() * 8 <= len);
    }
}
