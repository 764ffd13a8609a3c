//! What it takes to get from one config to another.

use std::collections::BTreeSet;

use host::key_file::Change;
use proto::seal::Keyring;
use proto::wire::Name;

use crate::admission::AdmissionConfig;
use crate::config::route::Route;
use crate::config::{Config, StreamConfig};

/// What is to be done, and what cannot be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) added: Vec<StreamConfig>,
    pub(super) removed: Vec<StreamConfig>,
    /// As they are to go on.
    pub(super) retuned: Vec<StreamConfig>,
    /// Keys of the next epochs, the newest last.
    pub(super) rekeyed: Vec<Rekeyed>,
    /// What stays as it was, a sentence each.
    pub(super) refused: Vec<String>,
    /// Of the new config.
    pub(super) warnings: Vec<String>,
}

/// A stream that has other keys from now on.
#[derive(Debug)]
pub(super) struct Rekeyed {
    pub(super) stream: Name,
    /// All of them.
    pub(super) keys: Keyring,
    /// What is new.
    pub(super) change: Change,
}

impl Plan {
    /// From `current` to `next`. Streams are known by their names.
    pub(super) fn of(current: &Config, next: Config) -> Self {
        let mut plan = Self { warnings: next.warnings, ..Self::default() };
        if current.metrics != next.metrics {
            plan.refused.push("metrics: its address is taken at the start only".to_owned());
        }
        if current.spin != next.spin {
            plan.refused.push("spin: whether it sleeps is settled at the start".to_owned());
        }
        if current.talk != next.talk {
            plan.refused.push("json, quiet: how it talks is settled at the start".to_owned());
        }
        if !is_same_door(current.admission.as_ref(), next.admission.as_ref()) {
            plan.refused.push(
                "admission, identity: where and as whom it lets in is settled at the start"
                    .to_owned(),
            );
        }
        let listened: BTreeSet<_> = current.tcp_addresses().into_iter().collect();
        let kept: BTreeSet<_> = next.streams.iter().map(|stream| stream.name.clone()).collect();
        let is_gone = |stream: &&StreamConfig| !kept.contains(&stream.name);
        plan.removed = current.streams.iter().filter(is_gone).cloned().collect();
        for stream in next.streams {
            let before = current.streams.iter().find(|other| other.name == stream.name);
            let unheard = stream.tcp_addresses().find(|address| !listened.contains(address));
            match (before, unheard) {
                (Some(before), _) => plan.compare(before, stream),
                (None, Some(address)) => plan.refused.push(format!(
                    "stream {}: nothing listens at tcp://{address}, and that begins at the start only",
                    stream.name
                )),
                (None, None) => plan.added.push(stream),
            }
        }
        plan
    }

    /// The same stream, as it was and as it is to be.
    fn compare(&mut self, before: &StreamConfig, after: StreamConfig) {
        let fixed = fixed(before, &after);
        if !fixed.is_empty() {
            self.refused.push(format!(
                "stream {}: {} cannot change while it runs: restart the publisher, or give it \
                 another name",
                after.name,
                fixed.join(", ")
            ));
        }
        if let (Some(known), Some(keys)) = (&before.keys, &after.keys)
            && known != keys
        {
            match Change::between(known, keys) {
                Ok(change) => {
                    let (stream, keys) = (after.name.clone(), keys.clone());
                    self.rekeyed.push(Rekeyed { stream, keys, change });
                }
                Err(error) => self.refused.push(format!("stream {}: {error}", after.name)),
            }
        }
        if before.tuning() != after.tuning() {
            self.retuned.push(before.clone().tuned(&after));
        }
    }
}

