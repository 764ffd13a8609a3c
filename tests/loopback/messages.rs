//! Messages from one program to another, by the libraries of both sides.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use client::{Event, Subscriber};
use proto::receiver::GapCause;
use server::flags::StreamFlags;
use server::{Publisher, SendError};

/// What message `number` is: any length up to 5,000 bytes, most are short.
fn message(number: u32) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(u64::from(number));
    let longest = if rng.u8(..10) == 0 { 5_000 } else { 300 };
    let mut message = vec![0; rng.usize(0..=longest)];
    rng.fill(&mut message);
    message
}

/// The same with its number in front.
fn numbered(number: u32) -> Vec<u8> {
    let message = message(number);
    [&number.to_be_bytes(), &message[..message.len().min(300)]].concat()
}

fn publisher(endpoint: &str) -> server::Builder {
    Publisher::builder(endpoint.parse().unwrap())
        .interface("lo".parse().unwrap())
        .wait_for("1,10s".parse().unwrap())
}

fn subscriber(endpoint: &str) -> client::Builder {
    Subscriber::builder(endpoint.parse().unwrap()).interface("lo".parse().unwrap())
}

/// Sends so many messages from a thread of its own.
fn send(
    publisher: Publisher,
    count: u32,
    message: fn(u32) -> Vec<u8>,
) -> JoinHandle<server::Summary> {
    thread::spawn(move || {
        for number in 0..count {
            publisher.send(&message(number)).unwrap();
        }
        publisher.close().unwrap()
    })
}

#[test]
fn each_of_a_hundred_thousand_messages_arrives_as_it_was_sent() {
    const COUNT: u32 = 100_000;
    let endpoint = "udp://239.255.42.1:5061";
    let mut subscriber = subscriber(endpoint).hashed(true).join().unwrap();
    let sent = send(publisher(endpoint).hashed(true).start().unwrap(), COUNT, message);
    let (mut got, mut end, mut sessions) = (0, None, 0);
    while let Some(event) = subscriber.recv().unwrap() {
        match event {
            Event::Session(session) => {
                assert_eq!(session.name.as_str(), "messages");
                sessions += 1;
            }
            Event::Message(bytes) => {
                assert_eq!(bytes, message(got), "message {got}");
                got += 1;
            }
            gap @ Event::Gap { .. } => panic!("{gap:?} after {got} messages"),
            Event::End(ended) => end = Some(ended),
        }
    }
    assert_eq!((got, sessions), (COUNT, 1));
    let end = end.unwrap();
    assert!(end.is_whole() && end.sha256.is_some() && end.lost_packets == 0, "{end:?}");
    let (sent, received) = (sent.join().unwrap(), subscriber.close().unwrap());
    assert!(sent.is_complete() && received.is_complete(), "{sent:?} {received:?}");
    let stream = &sent.streams[0];
    assert_eq!(stream.payload_bytes, end.payload.0);
    assert_eq!(received.streams[0].sha256, stream.source_sha256);
    let data = stream.sent.iter().find(|sent| sent.kind == "data").unwrap();
    assert!(data.datagrams < u64::from(COUNT) * 2 / 3, "{} packets", data.datagrams);
}

#[test]
fn what_a_timely_stream_lost_is_a_gap_and_every_other_message_is_whole() {
    const COUNT: u32 = 20_000;
    let endpoint = "udp://239.255.42.2:5062";
    // Who is mute asks for nothing: what is lost stays lost.
    let impair = "loss=2%,burst=2,seed=5".parse().unwrap();
    let mut subscriber = subscriber(endpoint).mute(true).impair(impair).join().unwrap();
    let without_parity =
        StreamFlags { parity: Some("0".parse().unwrap()), ..StreamFlags::default() };
    let publisher = publisher(endpoint)
        .deadline(Duration::from_millis(50))
        .rate("50M".parse().unwrap())
        .wait_for("300ms".parse().unwrap())
        .flags(without_parity)
        .start()
        .unwrap();
    let sent = send(publisher, COUNT, numbered);
    let (mut next, mut got, mut gaps, mut lost) = (0, 0_u32, 0, 0);
    let mut end = None;
    let mut is_after_gap = true;
    while let Some(event) = subscriber.recv().unwrap() {
        match event {
            Event::Session(_) => {}
            Event::Message(bytes) => {
                let number = u32::from_be_bytes(*bytes.first_chunk().unwrap());
                assert!(number == next || is_after_gap && number > next, "{number} after {next}");
                assert_eq!(bytes, numbered(number), "message {number}");
                (next, is_after_gap) = (number + 1, false);
                got += 1;
            }
            Event::Gap { first, end, cause } => {
                assert_eq!(cause, GapCause::Deadline);
                lost += end.since(first);
                gaps += 1;
                is_after_gap = true;
            }
            Event::End(ended) => end = Some(ended),
        }
    }
    let end = end.unwrap();
    assert!(!end.is_whole() && gaps > 10 && lost <= end.lost_packets, "{gaps} {lost} {end:?}");
    assert!(got < COUNT && got > COUNT / 2, "{got} messages");
    assert_eq!(subscriber.close().unwrap().exit_code(), 3);
    assert!(sent.join().unwrap().failures().next().is_none());
}

