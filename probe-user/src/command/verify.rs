//! `whydrop verify`: one listener is watched for a time, and whether it took everybody who came is said.

use std::{cell::RefCell, time::Duration};

use clap::Args;

use super::{
    Failure, say, status,
    watch::{self, Conduct, WatchArgs, parse_duration},
};
use crate::{
    analyse::verify::{Asked, judge},
    enrich::Enricher,
    filter::ListenerFilter,
    host::{clock::mono_ns, netns},
    loader::{Tier, reads_every_netns},
    model::{Clock, Verdict},
    sink::{Format, Reporter},
    source::unread::Unread,
};

#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The listener, as ADDR:PORT or PORT
    #[arg(value_name = "[ADDR:]PORT", value_parser = parse_listener)]
    pub listener: ListenerFilter,

    /// Watch for so long, such as 30s, 5m or 1h
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub duration: Duration,

    /// Look only in this network namespace: a name of `ip netns`, a PID, a path, `self` or `all`
    #[arg(long, value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Force one way of watching: trampoline, kprobe or cgroup (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// How the verdict looks: `text` for people, `json` for machines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// As `--listener` takes it, and a port alone.
fn parse_listener(text: &str) -> Result<ListenerFilter, String> {
    let is_port = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = if is_port {
        format!(":{text}").parse()
    } else {
        text.parse()
    };
    parsed.map_err(|_: String| {
        format!("`{text}` is no listener; write 8080, 10.0.0.1:8080 or [fd00::1]:8080")
    })
}

/// Status 0 if it held, else 1.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    if args.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "verify needs hooks in the kernel, which the counters tier does without; leave --tier out",
        ));
    }
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.listener],
        netns: args.netns.clone(),
        tier: args.tier,
        ..WatchArgs::default()
    };
    let found = RefCell::new(Vec::new());
    let unasked = RefCell::new(Unread::default());
    let summary = watch::run(
        &watch_args,
        Conduct {
            ready: Box::new(|_| {
                *found.borrow_mut() = listening_in(args, &mut unasked.borrow_mut());
                let nobody = if found.borrow().is_empty() {
                    "; nobody listens there yet"
                } else {
                    ""
                };
                eprintln!(
                    "whydrop: watching {} for {:.1} s{nobody}",
                    args.listener,
                    args.duration.as_secs_f64()
                );
            }),
            ..Conduct::silent(|_, _| {})
        },
    )?;
    let mut namespaces = found.into_inner();
    let mut unasked = unasked.into_inner();
    namespaces.extend(listening_in(args, &mut unasked));
    let asked = Asked {
        listener: args.listener.to_string(),
        time: args.duration,
        listening_in: namespaces,
        unasked: unasked.into_sentences(),
        reads_all: args.netns != "all" || reads_every_netns(),
    };
    let verified = judge(asked, summary);
    let mut text = String::new();
    let own_netns = netns::current().unwrap_or(0);
    Reporter::new(
        args.format,
        verified.summary.tier,
        own_netns,
        Clock::now(),
        super::origin(),
    )
    .write_verified(mono_ns(), &verified, &mut text);
    let said = say(text.trim_end());
    match (verified.verdict, said) {
        (Verdict::Held, said) => said,
        // A reader that went away may still ask for the status.
        (_, Err(failure)) if failure.status != status::OK => Err(failure),
        _ => Err(Failure::new(status::FAILED, "")),
    }
}

/// Namespaces in which somebody listens there now; which ones could not be asked is noted.
fn listening_in(args: &VerifyArgs, unasked: &mut Unread) -> Vec<u32> {
    let mut enricher = Enricher::new();
    unasked.registry(&enricher.registry);
    let only = watch::netns_of(&args.netns, &mut enricher.registry);
    let Some(only) = unasked.note(only.map_err(|failure| failure.message)) else {
        return Vec::new();
    };
    let mut namespaces: Vec<u32> = enricher.registry.iter().collect();
    namespaces.retain(|netns| {
        only.is_none_or(|only| only == *netns)
            && unasked
                .note(enricher.listeners_if_there(*netns, args.listener.port()))
                .is_some_and(|found| {
                    found
                        .iter()
                        .any(|listener| args.listener.takes_listener(listener.addr))
                })
    });
    namespaces
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(error.contains("is no listener; write 8080"), "{error}");
        }
    }
}
