//! Networks to measure on, one for each path, and what is needed there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::net::{Host, Lab};
use tempfile::TempDir;

use crate::cli::Way;

/// A network with files and losses; all is gone when it is dropped.
pub(crate) struct Stage {
    lab: Lab,
    directory: TempDir,
    /// Where files go that are not to be in memory.
    disk: TempDir,
    /// What each subscriber loses now.
    loss_percent: u32,
}

impl Stage {
    pub(crate) fn build(way: Way, subscribers: usize) -> anyhow::Result<Self> {
        let lab = Lab::builder().hosts(1 + subscribers).ipv6(false).path(way.path()).build()?;
        lab.wait_until_settled()?;
        // In memory: a disk is not what is measured.
        let directory = TempDir::with_prefix_in("onecast-bench-", "/dev/shm")
            .context("cannot make a directory in /dev/shm")?;
        let disk = TempDir::with_prefix("onecast-bench-").context("cannot make a directory")?;
        Ok(Self { lab, directory, disk, loss_percent: 0 })
    }

    pub(crate) fn publisher(&self) -> anyhow::Result<&Host> {
        Ok(self.lab.host("pub")?)
    }

    /// The first so many.
    pub(crate) fn subscribers(&self, count: usize) -> anyhow::Result<Vec<&Host>> {
        (1..=count).map(|i| Ok(self.lab.host(&format!("s{i}"))?)).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same, in the system's directory of temporary files (`TMPDIR`), which may be on a disk.
    pub(crate) fn path_on_disk(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// A file of this length, the same each time.
    pub(crate) fn file(&self, len: u64) -> anyhow::Result<PathBuf> {
        let path = self.path(&format!("{len}"));
        if !path.exists() {
            write_file(&path, len).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(path)
    }

    /// Waits until the switch sends a group to so many hosts: a host tells it some milliseconds after
    /// the join.
    pub(crate) fn wait_for_members(&self, group: Ipv4Addr, count: usize) -> anyhow::Result<()> {
        let late = Instant::now() + PATIENCE;
        loop {
            let members = self.lab.mdb()?;
            if members.iter().filter(|entry| entry.group == IpAddr::V4(group)).count() >= count {
                return Ok(());
            }
            if Instant::now() > late {
                bail!("the switch does not know {count} members of {group}: {members:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Each subscriber loses this share of the UDP packets that come to it, by its own chance.
    pub(crate) fn set_loss(&mut self, percent: u32) -> anyhow::Result<()> {
        if percent == self.loss_percent {
            return Ok(());
        }
        let rule = format!(
            "chain in {{ type filter hook ingress device eth0 priority 0; policy accept;\n\
             meta l4proto udp numgen random mod 100 < {percent} drop\n}}"
        );
        let rules = if percent == 0 { "" } else { &rule };
        let script = self.path("loss.nft");
        let text = format!(
            "table netdev loss {{}}\ndelete table netdev loss\ntable netdev loss {{\n{rules}\n}}\n"
        );
        fs::write(&script, text).context("cannot write the firewall")?;
        for host in self.lab.hosts().iter().skip(1) {
            let mut command = Command::new("nft");
            command.arg("-f").arg(&script);
            let output = host.output(command)?;
            if !output.status.success() {
                bail!("nft: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        self.loss_percent = percent;
        Ok(())
    }
}

fn write_file(path: &Path, len: u64) -> std::io::Result<()> {
    let mut chance = fastrand::Rng::with_seed(len);
    let mut writer = BufWriter::new(File::create(path)?);
    let mut block = vec![0; 1 << 16];
    let mut left = len;
    while left > 0 {
        chance.fill(&mut block);
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        writer.write_all(block.get(..now).unwrap_or_default())?;
        left -= now as u64;
    }
    writer.flush()
}

/// Many times what it takes.
const PATIENCE: Duration = Duration::from_secs(10);
