//! Runs text2pcap and tshark on datagrams.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The group's port: the dissector's preference, unless a test says otherwise.
const PORT: u16 = 5000;

/// tshark with the dissector, and what else it is told.
pub(crate) struct Tshark {
    port: u16,
    options: Vec<String>,
}

impl Tshark {
    /// `None`, said aloud, if it is not installed; a failure where `CI` is set.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let runs = |program| Command::new(program).arg("--version").output().is_ok();
        if runs("tshark") && runs("text2pcap") {
            return Some(Self { port: PORT, options: Vec::new() });
        }
        assert!(std::env::var_os("CI").is_none(), "tshark and text2pcap must be installed");
        // Past the capture of the test harness: a skipped test must not look like a passed one.
        let notice = format!("SKIPPED {test}: install tshark\n");
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
        None
    }

    /// Sends to this port instead.
    pub(crate) fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// With these options too.
    pub(crate) fn with(&self, options: [&str; 2]) -> Self {
        let added = options.map(str::to_owned);
        Self { port: self.port, options: [self.options.clone(), added.into()].concat() }
    }

    /// Reads bodies although a key epoch calls them sealed.
    pub(crate) fn opened(&self) -> Self {
        self.with(["-o", "onecast.opened:TRUE"])
    }

    /// For each datagram these fields of it, separated by bars.
    pub(crate) fn fields(&self, datagrams: &[Vec<u8>], fields: &[&str]) -> Vec<String> {
        let mut arguments = vec!["-T".to_owned(), "fields".to_owned()];
        arguments.extend(["-E", "separator=|", "-E", "occurrence=f"].map(str::to_owned));
        for field in fields {
            let ours = !field.starts_with("_ws");
            let spelled = if ours { format!("onecast.{field}") } else { (*field).to_owned() };
            arguments.extend(["-e".to_owned(), spelled]);
        }
        self.run(datagrams, &arguments).lines().map(str::to_owned).collect()
    }

    /// Every field of every datagram, as a person sees it.
    pub(crate) fn details(&self, datagrams: &[Vec<u8>]) -> String {
        self.run(datagrams, &["-V".to_owned(), "-O".to_owned(), "onecast".to_owned()])
    }

    fn run(&self, datagrams: &[Vec<u8>], arguments: &[String]) -> String {
        let folder = TempDir::new().unwrap();
        let capture = self.capture(folder.path(), datagrams);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onecast.lua");
        let mut tshark = Command::new("tshark");
        tshark.arg("-X").arg(format!("lua_script:{}", script.display()));
        tshark.arg("-n").arg("-r").arg(capture).args(&self.options).args(arguments);
        // Neither the user's preferences nor plugins take part.
        tshark.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
        let shown = checked(&tshark.output().unwrap());
        assert!(!shown.contains("Lua Error"), "{shown}");
        shown
    }

    fn capture(&self, folder: &Path, datagrams: &[Vec<u8>]) -> PathBuf {
        let mut dump = String::new();
        for datagram in datagrams {
            dump.push_str("000000");
            datagram.iter().for_each(|byte| write!(dump, " {byte:02x}").unwrap());
            dump.push_str("\n\n");
        }
        let (text, capture) = (folder.join("dump.txt"), folder.join("capture.pcapng"));
        std::fs::write(&text, dump).unwrap();
        let ports = format!("40000,{}", self.port);
        let mut text2pcap = Command::new("text2pcap");
        text2pcap.args(["-4", "10.0.0.1,239.1.2.3", "-u", &ports]).arg(&text).arg(&capture);
        checked(&text2pcap.output().unwrap());
        capture
    }
}

/// Standard output of a program that ended well and had nothing to say about Lua.
fn checked(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("Lua"), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
