//! How many of a crowd lack how much of one block, and who of them asks next.

use proto::Timestamp;
use proto::backoff::BackOff;

/// Those of a crowd that lack something of a block.
#[derive(Clone, Debug)]
pub(super) struct Lacking {
    k: u8,
    /// At place n those that lack n + 1 packets.
    levels: Vec<Level>,
}

/// Those that lack the same number of packets.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    members: u64,
    /// Those of them that have not asked since `from`.
    waiting: u64,
    /// When their back-offs began.
    from: Timestamp,
    /// The share of back-offs that the next one of them to ask draws below.
    next: f64,
}

impl Level {
    /// All of them draw anew.
    fn wait(&mut self, from: Timestamp, rng: &mut fastrand::Rng) {
        (self.from, self.waiting, self.next) = (from, self.members, 0.0);
        self.draw(rng);
    }

    /// The smallest of the draws that are left: an order statistic of so many uniform ones.
    fn draw(&mut self, rng: &mut fastrand::Rng) {
        if self.waiting > 0 {
            let above = (1.0 - rng.f64()).powf(1.0 / self.waiting as f64);
            self.next = 1.0 - (1.0 - self.next) * above;
        }
    }

    fn due(&self, back_off: BackOff) -> Option<Timestamp> {
        (self.waiting > 0).then(|| self.from.after(back_off.wait(self.next)))
    }
}

impl Lacking {
    /// Of `size` members each loses each of `k` packets with the same chance.
    pub(super) fn draw(size: u64, k: u8, loss: f64, rng: &mut fastrand::Rng) -> Self {
        let mut levels = Vec::new();
        // One level after the other, each of those that are left.
        let mut left = size;
        let mut chance = (1.0 - loss).powi(i32::from(k));
        let mut above = 1.0;
        for lacked in 0..=k {
            let members = binomial(left, (chance / above).clamp(0.0, 1.0), rng);
            if lacked > 0 {
                levels.push(Level { members, ..Level::default() });
            }
            left -= members;
            above -= chance;
            if left == 0 {
                break;
            }
            chance *= f64::from(k - lacked) / (f64::from(lacked) + 1.0) * loss / (1.0 - loss);
        }
        Self { k, levels }
    }

    /// How many lack something.
    pub(super) fn members(&self) -> u64 {
        self.levels.iter().map(|level| level.members).sum()
    }

    /// Everybody draws a back-off that begins at `from`.
    pub(super) fn wait(&mut self, from: Timestamp, rng: &mut fastrand::Rng) {
        for level in &mut self.levels {
            level.wait(from, rng);
        }
    }

    /// So many were promised: who lacks no more holds back.
    pub(super) fn hold_back(&mut self, count: u8, until: Timestamp, rng: &mut fastrand::Rng) {
        for level in self.levels.iter_mut().take(usize::from(count)) {
            level.wait(until, rng);
        }
    }

    /// One packet came that helps everybody whom it reached.
    pub(super) fn on_parity(&mut self, reaches: f64, rng: &mut fastrand::Rng) {
        let mut helped = 0;
        for level in self.levels.iter_mut().rev() {
            let down = binomial(level.members, reaches, rng);
            level.members = level.members - down + helped;
            level.waiting = level.waiting.min(level.members);
            helped = down;
        }
    }

    /// One packet came again: it helps those who lack that one of the k.
    pub(super) fn on_repair(&mut self, reaches: f64, rng: &mut fastrand::Rng) {
        let k = f64::from(self.k);
        let mut helped = 0;
        for (place, level) in self.levels.iter_mut().enumerate().rev() {
            let lacks_it = (place + 1) as f64 / k;
            let down = binomial(level.members, reaches * lacks_it, rng);
            level.members = level.members - down + helped;
            level.waiting = level.waiting.min(level.members);
            helped = down;
        }
    }

    /// When the first of them asks.
    pub(super) fn due(&self, back_off: BackOff) -> Option<Timestamp> {
        self.levels.iter().filter_map(|level| level.due(back_off)).min()
    }

    /// Takes who asks first; gives how much it lacks, and of how many packets. It asks again
    /// after `again`, with all who lack as much, if it is not answered.
    pub(super) fn ask(
        &mut self,
        back_off: BackOff,
        again: Timestamp,
        rng: &mut fastrand::Rng,
    ) -> (u8, u8) {
        let k = self.k;
        let waiting = self.levels.iter_mut().enumerate().filter(|(_, level)| level.waiting > 0);
        let first = waiting.min_by_key(|(_, level)| level.due(back_off));
        let Some((place, level)) = first else { return (1, k) };
        level.waiting -= 1;
        level.draw(rng);
        if level.waiting == 0 {
            level.wait(again, rng);
        }
        (u8::try_from(place + 1).unwrap_or(u8::MAX), k)
    }
}

/// How many of `trials` succeed: exactly for few expected successes, by the normal distribution for
/// many.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to trials")]
pub(super) fn binomial(trials: u64, chance: f64, rng: &mut fastrand::Rng) -> u64 {
    if trials == 0 || chance <= 0.0 {
        return 0;
    }
    if chance > 0.5 {
        return trials - binomial(trials, 1.0 - chance, rng);
    }
    let mean = trials as f64 * chance;
    if mean > 50.0 {
        let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
        let drawn = mean + normal * (mean * (1.0 - chance)).sqrt();
        return (drawn.round().max(0.0) as u64).min(trials);
    }
    // Runs of failures between successes are geometric.
    let (mut successes, mut at) = (0, 0_u64);
    loop {
        let run = ((1.0 - rng.f64()).ln() / (1.0 - chance).ln()).floor() as u64;
        at = at.saturating_add(run).saturating_add(1);
        if at > trials {
            return successes;
        }
        successes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lack_so_much_as_the_binomial_says() {
        let mut rng = fastrand::Rng::with_seed(1);
        let lacking = Lacking::draw(1_000_000, 64, 0.01, &mut rng);
        let share = |n: usize| lacking.levels[n - 1].members as f64 / 1e6;
        assert!((share(1) - 0.3398).abs() < 0.003, "{}", share(1));
        assert!((share(4) - 0.0033).abs() < 0.0004, "{}", share(4));
        assert!((6..=9).contains(&lacking.levels.len()), "{}", lacking.levels.len());
    }

    #[test]
    fn parity_that_reaches_everybody_takes_one_packet_off_everybody() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut lacking = Lacking::draw(10_000, 64, 0.01, &mut rng);
        let (before, ones) = (lacking.members(), lacking.levels[0].members);
        lacking.on_parity(1.0, &mut rng);
        assert_eq!(lacking.members(), before - ones);
    }

    #[test]
    fn binomials_have_their_mean_few_or_many() {
        let mut rng = fastrand::Rng::with_seed(3);
        for (trials, chance) in [(1_000, 0.01), (1_000_000, 0.3), (200, 0.9)] {
            let sum: u64 = (0..2_000).map(|_| binomial(trials, chance, &mut rng)).sum();
            let mean = sum as f64 / 2_000.0;
            let expected = trials as f64 * chance;
            assert!((mean / expected - 1.0).abs() < 0.02, "{mean} for {expected}");
        }
    }
}
