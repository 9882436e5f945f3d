//! Paths as hosts have them: ID and OTHER stand for two containers, UID for a pod, U_I_D for how systemd spells it.

use proptest::prelude::*;

use super::*;

const ID: &str = "3f4e0c9a1b2d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7";
const OTHER: &str = "aa11bb22cc33dd44ee55ff66007788990011aa22bb33cc44dd55ee66ff778899";
const UID: &str = "0d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9";

fn spelled(text: &str) -> String {
    text.replace("U_I_D", &UID.replace('-', "_"))
        .replace("UID", UID)
        .replace("OTHER", OTHER)
        .replace("ID", ID)
}

/// What a path names: unit, container with its runtime after a blank (`?` where the path does not tell), pod.
fn check(path: &str, unit: &str, container: &str, pod: &str) {
    let found = Cgroup::of(spelled(path));
    assert_eq!(found.path, spelled(path));
    assert_eq!(found.unit.unwrap_or_default(), spelled(unit), "{path}");
    let named = found
        .container
        .map(|c| format!("{} {}", c.id, c.runtime.unwrap_or("?")));
    assert_eq!(named.unwrap_or_default(), spelled(container), "{path}");
    assert_eq!(found.pod.unwrap_or_default(), spelled(pod), "{path}");
}

#[test]
fn units_of_systemd() {
    check("/system.slice/nginx.service", "nginx.service", "", "");
    check(
        "/system.slice/system-getty.slice/getty@tty1.service",
        "getty@tty1.service",
        "",
        "",
    );
    check(
        "/user.slice/user-1000.slice/session-3.scope",
        "session-3.scope",
        "",
        "",
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
        "web.service",
        "",
        "",
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/init.scope",
        "init.scope",
        "",
        "",
    );
    check("/init.scope", "init.scope", "", "");
    check("/system.slice/ssh.socket", "ssh.socket", "", "");
    check(
        "/system.slice/nginx.service/worker",
        "nginx.service",
        "",
        "",
    );
    check("/system.slice/_cpu.service", "cpu.service", "", "");
    check(
        r"/system.slice/dev-disk\x2dby.service",
        r"dev-disk\x2dby.service",
        "",
        "",
    );
}

#[test]
fn docker() {
    check("/docker/ID", "", "ID docker", "");
    let scope = "docker-ID.scope";
    check("/system.slice/docker-ID.scope", scope, "ID docker", "");
    check(
        "/system.slice/docker-ID.scope/init.scope",
        "init.scope",
        "ID docker",
        "",
    );
    check(
        "/docker/ID/system.slice/ssh.service",
        "ssh.service",
        "ID docker",
        "",
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
        scope,
        "ID docker",
        "",
    );
}

#[test]
fn containers_in_containers() {
    check("/docker/OTHER/docker/ID", "", "ID docker", "");
    check(
        "/docker/OTHER/kubelet/kubepods/burstable/podUID/ID",
        "",
        "ID ?",
        "UID",
    );
    check(
        "/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU_I_D.slice/cri-containerd-ID.scope",
        "cri-containerd-ID.scope",
        "ID containerd",
        "UID",
    );
    check(
        "/kubepods/burstable/podUID/OTHER/docker/ID",
        "",
        "ID docker",
        "UID",
    );
}

