//! An encoder's transport stream, to players.

use std::{process::Command, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    player::{Continuity, Player, continuity},
    program::{Ended, Program},
    stage::Stage,
};

#[test]
fn a_transport_stream_plays_without_an_error() {
    let Some(played) = play(0, "mpegts", "udp") else { return };
    assert_eq!(played.errors, 0);
}

#[test]
fn a_transport_stream_plays_without_an_error_where_1_percent_is_lost() {
    let Some(played) = play(1, "mpegts", "udp") else { return };
    assert_eq!(played.errors, 0);
}

#[test]
fn a_transport_stream_in_rtp_plays_without_an_error_where_1_percent_is_lost() {
    let Some(played) = play(1, "rtp_mpegts", "rtp") else { return };
    assert_eq!(played.errors, 0);
}

/// Encodes for some seconds; `s1` has a player of ours that counts, `s2` ffmpeg that reads.
fn play(loss_percent: u32, format: &str, scheme: &str) -> Option<Continuity> {
    let stage = Stage::new(2)?;
    let player = Player::start(stage.host("s1"), 6000);
    let reader = read(&stage, "s2");
    let subscribers = ["s1", "s2"].map(|host| {
        stage.lose(host, loss_percent);
        stage.subscriber(host, &[GROUP, "-o", "udp://127.0.0.1:6000"])
    });
    for subscriber in &subscribers {
        subscriber.wait_for("joined", PATIENCE);
    }
    let input = format!("{scheme}://127.0.0.1:7000");
    let publisher = stage.publisher(&[&input, "--to", GROUP, "--wait-for", "2,10s"]);
    publisher.wait_for("started", PATIENCE);
    encode(&stage, format, scheme, SECONDS).wait(LONG).expect_code(0);
    std::thread::sleep(Duration::from_millis(500)); // what was lost last is repaired
    let publisher = publisher.stop();
    let played = player.stop();
    let found = continuity(played.iter().map(|played| played.bytes.as_slice()));
    let repaired: Vec<u64> = subscribers
        .into_iter()
        .map(|subscriber| subscriber.stop().number("repaired_packets"))
        .collect();
    println!(
        "{format} at {loss_percent} % loss: {found:?}, {repaired:?} packets repaired, publisher \
         ended with {:?}",
        publisher.code
    );
    // 25 pictures a second in some packets each, and sound.
    assert!(found.packets > 25 * SECONDS && found.pids >= 4, "{found:?}");
    assert!(loss_percent == 0 || repaired.iter().all(|count| *count > 0));
    check_reader(reader);
    Some(found)
}

/// Encodes a test picture and a tone, in real time, to the publisher's input.
fn encode(stage: &Stage, format: &str, scheme: &str, seconds: u64) -> Program {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "warning", "-re"]);
    command.args(["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]);
    command.args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
    command.args(["-t", &seconds.to_string(), "-c:v", "mpeg2video", "-b:v", "2M", "-g", "12"]);
    command.args(["-c:a", "mp2", "-b:a", "128k", "-f", format]);
    let packet_len = if scheme == "rtp" { 1328 } else { 1316 };
    command.arg(format!("{scheme}://127.0.0.1:7000?pkt_size={packet_len}"));
    stage.start("pub", "ffmpeg", command)
}

/// Reads a player's port with ffmpeg, which says what it does not like. With a buffer that holds all
/// there is: what ffmpeg is too slow for on a busy machine is not what is looked at.
fn read(stage: &Stage, host: &str) -> Program {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "warning", "-stats"]);
    command.args(["-i", "udp://127.0.0.1:6000?fifo_size=100000&buffer_size=4000000"]);
    command.args(["-map", "0", "-f", "null", "-"]);
    stage.start(host, "ffmpeg", command)
}

fn check_reader(reader: Program) {
    // The first ends it after the next datagram, the second while it waits for one.
    reader.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(200));
    reader.signal(Signal::SIGINT);
    let Ended { log, .. } = reader.wait(PATIENCE);
    let log = log.to_lowercase();
    for fault in ["continuity", "corrupt", "error while decoding", "invalid"] {
        assert!(!log.contains(fault), "ffmpeg says `{fault}`:\n{log}");
    }
    let frames = log.rsplit("frame=").next().and_then(|rest| rest.split_whitespace().next());
    let frames: u64 = frames.and_then(|frames| frames.parse().ok()).unwrap_or_default();
    println!("ffmpeg read {frames} pictures");
    assert!(frames >= 25 * (SECONDS - 2), "{log}");
}

#[test]
fn subscribers_play_on_when_the_publisher_was_killed_and_started_again() {
    let Some(stage) = Stage::new(2) else { return };
    let hosts = ["s1", "s2"];
    let players = hosts.map(|host| Player::start(stage.host(host), 6000));
    let subscribers = hosts
        .map(|host| stage.subscriber(host, &[GROUP, "--follow", "-o", "udp://127.0.0.1:6000"]));
    for subscriber in &subscribers {
        subscriber.wait_for("joined", PATIENCE);
    }
    let send = || stage.publisher(&["udp://127.0.0.1:7000", "--to", GROUP]);
    let publisher = send();
    publisher.wait_for("started", PATIENCE);
    let encoder = encode(&stage, "mpegts", "udp", 60);
    std::thread::sleep(Duration::from_secs(3));
    publisher.signal(Signal::SIGKILL);
    assert_eq!(publisher.wait(PATIENCE).code, None);
    std::thread::sleep(Duration::from_millis(500));

    let publisher = send();
    let again = publisher.started();
    for subscriber in &subscribers {
        let session = subscriber.wait_until("session", PATIENCE, |it| it["restart"] == true);
        println!("a new session was adopted {:?} after the start", session.at - again);
    }
    std::thread::sleep(Duration::from_secs(3));
    for (player, subscriber) in players.into_iter().zip(subscribers) {
        let played = player.stop();
        let after: Vec<_> = played.iter().filter(|played| played.at > again).collect();
        let first = after.first().expect("the new session plays").at - again;
        let last = after.last().expect("the new session plays").at - again;
        println!("the new session played {first:?} after the publisher's start, until {last:?}");
        assert!(first < Duration::from_secs(2), "{first:?}");
        assert!(last > Duration::from_secs(2), "{last:?}");
        let subscriber = subscriber.stop();
        assert!(subscriber.log.contains("the publisher restarted"), "{}", subscriber.log);
    }
    drop((encoder, publisher));
}

const GROUP: &str = "udp://239.1.2.3:5000";
const SECONDS: u64 = 9;
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
