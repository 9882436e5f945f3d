//! What options are when nobody gives any: asked of the options themselves, so that a default stands once.

use clap::{Args, Command};

/// As on a command line without arguments, which options without a required one always take.
pub fn defaults<T: Args>() -> T {
    let command = T::augment_args(Command::new("whydrop").no_binary_name(true));
    let parsed = command
        .try_get_matches_from(std::iter::empty::<&str>())
        .and_then(|matches| T::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{
        super::{Detail, Events, Request},
        *,
    };

    #[test]
    fn a_default_is_what_the_option_says() {
        let request: Request = defaults();
        assert_eq!(request.events, Events::Attempts);
        assert_eq!(request.detail, Detail(NonZeroU32::new(1000)));
        assert_eq!(request.ring_bytes, 1 << 20);
        assert!(request.tier.is_none() && !request.needs_hooks());
    }
}
