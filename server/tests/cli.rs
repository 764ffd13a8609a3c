//! The publisher as a person types it: what is refused, in one line, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails where it is wrong"
)]

#[path = "shared/namespace.rs"]
mod namespace;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GROUP: &str = "udp://239.255.77.1:5771";

fn publisher(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
    command.args(args).env("NO_COLOR", "1").env_remove("ONECAST_LOG").output().unwrap()
}

/// The publisher's only line, without the log's.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.contains(" WARN ")).collect();
    let [line] = lines.as_slice() else { panic!("not one line: {stderr}") };
    line.strip_prefix("publisher: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![7; 10_000]).unwrap();
    file
}

/// Sends a small file with more flags; expects it to be refused.
#[track_caller]
fn send_refused(code: i32, flags: &[&str]) -> String {
    let file = file();
    let path = file.path().to_str().unwrap();
    let args = [&["send", path, "--interface", "lo"], flags].concat();
    refused(&publisher(&args), code)
}

#[test]
fn an_interface_that_is_not_there_is_refused_and_those_there_are_listed() {
    let file = file();
    let path = file.path().to_str().unwrap();
    let line = refused(&publisher(&["send", path, "--to", GROUP, "--interface", "nope0"]), 2);
    assert!(line.starts_with("no interface nope0; there are: lo (1, 127.0.0.1)"), "{line}");
}

#[test]
fn endpoints_that_cannot_be_meant_are_refused_with_the_reason() {
    for (endpoint, why) in [
        ("nonsense", "is no IP address"),
        ("udp://10.1.2.3:5000", "is not a multicast group"),
        ("udp://224.0.0.251:5000", "belongs to the link's own protocols"),
        ("udp://239.1.2.3:0", "is no port"),
        ("udp://239.1.2.3", "no port"),
        ("http://239.1.2.3:80", "is not known"),
    ] {
        let line = send_refused(2, &["--to", endpoint]);
        assert!(line.contains(why), "{endpoint}: {line}");
    }
}

#[test]
fn a_publisher_listens_at_addresses_of_its_own() {
    for endpoint in ["unicast://192.0.2.9:5000", "tcp://192.0.2.9:5000"] {
        let line = send_refused(2, &["--to", endpoint]);
        let wanted = format!("{endpoint}: that is no address of this machine");
        assert!(line.starts_with(&wanted), "{line}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", taken.local_addr().unwrap());
    let line = send_refused(1, &["--to", &endpoint]);
    assert!(line.starts_with(&format!("cannot listen for subscribers at {endpoint}")), "{line}");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (flags, why) in [
        (["--ttl", "256"], "a ttl is 1 to 255"),
        (["--ttl", "0"], "a ttl of 0 never leaves"),
        (["--rate", "0"], "out of range"),
        (["--rate", "fast"], "or auto"),
        (["--deadline", "0"], "a deadline below 1ms"),
        (["--deadline", "5"], "unit"),
        (["--mtu", "100"], "an MTU of 100 is too small"),
        (["--mtu", "9100"], "an MTU of 9100 is too large"),
        (["--block", "0"], "a block of 0 packets"),
        (["--block", "129"], "a block of 129 packets"),
        (["--dscp", "64"], "is no code point"),
        (["--wait-for", "soon"], "write how many subscribers"),
        (["--metrics", "here"], "is no address for metrics"),
        (["--interface", "a b"], "names no interface"),
        (["--to", GROUP], "is given twice"),
    ] {
        let line = match send_refused_with(&flags) {
            Ok(line) => line,
            Err(output) => panic!("{flags:?} was taken: {output:?}"),
        };
        assert!(line.contains(why), "{flags:?}: {line}");
    }
}

fn send_refused_with(flags: &[&str; 2]) -> Result<String, Output> {
    let file = file();
    let path = file.path().to_str().unwrap();
    // `--interface` may be given once.
    let interface: &[&str] = if flags[0] == "--interface" { &[] } else { &["--interface", "lo"] };
    let output = publisher(&[&["send", path, "--to", GROUP][..], interface, flags].concat());
    if output.status.success() { Err(output) } else { Ok(refused(&output, 2)) }
}

#[test]
fn messages_and_rtp_need_datagrams() {
    assert!(send_refused(2, &["--to", GROUP, "--messages"]).contains("--messages needs udp://"));
    assert!(send_refused(2, &["--to", GROUP, "--rtp"]).contains("--rtp needs udp://"));
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().to_str().unwrap();
    let send =
        |input: &str| refused(&publisher(&["send", input, "--to", GROUP, "--interface", "lo"]), 1);
    assert!(send(directory).ends_with("is a directory: name a file"));
    let missing = format!("{directory}/missing");
    assert!(send(&missing).starts_with(&format!("{missing}: No such file or directory")));
    let scheme = publisher(&["send", "http://x", "--to", GROUP, "--interface", "lo"]);
    assert!(refused(&scheme, 2).contains("cannot be read from"));
}

#[test]
fn a_file_without_permission_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(runnable_by_anyone(directory.path()));
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind root.
        command.uid(65_534).gid(65_534);
    }
    command.args(["send", secret.to_str().unwrap(), "--to", GROUP, "--interface", "lo"]);
    let line = refused(&command.output().unwrap(), 1);
    assert!(line.contains("secret: Permission denied"), "{line}");
}

