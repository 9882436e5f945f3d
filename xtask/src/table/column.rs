//! One kernel's findings as a column of text: all tiers of a row in one cell, as short as they agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::finding::{Findings, Row, Tier, Verdict};

/// What a kernel of the VM matrix is tried on; a column that has other tiers says so.
const USUAL: [Tier; 3] = [Tier::Trampoline, Tier::Kprobe, Tier::Cgroup];

#[derive(Debug, PartialEq)]
pub(super) struct Column {
    /// `6.12`, or `6.18 (cgroup)`.
    pub header: String,
    pub cells: BTreeMap<Row, String>,
}

impl Column {
    pub(super) fn of(kernel: &str, findings: &Findings) -> Self {
        let tiers: Vec<Tier> = findings.tiers().into_keys().collect();
        let header = if tiers.is_empty() || tiers[..] == USUAL {
            kernel.to_owned()
        } else {
            format!("{kernel} ({})", names(&tiers))
        };
        let cells = findings.0.iter();
        let cells = cells.map(|(row, verdicts)| (row.clone(), cell(row, verdicts, &tiers)));
        Self {
            header,
            cells: cells.collect(),
        }
    }
}

/// What most tiers say, then what others say: `exact; cgroup: not visible`.
fn cell(row: &Row, verdicts: &BTreeMap<Tier, Verdict>, tiers: &[Tier]) -> String {
    let mut said: Vec<(String, Vec<Tier>)> = Vec::new();
    for tier in tiers {
        let text = text(row, verdicts.get(tier));
        match said.iter_mut().find(|(other, _)| *other == text) {
            Some((_, tiers)) => tiers.push(*tier),
            None => said.push((text, vec![*tier])),
        }
    }
    // Stable, so that of equals the first tier's comes first.
    said.sort_by_key(|(_, tiers)| Reverse(tiers.len()));
    let parts = said.iter().enumerate().map(|(at, (text, tiers))| match at {
        0 => text.clone(),
        _ => format!("{}: {text}", names(tiers)),
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn text(row: &Row, verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict::Exact) => "exact".to_owned(),
        Some(Verdict::Among(causes)) => {
            let others = causes.iter().filter(|cause| **cause != row.cause);
            let others: Vec<&str> = others.map(String::as_str).collect();
            format!("or {}", others.join(", "))
        }
        Some(Verdict::NotVisible) => "not visible".to_owned(),
        None => "not tried".to_owned(),
    }
}

fn names(tiers: &[Tier]) -> String {
    let names: Vec<&str> = tiers.iter().map(|tier| tier.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of the row `listen-drop syn a` and one that all three tiers have.
    fn check(verdicts: &[(&str, &str)], expected: &str) {
        let mut lines = String::new();
        for tier in ["trampoline", "kprobe", "cgroup"] {
            lines += &format!("TABLE {tier} overflow ack z exact\n");
        }
        for (tier, verdict) in verdicts {
            lines += &format!("TABLE {tier} listen-drop syn a {verdict}\n");
        }
        let column = Column::of("6.12", &Findings::read(&lines).unwrap());
        assert_eq!(column.header, "6.12");
        let cells: Vec<&String> = column.cells.values().collect();
        assert_eq!(cells, [expected, "exact"]);
    }

    #[test]
    fn tiers_that_agree_are_said_once() {
        check(
            &[
                ("trampoline", "exact"),
                ("kprobe", "exact"),
                ("cgroup", "exact"),
            ],
            "exact",
        );
        check(
            &[
                ("trampoline", "exact"),
                ("kprobe", "exact"),
                ("cgroup", "not-visible"),
            ],
            "exact; cgroup: not visible",
        );
        check(
            &[
                ("trampoline", "exact"),
                ("kprobe", "among:a,c,b"),
                ("cgroup", "among:b,a,c"),
            ],
            "or b, c; trampoline: exact",
        );
        check(
            &[
                ("trampoline", "exact"),
                ("kprobe", "not-visible"),
                ("cgroup", "among:b,a"),
            ],
            "exact; kprobe: not visible; cgroup: or b",
        );
    }

    #[test]
    fn a_tier_without_a_finding_is_not_tried() {
        check(&[("kprobe", "exact")], "not tried; kprobe: exact");
    }

    #[test]
    fn a_kernel_with_fewer_tiers_names_them() {
        let findings = Findings::read("TABLE cgroup overflow ack a exact\n").unwrap();
        assert_eq!(Column::of("6.18", &findings).header, "6.18 (cgroup)");
    }
}
