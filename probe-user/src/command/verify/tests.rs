//! What options of `verify` take.

use super::*;

#[test]
fn a_share_is_a_part() {
    assert_eq!(parse_share("25%"), Ok(0.25));
    assert_eq!(parse_share("0.5"), Ok(0.5));
    assert_eq!(parse_share("0"), Ok(0.0));
    for text in ["", "%", "100%", "1", "-1%", "NaN", "x"] {
        let error = parse_share(text).expect_err(text);
        assert!(error.contains("is not a share; write 25%"), "{error}");
    }
}

#[test]
fn a_port_alone_is_a_listener() {
    let check = |text: &str, expect: &str| {
        assert_eq!(
            parse_listener(text).map(|listener| listener.to_string()),
            Ok(expect.to_owned()),
            "{text}"
        );
    };
    check("8080", ":8080");
    check(":8080", ":8080");
    check("10.0.0.1:8080", "10.0.0.1:8080");
    check("[fd00::1]:8080", "[fd00::1]:8080");
    for text in ["", "0", "99999", "localhost:80", "10.0.0.1", "+80", "80 "] {
        let error = parse_listener(text).expect_err(text);
        assert!(error.contains("is not a listener; write 8080"), "{error}");
    }
}
