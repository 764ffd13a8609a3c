//! Across a router: as far as the TTL says, and no further.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use lab::net::{Host, Lab};

use crate::{
    program::Program,
    stage::{MIB, Stage, same},
};

#[test]
fn a_stream_crosses_a_router_with_a_ttl_of_2() {
    let Some(stage) = routed() else { return };
    let _daemon = route(&stage);
    let file = stage.file("file", 8 * MIB, 1);
    stage.lose("r1", 1);
    let subscriber = stage.subscriber_to_file("r1", GROUP, &[]);
    subscriber.wait_for("joined", PATIENCE);
    let args = [file.to_str().unwrap(), "--to", GROUP, "--ttl", "2", "--wait-for", "1"];
    stage.publisher(&args).wait(LONG).expect_code(0);
    let subscriber = subscriber.wait(PATIENCE);
    subscriber.expect_code(0);
    println!("across the router: {} bytes", subscriber.number("delivered_bytes"));
    assert!(same(&file, &stage.output("r1")));
}

#[test]
fn a_stream_does_not_cross_a_router_with_a_ttl_of_1() {
    let Some(stage) = routed() else { return };
    let _daemon = route(&stage);
    let file = stage.file("file", MIB, 1);
    stage.count("r1", "group", "ip daddr 239.1.2.3");
    let near = stage.subscriber_to_file("s1", GROUP, &[]);
    let far = stage.subscriber_to_file("r1", GROUP, &[]);
    near.wait_for("joined", PATIENCE);
    far.wait_for("joined", PATIENCE);
    let args = [file.to_str().unwrap(), "--to", GROUP, "--wait-for", "1"];
    stage.publisher(&args).wait(LONG).expect_code(0);
    near.wait(PATIENCE).expect_code(0);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stage.counted("r1", "group"), 0);
    assert!(far.events("session").is_empty());
    assert_eq!(far.stop().number("received_datagrams"), 0);
}

fn routed() -> Option<Stage> {
    Stage::build(&Lab::builder().hosts(2).routed(1))
}

/// Starts the kernel's multicast routing, and returns when the kernel has the route.
fn route(stage: &Stage) -> Program {
    let config = stage.path("smcroute.conf");
    let rules = "mgroup from eth0 group 239.1.2.3\n\
                 mroute from eth0 source 10.77.0.1 group 239.1.2.3 to eth1\n";
    fs::write(&config, rules).unwrap();
    let mut command = Command::new("smcrouted");
    command.args(["-n", "-l", "none", "-f"]).arg(&config);
    command.arg("-P").arg(stage.path("pid")).arg("-u").arg(stage.path("socket"));
    let mut daemon = stage.start("router", "smcrouted", command);
    let start = Instant::now();
    while !has_route(stage.lab.router().unwrap()) {
        assert!(daemon.is_running(), "smcrouted ended: {}", daemon.log());
        assert!(start.elapsed() < PATIENCE, "smcrouted has set no route");
        std::thread::sleep(Duration::from_millis(10));
    }
    daemon
}

/// Whether the kernel has a multicast route: a line below the table's head.
fn has_route(router: &Host) -> bool {
    let read = || fs::read_to_string("/proc/thread-self/net/ip_mr_cache");
    router.run(read).unwrap().unwrap().lines().count() > 1
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
