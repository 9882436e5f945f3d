//! Families of metrics as text: OpenMetrics 1.0, and the older form that Prometheus and node_exporter read.

use std::fmt::Write;

use crate::model::exposition::{Family, Labels, Metric, Sample, Value};

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    Open,
    /// Prometheus' text format 0.0.4.
    Classic,
}

impl Exposition {
    /// What HTTP calls it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The whole text.
    pub fn write(self, families: &[Family]) -> String {
        let mut text = String::new();
        for family in families {
            self.family(family, &mut text);
        }
        if self == Self::Open {
            text.push_str("# EOF\n");
        }
        text
    }

    fn family(self, family: &Family, to: &mut String) {
        let (name, end) = (family.name, end_of(family.metric));
        let kind = match (self, family.metric) {
            (Self::Classic, Metric::Info) | (_, Metric::Gauge) => "gauge",
            (Self::Open, Metric::Info) => "info",
            (_, Metric::Counter) => "counter",
            (_, Metric::Histogram) => "histogram",
        };
        // OpenMetrics names the family, the older form names its samples.
        let shown = if self == Self::Open { "" } else { end };
        line(to, format_args!("# HELP {name}{shown} {}", family.help));
        line(to, format_args!("# TYPE {name}{shown} {kind}"));
        if let (Self::Open, Some(unit)) = (self, family.unit) {
            line(to, format_args!("# UNIT {name} {unit}"));
        }
        for one in &family.samples {
            sample(name, end, one, to);
        }
    }
}

const fn end_of(metric: Metric) -> &'static str {
    match metric {
        Metric::Counter => "_total",
        Metric::Info => "_info",
        Metric::Gauge | Metric::Histogram => "",
    }
}

/// Writing to a string cannot fail.
fn line(to: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{what}");
}

fn sample(name: &str, end: &str, sample: &Sample, to: &mut String) {
    let labels = || labels_of(&sample.labels, None);
    match &sample.value {
        Value::Count(n) => line(to, format_args!("{name}{end}{} {n}", labels())),
        Value::Signed(n) => line(to, format_args!("{name}{end}{} {n}", labels())),
        Value::Real(n) => line(to, format_args!("{name}{end}{} {n}", labels())),
        Value::Histogram {
            buckets,
            count,
            sum,
        } => {
            for (bound, n) in buckets {
                let labels = labels_of(&sample.labels, Some(&bound.to_string()));
                line(to, format_args!("{name}_bucket{labels} {n}"));
            }
            let all = labels_of(&sample.labels, Some("+Inf"));
            line(to, format_args!("{name}_bucket{all} {count}"));
            line(to, format_args!("{name}_sum{} {sum}", labels()));
            line(to, format_args!("{name}_count{} {count}", labels()));
        }
    }
}

fn labels_of(labels: &Labels, bound: Option<&str>) -> String {
    let bound = bound.map(|bound| ("le", bound));
    let all = labels.iter().map(|(name, value)| (*name, &**value));
    let words: Vec<String> = all
        .chain(bound)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if words.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", words.join(","))
    }
}

/// Names of processes and cgroups are whatever somebody chose: what is no letter of a line is replaced.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(metric: Metric, value: Value) -> Family {
        Family {
            name: "whydrop_x_seconds",
            help: "What it is.",
            metric,
            unit: Some("seconds"),
            samples: vec![Sample {
                labels: vec![("comm", "a\"b\\c\nd\u{1b}".into())],
                value,
            }],
        }
    }

    #[track_caller]
    fn check(form: Exposition, metric: Metric, value: Value, expect: &str) {
        assert_eq!(form.write(&[family(metric, value)]), expect);
    }

    #[test]
    fn both_forms_name_a_counter_as_they_want_it() {
        let label = "{comm=\"a\\\"b\\\\c\\nd\u{fffd}\"}";
        let classic = format!(
            "# HELP whydrop_x_seconds_total What it is.\n# TYPE whydrop_x_seconds_total counter\nwhydrop_x_seconds_total{label} 3\n"
        );
        check(
            Exposition::Classic,
            Metric::Counter,
            Value::Count(3),
            &classic,
        );
        let open = format!(
            "# HELP whydrop_x_seconds What it is.\n# TYPE whydrop_x_seconds counter\n# UNIT whydrop_x_seconds seconds\nwhydrop_x_seconds_total{label} 3\n# EOF\n"
        );
        check(Exposition::Open, Metric::Counter, Value::Count(3), &open);
    }

    #[test]
    fn a_histogram_ends_with_all_of_them() {
        let value = Value::Histogram {
            buckets: vec![(0.5, 1)],
            count: 2,
            sum: 1.25,
        };
        let text = Exposition::Classic.write(&[Family {
            samples: vec![Sample {
                labels: Vec::new(),
                value,
            }],
            ..family(Metric::Histogram, Value::Count(0))
        }]);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "whydrop_x_seconds_bucket{le=\"0.5\"} 1",
                "whydrop_x_seconds_bucket{le=\"+Inf\"} 2",
                "whydrop_x_seconds_sum 1.25",
                "whydrop_x_seconds_count 2",
            ]
        );
    }
}
