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
