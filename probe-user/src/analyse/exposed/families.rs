//! Families of metrics out of what has been added up.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    identity::OTHER,
    listeners::{Listeners, POWERS, Series},
};
use crate::model::{
    Row, SelfTest, Start,
    census::Census,
    exposition::{Family, Labels, Metric, Sample, Value},
    kind::Kind,
};

const REFUSALS: [Kind; 3] = [Kind::Overflow, Kind::RequestDrop, Kind::ListenDrop];

fn family(name: &'static str, metric: Metric, help: &'static str, samples: Vec<Sample>) -> Family {
    let unit = name.ends_with("_seconds").then_some("seconds");
    Family {
        name,
        help,
        metric,
        unit,
        samples,
    }
}

fn count(labels: Labels, n: u64) -> Sample {
    Sample {
        labels,
        value: Value::Count(n),
    }
}

/// What a watch says of itself when it begins.
pub(super) fn of_the_watch(start: &Start) -> Vec<Family> {
    let info = vec![
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("kernel", start.kernel.as_str().into()),
        ("tier", start.tier.to_string().into()),
        ("arch", std::env::consts::ARCH.into()),
    ];
    let passed = matches!(start.self_test, SelfTest::Passed { .. });
    let began_ns = start.clock.ahead_ns() as f64 + start.mono_ns as f64;
    let blind = start.blind.iter();
    let blind = blind.map(|what| count(vec![("what", (*what).into())], 1));
    vec![
        family(
            "whydrop",
            Metric::Info,
            "What watches, and how.",
            vec![count(info, 1)],
        ),
        family(
            "whydrop_start_time_seconds",
            Metric::Gauge,
            "When the watch began; every counter counts from there.",
            vec![Sample {
                labels: Vec::new(),
                value: Value::Real((began_ns / 1e6).round() / 1e3),
            }],
        ),
        family(
            "whydrop_self_test_passed",
            Metric::Gauge,
            "Whether the hooks saw what the kernel refused in the self-test at start.",
            vec![count(Vec::new(), passed.into())],
        ),
        family(
            "whydrop_blind",
            Metric::Gauge,
            "Kinds and causes that cannot be seen on this kernel and tier.",
            blind.collect(),
        ),
    ]
}

impl Listeners {
    /// The series of listeners.
    pub(super) fn families(&self) -> Vec<Family> {
        let refused = self.series.iter().flat_map(|(identity, series)| {
            series.refused.iter().map(move |((kind, stage, cause), n)| {
                let mut labels = identity.labels();
                labels.push(("kind", kind.name().into()));
                if let Some(stage) = stage {
                    labels.push(("stage", stage.name().into()));
                }
                if let Some(cause) = cause {
                    labels.push(("cause", cause.as_str().into()));
                }
                count(labels, *n)
            })
        });
        let mut all = vec![family(
            "whydrop_listener_refused",
            Metric::Counter,
            "Connection attempts that a listener refused, exactly.",
            refused.collect(),
        )];
        all.extend(self.went());
        all.extend(self.now());
        all.push(family(
            "whydrop_listeners_folded",
            Metric::Gauge,
            "Listeners that have no series of their own and are counted in `other`.",
            vec![count(Vec::new(), self.folded() as u64)],
        ));
        all
    }

    fn each(&self, of: impl Fn(&Series) -> Option<Value>) -> Vec<Sample> {
        let all = self.series.iter();
        let samples = all.filter_map(|(identity, series)| {
            Some(Sample {
                labels: identity.labels(),
                value: of(series)?,
            })
        });
        samples.collect()
    }

    fn went(&self) -> [Family; 4] {
        let has_come = |series: &Series| series.went.established > 0 || series.now.is_some();
        let counted = |of: fn(&Series) -> u64| {
            self.each(|series| has_come(series).then(|| Value::Count(of(series))))
        };
        let accepted = self.each(|series| {
            let is_told = has_come(series) && !series.accepted_is_unknown;
            is_told.then_some(Value::Count(series.went.accepted))
        });
        let waits = self.each(|series| {
            let waits = &series.went.waits;
            let bounds = POWERS.map(|power| f64::from(1 << power) * 1024.0 / 1e9);
            (waits.count > 0).then(|| Value::Histogram {
                buckets: bounds.zip(waits.below.iter().copied()).collect(),
                count: waits.count,
                sum: (waits.sum_ns / 1e3).round() / 1e6,
            })
        });
        [
            family(
                "whydrop_listener_established",
                Metric::Counter,
                "Connections that entered the accept queue.",
                counted(|series| series.went.established),
            ),
            family(
                "whydrop_listener_accepted",
                Metric::Counter,
                "Of these, what accept(2) took out.",
                accepted,
            ),
            family(
                "whydrop_listener_cookies_sent",
                Metric::Counter,
                "SYNs that a SYN cookie answered since the SYN queue was full.",
                counted(|series| series.went.cookies_sent),
            ),
            family(
                "whydrop_listener_accept_wait_seconds",
                Metric::Histogram,
                "How long connections waited for accept(2).",
                waits,
            ),
        ]
    }