#[test]
fn kubernetes_with_both_drivers() {
    check("/kubepods/burstable/podUID/ID", "", "ID ?", "UID");
    check("/kubepods/podUID/ID", "", "ID ?", "UID");
    check("/kubepods/besteffort/podUID/crio-ID", "", "ID cri-o", "UID");
    check("/kubepods/besteffort/podUID", "", "", "UID");
    let burstable = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice";
    for (scope, runtime) in [
        ("cri-containerd-ID.scope", "ID containerd"),
        ("crio-ID.scope", "ID cri-o"),
        ("docker-ID.scope", "ID docker"),
    ] {
        check(&format!("{burstable}/{scope}"), scope, runtime, "UID");
    }
    check(burstable, "", "", "UID");
    check(&format!("{burstable}/ID"), "", "ID ?", "UID");
    check(
        "/kubepods.slice/kubepods-podU_I_D.slice/crio-ID.scope/container",
        "crio-ID.scope",
        "ID cri-o",
        "UID",
    );
    check(
        "/system.slice/containerd.service/kubepods-besteffort-podU_I_D.slice:cri-containerd:ID",
        "containerd.service",
        "ID containerd",
        "UID",
    );
    let of_file = "0123456789abcdef0123456789abcdef";
    check(
        &format!("/kubepods/burstable/pod{of_file}/ID"),
        "",
        "ID ?",
        of_file,
    );
}

#[test]
fn podman() {
    check("/libpod_parent/libpod-ID", "", "ID podman", "");
    let scope = "libpod-ID.scope";
    check("/machine.slice/libpod-ID.scope", scope, "ID podman", "");
    check(
        "/machine.slice/libpod-ID.scope/container",
        scope,
        "ID podman",
        "",
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
        scope,
        "ID podman",
        "",
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/libpod_parent/libpod-ID",
        "user@1000.service",
        "ID podman",
        "",
    );
    check(
        "/system.slice/web.service/libpod-payload-ID",
        "web.service",
        "ID podman",
        "",
    );
}

#[test]
fn monitors_are_not_what_they_watch() {
    for monitor in ["crio-conmon-ID.scope", "libpod-conmon-ID.scope"] {
        check(&format!("/system.slice/{monitor}"), monitor, "", "");
    }
    check("/libpod_parent/conmon-ID", "", "", "");
}

#[test]
fn what_only_looks_like_one_names_nobody() {
    for path in [
        "",
        "/",
        "/ID",
        "/default/ID",
        "/docker",
        "/docker/IDa",
        "/docker/0123456789ab",
        "/dockers/ID",
        "/docker/x/ID",
        "/libpod_parent/ID",
        "/docker-ID",
        "/podUID/ID",
        "/kubepods/burstable/podnone/ID",
        "/kubepods/elsewhere/podUID/ID",
        "/mykubepods-podU_I_D.slice",
        "/system.slice",
        "/.service",
        "/.scope",
        "/a b.service",
        "/nginx.service.d",
        "/cri-containerd:ID",
        "/x.slice:unknown:ID",
        "/../..",
    ] {
        check(path, "", "", "");
    }
    let big = format!("/docker/{}", ID.to_uppercase());
    assert_eq!(Cgroup::of(big).container, None);
    assert_eq!(
        Cgroup::of(spelled("/system.slice/docker-ID0.scope")).container,
        None
    );
}

proptest! {
    #[test]
    fn any_text_names_an_id_or_nobody(
        odd in any::<String>(),
        near in "(/(docker|kubepods|burstable|pod|crio-|libpod-|docker-|:cri-containerd:|é|[0-9a-f]{63,65}|[0-9a-f-]{36}|\\.scope|\\.slice|-pod)?){0,6}",
    ) {
        for path in [odd, near] {
            let found = Cgroup::of(path);
            if let Some(container) = found.container {
                prop_assert!(is_hex(&container.id, 64), "{:?}", container);
                prop_assert!(found.path.contains(&container.id));
                prop_assert_eq!(container.short_id().len(), 12);
            }
            if let Some(unit) = found.unit {
                prop_assert!(found.path.contains(&unit));
            }
        }
    }

    #[test]
    fn an_id_is_found_behind_any_directories(before in "(/[a-z.@]{1,12}){0,4}", id in "[0-9a-f]{64}") {
        let found = Cgroup::of(format!("{before}/system.slice/docker-{id}.scope/payload"));
        prop_assert_eq!(found.container.map(|c| (c.id, c.runtime)), Some((id, Some("docker"))));
    }
}