/// What differs and cannot be changed: a socket would have to be another, or subscribers would
/// read what comes in another way.
fn fixed(before: &StreamConfig, after: &StreamConfig) -> Vec<&'static str> {
    let differs = [
        ("input", !before.input.is_same(&after.input)),
        ("to", !is_same_way(&before.routes, &after.routes)),
        ("key", before.keys.is_some() != after.keys.is_some()),
        ("sign", before.sign != after.sign),
        ("messages", before.mode != after.mode),
        ("deadline", before.delivery != after.delivery),
        ("mtu", before.datagram_len != after.datagram_len),
        ("block", before.k != after.k),
        ("parity", before.ahead != after.ahead),
        ("interleave", before.interleave != after.interleave),
        ("repair or slow", before.flow != after.flow),
        ("burst", before.burst != after.burst),
        ("wait-for", before.wait_for != after.wait_for),
        ("digest", before.digest != after.digest),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Who is let in may be others; where, and as whom, not.
fn is_same_door(before: Option<&AdmissionConfig>, after: Option<&AdmissionConfig>) -> bool {
    let door = |config: &AdmissionConfig| (config.address, config.identity.public());
    before.map(door) == after.map(door)
}

fn is_same_way(before: &[Route], after: &[Route]) -> bool {
    let way = |route: &Route| (route.destination, route.outlet.clone());
    before.iter().map(way).eq(after.iter().map(way))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::StreamFlags;
    use crate::report::Talk;

    fn config(streams: &[(&str, &str)]) -> Config {
        let stream = |(name, more): &(&str, &str)| {
            let group = "input = '-'\nto = 'udp://239.255.45.1:5045'\ninterface = 'lo'";
            let above: StreamFlags = toml::from_str(&format!("name = '{name}'\n{more}")).unwrap();
            above.or(toml::from_str(group).unwrap())
        };
        Config::new(streams.iter().map(stream).collect(), None, Talk::Silent).unwrap()
    }

    fn names(streams: &[StreamConfig]) -> Vec<&str> {
        streams.iter().map(|stream| stream.name.as_str()).collect()
    }

    #[test]
    fn streams_come_go_and_change_by_name() {
        let before = config(&[("a", ""), ("b", "rate = '1M'"), ("c", "")]);
        let after = config(&[("b", "rate = '2M'\nretain = '1MiB'"), ("c", ""), ("d", "")]);
        let plan = Plan::of(&before, after);
        assert_eq!(names(&plan.added), ["d"]);
        assert_eq!(names(&plan.removed), ["a"]);
        assert_eq!(names(&plan.retuned), ["b"]);
        assert_eq!(plan.retuned[0].rate, Some(proto::Bitrate(2_000_000)));
        assert!(plan.refused.is_empty(), "{:?}", plan.refused);
    }

    /// The keys of a stream, as a file holds them: epochs with the byte that each key is made of.
    fn keyed(folder: &tempfile::TempDir, name: &str, epochs: &[(u8, u8)]) -> String {
        let path = folder.path().join(name);
        let line = |(epoch, byte): &(u8, u8)| {
            let key = proto::seal::Key::new([*byte; 32]);
            format!("{epoch} {}\n", *key.to_hex())
        };
        std::fs::write(&path, epochs.iter().map(line).collect::<String>()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        format!("key = '{}'", path.display())
    }

    #[test]
    fn a_key_changes_by_the_next_epoch_and_by_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let one = keyed(&folder, "one", &[(1, 1)]);
        let other = keyed(&folder, "other", &[(1, 2)]);
        let both = keyed(&folder, "both", &[(1, 1), (2, 2)]);
        let only_next = keyed(&folder, "next", &[(2, 2)]);
        let plan = |before: &str, after: &str| {
            Plan::of(&config(&[("a", before)]), config(&[("a", after)]))
        };
        for (before, after) in [(one.as_str(), ""), ("", &other)] {
            let refused = plan(before, after).refused;
            assert!(refused[0].starts_with("stream a: key cannot change"), "{refused:?}");
        }
        let refused = plan(&one, &other).refused;
        assert!(refused[0].contains("write the next key below it, as `2 KEY`"), "{refused:?}");
        for after in [&both, &only_next] {
            let plan = plan(&one, after);
            let [rekeyed] = plan.rekeyed.as_slice() else { panic!("{plan:?}") };
            let epochs: Vec<_> = rekeyed.change.added.iter().map(|(epoch, _)| *epoch).collect();
            assert_eq!((epochs, plan.refused.len()), (vec![2], 0), "{after}");
        }
        let same = plan(&one, &one);
        assert!(same.refused.is_empty() && same.rekeyed.is_empty());
    }

    #[test]
    fn what_needs_another_socket_is_refused_by_name_and_the_rest_is_done() {
        let before = config(&[("a", "rate = '1M'")]);
        let after = config(&[("a", "rate = '2M'\nttl = 9\nblock = 32")]);
        let plan = Plan::of(&before, after);
        let [refused] = plan.refused.as_slice() else { panic!("{:?}", plan.refused) };
        assert!(
            refused.starts_with("stream a: to, block cannot change while it runs"),
            "{refused}"
        );
        let [kept] = plan.retuned.as_slice() else { panic!("the rate follows all the same") };
        assert_eq!((kept.k, kept.routes[0].outlet.ttl), (64, 1), "the rest stays as it was");
        assert_eq!(kept.rate, Some(proto::Bitrate(2_000_000)));
    }

    #[test]
    fn what_listens_at_the_start_only_is_said_so() {
        let before = config(&[("a", "")]);
        let mut after = config(&[("a", ""), ("b", "to = 'tcp://127.0.0.1:20993'")]);
        after.metrics = Some(":9464".parse().unwrap());
        let plan = Plan::of(&before, after);
        assert_eq!(plan.refused.len(), 2, "{:?}", plan.refused);
        assert!(plan.refused[1].contains("tcp://127.0.0.1:20993"), "{:?}", plan.refused);
        assert!(plan.added.is_empty());
    }

    #[test]
    fn nothing_is_done_where_nothing_changed() {
        let plan = Plan::of(&config(&[("a", "")]), config(&[("a", "")]));
        assert!(plan.added.is_empty() && plan.removed.is_empty() && plan.retuned.is_empty());
        assert!(plan.refused.is_empty());
    }
}
