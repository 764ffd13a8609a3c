//! Labs for tests, one at a time, and sockets in them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lab::net::{Host, Lab, MdbEntry, Privilege, available};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

/// One lab at a time: what a test counts (descriptors, time) is then its own.
pub(crate) fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    match available() {
        Ok(Privilege::Root) => Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner)),
        other => {
            assert!(std::env::var_os("CI").is_none(), "the lab needs root here: {other:?}");
            eprintln!("\n*** SKIPPED: this test of the lab needs root: {other:?} ***\n");
            None
        }
    }
}

/// A socket at the host that has joined the group, of one source or of any, and waits 2 s.
pub(crate) fn joined(host: &Host, group: IpAddr, source: Option<Ipv4Addr>) -> UdpSocket {
    host.run(|| open_joined(group, source).expect("join")).expect("run in the host")
}

fn open_joined(group: IpAddr, source: Option<Ipv4Addr>) -> io::Result<UdpSocket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::new(group, PORT).into())?;
    let index = eth0()?;
    match (group, source) {
        (IpAddr::V4(group), Some(source)) => {
            socket.join_ssm_v4(&source, &group, &Ipv4Addr::UNSPECIFIED)?;
        }
        (IpAddr::V4(group), None) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
        }
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, index)?,
    }
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(socket.into())
}

/// A socket at the host that sends out of its interface.
pub(crate) fn sender(host: &Host) -> (UdpSocket, UdpSocket) {
    let open = || {
        let v4 = UdpSocket::bind((host.addr4(), 0))?;
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        let index = eth0()?;
        socket2::SockRef::from(&v6).set_multicast_if_v6(index)?;
        io::Result::Ok((v4, v6))
    };
    host.run(open).expect("run in the host").expect("open sockets")
}

fn eth0() -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex("eth0")?)
}

/// Datagrams that the socket has by the time that none came for a moment.
pub(crate) fn received(socket: &UdpSocket, at_most: usize) -> usize {
    let mut buffer = [0; 2048];
    (0..at_most).take_while(|_| socket.recv(&mut buffer).is_ok()).count()
}

/// Sends numbered datagrams of 1000 bytes.
pub(crate) fn send(socket: &UdpSocket, to: SocketAddr, count: usize) {
    for _ in 0..count {
        socket.send_to(&[7; 1000], to).expect("send");
    }
}

/// Waits until the database says so, and returns it.
pub(crate) fn wait_for_mdb(lab: &Lab, wanted: impl Fn(&[MdbEntry]) -> bool) -> Vec<MdbEntry> {
    let start = Instant::now();
    loop {
        let mdb = lab.mdb().expect("read the mdb");
        if wanted(&mdb) {
            return mdb;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "not in the mdb: {mdb:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) const PORT: u16 = 5000;
