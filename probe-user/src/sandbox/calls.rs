//! System calls that nothing makes once everything is attached. They are answered with EPERM, and nobody is killed for one.
//!
//! CAP_SYS_ADMIN, without which no namespace is entered, stands for CAP_BPF and for much else. The filter bounds that.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// Commands of bpf(2) that go on (include/uapi/linux/bpf.h: `enum bpf_cmd`): what is read, emptied and waited for is in
/// maps that are there, by descriptors that are open.
const COMMANDS: [(u64, &str); 5] = [
    (1, "BPF_MAP_LOOKUP_ELEM"),
    (2, "BPF_MAP_UPDATE_ELEM"),
    (3, "BPF_MAP_DELETE_ELEM"),
    (4, "BPF_MAP_GET_NEXT_KEY"),
    (15, "BPF_OBJ_GET_INFO_BY_FD"),
];

/// Refused whatever their arguments are.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    // What is mounted, and where a path begins.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    // The kernel itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    // linux/include/uapi/asm-generic/unistd.h; libc has no name for it there.
    #[cfg(target_arch = "aarch64")]
    294,
    libc::SYS_reboot,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // The host's settings and keys.
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// Where numbers of the x32 ABI begin: calls of the same architecture, by other numbers
/// (arch/x86/include/uapi/asm/unistd.h:__X32_SYSCALL_BIT).
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Numbers that only that ABI has, of calls that are refused: `execve`, `ptrace`, `kexec_load`, `execveat`,
/// `process_vm_readv` and `process_vm_writev` (arch/x86/entry/syscalls/syscall_64.tbl).
#[cfg(target_arch = "x86_64")]
const ONLY_X32: [i64; 6] = [520, 521, 528, 545, 539, 540];

/// From here on all threads of this process are refused these calls; an error is a sentence.
pub(super) fn refuse() -> Result<(), String> {
    let said = |why: String| format!("no system calls are refused: {why}");
    let program = program().map_err(|error| said(error.to_string()))?;
    apply_filter_all_threads(&program).map_err(|error| said(error.to_string()))
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    for call in REFUSED {
        refuse_if(&mut rules, *call, None)?;
    }
    let only = COMMANDS.iter().map(|(command, _)| *command).collect();
    refuse_if(&mut rules, libc::SYS_bpf, Some((0, only)))?;
    // A network namespace is entered by a thread, and no other kind is.
    let network = vec![libc::CLONE_NEWNET as u64];
    refuse_if(&mut rules, libc::SYS_setns, Some((1, network)))?;
    #[cfg(target_arch = "x86_64")]
    for call in ONLY_X32 {
        rules.insert(X32 | call, Vec::new());
    }
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, here)?.try_into()
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Adds the call: always, or unless that argument is one of these.
fn refuse_if(
    rules: &mut Rules,
    call: libc::c_long,
    unless: Option<(u8, Vec<u64>)>,
) -> Result<(), seccompiler::BackendError> {
    let mut of_call = Vec::new();
    if let Some((argument, values)) = unless {
        let differs = |value: u64| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
        };
        let all: Result<Vec<_>, _> = values.into_iter().map(differs).collect();
        of_call.push(SeccompRule::new(all?)?);
    }
    #[cfg(target_arch = "x86_64")]
    rules.insert(X32 | call, Vec::new());
    rules.insert(call, of_call);
    Ok(())
}
