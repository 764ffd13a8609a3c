use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::clock::Clock;
use host::poller::{Events, Poller};
use proto::receiver::{Ending, Gap, GapCause, Payload, Row, SessionInfo};
use proto::wire::StreamMode;
use proto::{Delivery, Seq, SeqRange, SessionId};

use super::*;

fn session(id: u64, first: u64) -> Delivered {
    Delivered::Session(Box::new(SessionInfo {
        session: SessionId(id),
        started_us: id,
        name: "test".parse().unwrap(),
        mode: StreamMode::Bytes,
        is_hashed: true,
        delivery: Delivery::Reliable,
        source: "127.0.0.1:1".parse().unwrap(),
        restart: id > 1,
        first: Seq(first),
        missed: None,
    }))
}

fn payload(seq: u64, bytes: &'static [u8]) -> Delivered {
    let bytes = Bytes::from_static(bytes);
    Delivered::Payload(Payload {
        range: SeqRange::new(Seq(seq), Seq(seq + 1)),
        bytes,
        delay: Duration::ZERO,
    })
}

/// Messages of packets `first..end`.
fn row(first: u64, end: u64, messages: &[&[u8]]) -> Delivered {
    let mut records = Vec::new();
    for message in messages {
        records.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        records.extend_from_slice(message);
    }
    let range = SeqRange::new(Seq(first), Seq(end));
    Delivered::Row(Row::new(range, Duration::ZERO, records.into()))
}

fn end(bytes: u64, sha256: Option<[u8; 32]>) -> Delivered {
    let (lead, aborted, lost_packets) = (Seq(9), false, 0);
    Delivered::End(Ending { lead, bytes, sha256, aborted, lost_packets })
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    Some(digest.as_ref().try_into().unwrap())
}

fn crew(poller: &Poller) -> Crew {
    Crew { waker: poller.waker(), writers: Workers::new("output").unwrap() }
}

fn write(spec: &OutputSpec, sessions: Sessions, items: Vec<Delivered>) -> Progress {
    let poller = Poller::new().unwrap();
    let output = Output::open(spec, (sessions, Caching::Cached), crew(&poller)).unwrap();
    let mut items = items;
    output.push(&mut items);
    output.finish()
}

fn in_directory() -> (tempfile::TempDir, OutputSpec) {
    let directory = tempfile::tempdir().unwrap();
    let spec = OutputSpec::File(directory.path().join("out"));
    (directory, spec)
}

fn names(directory: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_whole_file_has_its_name() {
    let (directory, spec) = in_directory();
    let items = vec![session(1, 0), payload(0, b"ab"), payload(1, b"c"), end(3, sha256(b"abc"))];
    let progress = write(&spec, Sessions::Once, items);
    assert_eq!(progress.finished.unwrap().flaw, None);
    assert_eq!(progress.bytes, 3);
    assert_eq!(names(&directory), ["out"]);
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), b"abc");
}

#[test]
fn past_the_page_cache_the_same_is_written() {
    const MEBIBYTE: &[u8] = &[7; 1 << 20];
    let directory = tempfile::tempdir().unwrap();
    let spec = OutputSpec::File(directory.path().join("out"));
    let poller = Poller::new().unwrap();
    let output = Output::open(&spec, (Sessions::Follow, Caching::Direct), crew(&poller)).unwrap();
    let mut bytes = MEBIBYTE.repeat(9);
    bytes.extend(b"the end");
    let mut items = vec![session(1, 0)];
    items.extend((0..9).map(|seq| payload(seq, MEBIBYTE)));
    items.extend([payload(9, b"the end"), end(bytes.len() as u64, sha256(&bytes))]);
    // The next is not whole: what came of it stays.
    items.extend([session(2, 0), payload(0, b"ab"), session(3, 0), payload(0, b"c")]);
    output.push(&mut items);
    let progress = output.finish();
    assert_eq!(progress.bytes, bytes.len() as u64 + 3);
    assert_eq!(progress.finished.unwrap().flaw, None);
    assert_eq!(names(&directory), ["out", "out.2.part", "out.3.part"]);
    let read = |name| fs::read(directory.path().join(name)).unwrap();
    assert!(read("out") == bytes);
    assert_eq!((read("out.2.part"), read("out.3.part")), (b"ab".to_vec(), b"c".to_vec()));
}

#[test]
fn what_is_not_whole_keeps_the_name_of_a_part() {
    let gap = Gap { range: SeqRange::new(Seq(1), Seq(2)), cause: GapCause::Deadline };
    for (items, flaw) in [
        (vec![session(1, 0), payload(0, b"ab"), end(3, None)], Flaw::Length(3)),
        (vec![session(1, 0), payload(0, b"ab"), end(2, sha256(b"xy"))], Flaw::Hash),
        (vec![session(1, 5), payload(5, b"ab"), end(2, None)], Flaw::BeganLate),
        (vec![session(1, 0), payload(0, b"ab"), Delivered::Gap(gap), end(2, None)], Flaw::Lost(1)),
    ] {
        let (directory, spec) = in_directory();
        let progress = write(&spec, Sessions::Once, items);
        assert_eq!(progress.finished.unwrap().flaw, Some(flaw));
        assert_eq!(names(&directory), ["out.part"]);
        assert_eq!(fs::read(directory.path().join("out.part")).unwrap(), b"ab");
    }
}

