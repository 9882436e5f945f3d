//! Whether a queue was emptied again and again while looks found it full: spans of looks and what was accepted until when
//! come in. Reads no clock.

use super::looks::Queue;

/// Long enough to have a line about what was accepted, where one comes each 100 ms; and how far windows are apart.
const WINDOW_NS: u64 = 200_000_000;
const STEP_NS: usize = 100_000_000;

/// Whether as many were accepted as the queue holds, in four of five windows that begin while it was over its limit: looks
/// may find a short queue full by chance, and many came and went between them. `known` is when a line came, and how many
/// had been accepted until then.
pub(super) fn turned_over(queue: &Queue, known: &[(u64, u64)]) -> Option<bool> {
    let holds = f64::from(queue.last.accept_queue_limit) + 1.0;
    let (first, _) = *known.first()?;
    let spans = queue.spans.iter();
    let windows: Vec<u64> = spans
        .flat_map(|(from, to)| (*from..=*to).step_by(STEP_NS))
        // When they were accepted that the first line tells of is not known.
        .filter(|from| *from >= first)
        .collect();
    let is_turned_over =
        |from: &&u64| until(known, **from + WINDOW_NS) - until(known, **from) >= holds;
    let turned_over = windows.iter().filter(is_turned_over).count();
    (!windows.is_empty()).then_some(turned_over * 5 >= windows.len() * 4)
}

/// What was accepted until then. Between two lines it is taken to have grown evenly: on a busy host lines come late.
fn until(known: &[(u64, u64)], when: u64) -> f64 {
    let after = known.partition_point(|(then, _)| *then <= when);
    let at = |nth: usize| known.get(nth).map(|(then, n)| (*then as f64, *n as f64));
    let before = after.checked_sub(1).and_then(at);
    match (before, at(after)) {
        (Some((from, n)), Some((to, more))) => n + (more - n) * (when as f64 - from) / (to - from),
        (Some((_, n)), None) => n,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::socket::ListenerSnapshot;

    /// A queue of 8, full at these times, in ms.
    fn check(full: &[(u64, u64)], known: &[(u64, u64)], expect: Option<bool>) {
        let mut queue = Queue::new(7, &ListenerSnapshot::sample());
        let ns = |ms: u64| ms * 1_000_000;
        queue.spans = full.iter().map(|(from, to)| (ns(*from), ns(*to))).collect();
        let known: Vec<(u64, u64)> = known.iter().map(|(ms, n)| (ns(*ms), *n)).collect();
        assert_eq!(turned_over(&queue, &known), expect);
    }

    #[test]
    fn many_come_and_go_between_two_looks() {
        let busy: Vec<(u64, u64)> = (1..=20).map(|n| (n * 100, n * 50)).collect();
        check(&[(500, 500), (700, 850)], &busy, Some(true));
        // A line that comes late.
        let late: Vec<(u64, u64)> = busy
            .iter()
            .copied()
            .filter(|(ms, _)| !(600..900).contains(ms))
            .collect();
        check(&[(500, 500), (700, 850)], &late, Some(true));
    }

    #[test]
    fn somebody_stood_still() {
        let stands: Vec<(u64, u64)> = (1..=20).map(|n| (n * 100, n.min(5) * 50)).collect();
        check(&[(600, 1500)], &stands, Some(false));
        // Slower than a tenth of what it holds in 100 ms.
        let slow: Vec<(u64, u64)> = (1..=20).map(|n| (n * 100, n * 2)).collect();
        check(&[(600, 1500)], &slow, Some(false));
    }

    #[test]
    fn before_the_first_line_nothing_is_known() {
        check(&[(100, 200)], &[(300, 50), (400, 100)], None);
        check(&[(100, 200)], &[], None);
        check(&[], &[(300, 50)], None);
    }
}
