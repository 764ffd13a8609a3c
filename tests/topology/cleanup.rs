//! Nothing of a lab stays.

use std::{collections::BTreeSet, fs, panic, process::Command, time::Instant};

use lab::net::{Error, Lab};

use crate::site::alone;

/// What a lab could leave behind: mounts, names, descriptors, threads, child processes.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    mounts: String,
    names: BTreeSet<String>,
    descriptors: usize,
    threads: usize,
    links: String,
}

impl Traces {
    fn now() -> Self {
        Self {
            mounts: fs::read_to_string("/proc/mounts").unwrap(),
            names: list("/run/netns"),
            descriptors: list("/proc/self/fd").len(),
            threads: list("/proc/self/task").len(),
            links: interfaces(),
        }
    }
}

/// The machine's own interfaces, without their counters.
fn interfaces() -> String {
    let table = fs::read_to_string("/proc/net/dev").unwrap();
    table.lines().filter_map(|line| line.split(':').next()).collect()
}

fn list(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_lab_that_is_dropped_leaves_nothing() {
    let Some(_alone) = alone() else { return };
    named("cleanup-warm-"); // starts the threads that wait for signals, once in a process
    let before = Traces::now();
    named("cleanup-");
    assert_eq!(Traces::now(), before);
}

fn named(prefix: &str) {
    let lab = Lab::builder().hosts(4).routed(2).named(prefix).build().unwrap();
    lab.wait_until_settled().unwrap();
    let names = list("/run/netns");
    for host in ["sw", "sw2", "router", "pub", "s1", "s2", "s3", "r1", "r2"] {
        assert!(names.contains(&format!("{prefix}{host}")), "{host} in {names:?}");
    }
    let _child = lab.host("s1").unwrap().spawn(sleep()).unwrap();
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

#[test]
fn a_lab_whose_owner_panics_leaves_nothing() {
    let Some(_alone) = alone() else { return };
    named("cleanup-warm-");
    let before = Traces::now();
    let outcome = panic::catch_unwind(|| {
        let lab = Lab::builder().hosts(2).named("cleanup-panic-").build().unwrap();
        let _child = lab.host("s1").unwrap().spawn(sleep()).unwrap();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    assert_eq!(Traces::now(), before);
}

#[test]
fn a_program_does_not_outlive_its_lab() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).build().unwrap();
    let mut child = lab.host("s1").unwrap().spawn(sleep()).unwrap();
    assert!(child.try_wait().unwrap().is_none());
    drop(lab);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
}

#[test]
fn names_are_those_that_ip_netns_takes() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).named("cleanup-ip-").build().unwrap();
    let host = lab.host("s1").unwrap();
    let name = host.node().visible_name().unwrap();
    assert_eq!(name, "cleanup-ip-s1");
    let shown = Command::new("ip").args(["netns", "exec", name, "ip", "-br", "addr"]).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    assert!(shown.contains("10.77.0.11/24"), "{shown}");
    let inside = host.output({
        let mut command = Command::new("ip");
        command.args(["-br", "addr"]);
        command
    });
    assert_eq!(String::from_utf8(inside.unwrap().stdout).unwrap(), shown);
}

#[test]
fn two_labs_of_one_prefix_do_not_share_names_and_two_without_do_not_meet() {
    let Some(_alone) = alone() else { return };
    let _first = Lab::builder().hosts(2).named("cleanup-twice-").build().unwrap();
    let second = Lab::builder().hosts(2).named("cleanup-twice-").build();
    assert!(matches!(second, Err(Error::NameTaken { .. })), "{second:?}");
    let _unnamed = Lab::builder().hosts(2).build().unwrap();
    let _too = Lab::builder().hosts(2).build().unwrap();
    let error = Lab::builder().named("../x").build().unwrap_err();
    assert!(matches!(error, Error::Prefix(_)), "{error}");
}

#[test]
fn a_lab_of_64_hosts_is_built_in_a_moment() {
    let Some(_alone) = alone() else { return };
    for hosts in [5, 65, 300] {
        let start = Instant::now();
        let lab = Lab::builder().hosts(hosts).build().unwrap();
        let built = start.elapsed();
        let settled = lab.wait_until_settled().unwrap();
        assert_eq!(lab.hosts().len(), hosts);
        println!("{hosts} hosts: built in {built:?}, settled in {settled:?}");
    }
}
