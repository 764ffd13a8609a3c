//! The sandbox of the units in `packaging/systemd`, applied by hand: a user without any right, nothing to
//! be written to but one folder, and a filter of system calls. Both programs do their work in it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::{
    binaries,
    program::Program,
    scrape::{self, scrape},
    stage::{MIB, Stage, same},
};

#[test]
fn both_programs_do_their_work_in_the_sandbox_of_their_units() {
    let Some(stage) = Stage::new(1) else { return };
    let file = stage.file("file", 4 * MIB, 1);
    open_to_all(&stage);
    let state = stage.path("state");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let output = state.join("out").display().to_string();
    let control = state.join("control").display().to_string();
    let receive = ["receive", "--json", GROUP, "-o", &output, "--control", &control];
    let receive = [&receive[..], &["--metrics", scrape::ADDRESS]].concat();
    let subscriber = start(&stage, "s1", "subscriber", &receive);
    subscriber.wait_for("joined", PATIENCE);
    let send = ["send", "--json", file.to_str().unwrap(), "--to", GROUP, "--rate", "10M"];
    let publisher = start(&stage, "pub", "publisher", &[&send[..], &["--wait-for", "1"]].concat());
    publisher.wait_for("started", PATIENCE);
    for program in [&publisher, &subscriber] {
        is_confined(program);
    }
    let mut status = Command::new(binaries::file("subscriber"));
    status.args(["status", "--control", &control]);
    let status = stage.host("s1").output(status).unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert!(scrape(stage.host("s1")).of("datagrams_received_total", "stream=\"file\"") > 0.0);
    publisher.wait(LONG).expect_code(0);
    subscriber.wait(LONG).expect_code(0);
    assert!(same(&file, &state.join("out")));
}

#[test]
fn the_sandbox_refuses_what_the_units_refuse() {
    let Some(stage) = Stage::new(1) else { return };
    open_to_all(&stage);
    let anyones = stage.path("anyones");
    fs::create_dir(&anyones).unwrap();
    fs::set_permissions(&anyones, Permissions::from_mode(0o777)).unwrap();
    let both = libc::PROT_WRITE | libc::PROT_EXEC;
    let nobodys = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let of = |errno: i32| errno.to_string();
    for (call, args, wanted) in [
        (libc::SYS_socket, vec![libc::AF_PACKET, libc::SOCK_DGRAM, 0], of(libc::EPERM)),
        (libc::SYS_socket, vec![libc::AF_VSOCK, libc::SOCK_STREAM, 0], of(libc::EPERM)),
        (libc::SYS_mmap, vec![0, 4_096, both, nobodys, -1, 0], of(libc::EPERM)),
        (libc::SYS_unshare, vec![libc::CLONE_NEWUSER], of(libc::EPERM)),
        (libc::SYS_sched_setaffinity, vec![0, 8, 0], of(libc::EPERM)),
        (libc::SYS_socket, vec![libc::AF_NETLINK, libc::SOCK_RAW, 0], of(0)),
        (libc::SYS_socket, vec![libc::AF_INET6, libc::SOCK_DGRAM, 0], of(0)),
    ] {
        let words = args.iter().map(i32::to_string);
        let words: Vec<String> = [call.to_string()].into_iter().chain(words).collect();
        let script = "my ($call, @args) = map { $_ + 0 } @ARGV; \
                      syscall($call, @args) == -1 or $! = 0; print $! + 0";
        assert_eq!(said(&stage, script, &words), wanted, "{words:?}");
    }
    for (folder, wanted) in [(anyones, libc::EROFS), (stage.path("state"), 0)] {
        let path = folder.join("new").display().to_string();
        let script = "open(my $new, '>', $ARGV[0]) and $! = 0; print $! + 0";
        assert_eq!(said(&stage, script, &[path]), of(wanted), "{}", folder.display());
    }
}

/// What a script says in the sandbox: of a language that every Debian has.
fn said(stage: &Stage, script: &str, args: &[String]) -> String {
    let state = stage.path("state");
    fs::create_dir_all(&state).unwrap();
    chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = confined(stage, "/usr/bin/perl");
    command.args(["-e", script]).args(args);
    let output = stage.host("s1").output(command).unwrap();
    let (said, complaint) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{complaint}");
    let said = String::from_utf8(said).unwrap();
    said.lines().last().unwrap_or_default().to_owned()
}

