use super::*;

fn group(text: &str) -> Group {
    match text.parse() {
        Ok(Endpoint::Multicast(group)) => group,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> EndpointError {
    match text.parse::<EndpointSpec>() {
        Err(error) => error,
        Ok(spec) => panic!("{text} was read as {spec:?}"),
    }
}

#[test]
fn every_spelling_of_the_table_is_read_and_written_again() {
    for text in [
        "udp://239.1.2.3:5000",
        "udp://[ff15::7%eth0]:5000",
        "udp://[ff15::7]:5000",
        "udp://[ff12::7%2]:5000",
        "udp://10.0.0.1@232.1.2.3:5000",
        "udp://[2001:db8::1]@[ff3e::7]:5000",
        "udp://255.255.255.255:5000",
        "unicast://publisher.example:5000",
        "unicast://10.0.0.1:65535",
        "unicast://[2001:db8::1]:1",
        "unicast://[fe80::1%eth0]:5000",
        "tcp://0.0.0.0:5000",
        "tcp://[::]:5000",
        "tcp://localhost:5000",
    ] {
        let endpoint: Endpoint = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(endpoint.to_string(), text);
    }
}

#[test]
fn other_spellings_mean_the_same() {
    for (text, same) in [
        ("239.1.2.3:5000", "udp://239.1.2.3:5000"),
        ("@239.1.2.3:5000", "udp://239.1.2.3:5000"),
        ("udp://@239.1.2.3:5000", "udp://239.1.2.3:5000"),
        (" UDP://239.1.2.3:5000/ ", "udp://239.1.2.3:5000"),
        ("udp://239.1.2.3:5000?sources=10.0.0.1", "udp://10.0.0.1@239.1.2.3:5000"),
        ("udp://10.0.0.1@232.1.2.3:1?sources=10.0.0.1", "udp://10.0.0.1@232.1.2.3:1"),
        ("udp://239.1.2.3:5000?ttl=4", "udp://239.1.2.3:5000?ttl=4"),
        ("239.1.2.3:5000?localaddr=10.0.0.2", "udp://239.1.2.3:5000?interface=10.0.0.2"),
        ("239.1.2.3:1?interface=a&ttl=0", "udp://239.1.2.3:1?ttl=0&interface=a"),
        ("udp://[FF15:0::7]:5000?interface=eth0", "udp://[ff15::7%eth0]:5000"),
        ("udp://[ff12::7%eth0]:5000?interface=eth0", "udp://[ff12::7%eth0]:5000"),
        ("[ff12::7%eth0]:5000", "udp://[ff12::7%eth0]:5000"),
        ("tcp://host:1?ttl=3", "tcp://host:1?ttl=3"),
    ] {
        let spec: EndpointSpec = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(spec.to_string(), same);
        assert_eq!(same.parse(), Ok(spec), "{same} does not read back");
    }
}

#[test]
fn an_endpoint_without_options_refuses_them_instead_of_losing_them() {
    let refused = "udp://239.1.2.3:5000?ttl=4".parse::<Endpoint>();
    assert_eq!(refused, Err(EndpointError::OptionHere { key: "ttl" }));
    assert!("udp://239.1.2.3:5000?sources=10.0.0.1".parse::<Endpoint>().is_ok());
}

/// What is written, and what the refusal says of it.
const REFUSED: [(&str, &str); 52] = [
    ("", "no address"),
    ("udp://", "no address"),
    ("rtp://239.1.2.3:5000", "`rtp://` is not known: write udp://"),
    ("udp://239.1.2.3", "no port: write 239.1.2.3:5000"),
    ("udp://[ff15::7]", "no port: write [ff15::7]:5000"),
    ("udp://239.1.2.3:0", "`0` is no port"),
    ("udp://239.1.2.3:65536", "`65536` is no port"),
    ("udp://239.1.2.3:+5", "`+5` is no port"),
    ("udp://239.1.2.3:", "`` is no port"),
    ("udp://[ff15::7]5000", "`5000` is no port"),
    ("udp://ff15::7:5000", "in brackets"),
    ("udp://example.org:5000", "`example.org` is no IP address"),
    ("udp://239.1.2:5000", "`239.1.2` is no IP address"),
    ("udp://10.0.0.255:5000", "10.0.0.255 is not a multicast group: write one"),
    ("10.0.0.1:5000", "unicast://10.0.0.1:5000 or tcp://10.0.0.1:5000"),
    ("udp://[2001:db8::1]:5000", "tcp://[2001:db8::1]:5000"),
    ("udp://224.0.0.251:5353", "no router forwards it"),
    ("udp://224.0.0.1:5000", "239.0.0.0/8"),
    ("udp://[ff05::1]:0", "is no port"),
    ("udp://[ff00::1]:5000", "reserved"),
    ("udp://[ff1f::1]:5000", "reserved"),
    ("udp://[ff01::1]:5000", "never leaves the host"),
    ("udp://[ff11::1]:5000", "never leaves the host"),
    ("udp://[ff02::1%eth0]:5000", "link's own protocols"),
    ("udp://[ff02::fb%eth0]:5000", "link's own protocols"),
    ("udp://[ff02::1:2%eth0]:5000", "link's own protocols"),
    ("udp://[ff02::1:ff00:1%eth0]:5000", "link's own protocols"),
    ("udp://[ff12::7]:5000", "write [ff12::7%eth0]"),
    ("udp://[ff15::7%]:5000", "`%` in `ff15::7%`"),
    ("udp://239.1.2.3%eth0:5000", "use --interface"),
    ("udp://10.0.0.1@[ff3e::7]:5000", "different families"),
    ("udp://239.9.9.9@232.1.2.3:5000", "cannot be a source"),
    ("udp://0.0.0.0@232.1.2.3:5000", "cannot be a source"),
    ("udp://255.255.255.255@232.1.2.3:5000", "cannot be a source"),
    ("udp://alice@232.1.2.3:5000", "`alice` is no IP address"),
    ("udp://10.0.0.1@255.255.255.255:5000", "leave out"),
    ("unicast://10.0.0.1@10.0.0.2:5000", "leave out"),
    ("unicast://239.1.2.3:5000", "239.1.2.3 is a multicast group: write udp://239.1.2.3:5000"),
    ("unicast://255.255.255.255:5000", "is no host"),
    ("unicast://:5000", "0.0.0.0 or [::]"),
    ("tcp://bad host:5000", "`bad host` is no host"),
    ("tcp://10.0.0.256:5000", "`10.0.0.256` is no host"),
    ("tcp://publisher", "no port: write publisher:5000"),
    ("udp://239.1.2.3:1?tttl=3", "`tttl` is not known: there are ttl, interface"),
    ("udp://239.1.2.3:1?pkt_size=1316", "`pkt_size` is not known"),
    ("udp://239.1.2.3:1?ttl=256", "`ttl=256`: write 0 to 255"),
    ("udp://239.1.2.3:1?ttl", "`ttl=`"),
    ("udp://239.1.2.3:1?interface=", "name, index or address"),
    ("udp://239.1.2.3:1?sources=10.0.0.1,10.0.0.2", "exactly one source"),
    ("udp://10.0.0.1@239.1.2.3:1?sources=10.0.0.2", "the source is given twice"),
    ("udp://239.1.2.3:1?interface=a&localaddr=10.0.0.1", "the interface is given twice"),
    ("udp://[ff12::7%a]:1?interface=b", "the interface is given twice"),
];

#[test]
fn what_is_wrong_is_said_with_what_to_write_instead() {
    for (text, says) in REFUSED {
        let message = refused(text).to_string();
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains('\n') && !message.contains("  "), "{text}: {message}");
    }
}

#[test]
fn the_broadcast_address_of_an_interface_must_be_known() {
    let text = "udp://10.0.0.255:5000";
    assert!(matches!(refused(text), EndpointError::NotMulticast { .. }));
    let known = [Ipv4Addr::new(10, 0, 0, 255)];
    let endpoint = Endpoint::parse_with_broadcast(text, &known).unwrap();
    assert_eq!(endpoint, Endpoint::Broadcast("10.0.0.255:5000".parse().unwrap()));
    assert_eq!(endpoint.to_string(), text);
    assert_eq!((endpoint.mode(), endpoint.port()), ("broadcast", 5000));
}

#[test]
fn a_source_specific_group_can_be_sent_to_but_not_joined_without_its_source() {
    for text in ["udp://232.1.2.3:5000", "udp://[ff3e::7]:5000", "udp://[ff35::8000:1]:5000"] {
        let message = group(text).check_joinable().unwrap_err().to_string();
        assert!(message.contains("udp://SOURCE@"), "{message}");
    }
    for text in [
        "udp://10.0.0.1@232.1.2.3:5000",
        "udp://239.1.2.3:5000",
        "udp://[ff3e:30:2001:db8::7]:5000",
        "udp://[ff15::7]:5000",
    ] {
        assert_eq!(group(text).check_joinable(), Ok(()), "{text}");
    }
}

#[test]
fn unwise_groups_are_warned_of() {
    for (text, says) in [
        ("udp://224.1.2.3:5000", vec!["outside 239.0.0.0/8"]),
        ("udp://10.0.0.1@232.0.0.1:1", vec!["reserved", "Ethernet address"]),
        ("udp://239.128.0.1:5000", vec!["Ethernet address"]),
        ("udp://239.1.2.3:5000", vec![]),
        ("udp://10.0.0.1@232.1.2.3:1", vec![]),
        ("udp://[ff05::7]:5000", vec!["transient flag"]),
        ("udp://[ff0e::7]:5000", vec!["transient flag", "global scope"]),
        ("udp://[ff1e::7]:5000", vec!["global scope"]),
        ("udp://[ff15::7]:5000", vec![]),
        ("udp://255.255.255.255:5000", vec![]),
        ("tcp://host:5000", vec![]),
    ] {
        let warnings = text.parse::<Endpoint>().unwrap().warnings();
        assert_eq!(warnings.len(), says.len(), "{text}: {warnings:?}");
        for (warning, says) in warnings.iter().zip(says) {
            assert!(warning.contains(says), "{text}: {warning}");
        }
    }
}

#[test]
fn an_ethernet_address_keeps_the_low_bits_of_the_group() {
    for (text, mac) in [
        ("udp://239.1.2.3:1", [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03]),
        ("udp://239.255.255.255:1", [0x01, 0x00, 0x5e, 0x7f, 0xff, 0xff]),
        ("udp://[ff15::1:2345:6789]:1", [0x33, 0x33, 0x23, 0x45, 0x67, 0x89]),
    ] {
        assert_eq!(group(text).ethernet_mac(), mac);
    }
}

#[test]
fn groups_that_a_switch_cannot_keep_apart_are_found() {
    let groups = [
        "udp://239.1.2.3:1",
        "udp://239.1.2.3:2",
        "udp://239.129.2.3:1",
        "udp://[ff15::1:2]:1",
        "udp://[ff18:7::1:2]:1",
        "udp://239.1.2.4:1",
    ]
    .map(group);
    assert_eq!(same_ethernet_mac(&groups), [(0, 2), (1, 2), (3, 4)]);
}

#[test]
fn the_addresses_of_encoders_and_players_are_read_and_written_again() {
    for (text, same) in [
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000"),
        ("udp://127.0.0.1", "udp://127.0.0.1:1234"),
        ("udp://239.9.9.9:1234", "udp://239.9.9.9:1234"),
        ("udp://@239.9.9.9:1234", "udp://239.9.9.9:1234"),
        ("udp://10.0.0.1@239.9.9.9", "udp://10.0.0.1@239.9.9.9:1234"),
        ("udp://@:1234", "udp://@:1234"),
        ("udp://@", "udp://@:1234"),
        ("udp://[::1]:5000", "udp://[::1]:5000"),
        ("udp://[ff12::7]:1?interface=eth0", "udp://[ff12::7]:1?interface=eth0"),
        ("udp://[ff12::7%eth0]:1", "udp://[ff12::7%eth0]:1"),
        ("udp://239.9.9.9:1?pkt_size=1316&ttl=2", "udp://239.9.9.9:1?ttl=2&pkt_size=1316"),
    ] {
        let address: UdpAddress = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), same);
        assert_eq!(same.parse(), Ok(address), "{same} does not read back");
    }
}