#[test]
fn a_flush_sends_what_would_linger() {
    let endpoint = "udp://239.255.42.3:5063";
    let mut subscriber = subscriber(endpoint).join().unwrap();
    let publisher = publisher(endpoint).linger(Duration::from_secs(3_600)).start().unwrap();
    let mut next = || loop {
        match subscriber.recv().unwrap() {
            Some(Event::Session(_)) => {}
            event => return event,
        }
    };
    for message in ["one", "two"] {
        publisher.send(message.as_bytes()).unwrap();
        publisher.flush();
        assert_eq!(next(), Some(Event::Message(message.into())));
    }
    publisher.send(b"last").unwrap();
    let closing = thread::spawn(|| publisher.close().unwrap());
    assert_eq!(next(), Some(Event::Message("last".into())));
    assert!(matches!(next(), Some(Event::End(end)) if end.is_whole()));
    assert_eq!(next(), None);
    assert!(closing.join().unwrap().is_complete());
}

#[test]
fn bytes_in_memory_are_one_stream_without_boundaries() {
    let endpoint = "udp://239.255.42.15:5075";
    let mut subscriber = subscriber(endpoint).hashed(true).join().unwrap();
    let piece = bytes::Bytes::from((0..=250).cycle().take(1_000_000).collect::<Vec<u8>>());
    let pieces = vec![piece.clone(), piece.slice(..7), piece];
    let whole = pieces.concat();
    let publisher = publisher(endpoint).hashed(true);
    let sent = thread::spawn(move || publisher.send_all(pieces).unwrap());
    let mut got = Vec::new();
    while let Some(event) = subscriber.recv().unwrap() {
        match event {
            Event::Session(session) => assert_eq!(session.name.as_str(), "bytes"),
            Event::Message(bytes) => got.extend_from_slice(&bytes),
            gap @ Event::Gap { .. } => panic!("{gap:?}"),
            Event::End(end) => assert!(end.is_whole()),
        }
    }
    assert!(got == whole);
    let sent = sent.join().unwrap();
    assert!(sent.is_complete() && sent.streams[0].source_sha256.is_some());
}

#[test]
fn who_reads_slowly_holds_a_reliable_stream_back() {
    let endpoint = "udp://239.255.42.4:5064";
    let mut subscriber = subscriber(endpoint).window("4MiB".parse().unwrap()).join().unwrap();
    let patient = StreamFlags { slow: Some("warn".parse().unwrap()), ..StreamFlags::default() };
    let publisher = publisher(endpoint).flags(patient).start().unwrap();
    let message = vec![7; 10_000];
    let (mut sent, mut refused) = (0_u64, 0);
    // Full once may be a busy machine; full for a second is a subscriber that does not read.
    while refused < 1_000 {
        match publisher.try_send(&message) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(SendError::Full) => {
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent * 10_000 < 64 << 20, "{sent} messages, and nobody read one");
    let closing = thread::spawn(|| publisher.close().unwrap());
    let mut got = 0;
    while let Some(event) = subscriber.recv().unwrap() {
        got += u64::from(matches!(event, Event::Message(bytes) if bytes == message));
    }
    assert_eq!(got, sent);
    assert!(closing.join().unwrap().is_complete());
}

#[test]
fn neither_side_needs_a_thread_but_those_that_send_and_receive() {
    const COUNT: u32 = 2_000;
    for (port, spin) in [(5068, false), (5069, true)] {
        let endpoint = format!("udp://239.255.42.8:{port}");
        // The digest tells whether those that go past the queue are counted in their order.
        let mut subscriber = subscriber(&endpoint).hashed(true).spin(spin).join_direct().unwrap();
        let publisher = publisher(&endpoint).hashed(true).spin(spin).start().unwrap();
        // Some follow each other closely, others find the data thread asleep.
        let sent = send(publisher, COUNT, |number| {
            if number % 4 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            numbered(number)
        });
        let (mut got, mut end) = (0, None);
        while let Some(event) = subscriber.recv().unwrap() {
            match event {
                Event::Message(bytes) => {
                    assert_eq!(bytes, numbered(got));
                    got += 1;
                }
                Event::End(ended) => end = Some(ended),
                Event::Session(_) | Event::Gap { .. } => {}
            }
        }
        assert_eq!(got, COUNT);
        assert!(end.is_some_and(|end| end.is_whole()));
        assert!(sent.join().unwrap().is_complete());
        assert!(subscriber.close().unwrap().is_complete());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_is_woken_for_what_comes_and_for_the_end() {
    const COUNT: u32 = 2_000;
    let endpoint = "udp://239.255.42.5:5065";
    let mut subscriber = subscriber(endpoint).join().unwrap();
    let publisher = publisher(endpoint).linger(Duration::from_micros(50)).start().unwrap();
    let sent = send(publisher, COUNT, |number| {
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        numbered(number)
    });
    let mut got = 0;
    while let Some(event) = subscriber.recv_async().await.unwrap() {
        if let Event::Message(bytes) = event {
            assert_eq!(bytes, numbered(got));
            got += 1;
        }
    }
    assert_eq!(got, COUNT);
    assert!(sent.join().unwrap().is_complete());
}

#[test]
fn a_subscription_that_is_over_says_nothing_more() {
    let time = Duration::from_millis(50);
    let quiet = subscriber("udp://239.255.42.6:5066").run_for(time);
    let mut quiet = quiet.join().unwrap();
    assert_eq!(quiet.recv(), Ok(None));
    assert_eq!(quiet.recv(), Ok(None));
    assert_eq!(quiet.close().unwrap().exit_code(), 0);
}

#[test]
fn what_cannot_be_joined_or_published_is_refused_at_once() {
    let nowhere = Subscriber::builder("udp://239.255.42.7:5067".parse().unwrap());
    let error = nowhere.interface("nope0".parse().unwrap()).join().unwrap_err();
    assert!(error.to_string().contains("no interface nope0"), "{error:#}");
    let nowhere = publisher("udp://239.255.42.7:5067").interface("nope0".parse().unwrap());
    let error = nowhere.start().unwrap_err();
    assert!(error.to_string().contains("no interface nope0"), "{error:#}");
}
