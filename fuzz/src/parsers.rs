//! Any text to everything that reads what people write: nothing panics, and what was read is
//! written so that it is read again as the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use client::impair::ImpairSpec;
use proto::admission::{Frames, FromPublisher, FromSubscriber};
use proto::config::{Ahead, Interleave, SlowPolicy};
use proto::endpoint::{EndpointSpec, UdpAddress};
use proto::seal::Key;
use proto::sign::PublicKey;
use proto::units::{Ratio, SizeOrDuration};
use proto::wire::Name;
use proto::{Bitrate, ByteCount, Endpoint};
use server::admission::authorized::Authorized;
use server::config::file::ConfigFile;
use server::flags::StreamFlags;

/// Reads `text` as everything there is.
pub fn check(text: &[u8]) {
    check_admission(text);
    let text = String::from_utf8_lossy(text);
    reads_again::<Endpoint>(&text);
    reads_again::<EndpointSpec>(&text);
    reads_again::<Bitrate>(&text);
    reads_again::<ByteCount>(&text);
    reads_again::<SizeOrDuration>(&text);
    is_written_alike::<Ratio>(&text);
    is_written_alike::<ImpairSpec>(&text);
    is_read_or_told::<UdpAddress>(&text);
    is_read_or_told::<Ahead>(&text);
    is_read_or_told::<Interleave>(&text);
    is_read_or_told::<SlowPolicy>(&text);
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(*key.to_hex(), text.to_ascii_lowercase());
    }
    reads_again::<PublicKey>(&text);
    check_config(&text);
    if let Err((line, why)) = Authorized::parse(&text) {
        assert!(line > 0 && !why.is_empty());
    }
}

/// What is read is written so that it is read as the same.
fn reads_again<T: FromStr + Display + Debug + Eq>(text: &str)
where
    T::Err: Display,
{
    is_written_alike::<T>(text);
    if let Some(value) = is_read_or_told::<T>(text) {
        let again = value.to_string().parse::<T>();
        assert_eq!(again.ok().as_ref(), Some(&value), "{text:?} is written {value}");
    }
}

/// What is read is written so that it can be read, and is written the same again: of a fraction the
/// last bit may differ.
fn is_written_alike<T: FromStr + Display>(text: &str)
where
    T::Err: Display,
{
    if let Some(value) = is_read_or_told::<T>(text) {
        let written = value.to_string();
        let again = written.parse::<T>().map(|again| again.to_string());
        assert_eq!(again.ok().as_ref(), Some(&written), "{text:?} is written {written:?}");
    }
}

/// What cannot be read is refused with a reason.
fn is_read_or_told<T: FromStr>(text: &str) -> Option<T>
where
    T::Err: Display,
{
    let read = text.parse::<T>();
    read.map_err(|why| assert!(!why.to_string().is_empty())).ok()
}

/// What is said to who lets subscribers in: in frames, and each on its own.
fn check_admission(bytes: &[u8]) {
    check_message(bytes);
    let mut frames = Frames::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = frames.room();
        let len = room.len().min(rest.len());
        assert!(len > 0, "what was taken leaves room");
        room[..len].copy_from_slice(&rest[..len]);
        frames.advance(len);
        rest = &rest[len..];
        loop {
            match frames.take() {
                Ok(Some(message)) => check_message(message),
                Ok(None) => break,
                // Nothing that follows can be read.
                Err(_) => return,
            }
        }
    }
}

fn check_message(message: &[u8]) {
    if let Ok(said) = FromSubscriber::decode(message) {
        assert_eq!(FromSubscriber::decode(&said.to_frame()[2..]), Ok(said));
    }
    if let Ok(said) = FromPublisher::decode(message) {
        assert_eq!(FromPublisher::decode(&said.to_frame()[2..]), Ok(said));
    }
}

fn check_config(text: &str) {
    match ConfigFile::parse(text) {
        Ok(file) => {
            let program = file.program();
            let streams = file.streams(&StreamFlags::default());
            assert!(!streams.is_empty(), "{program:?}");
        }
        Err((line, column, why)) => assert!(line > 0 && column > 0 && !why.is_empty()),
    }
}