#[test]
fn an_address_without_an_address_can_be_listened_at_but_not_sent_to() {
    let any: UdpAddress = "udp://@:5000".parse().unwrap();
    assert_eq!((any.destination(), any.listen()), (None, "0.0.0.0:5000".parse().unwrap()));
    let player: UdpAddress = "udp://127.0.0.1:5000".parse().unwrap();
    assert_eq!(player.destination(), Some("127.0.0.1:5000".parse().unwrap()));
    assert_eq!(player.group(), None);
    let group: UdpAddress = "udp://239.9.9.9:5000".parse().unwrap();
    assert_eq!(group.group().map(|group| group.port), Some(5000));
}

#[test]
fn bad_addresses_of_encoders_and_players_are_refused() {
    for (text, says) in [
        ("tcp://127.0.0.1:5000", "`tcp://` is not known"),
        ("udp://127.0.0.1:0", "is no port"),
        ("udp://224.0.0.1:5000", "link's own protocols"),
        ("udp://[ff12::7]:5000", "write [ff12::7%eth0]"),
        ("udp://10.0.0.1@127.0.0.1:5000", "leave out"),
        ("udp://127.0.0.1:1?fifo_size=9", "`fifo_size` is not known: there are ttl"),
        ("udp://player:5000", "`player` is no IP address"),
    ] {
        let message = text.parse::<UdpAddress>().unwrap_err().to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
}

mod any_text {
    use proptest::prelude::*;

    use crate::endpoint::*;

    proptest! {
        #[test]
        fn never_panics_and_what_is_read_is_written_so_that_it_reads_the_same(
            text in "(udp://|tcp://|unicast://|)[a-f0-9:.@%\\[\\]]{0,24}:[0-9]{1,5}(\\?[a-z=&]{0,12})?"
        ) {
            if let Ok(spec) = text.parse::<EndpointSpec>() {
                prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
            if let Ok(address) = text.parse::<UdpAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }

        #[test]
        fn every_group_that_is_accepted_reads_back(first in any::<[u8; 4]>(), port in 1_u16..) {
            let address = Ipv4Addr::from([first[0] | 0xe0, first[1], first[2], first[3]]);
            let text = format!("udp://{address}:{port}");
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string(), text);
            }
        }
    }
}
