//! Where a stream is received, and where it goes.

use std::path::PathBuf;

use proto::Endpoint;
use proto::admission::Admitted;
use proto::wire::Name;

use crate::config::{AdmissionConfig, Defaults, StreamWanted, SubscriptionConfig};
use crate::endpoint;
use crate::output::OutputSpec;

/// Stands for the stream's name in an output.
pub(crate) const PATTERN: &str = "{stream}";

/// Why a stream that was given is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misplaced {
    #[error(
        "the publisher gives a stream that was not asked for, and there is no output for it: name \
         one with {PATTERN} in it, such as -o '{PATTERN}.ts', or ask for it with --stream"
    )]
    Output,
    #[error("its name is no file's name, so that it cannot stand for {PATTERN} in -o")]
    FileName,
    #[error("the publisher names no endpoint that can be received here")]
    Endpoint,
}

/// Whether a path with the name of a stream in it stays one path, whatever the name.
pub(crate) fn check_pattern(path: &str) -> bool {
    path.contains(PATTERN) && !path.starts_with("udp://")
}

/// The subscription that a stream becomes.
pub(super) fn subscription(
    config: &AdmissionConfig,
    defaults: Defaults,
    admitted: &Admitted,
) -> Result<SubscriptionConfig, Misplaced> {
    let wanted = config.streams.iter().find(|wanted| wanted.name == admitted.stream);
    let output = match (wanted, &config.pattern) {
        (Some(wanted), _) => wanted.output.clone(),
        (None, Some(pattern)) => of_pattern(pattern, &admitted.stream)?,
        (None, None) => return Err(Misplaced::Output),
    };
    let named = wanted.and_then(|wanted| wanted.endpoint.clone());
    let offered = admitted.endpoints.iter().filter_map(|text| text.endpoint().ok());
    let offered: Vec<Endpoint> = offered.map(without_zone).collect();
    let (endpoint, fallback) = match named {
        Some(endpoint) => (endpoint, None),
        None => choose(&offered, defaults.mute).ok_or(Misplaced::Endpoint)?,
    };
    let interface = wanted.and_then(|wanted| wanted.interface.clone()).or(defaults.interface);
    let subscription = Defaults { interface, ..defaults }.subscription(endpoint, output);
    let is_group = endpoint::heard(&subscription.endpoint).is_some();
    Ok(SubscriptionConfig {
        fallback: wanted.and_then(|it| it.fallback.clone()).or(fallback).filter(|_| is_group),
        on_full: wanted.and_then(|wanted| wanted.on_full),
        ..subscription
    })
}

/// The output of a stream whose name the publisher chose: nowhere else than it was said.
pub(crate) fn of_pattern(pattern: &str, stream: &Name) -> Result<OutputSpec, Misplaced> {
    let name = stream.as_str();
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Misplaced::FileName);
    }
    Ok(OutputSpec::File(PathBuf::from(pattern.replace(PATTERN, name))))
}

/// A group first, as it costs the publisher nothing; then what has to be asked for.
fn choose(offered: &[Endpoint], is_mute: bool) -> Option<(Endpoint, Option<Endpoint>)> {
    let is_heard = |endpoint: &&Endpoint| endpoint::heard(endpoint).is_some();
    let asked = offered.iter().find(|endpoint| !is_heard(endpoint)).filter(|_| !is_mute);
    match offered.iter().find(is_heard) {
        Some(group) => Some((group.clone(), asked.cloned())),
        None => asked.map(|endpoint| (endpoint.clone(), None)),
    }
}

/// What the publisher calls its interfaces says nothing here.
fn without_zone(endpoint: Endpoint) -> Endpoint {
    match endpoint {
        Endpoint::Multicast(mut group) => {
            group.zone = None;
            Endpoint::Multicast(group)
        }
        Endpoint::Broadcast(_) | Endpoint::Unicast { .. } | Endpoint::Tcp { .. } => endpoint,
    }
}

impl AdmissionConfig {
    pub(super) fn wants(&self, stream: &Name) -> Option<&StreamWanted> {
        self.streams.iter().find(|wanted| wanted.name == *stream)
    }
}