/// What the other tests start to be confined: no test of its own.
#[test]
#[ignore = "started by the other tests of this file"]
fn enter() {
    let Ok(command) = env::var(COMMAND) else { return };
    let mut words = command.split('\u{1f}');
    seccompiler::apply_filter(&filter()).unwrap();
    let mut command = Command::new(words.next().unwrap());
    let error = command.args(words).env_remove(COMMAND).exec();
    panic!("{command:?}: {error}");
}

fn start(stage: &Stage, host: &str, program: &str, args: &[&str]) -> Program {
    // Where the programs are others may not be let in.
    let copy = stage.path(program);
    fs::copy(binaries::file(program), &copy).unwrap();
    let mut command = confined(stage, copy.to_str().unwrap());
    command.args(args);
    stage.start(host, program, command)
}

/// `program`, to be given its arguments: all is read-only but the folder `state`, then the filter, then no
/// right and another user.
fn confined(stage: &Stage, program: &str) -> Command {
    let this: PathBuf = env::current_exe().unwrap();
    let folder = stage.path("");
    let (this, folder) = (this.display(), folder.display());
    let script = format!(
        "set -e; mkdir -p {folder}/state; mount --bind {folder} {folder}; cd {folder}; \
         mount --bind state state; mount -o remount,bind,ro {folder}; mount -o remount,bind,ro /; \
         separator=$(printf '\\037'); words=setpriv; \
         for word in --reuid={NOBODY} --regid={NOBODY} --clear-groups --inh-caps=-all \
           --ambient-caps=-all --bounding-set=-all --no-new-privs -- \"$@\"; do \
           words=$words$separator$word; done; \
         export {COMMAND}=\"$words\"; \
         exec {this} --exact sandbox::enter --ignored --nocapture --quiet"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", program]);
    command
}

/// What systemd would forbid by `RestrictAddressFamilies=`, `MemoryDenyWriteExecute=`,
/// `RestrictNamespaces=` and the larger part of `SystemCallFilter=`.
fn filter() -> BpfProgram {
    let is =
        |arg, op, value| SeccompCondition::new(arg, SeccompCmpArgLen::Dword, op, value).unwrap();
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX];
    let strange = families.map(|family| is(0, SeccompCmpOp::Ne, u64::try_from(family).unwrap()));
    let both = u64::try_from(libc::PROT_WRITE | libc::PROT_EXEC).unwrap();
    let exec = u64::try_from(libc::PROT_EXEC).unwrap();
    let masked = |mask| vec![rule(vec![is(2, SeccompCmpOp::MaskedEq(mask), mask)])];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::from([
        (libc::SYS_socket, vec![rule(strange.to_vec())]),
        (libc::SYS_mmap, masked(both)),
        (libc::SYS_mprotect, masked(exec)),
        (libc::SYS_pkey_mprotect, masked(exec)),
    ]);
    rules.extend(FORBIDDEN.iter().map(|call| (*call, Vec::new())));
    let refused = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap());
    let arch = env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).unwrap();
    filter.try_into().unwrap()
}

fn rule(conditions: Vec<SeccompCondition>) -> SeccompRule {
    SeccompRule::new(conditions).unwrap()
}

fn open_to_all(stage: &Stage) {
    fs::set_permissions(stage.path(""), Permissions::from_mode(0o755)).unwrap();
}

/// What the kernel says of a process.
fn is_confined(program: &Program) {
    let read = |what: &str| -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{what}", program.pid()))
    };
    let status = read("status").unwrap();
    let none = "0000000000000000";
    for (name, wanted) in [
        ("CapInh", none),
        ("CapPrm", none),
        ("CapEff", none),
        ("CapBnd", none),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", "65534\t65534\t65534\t65534"),
        ("Groups", ""),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        assert_eq!(line.map(str::trim), Some(wanted), "{name}: {status}");
    }
    let mounts = read("mountinfo").unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
}

const FORBIDDEN: &[i64] = &[
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_mbind,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_setns,
    libc::SYS_setpriority,
    libc::SYS_settimeofday,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
];

/// How the words of a command come to [`enter`].
const COMMAND: &str = "SANDBOXED_COMMAND";
const NOBODY: u32 = 65_534;
const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);
