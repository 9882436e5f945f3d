//! Lines of every shape, and no client in what comes out.

use std::net::SocketAddr;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redacted(lines: &[String]) -> Vec<String> {
    let mut redaction = Redaction::default();
    for line in lines {
        redaction.learn(line.as_bytes());
    }
    lines.iter().map(|line| redaction.replace(line)).collect()
}

/// Whether an address stands in a text, and not only as a piece of a longer one.
fn holds(text: &str, addr: IpAddr) -> bool {
    let goes_on = |byte: Option<&u8>| match addr {
        IpAddr::V4(_) => byte.is_some_and(u8::is_ascii_digit),
        IpAddr::V6(_) => byte.is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':'),
    };
    let bytes = text.as_bytes();
    let word = addr.to_string();
    text.match_indices(&word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !goes_on(before) && !goes_on(bytes.get(at + word.len()))
    })
}

#[test]
fn a_client_is_another_everywhere_and_the_same_each_time() {
    let lines = [
        r#"{"type":"start","filters":["client 10.0.0.0/8","listener 192.0.2.9:80"],"command":["whydrop","record","--client=10.0.0.1","--","curl","http://x"],"kernel":"6.1.0.1"}"#,
        r#"{"type":"event","client":"10.0.0.1:5000","local":"192.0.2.9:80","n":1.50,"unit":"sshd@0-10.0.0.1:22-192.0.2.9:5.service"}"#,
        r#"{"type":"new","who":{"client_addr":"::ffff:10.0.0.1","client_port":5000},"why":"as 10.0.0.1 said"}"#,
        r#"{"type":"story","item":{"what":{"story":{"attempt":{"client":"[2001:db8::7]:1","local":"[2001:db8::9]:80"},"listener":[3,"[::]:80"]}}}}"#,
    ];
    let new = redacted(&lines.map(str::to_owned));
    let client: serde_json::Value = serde_json::from_str(&new[1]).expect("JSON");
    let client: SocketAddr = client["client"]
        .as_str()
        .and_then(|c| c.parse().ok())
        .expect("a client");
    let IpAddr::V4(v4) = client.ip() else {
        panic!("another family: {client}");
    };
    assert!(
        v4.to_bits() >> 28 == 0xF && client.port() == 5000,
        "{client}"
    );
    assert!(new[0].contains(&format!("--client={v4}")), "{}", new[0]);
    assert!(new[0].contains(r#""listener 192.0.2.9:80""#), "{}", new[0]);
    assert!(
        new[0].ends_with(r#""--","…","…"],"kernel":"6.1.0.1"}"#),
        "{}",
        new[0]
    );
    assert!(!new[0].contains("10.0.0.0"), "{}", new[0]);
    let unit =
        format!(r#""local":"192.0.2.9:80","n":1.50,"unit":"sshd@0-{v4}:22-192.0.2.9:5.service"}}"#);
    assert!(new[1].ends_with(&unit), "{}", new[1]);
    let expect = format!(
        r#"{{"type":"new","who":{{"client_addr":"::ffff:{v4}","client_port":5000}},"why":"as {v4} said"}}"#
    );
    assert_eq!(new[2], expect);
    assert!(new[3].contains(r#""client":"[100::"#), "{}", new[3]);
    assert!(
        new[3].contains(r#""local":"[2001:db8::9]:80""#),
        "{}",
        new[3]
    );
    assert!(new[3].contains(r#""listener":[3,"[::]:80"]"#), "{}", new[3]);
}

#[test]
fn who_is_a_client_anywhere_is_one_everywhere_and_a_stranger_is_one_too() {
    let lines = [
        r#"{"client":"10.0.0.1:5000","local":"10.0.0.2:80","remote":"10.0.0.3:1"}"#,
        r#"{"client":"10.0.0.2:5000","local":"10.0.0.4:80"}"#,
        r#"{"client":"127.0.0.1:5000","local":"127.0.0.1:80","addr":"0.0.0.0:80"}"#,
    ];
    let new = redacted(&lines.map(str::to_owned));
    for addr in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        assert!(!new[0].contains(addr) && !new[1].contains(addr), "{new:?}");
    }
    assert!(new[1].contains("10.0.0.4:80"), "{new:?}");
    assert_eq!(new[2], lines[2]);
}

#[test]
fn no_two_are_made_one() {
    let lines: Vec<String> = (0..20_000_u32)
        .map(|n| json!({ "client": Ipv4Addr::from_bits(0x0A00_0000 + n).to_string() }).to_string())
        .collect();
    let new = redacted(&lines);
    let names: HashSet<&String> = new.iter().collect();
    assert_eq!(names.len(), lines.len());
    // Another time they are others.
    assert_ne!(redacted(&lines[..1]), new[..1]);
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        // Many are close to each other, and zeroes are left out of their text.
        (0_u32..64).prop_map(|host| IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 | host))),
        (0_u128..64).prop_map(|host| IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | host))),
    ]
}

fn lines_of(client: IpAddr, own: IpAddr, before: &str, after: &str) -> Vec<String> {
    let at = |ip: IpAddr| SocketAddr::new(ip, 4242).to_string();
    let text = format!("{before}{client}{after}");
    vec![
        json!({ "filters": [format!("client {client}/7")], "command": ["whydrop", "--client", client] })
            .to_string(),
        json!({ "client": at(client), "local": at(own), "comm": text, (text.clone()): [at(client)] })
            .to_string(),
        json!({ "item": { "what": { "new": { "text": [1.5, text], "peer": at(client) } } } })
            .to_string(),
    ]
}

proptest! {
    #[test]
    fn no_client_is_left_whatever_stands_around_it(
        clients in proptest::collection::vec(address(), 1..6),
        own in address(),
        before in r"([^0-9a-fA-F:.]|\PC*[^0-9a-fA-F:.])?",
        after in r"([^0-9a-fA-F:.]\PC*)?",
    ) {
        let lines: Vec<String> =
            clients.iter().flat_map(|client| lines_of(*client, own, &before, &after)).collect();
        let new = redacted(&lines);
        for client in clients {
            if client.to_canonical().is_loopback() || client.is_unspecified() {
                continue;
            }
            for line in &new {
                prop_assert!(!holds(line, client), "{client} in {line}");
            }
        }
        for line in &new {
            let value: Result<serde_json::Value, _> = serde_json::from_str(line);
            prop_assert!(value.is_ok(), "{line}");
        }
    }
}
