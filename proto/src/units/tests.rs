use proptest::prelude::*;

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn rates_are_decimal_bits_per_second() {
    for (text, bits) in [
        ("20M", 20_000_000),
        ("20Mbit", 20_000_000),
        ("8mbit", 8_000_000),
        ("8Mbit/s", 8_000_000),
        ("8 Mbps", 8_000_000),
        ("1.5G", 1_500_000_000),
        ("800k", 800_000),
        ("0.1k", 100),
        ("1T", 1_000_000_000_000),
        ("9600", 9_600),
        ("9600bit", 9_600),
    ] {
        assert_eq!(text.parse(), Ok(Bitrate(bits)), "{text}");
    }
    for (bits, text) in
        [(20_000_000, "20M"), (1_500_000, "1.5M"), (1_234_567, "1234.567k"), (999, "999")]
    {
        assert_eq!(Bitrate(bits).to_string(), text);
    }
}

#[test]
fn bad_rates_are_refused_with_examples() {
    for (text, says) in [
        ("", "does not start with a number"),
        ("fast", "does not start with a number"),
        ("-1M", "does not start with a number"),
        (".5M", "does not start with a number"),
        ("1.2.3M", "does not start with a number"),
        ("20MB", "`MB` in `20MB` is no unit"),
        ("20Mib", "`Mib` in `20Mib` is no unit"),
        ("20 x", "`x` in `20 x` is no unit"),
        ("0", "out of range"),
        ("0.0001", "out of range"),
        ("99999999999999T", "out of range"),
        ("1.0000000001G", "out of range"),
    ] {
        let message = text.parse::<Bitrate>().unwrap_err().to_string();
        assert!(message.contains(says) && message.contains("20M, 1.5G"), "{text}: {message}");
    }
}

#[test]
fn a_rate_converts_bytes_and_time() {
    let rate = Bitrate(20_000_000);
    assert_eq!(rate.duration_of(2_500_000), Duration::from_secs(1));
    assert_eq!(rate.bytes_in(ms(1)), 2_500);
    assert_eq!(Bitrate(0).duration_of(1), Duration::MAX);
    assert_eq!(Bitrate(1).duration_of(u64::MAX), Duration::MAX);
    assert_eq!(Bitrate(0).bytes_in(Duration::MAX), 0);
    assert_eq!(Bitrate(u64::MAX).bytes_in(Duration::MAX), u64::MAX);
}

#[test]
fn sizes_are_binary_with_an_i_and_decimal_without() {
    for (text, bytes, shown) in [
        ("64MiB", 64 << 20, "64MiB"),
        ("64mib", 64 << 20, "64MiB"),
        ("64MB", 64_000_000, "64MB"),
        ("64M", 64_000_000, "64MB"),
        ("1.5GiB", 3 << 29, "1536MiB"),
        ("2k", 2_000, "2kB"),
        ("2KiB", 2_048, "2KiB"),
        ("1500", 1_500, "1500B"),
        ("1500B", 1_500, "1500B"),
        ("1TiB", 1 << 40, "1TiB"),
        ("0", 0, "0B"),
    ] {
        assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        assert_eq!(ByteCount(bytes).to_string(), shown);
    }
    for text in ["", "64Mi", "64Mbit", "x", "iB", "1i", "99999999999TiB"] {
        let refused = text.parse::<ByteCount>();
        assert!(refused.is_err() || text == "64Mi", "{text}: {refused:?}");
    }
}

#[test]
fn durations_name_their_unit() {
    for (text, duration) in [
        ("200ms", ms(200)),
        ("10s", ms(10_000)),
        ("50us", Duration::from_micros(50)),
        ("50µs", Duration::from_micros(50)),
        ("2m", ms(120_000)),
        ("2min", ms(120_000)),
        ("1h", ms(3_600_000)),
        ("1.5s", ms(1_500)),
        ("7ns", Duration::from_nanos(7)),
        ("0", Duration::ZERO),
    ] {
        assert_eq!(parse_duration(text), Ok(duration), "{text}");
    }
    for text in ["", "10", "10 parsecs", "-1s", "1S", "99999999999999h"] {
        let message = parse_duration(text).unwrap_err().to_string();
        assert!(message.contains("200ms, 10s"), "{text}: {message}");
    }
}

#[test]
fn a_size_and_a_duration_are_told_apart() {
    use SizeOrDuration::{Duration as Age, Size};
    for (text, amount) in [
        ("64MiB", Size(ByteCount(64 << 20))),
        ("64M", Size(ByteCount(64_000_000))),
        ("1000", Size(ByteCount(1_000))),
        ("0", Size(ByteCount(0))),
        ("10s", Age(ms(10_000))),
        ("2m", Age(ms(120_000))),
        ("500ms", Age(ms(500))),
    ] {
        assert_eq!(text.parse(), Ok(amount), "{text}");
    }
    for text in ["", "10x", "99999999999999h", "99999999999999TiB"] {
        let message = text.parse::<SizeOrDuration>().unwrap_err().to_string();
        assert!(message.contains("64MiB, 64M or 10s"), "{text}: {message}");
    }
}

#[test]
fn ratios_lie_between_nothing_and_all() {
    for (text, value, shown) in [
        ("1%", 0.01, "1%"),
        ("0.01", 0.01, "1%"),
        ("7%", 0.07, "7%"),
        ("0.5 %", 0.005, "0.5%"),
        ("100%", 1.0, "100%"),
        ("1", 1.0, "100%"),
        ("0", 0.0, "0%"),
    ] {
        let ratio: Ratio = text.parse().unwrap();
        assert!((ratio.value() - value).abs() < 1e-12, "{text}: {ratio:?}");
        assert_eq!(ratio.to_string(), shown);
    }
    for text in ["", "101%", "1.1", "-1%", "1%%", "x", "1 permille", "NaN", "inf"] {
        assert!(text.parse::<Ratio>().is_err(), "{text}");
    }
    assert_eq!((Ratio::new(1.5), Ratio::new(f64::NAN)), (None, None));
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(value in 1..=u64::MAX, zeros in 0_u32..15) {
        let value = value / 10_u64.pow(zeros).max(1) * 10_u64.pow(zeros);
        prop_assume!(value > 0);
        prop_assert_eq!(Bitrate(value).to_string().parse(), Ok(Bitrate(value)));
        prop_assert_eq!(ByteCount(value).to_string().parse(), Ok(ByteCount(value)));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,24}|[0-9.]{0,30}[a-zA-Z%µ/]{0,5}") {
        let outcomes = [
            text.parse::<Bitrate>().is_ok(),
            text.parse::<ByteCount>().is_ok(),
            parse_duration(&text).is_ok(),
            text.parse::<SizeOrDuration>().is_ok(),
            text.parse::<Ratio>().is_ok(),
        ];
        prop_assert!(!text.is_empty() || outcomes == [false; 5]);
    }
}
