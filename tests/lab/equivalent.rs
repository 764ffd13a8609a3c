//! What unicast would have cost, beside what it costs.

use std::{io::Write, time::Duration};

use crate::{
    program::Program,
    stage::{MIB, Stage},
};

/// The audience joins, leaves and joins in the pauses of the stream, so that both runs have the same
/// one at the same byte.
#[test]
fn what_unicast_would_cost_is_what_it_costs() {
    let Some(multicast) = run("udp://239.1.2.3:5000") else { return };
    let Some(unicast) = run("unicast://10.77.0.1:6000") else { return };
    let share = multicast.equivalent_bytes as f64 / unicast.egress_bytes as f64;
    println!(
        "unicast would have cost {} bytes, and cost {}: {share:.4}; multicast {}",
        multicast.equivalent_bytes, unicast.egress_bytes, multicast.egress_bytes
    );
    assert!((0.98..=1.02).contains(&share), "{share:.4}");
    assert!(multicast.egress_bytes < unicast.egress_bytes * 3 / 4);
}

struct Cost {
    /// By the counters of the publisher's interface.
    egress_bytes: u64,
    /// By what the publisher says.
    equivalent_bytes: u64,
}

fn run(endpoint: &str) -> Option<Cost> {
    let stage = Stage::new(3)?;
    let start = |host: &str| {
        let subscriber = stage.subscriber_to_file(host, endpoint, &["--from", "live"]);
        subscriber.wait_for("joined", PATIENCE);
        subscriber
    };
    let (first, second) = (start("s1"), start("s2"));
    let before = stage.host("pub").counters().unwrap();
    let mut publisher = stage.publisher_of_stdin(&["--to", endpoint, "--wait-for", "2"]);
    let mut input = publisher.input();
    let mut sent = 0;
    let mut send = |subscriber: &Program, bytes: u64| {
        let piece = vec![7; usize::try_from(bytes).unwrap()];
        input.write_all(&piece).unwrap();
        sent += bytes;
        subscriber.wait_until("progress", PATIENCE, |event| {
            // A packet that is not full waits for more of the input.
            event["delivered_bytes"].as_u64() >= Some(sent - 1_500)
        });
    };
    send(&first, 10 * MIB);
    let second = second.stop();
    publisher.wait_for("subscriber_left", PATIENCE);
    send(&first, 6 * MIB);
    let third = start("s3");
    publisher.wait_for_count("subscriber_joined", 3, PATIENCE);
    send(&first, 8 * MIB);
    drop(input);
    let publisher = publisher.wait(PATIENCE);
    let egress_bytes = stage.host("pub").counters().unwrap().since(&before).tx_bytes;
    first.wait(PATIENCE).expect_code(0);
    second.expect_code(3);
    third.wait(PATIENCE);
    Some(Cost { egress_bytes, equivalent_bytes: publisher.number("unicast_equivalent_bytes") })
}

const PATIENCE: Duration = Duration::from_secs(30);