/// The build directory may be closed to others.
fn runnable_by_anyone(directory: &Path) -> PathBuf {
    let copy = directory.join("publisher");
    fs::copy(env!("CARGO_BIN_EXE_publisher"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = send_refused(1, &["--to", GROUP, "--metrics", &address]);
    assert!(line.starts_with(&format!("cannot serve metrics at {address}: Address")), "{line}");
}

#[test]
fn a_config_file_is_refused_with_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("streams.toml");
    let path = path.to_str().unwrap();
    let stream = "[[stream]]\ninput = \"-\"\nto = \"udp://239.255.77.1:5771\"\n";
    let two_names = format!("{stream}{stream}");
    for (text, place, why) in [
        ("[[stream]]\ninput = \"-\"\nratte = 1\n", ":3:1: ", "ratte"),
        ("[[stream]]\nttl = 256\n", ":2:7: ", "a ttl is 1 to 255"),
        ("metricks = \":1\"\n", ":1:1: ", "metricks"),
        ("[[stream]]\nto = \"udp://10.1.2.3:5\"\n", ":2:6: ", "not a multicast group"),
        ("[[stream\n", ":1:", ""),
        ("", ":1:1: ", "no stream"),
        ("[[stream]]\nto = \"udp://239.255.77.1:5771\"\n", "", "a stream has no input"),
        ("[[stream]]\ninput = \"-\"\n", "", "stream stdin goes nowhere"),
        (&two_names, "", "two streams are called stdin"),
    ] {
        fs::write(path, text).unwrap();
        let line = refused(&publisher(&["run", path, "--interface", "lo"]), 2);
        let place = if place.is_empty() { String::new() } else { format!("{path}{place}") };
        assert!(line.starts_with(&place), "{text:?}: {line}");
        assert!(line.contains(why), "{text:?}: {line}");
    }
    let line = refused(&publisher(&["run", "/nonexistent.toml"]), 2);
    assert!(line.starts_with("cannot read /nonexistent.toml: No such file"), "{line}");
}

#[test]
fn two_interfaces_and_none_named_are_listed() {
    let script = "ip link add a0 type veth peer name a1; ip addr add 10.77.0.1/24 dev a0; \
                  ip addr add 10.78.0.1/24 dev a1; ip link set a0 up; ip link set a1 up";
    let file = file();
    let send = ["send", file.path().to_str().unwrap(), "--to", GROUP];
    let Some(output) = namespace::publisher(script, &send) else { return };
    let line = refused(&output, 2);
    assert!(line.starts_with("several interfaces could be meant: "), "{line}");
    assert!(
        line.contains("a0 (") && line.contains("a1 (") && line.contains("--interface"),
        "{line}"
    );
}

#[test]
fn an_interface_that_is_down_or_has_no_address_is_named() {
    let file = file();
    let send = ["send", file.path().to_str().unwrap(), "--to", GROUP, "--interface", "a0"];
    let veth = "ip link add a0 type veth peer name a1";
    let Some(output) = namespace::publisher(veth, &send) else { return };
    assert!(refused(&output, 2).starts_with("interface a0 is down"));
    let up = format!("{veth}; ip link set a0 up");
    let Some(output) = namespace::publisher(&up, &send) else { return };
    assert_eq!(refused(&output, 2), "interface a0 has no IPv4 address to send from");
}

#[test]
fn help_and_version_are_there() {
    let help = publisher(&["send", "--help"]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--to", "--rate", "--deadline", "--metrics", "ONECAST_INTERFACE"] {
        assert!(text.contains(flag), "{flag}");
    }
    assert!(publisher(&["--version"]).status.success());
    let usage = publisher(&["send"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_key_is_made_for_its_owner_alone_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("group.key");
    let path = key.to_str().unwrap();
    let made = publisher(&["keygen", path]);
    assert_eq!((made.status.code(), made.stdout.len(), made.stderr.len()), (Some(0), 0, 0));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&key).unwrap();
    assert!(text.trim_end().len() == 64 && text.trim_end().bytes().all(|c| c.is_ascii_hexdigit()));
    let line = refused(&publisher(&["keygen", path]), 1);
    assert!(line.starts_with("the key cannot be written to"), "{line}");
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    let other = folder.path().join("other.key");
    publisher(&["keygen", other.to_str().unwrap()]);
    assert_ne!(fs::read_to_string(&other).unwrap(), text);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_mode_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("group.key");
    let path = key.to_str().unwrap();
    publisher(&["keygen", path]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let line = send_refused(2, &["--to", GROUP, "--key", path]);
    assert!(line.contains("(mode 644)") && line.contains(&format!("chmod 600 {path}")), "{line}");
    let missing = send_refused(2, &["--to", GROUP, "--key", "/nowhere/key"]);
    assert!(missing.contains("the key cannot be read from /nowhere/key"), "{missing}");
    let written = folder.path().join("wrong.key");
    fs::write(&written, "hunter2\n").unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = send_refused(2, &["--to", GROUP, "--key", written.to_str().unwrap()]);
    assert!(wrong.contains("64 hexadecimal digits") && !wrong.contains("hunter2"), "{wrong}");
}