#[test]
fn a_part_stays_if_no_end_comes_and_goes_if_nothing_came() {
    let (directory, spec) = in_directory();
    write(&spec, Sessions::Once, vec![session(1, 0), payload(0, b"ab")]);
    assert_eq!(names(&directory), ["out.part"]);
    let (directory, spec) = in_directory();
    write(&spec, Sessions::Once, vec![]);
    assert_eq!(names(&directory), [] as [&str; 0]);
}

#[test]
fn a_restart_begins_the_file_anew_or_another_if_sessions_are_followed() {
    let items = || {
        let first = [session(1, 0), payload(0, b"abcdef")];
        let second = [session(2, 0), payload(0, b"xyz"), end(3, sha256(b"xyz"))];
        first.into_iter().chain(second).collect::<Vec<_>>()
    };
    let (directory, spec) = in_directory();
    write(&spec, Sessions::Once, items());
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), b"xyz");
    let (directory, spec) = in_directory();
    write(&spec, Sessions::Follow, items());
    assert_eq!(names(&directory), ["out.2", "out.part"]);
    assert_eq!(fs::read(directory.path().join("out.2")).unwrap(), b"xyz");
}

#[test]
fn a_player_gets_bytes_in_datagrams_of_one_size() {
    let player = UdpSocket::bind("127.0.0.1:0").unwrap();
    player.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = format!("udp://{}?pkt_size=4", player.local_addr().unwrap());
    let spec: OutputSpec = address.parse().unwrap();
    let items = vec![session(1, 0), payload(0, b"abcdef"), payload(1, b"ghi"), end(9, None)];
    let progress = write(&spec, Sessions::Follow, items);
    assert_eq!(progress.bytes, 9);
    let mut buf = [0; 100];
    for expected in [b"abcd".as_slice(), b"efgh", b"i"] {
        let len = player.recv(&mut buf).unwrap();
        assert_eq!(&buf[..len], expected);
    }
}

#[test]
fn a_full_ring_holds_back_and_wakes_when_there_is_room() {
    let (poller, clock) = (Poller::new().unwrap(), Clock::start());
    let ring = Ring::new(1_000, poller.waker());
    ring.push(&mut vec![payload(0, &[0; 2_000])]);
    assert!(!ring.has_room());
    let mut items = std::collections::VecDeque::new();
    assert_eq!(ring.take(&mut items), ring::Taken::Some);
    assert!(!ring.has_room(), "what is being written takes room, too");
    ring.release(items.iter().map(ring::cost).sum());
    let mut events = Events::with_capacity(1);
    poller.wait(&mut events, &clock, Some(proto::Timestamp::from_secs(5))).unwrap();
    assert!(events.woken());
    assert!(ring.has_room());
}

#[test]
fn a_reader_is_called_once_for_what_it_has_not_seen() {
    let poller = Poller::new().unwrap();
    let ring = Ring::new(1_000, poller.waker());
    let mut items = std::collections::VecDeque::new();
    assert!(!ring.calls(), "there is nothing to read");
    ring.push(&mut vec![payload(0, b"a")]);
    assert!(ring.calls());
    assert!(!ring.calls(), "it was called");
    ring.push(&mut vec![payload(1, b"b")]);
    assert!(!ring.calls(), "it reads");
    assert_eq!(ring.take(&mut items), ring::Taken::Some);
    assert_eq!(ring.take(&mut items), ring::Taken::Nothing);
    ring.push(&mut vec![payload(2, b"c")]);
    assert!(ring.calls(), "it rested");
    ring.close();
    assert!(!ring.calls());
    assert_eq!(ring.take(&mut items), ring::Taken::Some);
    assert_eq!(ring.take(&mut items), ring::Taken::All);
    assert_eq!(items.len(), 3);
    assert!(!ring.calls(), "it has ended");
}

#[test]
fn a_timely_ring_loses_the_oldest_payload_and_says_which() {
    let poller = Poller::new().unwrap();
    let ring = Ring::new(1_000, poller.waker());
    let mut batch = vec![session(1, 0)];
    batch.extend((0..10).map(|seq| payload(seq, &[0; 136])));
    let losses = ring.push_over(&mut batch);
    assert_eq!(losses, [SeqRange::new(Seq(0), Seq(6))]);
    let mut items = std::collections::VecDeque::new();
    assert_eq!(ring.take(&mut items), ring::Taken::Some);
    assert!(matches!(items.front(), Some(Delivered::Session(_))));
    let gap = Gap { range: SeqRange::new(Seq(0), Seq(6)), cause: GapCause::Ring };
    assert_eq!(items.get(1), Some(&Delivered::Gap(gap)), "{items:?}");
    assert_eq!(items.len(), 6);
}