    fn now(&self) -> [Family; 4] {
        let gauge = |name, help, of: fn(&super::listeners::Now) -> u32| {
            let samples = self.each(|series| {
                let now = series.now.as_ref().map(of);
                now.map(|n| Value::Count(n.into()))
            });
            family(name, Metric::Gauge, help, samples)
        };
        [
            gauge(
                "whydrop_listener_accept_queue",
                "Connections that wait for accept(2) now, at the fullest socket.",
                |now| now.queued,
            ),
            gauge(
                "whydrop_listener_accept_queue_peak",
                "The longest that the accept queue was since the watch began.",
                |now| now.peak.0,
            ),
            gauge(
                "whydrop_listener_accept_queue_limit",
                "The limit of the accept queue when it was longest; a limit of 128 holds 129.",
                |now| now.peak.1,
            ),
            gauge(
                "whydrop_listener_syn_queue_peak",
                "The longest that the SYN queue was since the watch began.",
                |now| now.syn_peak,
            ),
        ]
    }
}

/// Sums of namespaces, beside what the kernel counted.
pub(super) fn of_the_census(census: &Census, listeners: &Listeners) -> Vec<Family> {
    let summary = &census.summary;
    let mut refused = BTreeMap::new();
    for netns in &summary.accounted {
        for kind in REFUSALS {
            refused.insert((listeners.label(*netns), kind), 0);
        }
    }
    refused.extend(listeners.refused.clone());
    let of_kind = |wanted: &dyn Fn(Kind) -> bool, has_kind: bool| {
        let some = refused.iter().filter(|((_, kind), _)| wanted(*kind));
        let samples = some.map(|((netns, kind), n)| {
            let mut labels: Labels = vec![("netns", Arc::clone(netns))];
            if has_kind {
                labels.push(("kind", kind.name().into()));
            }
            count(labels, *n)
        });
        samples.collect()
    };
    let mut all = vec![
        family(
            "whydrop_refused",
            Metric::Counter,
            "Connection attempts that the listeners of a namespace refused, exactly.",
            of_kind(&Kind::is_refusal, true),
        ),
        family(
            "whydrop_connections_refused_nobody_listening",
            Metric::Counter,
            "Attempts that were answered by a reset, since nobody listens there.",
            of_kind(&|kind| kind == Kind::Refused, false),
        ),
    ];
    all.extend(of_the_kernel(&summary.rows, listeners));
    all.extend(of_the_rest(census));
    all
}

/// What the kernel counted, and how much of it no hook saw; `None` where that is not known.
type Known = Option<(u64, i64)>;

/// A counter that is not known has no sample, nor has a label of which one namespace is not known.
fn of_the_kernel(rows: &[Row], listeners: &Listeners) -> [Family; 2] {
    let mut sums: BTreeMap<(Arc<str>, &str), Known> = BTreeMap::new();
    for row in rows {
        let netns = listeners.label(row.netns);
        if &*netns == OTHER {
            continue;
        }
        let sum = sums.entry((netns, row.counter)).or_insert(Some((0, 0)));
        *sum = match (*sum, row.kernel, row.unattributed) {
            (Some((counted, differ)), Some(kernel), Some(unattributed)) => {
                Some((counted + kernel, differ + unattributed))
            }
            _ => None,
        };
    }
    let known = || sums.iter().filter_map(|(key, sum)| Some((key, (*sum)?)));
    let labels = |(netns, counter): &(Arc<str>, &str)| -> Labels {
        vec![("netns", Arc::clone(netns)), ("counter", (*counter).into())]
    };
    let counted = known().map(|(key, (kernel, _))| count(labels(key), kernel));
    let differing = known().map(|(key, (_, unattributed))| Sample {
        labels: labels(key),
        value: Value::Signed(unattributed),
    });
    [
        family(
            "whydrop_kernel",
            Metric::Counter,
            "What the kernel's own counter gained since the watch began.",
            counted.collect(),
        ),
        family(
            "whydrop_unattributed",
            Metric::Gauge,
            "What the kernel counted and no hook saw; below 0, what was seen and not counted.",
            differing.collect(),
        ),
    ]
}

fn of_the_rest(census: &Census) -> [Family; 4] {
    let summary = &census.summary;
    let loss = summary.loss;
    let lost = [
        ("ring-full", loss.ring_full),
        ("output-full", loss.output_full),
        ("undecodable", loss.undecodable),
    ];
    let lost = lost.map(|(why, n)| count(vec![("why", why.into())], n));
    let skipped = summary.skipped.iter();
    let skipped = skipped.map(|(hook, n)| count(vec![("hook", hook.as_str().into())], *n));
    [
        family(
            "whydrop_lost",
            Metric::Counter,
            "Events whose detail was lost. They are in every count.",
            lost.to_vec(),
        ),
        family(
            "whydrop_hook_skipped",
            Metric::Counter,
            "Runs of hooks that the kernel skipped, each of which may have been an event.",
            skipped.collect(),
        ),
        family(
            "whydrop_counters_moving",
            Metric::Gauge,
            "Whether counters moved while they were read, so that rows may be off by what came in between.",
            vec![count(Vec::new(), summary.moving.into())],
        ),
        family(
            "whydrop_unread",
            Metric::Gauge,
            "What could not be read since the watch began, in sentences that `watch` ends with.",
            vec![count(Vec::new(), summary.unread.len() as u64)],
        ),
    ]
}
