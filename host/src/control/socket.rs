//! The answering side, in a running program.

use std::fs;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::LINE_LEN_LIMIT;

/// A socket that others of this user ask at; its path goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    socket: Socket,
    path: PathBuf,
}

impl ControlSocket {
    /// Opens it at `path`, in the place of one that a program which was killed has left there.
    ///
    /// # Errors
    ///
    /// When something is there that is no socket, or somebody answers at it.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        remove_dead(&path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        // Before it is bound, so that it never stands there open to others.
        rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers each line that is asked with what `answer` makes of it, until `end` is ready.
    ///
    /// # Errors
    ///
    /// When the socket cannot be used.
    pub async fn serve<Answered: Future<Output = Vec<u8>>>(
        self,
        answer: impl Fn(String) -> Answered,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = StdListener::from(OwnedFd::from(self.socket.try_clone()?));
        let listener = UnixListener::from_std(listener)?;
        tokio::pin!(end);
        loop {
            let stream = tokio::select! {
                () = &mut end => return Ok(()),
                accepted = listener.accept() => accepted?.0,
            };
            // One after the other: each takes a moment, and none may take longer.
            if let Ok(Err(error)) = timeout(PATIENCE, converse(stream, &answer)).await {
                tracing::debug!(%error, "a control connection failed");
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // It may be gone with its directory.
        drop(fs::remove_file(&self.path));
    }
}

async fn converse<Answered: Future<Output = Vec<u8>>>(
    stream: UnixStream,
    answer: impl Fn(String) -> Answered,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_LEN_LIMIT)).read_line(&mut line).await?;
    if line.is_empty() {
        // Someone looked whether anyone is here.
        return Ok(());
    }
    let mut answer = answer(line).await;
    answer.push(b'\n');
    write.write_all(&answer).await
}

/// What a program that was killed left behind.
fn remove_dead(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let in_use =
        |what: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{} {what}", path.display()));
    if !found.file_type().is_socket() {
        return Err(in_use("is there already and is no socket"));
    }
    if StdStream::connect(path).is_ok() {
        return Err(in_use("is in use by a running program"));
    }
    fs::remove_file(path)
}

/// Those who ask are few.
const BACKLOG: i32 = 16;

/// Whoever connects and says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::control::ask;

    #[test]
    fn a_line_is_answered_and_the_socket_is_of_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists(), "one that nobody answers at");
        let socket = ControlSocket::open(path.clone()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = ControlSocket::open(path.clone()).unwrap_err();
        assert!(taken.to_string().contains("is in use by a running program"), "{taken}");
        let asking = std::thread::spawn({
            let path = path.clone();
            move || ask(&path, b"{}").unwrap()
        });
        let (answered, end) = tokio::sync::oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let done = tokio::task::spawn_blocking(move || {
                assert_eq!(asking.join().unwrap(), "asked: {}\n");
                answered.send(()).unwrap();
            });
            let answer = |line: String| async move { format!("asked: {}", line.trim()).into() };
            socket.serve(answer, async { drop(end.await) }).await.unwrap();
            done.await.unwrap();
        });
        assert!(!path.exists(), "gone with the program");
        fs::write(&path, "").unwrap();
        let other = ControlSocket::open(path).unwrap_err();
        assert!(other.to_string().contains("is no socket"), "{other}");
    }
}