#[test]
fn of_messages_a_timely_ring_loses_whole_rows_and_each_packet_once() {
    let poller = Poller::new().unwrap();
    let ring = Ring::new(500, poller.waker());
    let mut batch: Vec<_> = (0..4).map(|n| row(n * 3, n * 3 + 3, &[&[0; 60], &[0; 68]])).collect();
    assert_eq!(ring.push_over(&mut batch), [SeqRange::new(Seq(0), Seq(6))]);
}

#[test]
fn messages_are_written_one_after_the_other_without_their_lengths() {
    let (directory, spec) = in_directory();
    let many = vec![&b"d"[..]; 3_000];
    let whole = [&b"abc"[..], &[b'd'; 3_000]].concat();
    let items = vec![
        session(1, 0),
        row(0, 2, &[b"ab", b"", b"c"]),
        row(2, 3, &many),
        end(whole.len() as u64, sha256(&whole)),
    ];
    let progress = write(&spec, Sessions::Once, items);
    assert_eq!(progress.finished.unwrap().flaw, None);
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), whole);
}

#[test]
fn the_program_reads_message_by_message_and_room_is_given_back() {
    let (poller, inbox) = (Poller::new().unwrap(), Inbox::default());
    let spec = OutputSpec::Program(inbox.clone());
    let output = Output::open(&spec, (Sessions::Once, Caching::Cached), crew(&poller)).unwrap();
    let big = vec![7; RING_BYTES];
    output.push(&mut vec![session(1, 0), row(0, 2, &[b"ab", &big]), end(0, None)]);
    assert!(!output.has_room());
    let mut reader = inbox.take().unwrap();
    assert!(matches!(reader.next(), Some(Handed::Session(_))));
    let lens = [reader.next(), reader.next()].map(|handed| match handed {
        Some(Handed::Payload(bytes)) => bytes.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(lens, [2, RING_BYTES]);
    assert!(matches!(reader.next(), Some(Handed::End(_))));
    assert!(output.has_room());
    assert_eq!(output.progress().bytes, 2 + RING_BYTES as u64);
}

#[test]
fn an_output_that_fails_says_why_and_how_far_it_came() {
    let spec = OutputSpec::File("/dev/full".into());
    let progress = write(&spec, Sessions::Once, vec![session(1, 0), payload(0, b"abc")]);
    let Some(Stopped::Failed(why)) = progress.stopped else { panic!("{progress:?}") };
    assert!(why.contains("No space left on device"), "{why}");
    assert!(why.contains("0 bytes were written"), "{why}");
}

#[test]
fn a_slow_output_does_not_hold_up_whoever_hands_over() {
    let (poller, started) = (Poller::new().unwrap(), Instant::now());
    let (_reader, writer) = io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let spec = OutputSpec::File(path.into());
    let output = Output::open(&spec, (Sessions::Once, Caching::Cached), crew(&poller)).unwrap();
    let big: &'static [u8] = Box::leak(vec![0; 1 << 20].into_boxed_slice());
    for seq in 0..16 {
        output.push(&mut vec![payload(seq, big)]);
    }
    assert!(!output.has_room());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slow_output_does_not_hold_up_its_neighbours() {
    let poller = Poller::new().unwrap();
    let crew = crew(&poller);
    let (_reader, writer) = io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let slow = OutputSpec::File(path.into());
    let slow = Output::open(&slow, (Sessions::Once, Caching::Cached), crew.clone()).unwrap();
    slow.push(&mut vec![payload(0, Box::leak(vec![0; 1 << 20].into_boxed_slice()))]);
    for _ in 0..8 {
        let (directory, spec) = in_directory();
        let output = Output::open(&spec, (Sessions::Once, Caching::Cached), crew.clone()).unwrap();
        output.push(&mut vec![session(1, 0), payload(0, b"ab"), end(2, sha256(b"ab"))]);
        assert_eq!(output.finish().finished.unwrap().flaw, None);
        assert_eq!(names(&directory), ["out"]);
    }
    assert!(!slow.is_finished());
}

#[test]
fn what_goes_nowhere_is_written_at_once_unless_it_is_hashed() {
    for is_hashed in [false, true] {
        let poller = Poller::new().unwrap();
        let spec = "/dev/null".parse().unwrap();
        let output = Output::open(&spec, (Sessions::Once, Caching::Cached), crew(&poller)).unwrap();
        let mut begin = session(1, 0);
        if let Delivered::Session(session) = &mut begin {
            session.is_hashed = is_hashed;
        }
        output.push(&mut vec![begin]);
        let Taker::Writers(task, _) = &output.taker else { unreachable!() };
        let task = Arc::clone(task);
        // The session itself is for the thread that writes.
        let until = Instant::now() + Duration::from_millis(if is_hashed { 100 } else { 10_000 });
        while !task.is_quick() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(task.is_quick(), !is_hashed);
        output.push(&mut vec![payload(0, b"abc"), payload(1, b"de")]);
        if !is_hashed {
            assert_eq!(output.progress().bytes, 5);
        }
        output.push(&mut vec![end(5, is_hashed.then(|| sha256(b"abcde").unwrap()))]);
        let progress = output.finish();
        assert_eq!((progress.bytes, progress.sessions), (5, 1));
        assert!(progress.finished.unwrap().is_whole());
    }
}
