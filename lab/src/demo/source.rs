//! What is sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use aws_lc_rs::digest;

use super::Demo;

/// A file with its length and hash, and the folder in which everything of the demo lies.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    len: u64,
    sha256: String,
    folder: Folder,
}

/// A folder of the demo's own, removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Source {
    pub(crate) fn open(demo: &Demo) -> anyhow::Result<Self> {
        let folder = Folder::make().context("cannot make a folder for the demo")?;
        let path = match &demo.file {
            Some(path) => path.clone(),
            None => {
                let path = folder.0.join("demo.bin");
                make_up(&path, demo.bytes.0)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                path
            }
        };
        let (len, sha256) =
            hash(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, len, sha256, folder })
    }

    /// A file of bytes that repeat nowhere.
    pub(crate) fn made_up(len: u64) -> anyhow::Result<Self> {
        let folder = Folder::make().context("cannot make a folder for what is sent")?;
        let path = folder.0.join("source.bin");
        make_up(&path, len).with_context(|| format!("cannot write {}", path.display()))?;
        let (len, sha256) =
            hash(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, len, sha256, folder })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where a subscriber writes.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.folder.0.join(format!("{name}.out"))
    }
}

impl Folder {
    fn make() -> io::Result<Self> {
        let name = format!("onecast-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("lab: {} stays: {error}", self.0.display());
        }
    }
}

/// Bytes that repeat nowhere, so that a wrong place is a wrong hash.
fn make_up(path: &Path, len: u64) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(path)?);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut left = len;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        rng.fill(&mut piece);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        file.write_all(piece.get(..take).unwrap_or_default())?;
        left -= take as u64;
    }
    file.flush()
}

/// Length and SHA-256 of a file.
pub(crate) fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        len += read as u64;
        context.update(piece.get(..read).unwrap_or_default());
    }
    let hex = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((len, hex))
}
