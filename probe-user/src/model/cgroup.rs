//! Whose a cgroup is, by the names that systemd and the container runtimes give their directories.
//!
//! In: the path of a cgroup. Out: the path with the unit, the container and the pod it names. It does no I/O, never fails,
//! and guesses nothing: what fits no pattern names nobody. Of several, the innermost counts.

use serde::{Deserialize, Serialize};

/// A cgroup and what its path says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Below the root of cgroup2.
    pub path: String,
    /// The systemd unit: a service, a scope, or the socket unit that a socket was made for.
    pub unit: Option<String>,
    /// The container that its path names.
    pub container: Option<Container>,
    /// The uid of a Kubernetes pod.
    pub pod: Option<String>,
}

/// A container, as the path of its cgroup names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `None` where the path does not tell: below a pod, cgroupfs drivers write the bare id.
    #[serde(deserialize_with = "crate::model::intern::maybe")]
    pub runtime: Option<super::intern::Name>,
}

impl Container {
    /// As much of the id as the runtimes' own listings show.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// `<prefix>-<id>.scope`, where systemd makes the cgroup.
const SCOPES: [(&str, &str); 6] = [
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
    ("libpod-payload", "podman"),
];

/// `<prefix>-<id>`, where the runtime makes it.
const DIRECTORIES: [(&str, &str); 3] = [
    ("crio", "cri-o"),
    ("libpod", "podman"),
    ("libpod-payload", "podman"),
];

/// `<slice>:<prefix>:<id>`: a runtime that makes what it was told to leave to systemd.
const TRIPLES: [(&str, &str); 2] = [("cri-containerd", "containerd"), ("crio", "cri-o")];

impl Cgroup {
    /// Whether it is where everything is that nobody has placed.
    pub fn is_root(&self) -> bool {
        self.path == "/"
    }

    /// What a path says.
    pub fn of(path: String) -> Self {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let above = |depth: usize| names.get(..depth).unwrap_or_default();
        let (mut unit, mut container, mut pod) = (None, None, None);
        for (depth, name) in names.iter().enumerate() {
            unit = unit_of(name).or(unit);
            pod = pod_of(name, above(depth)).or(pod);
            container = container_of(name, above(depth)).or(container);
        }
        Self {
            path,
            unit,
            container,
            pod,
        }
    }
}

/// systemd puts a `_` before a name that the kernel could take for a file of its own (basic/cgroup-util.c:cg_escape).
fn unit_of(name: &str) -> Option<String> {
    let name = name.strip_prefix('_').unwrap_or(name);
    let stem = name
        .strip_suffix(".service")
        .or_else(|| name.strip_suffix(".scope"))
        .or_else(|| name.strip_suffix(".socket"))?;
    let is_valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    (!stem.is_empty() && stem.chars().all(is_valid)).then(|| name.to_owned())
}

fn container_of(name: &str, above: &[&str]) -> Option<Container> {
    let known = |prefixes: &[(&str, &'static str)], id: &str, prefix: &str| {
        let (_, runtime) = prefixes.iter().find(|(known, _)| *known == prefix)?;
        container(id, Some(runtime))
    };
    if let Some((_, prefix, id)) = triple(name) {
        return known(&TRIPLES, id, prefix);
    }
    let (scope, prefixes) = match name.strip_suffix(".scope") {
        Some(scope) => (scope, SCOPES.as_slice()),
        None => (name, DIRECTORIES.as_slice()),
    };
    if let Some((prefix, id)) = scope.rsplit_once('-') {
        return known(prefixes, id, prefix);
    }
    let (parent, grandparents) = above.split_last()?;
    if pod_of(parent, grandparents).is_some() {
        return container(name, None);
    }
    (*parent == "docker")
        .then(|| container(name, Some("docker")))
        .flatten()
}

fn container(id: &str, runtime: Option<&'static str>) -> Option<Container> {
    is_hex(id, 64).then(|| Container {
        id: id.to_owned(),
        runtime,
    })
}

fn triple(name: &str) -> Option<(&str, &str, &str)> {
    let (slice, rest) = name.split_once(':')?;
    let (prefix, id) = rest.split_once(':')?;
    Some((slice, prefix, id))
}

/// `pod<uid>` below `kubepods`, or the slice that says it all in one name.
fn pod_of(name: &str, above: &[&str]) -> Option<String> {
    let slice = triple(name).map_or(name, |(slice, _, _)| slice);
    if let Some(slice) = slice.strip_suffix(".slice") {
        let (class, uid) = slice.rsplit_once("-pod")?;
        let class = class
            .strip_suffix("-burstable")
            .or_else(|| class.strip_suffix("-besteffort"))
            .unwrap_or(class);
        let is_kubepods = class == "kubepods" || class.ends_with("-kubepods");
        return is_kubepods.then(|| pod(&uid.replace('_', "-"))).flatten();
    }
    let is_kubepods = matches!(
        above,
        [.., "kubepods"] | [.., "kubepods", "burstable" | "besteffort" | "guaranteed"]
    );
    is_kubepods
        .then(|| pod(name.strip_prefix("pod")?))
        .flatten()
}

/// A UUID, or the 32 digits of a pod that its node made out of a file.
fn pod(uid: &str) -> Option<String> {
    let parts: Vec<&str> = uid.split('-').collect();
    let lengths: &[usize] = if parts.len() == 1 {
        &[32]
    } else {
        &[8, 4, 4, 4, 12]
    };
    let fits = parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| is_hex(part, *length));
    fits.then(|| uid.to_owned())
}

/// Runtimes and Kubernetes write small digits.
fn is_hex(text: &str, length: usize) -> bool {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(is_digit)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
