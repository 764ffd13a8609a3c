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

#[cfg(test)]
mod tests {
    use proto::StreamId;
    use proto::admission::EndpointText;
    use proto::seal::Key;
    use proto::wire::List;

    use super::*;
    use crate::admission::Admission;

    fn config(streams: &[(&str, &str)], pattern: Option<&str>) -> AdmissionConfig {
        let wanted = |(name, output): &(&str, &str)| StreamWanted {
            name: name.parse().unwrap(),
            output: output.parse().unwrap(),
            endpoint: None,
            fallback: None,
            interface: None,
            on_full: None,
        };
        AdmissionConfig {
            admission: Admission::at("127.0.0.1:1", &"ab".repeat(32)).unwrap(),
            streams: streams.iter().map(wanted).collect(),
            pattern: pattern.map(str::to_owned),
        }
    }

    fn admitted(stream: &str, endpoints: &[&str]) -> Admitted {
        let endpoint = |text: &&str| text.parse::<Endpoint>().unwrap();
        let endpoints = endpoints.iter().map(endpoint);
        Admitted {
            stream: stream.parse().unwrap(),
            stream_id: StreamId::of_name(stream),
            endpoints: List::truncated(endpoints.map(|it| EndpointText::try_from(&it).unwrap())),
            epoch: 1,
            key: Key::new([1; 32]),
            verify: None,
        }
    }

    /// Where it is received, where it is asked for else, and where it goes.
    fn placed(
        config: &AdmissionConfig,
        admitted: &Admitted,
    ) -> Result<(String, Option<String>, String), Misplaced> {
        let placed = subscription(config, Defaults::default(), admitted)?;
        let fallback = placed.fallback.map(|endpoint| endpoint.to_string());
        Ok((placed.endpoint.to_string(), fallback, placed.output.to_string()))
    }

    const GROUP: &str = "udp://239.1.2.3:5000";
    const ASKED: &str = "unicast://10.0.0.1:5000";

    #[test]
    fn a_group_is_heard_first_and_the_publisher_asked_where_it_is_not() {
        let config = config(&[("tv", "out")], None);
        let of = |endpoints: &[&str]| placed(&config, &admitted("tv", endpoints));
        let group = (GROUP.to_owned(), Some(ASKED.to_owned()), "out".to_owned());
        assert_eq!(of(&[ASKED, GROUP]), Ok(group));
        assert_eq!(of(&[ASKED]), Ok((ASKED.to_owned(), None, "out".to_owned())));
        assert_eq!(of(&[]), Err(Misplaced::Endpoint));
        let (endpoint, ..) = of(&["udp://[ff15::7%eth7]:5000"]).unwrap();
        assert_eq!(endpoint, "udp://[ff15::7]:5000", "their eth7 is none of ours");
        let mute = Defaults { mute: true, ..Defaults::default() };
        let mute = subscription(&config, mute, &admitted("tv", &[ASKED, GROUP])).unwrap();
        assert_eq!((mute.endpoint.to_string().as_str(), mute.fallback), (GROUP, None));
    }

    #[test]
    fn what_was_said_on_the_command_line_is_followed() {
        let mut config = config(&[("tv", "out")], None);
        config.streams[0].endpoint = Some("udp://239.9.9.9:9000".parse().unwrap());
        let (endpoint, fallback, _) = placed(&config, &admitted("tv", &[ASKED, GROUP])).unwrap();
        assert_eq!((endpoint.as_str(), fallback), ("udp://239.9.9.9:9000", None));
    }

    #[test]
    fn a_stream_that_was_not_asked_for_needs_a_pattern_and_stays_where_that_says() {
        let without = config(&[("tv", "out")], None);
        assert_eq!(placed(&without, &admitted("news", &[GROUP])), Err(Misplaced::Output));
        let with = config(&[("tv", "out")], Some("/srv/{stream}.ts"));
        let (.., output) = placed(&with, &admitted("news", &[GROUP])).unwrap();
        assert_eq!(output, "/srv/news.ts");
        assert_eq!(placed(&with, &admitted("tv", &[GROUP])).unwrap().2, "out");
        for name in ["../etc/cron", "a/b", "..", ".profile", "/etc/passwd", ""] {
            let misplaced = placed(&with, &admitted(name, &[GROUP]));
            assert_eq!(misplaced, Err(Misplaced::FileName), "{name}");
        }
    }
}
