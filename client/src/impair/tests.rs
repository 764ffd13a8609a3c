use super::*;

fn run(spec: &str, datagrams: u64) -> (Vec<u64>, Impaired) {
    let mut impairment = Impairment::new(spec.parse().unwrap());
    let mut passed = Vec::new();
    for datagram in 0..datagrams {
        impairment.take(datagram, |datagram| passed.push(datagram));
    }
    impairment.flush(|datagram| passed.push(datagram));
    (passed, impairment.impaired())
}

/// Lengths of the runs that are missing of `0..datagrams`.
fn bursts(passed: &[u64]) -> Vec<u64> {
    passed.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|lost| *lost > 0).collect()
}

#[test]
fn nothing_asked_is_nothing_done() {
    let (passed, impaired) = run("seed=7", 1_000);
    assert_eq!(passed, (0..1_000).collect::<Vec<_>>());
    assert_eq!(impaired, Impaired::default());
}

#[test]
fn independent_loss_has_its_share_and_runs_of_one() {
    let (passed, impaired) = run("loss=1%,seed=7", 200_000);
    assert_eq!(passed.len() as u64 + impaired.dropped, 200_000);
    // Three standard deviations of a binomial of 200,000 at 1 %.
    assert!((1_867..=2_133).contains(&impaired.dropped), "{}", impaired.dropped);
    let bursts = bursts(&passed);
    let mean = impaired.dropped as f64 / bursts.len() as f64;
    assert!((1.0..1.05).contains(&mean), "{mean}");
}

#[test]
fn bursts_have_their_mean_length_and_the_same_share() {
    let (passed, impaired) = run("loss=5%,burst=8,seed=7", 400_000);
    let share = impaired.dropped as f64 / 400_000.0;
    assert!((0.045..0.055).contains(&share), "{share}");
    let bursts = bursts(&passed);
    let mean = impaired.dropped as f64 / bursts.len() as f64;
    assert!((7.2..8.8).contains(&mean), "{mean}");
}

#[test]
fn all_can_be_lost() {
    assert_eq!(run("loss=100%", 1_000).1.dropped, 1_000);
}

#[test]
fn none_is_put_back_by_more_than_asked_and_none_is_lost() {
    let (passed, impaired) = run("reorder=3,seed=7", 10_000);
    assert!(impaired.reordered > 5_000);
    assert_ne!(passed, (0..10_000).collect::<Vec<_>>());
    for (place, datagram) in passed.iter().enumerate() {
        assert!((place as u64).abs_diff(*datagram) <= 3, "{datagram} at {place}");
    }
    let mut sorted = passed;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..10_000).collect::<Vec<_>>());
}

#[test]
fn duplicates_have_their_share() {
    let (passed, impaired) = run("duplicate=10%,seed=7", 20_000);
    assert_eq!(passed.len() as u64, 20_000 + impaired.duplicated);
    assert!((1_870..=2_130).contains(&impaired.duplicated), "{}", impaired.duplicated);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_does_not() {
    let spec = "loss=1%,burst=4,reorder=3,duplicate=1%";
    assert_eq!(run(&format!("{spec},seed=3"), 5_000), run(&format!("{spec},seed=3"), 5_000));
    assert_ne!(run(&format!("{spec},seed=3"), 5_000), run(&format!("{spec},seed=4"), 5_000));
}

#[test]
fn a_spec_is_read_and_written() {
    let text = "loss=1%,burst=8,reorder=3,duplicate=0.1%,seed=7";
    assert_eq!(text.parse::<ImpairSpec>().unwrap().to_string(), text);
}

#[test]
fn what_is_no_spec_says_why() {
    for (text, says) in [
        ("loss", "is not key=value"),
        ("lose=1%", "there are loss, burst"),
        ("loss=101%", "out of range"),
        ("loss=x", "does not start with a number"),
        ("burst=-1", "write a number up to 10000"),
        ("reorder=10001", "write a number up to 10000"),
        ("seed=x", "write a whole number"),
        ("loss=95%,burst=8", "make them longer"),
    ] {
        let error = text.parse::<ImpairSpec>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}
