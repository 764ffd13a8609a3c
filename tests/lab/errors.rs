//! What cannot be done is said in one line, with what is needed to do better.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    binaries,
    program::Ended,
    stage::{MIB, Stage, same},
};

#[test]
fn of_two_interfaces_one_must_be_named() {
    let Some(stage) = Stage::new(1) else { return };
    let file = stage.file("file", MIB, 1);
    for host in ["pub", "s1"] {
        second_interface(&stage, host);
    }
    let receive = |args: &[&str]| stage.subscriber_to_file("s1", GROUP, args);
    let send = |args: &[&str]| {
        let both = [&[file.to_str().unwrap(), "--to", GROUP, "--wait-for", "1ms"], args].concat();
        stage.publisher(&both)
    };
    for refused in [receive(&[]).wait(PATIENCE), send(&[]).wait(PATIENCE)] {
        let line = one_line(&refused);
        assert!(line.contains("eth0") && line.contains("eth9"), "{line}");
        assert!(line.contains("--interface") || line.contains("name one"), "{line}");
    }
    for refused in [receive(&["--interface", "eth7"]), send(&["--interface", "eth7"])] {
        let refused = refused.wait(PATIENCE);
        let line = one_line(&refused);
        assert!(line.contains("eth7"), "{line}");
    }
    let subscriber = receive(&["--interface", "eth0"]);
    subscriber.wait_for("joined", PATIENCE);
    let args = [file.to_str().unwrap(), "--to", GROUP, "--interface", "10.77.0.1"];
    stage.publisher(&args).wait(LONG).expect_code(0);
    subscriber.wait(PATIENCE).expect_code(0);
}

#[test]
fn a_full_disk_keeps_what_was_written_and_troubles_nobody_else() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 32 * MIB, 1);
    let disk = Disk::mount(stage.path("disk"));
    let output = disk.0.join("out");
    let full = stage.subscriber("s1", &[GROUP, "-o", output.to_str().unwrap()]);
    let healthy = stage.subscriber_to_file("s2", GROUP, &[]);
    full.wait_for("joined", PATIENCE);
    healthy.wait_for("joined", PATIENCE);
    let args = [file.to_str().unwrap(), "--to", GROUP, "--wait-for", "2", "--rate", "80M"];
    let publisher = stage.publisher(&args).wait(LONG);
    healthy.wait(PATIENCE).expect_code(0);
    assert!(same(&file, &stage.output("s2")));

    let full = full.wait(PATIENCE);
    full.expect_code(1);
    println!("publisher ended with {:?}: {}", publisher.code, publisher.summary()["unfinished"]);
    println!("{}", full.log.trim());
    let delivered = full.number("delivered_bytes");
    assert!(delivered > 7 * MIB, "{delivered}");
    assert!(full.log.contains("No space left on device"), "{}", full.log);
    assert!(full.log.contains(&delivered.to_string()), "it says how far it got: {}", full.log);
    assert!(!output.exists(), "a file that is not whole has the name of one that is");
    let kept = fs::read(disk.0.join("out.part")).unwrap();
    assert!(kept.len() as u64 >= delivered, "{} of {delivered} bytes are kept", kept.len());
    let whole = fs::read(&file).unwrap();
    assert!(whole.starts_with(&kept), "what is kept is the beginning of the file");
    publisher.expect_code(3);
    assert_eq!(publisher.summary()["unfinished"], serde_json::json!(["s1"]));
}

#[test]
fn an_unknown_key_of_a_config_file_is_shown_by_line_and_column() {
    let Some(stage) = Stage::new(1) else { return };
    let path = stage.path("streams.toml");
    let text = "[[stream]]\ninput = \"film.ts\"\nto = \"udp://239.1.2.3:5000\"\n  speed = 5\n";
    fs::write(&path, text).unwrap();
    let mut command = Command::new(binaries::file("publisher"));
    command.arg("run").arg(&path);
    let refused = stage.start("pub", "publisher", command).wait(PATIENCE);
    refused.expect_code(2);
    let line = one_line(&refused);
    assert!(line.contains("streams.toml:4:3: ") && line.contains("speed"), "{line}");
}

/// Another cable, whose other end is on the same host: `eth9`.
fn second_interface(stage: &Stage, host: &str) {
    for command in [
        "link add eth9 type veth peer name eth9-end",
        "addr add 10.99.0.1/24 dev eth9",
        "link set eth9-end up",
        "link set eth9 up",
    ] {
        let mut ip = Command::new("ip");
        ip.args(command.split(' '));
        let output = stage.host(host).output(ip).unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// The one line that a refusal is.
#[track_caller]
fn one_line(refused: &Ended) -> &str {
    let code = refused.code;
    assert!(matches!(code, Some(1 | 2)), "{}: {code:?}: {}", refused.name, refused.log);
    let lines: Vec<&str> = refused.log.lines().collect();
    let [line] = lines.as_slice() else { panic!("not one line: {}", refused.log) };
    println!("{code:?} {line}");
    line
}

/// A file system of 8 MiB in memory; unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let none: Option<&Path> = None;
        mount(none, &at, Some("tmpfs"), MsFlags::empty(), Some("size=8m")).expect("mount a tmpfs");
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).ok();
    }
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
