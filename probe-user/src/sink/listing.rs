//! `whydrop list`, as text and as JSON: rows of listeners come in, lines go out.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Format,
    json::{At, Cookie, Head, NetnsView, Whose, append_line, name_and_pid},
    text::{Clean, Table, holders, place},
};
use crate::{
    listing::{Listed, Note},
    model::{Missing, Origin, netns_name::NetnsName},
};

/// All lines, each with its newline.
pub fn listing(
    format: Format,
    (origin, own_netns): (&Origin, Option<u32>),
    rows: &[Listed],
    missing: &[Missing],
) -> String {
    match format {
        Format::Text => text(own_netns, rows, missing),
        Format::Json => {
            let rows = rows.iter().map(|row| json(&row_view(origin, row)));
            let missing = missing.iter().map(|one| json(&missing_view(origin, one)));
            rows.chain(missing).collect()
        }
    }
}

fn text(own_netns: Option<u32>, rows: &[Listed], missing: &[Missing]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        text.push_str("no listener\n");
    } else {
        text.push_str(&table(own_netns, rows));
    }
    if !missing.is_empty() {
        text.push_str("\nnot known:\n");
    }
    for one in missing {
        text.push_str("  ");
        text.push_str(&Clean(&one.why).to_string());
        text.push('\n');
    }
    text
}

fn table(own_netns: Option<u32>, rows: &[Listed]) -> String {
    let any = |fits: &dyn Fn(&Listed) -> bool| rows.iter().any(fits);
    let mut table = Table::default();
    table.left("LISTENER", rows.iter().map(listener));
    table.right("QUEUE", rows.iter().map(queue));
    let from = |row: &Listed| {
        row.limit_from
            .map_or("?", |from| from.in_words())
            .to_owned()
    };
    table.left("LIMIT FROM", rows.iter().map(from));
    let drops = |row: &Listed| {
        let drops = row.found.snapshot.drops;
        drops.map_or_else(|| "?".into(), |drops| drops.to_string())
    };
    table.right("DROPS", rows.iter().map(drops));
    if any(&|row| row.group.is_some()) {
        let group = |row: &Listed| {
            let group = row.group;
            group.map_or_else(String::new, |group| {
                format!("{} of {}", group.number, group.members)
            })
        };
        table.left("GROUP", rows.iter().map(group));
    }
    table.left("OWNER", rows.iter().map(owner));
    if any(&|row| unit(row).is_some()) {
        let unit = |row: &Listed| unit(row).unwrap_or_default();
        table.left("UNIT", rows.iter().map(unit));
    }
    // One that is whydrop's own needs no mention.
    if any(&|row| Some(row.found.netns) != own_netns) {
        table.left("NETNS", rows.iter().map(netns));
    }
    let notes = |row: &Listed| {
        let notes: Vec<String> = row.notes.iter().copied().map(Note::in_words).collect();
        notes.join(", ")
    };
    table.left("NOTES", rows.iter().map(notes));
    table.into_text()
}

/// A device by its number: its name is known in its namespace only.
fn listener(row: &Listed) -> String {
    let snapshot = &row.found.snapshot;
    match snapshot.ifindex {
        0 => snapshot.addr.to_string(),
        device => format!("{} if {device}", snapshot.addr),
    }
}

fn queue(row: &Listed) -> String {
    let snapshot = &row.found.snapshot;
    format!(
        "{}/{}",
        snapshot.accept_queue_len, snapshot.accept_queue_limit
    )
}

fn owner(row: &Listed) -> String {
    let found = &row.found;
    match (found.owner.is_empty(), found.sees_owners) {
        (true, false) => "?".into(),
        _ => holders(&found.owner),
    }
}

fn unit(row: &Listed) -> Option<String> {
    let place = place(row.found.cgroup.as_deref()?)?;
    Some(Clean(place).to_string())
}

fn netns(row: &Listed) -> String {
    match row.found.netns_name.as_deref() {
        Some(NetnsName::Given(name)) => Clean(name).to_string(),
        _ => row.found.netns.to_string(),
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct RowView<'a> {
    #[schemars(extend("const" = "listener"))]
    r#type: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    cookie: Cookie,
    #[serde(flatten)]
    at: At,
    ifindex: Option<u32>,
    v6only: Option<bool>,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    limit_from: Option<&'static str>,
    drops: Option<u32>,
    uid: u32,
    inode: u32,
    sysctls: SysctlsView,
    group: Option<GroupView>,
    #[serde(flatten)]
    whose: Whose<'a>,
    owner_known: bool,
    notes: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
struct SysctlsView {
    somaxconn: Option<u32>,
    tcp_syncookies: Option<u32>,
    tcp_abort_on_overflow: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct GroupView {
    number: usize,
    members: usize,
}

fn row_view<'a>(origin: &'a Origin, row: &'a Listed) -> RowView<'a> {
    let found = &row.found;
    let snapshot = &found.snapshot;
    RowView {
        r#type: "listener",
        head: Head::of(origin),
        netns: NetnsView::of(found.netns, found.netns_name.as_deref()),
        cookie: Cookie(snapshot.cookie),
        at: snapshot.addr.into(),
        ifindex: (snapshot.ifindex != 0).then_some(snapshot.ifindex),
        v6only: snapshot.v6only,
        accept_queue_len: snapshot.accept_queue_len,
        accept_queue_limit: snapshot.accept_queue_limit,
        limit_from: row.limit_from.map(crate::listing::LimitFrom::name),
        drops: snapshot.drops,
        uid: snapshot.uid,
        inode: snapshot.inode,
        sysctls: SysctlsView {
            somaxconn: found.sysctls.somaxconn,
            tcp_syncookies: found.sysctls.syncookies,
            tcp_abort_on_overflow: found.sysctls.abort_on_overflow,
        },
        group: row.group.map(|group| GroupView {
            number: group.number,
            members: group.members,
        }),
        whose: Whose::of(&found.owner, found.cgroup.as_deref()),
        owner_known: found.sees_owners,
        notes: row.notes.iter().map(|note| note.name()).collect(),
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct MissingView<'a> {
    #[schemars(extend("const" = "missing"))]
    r#type: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    netns: Option<u32>,
    netns_name: Option<&'a str>,
    netns_pid: Option<u32>,
    why: &'a str,
}

fn missing_view<'a>(origin: &'a Origin, missing: &'a Missing) -> MissingView<'a> {
    let (netns_name, netns_pid) = name_and_pid(missing.netns_name.as_deref());
    MissingView {
        r#type: "missing",
        head: Head::of(origin),
        netns: missing.netns,
        netns_name,
        netns_pid,
        why: &missing.why,
    }
}

fn json(view: &impl Serialize) -> String {
    let mut line = String::new();
    append_line(&mut line, view);
    line
}
