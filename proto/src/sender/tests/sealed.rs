use super::*;
use crate::seal::{Cause, Key, Keyring, Secrets};
use crate::wire::{Discard, FLAG_ECHO_ONLY};

fn keys() -> Keyring {
    Keyring::of_group(Key::new([1; 32]))
}

fn sealed_sender() -> Sender {
    let mut sender = Sender::new(SenderConfig { keys: Some(keys()), ..config() }, START).unwrap();
    sender.push(Bytes::from(vec![7; 2_000]), START).unwrap();
    sender
}

/// What it answers by unicast.
fn answers(sender: &mut Sender, now: Timestamp) -> Vec<Vec<u8>> {
    let (mut burst, mut answers) = (Vec::new(), Vec::new());
    for step in 0..100 {
        let now = now.after(millis(step));
        sender.handle_timeout(now);
        while let Some(transmit) = sender.poll_transmit(now, 44, &mut burst) {
            if transmit.destination != Destination::Group {
                answers.extend(burst.chunks(transmit.segment_len).map(<[u8]>::to_vec));
            }
        }
    }
    answers
}

fn sealed(mut packet: Packet, secrets: &Secrets) -> Vec<u8> {
    packet.header.key_epoch = 1;
    let mut datagram = Vec::new();
    wire::encode(&packet, &mut datagram);
    let cipher = secrets.feedback(1, packet.header.stream, packet.header.session, id(7));
    cipher.unwrap().seal(0, &mut datagram);
    datagram
}

#[test]
fn who_has_no_key_is_answered_nothing_whatever_it_sends() {
    let wrong = Secrets::new(&Keyring::of_group(Key::new([2; 32])));
    for body in wire::every_kind().into_iter().map(|packet| packet.body) {
        let kind = body.kind();
        let mut plain = Vec::new();
        wire::encode(&packet(body.clone()), &mut plain);
        for mut datagram in [plain, sealed(packet(body), &wrong)] {
            let mut sender = sealed_sender();
            assert!(answers(&mut sender, START).is_empty());
            sender.handle_datagram(&mut datagram, address(7), START.after(millis(200)));
            let mut knock = datagram.clone();
            knock[6..14].fill(0);
            sender.handle_knock(&mut knock, address(7), START.after(millis(200)));
            assert!(answers(&mut sender, START.after(millis(200))).is_empty(), "{}", kind.name());
            let reason = if kind.is_feedback() { Discard::Forged } else { Discard::Direction };
            assert_eq!(sender.stats().discarded.get(reason), 2, "{}", kind.name());
            assert_eq!(sender.stats().received.total().datagrams, 0);
        }
    }
}

#[test]
fn why_it_is_not_believed_is_told_once() {
    let (mut sender, mut told) = (sealed_sender(), Vec::new());
    let (right, wrong) =
        (Secrets::new(&keys()), Secrets::new(&Keyring::of_group(Key::new([2; 32]))));
    let mut plain = Vec::new();
    wire::encode(&packet(register(7)), &mut plain);
    let mut other_epoch = sealed(packet(register(7)), &right);
    other_epoch[3] = 2;
    let known = sealed(packet(register(7)), &right);
    for _ in 0..3 {
        for datagram in [&plain, &sealed(packet(register(7)), &wrong), &other_epoch, &known] {
            sender.handle_datagram(&mut datagram.clone(), address(7), START);
        }
    }
    while let Some(event) = sender.poll_event() {
        if let Event::NotBelieved { cause, from } = event {
            assert_eq!(from, address(7));
            told.push(cause);
        }
    }
    assert_eq!(told, [Cause::Unsealed, Cause::WrongKey, Cause::Epoch, Cause::Replayed]);
}

#[test]
fn a_nonce_comes_back_sealed_and_is_no_more_than_what_asked_for_it() {
    let (mut sender, secrets) = (sealed_sender(), Secrets::new(&keys()));
    for (number, name) in [(0, String::new()), (1, "n".repeat(64))] {
        let name = name.parse().unwrap();
        let register = Register { subscriber: id(7), name, nonce: 0xabcd };
        let mut request = packet(Body::Register(register));
        request.header.flags = FLAG_ECHO_ONLY;
        request.header.number = number;
        let mut datagram = sealed(request, &secrets);
        let len = datagram.len();
        let now = START.after(millis(200 * (1 + number)));
        sender.handle_datagram(&mut datagram, address(7), now);
        let mut answers = answers(&mut sender, now);
        assert_eq!(answers.len(), 1);
        assert!(answers[0].len() <= len, "{} for {len}", answers[0].len());
        let cipher = secrets.session(1, STREAM, SESSION).unwrap();
        let opened = cipher.open(&mut answers[0]).unwrap();
        let Body::Announce(announce) = wire::decode_said(opened).unwrap().body else {
            panic!("no announce")
        };
        assert_eq!(announce.nonce_echo, Some(0xabcd));
        assert!(sender.audience().is_empty(), "nothing is kept for who asks");
    }
}

#[test]
fn a_knock_is_taken_once() {
    let (mut sender, secrets) = (sealed_sender(), Secrets::new(&keys()));
    let mut knock = packet(register(7));
    (knock.header.session, knock.header.stream) = (SessionId(0), StreamId(0));
    let datagram = sealed(knock, &secrets);
    for _ in 0..3 {
        sender.handle_knock(&mut datagram.clone(), address(7), START);
    }
    let answers = answers(&mut sender, START);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].len() <= datagram.len());
    assert_eq!(sender.stats().discarded.get(Discard::Replayed), 2);
}

#[test]
fn full_datagrams_are_as_long_as_without_a_key() {
    for keys in [None, Some(keys())] {
        let is_sealed = keys.is_some();
        let mut sender = Sender::new(SenderConfig { keys, ..config() }, START).unwrap();
        assert_eq!(sender.payload_len(), if is_sealed { PAYLOAD - 16 } else { PAYLOAD });
        sender.push(Bytes::from(vec![7; 20 * PAYLOAD]), START).unwrap();
        let (mut burst, mut lens) = (Vec::new(), Vec::new());
        for step in 0..50 {
            while let Some(sent) = sender.poll_transmit(START.after(millis(step)), 44, &mut burst) {
                lens.extend((sent.kind == Kind::Data).then_some(sent.segment_len));
            }
        }
        assert!(lens.len() > 1 && lens.iter().all(|len| *len == 200), "{lens:?}");
    }
}
