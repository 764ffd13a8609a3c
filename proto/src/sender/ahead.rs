//! Parity ahead of loss: how much of it, and for which blocks.

use std::time::Duration;

use super::Sender;
use crate::config::{Ahead, Delivery};
use crate::{Seq, SeqRange, Timestamp};

impl Sender {
    /// Makes parity for the blocks that are closed and sent, and were given none yet: for all
    /// that are interleaved together once the last of them was sent.
    pub(super) fn send_ahead(&mut self, now: Timestamp) {
        let lead = self.window.lead();
        self.ahead_from = self.ahead_from.max(self.window.trail());
        while let Some(superblock) = self.window.superblock(self.ahead_from) {
            if superblock.end > lead || superblock.is_empty() {
                return;
            }
            if superblock.first == self.ahead_from {
                self.send_ahead_of(superblock, now);
            }
            self.ahead_from = superblock.end;
        }
    }

    fn send_ahead_of(&mut self, superblock: SeqRange, now: Timestamp) {
        for block in superblock.iter() {
            let Some(slot) = self.window.get(block).filter(|slot| slot.index == 0) else { break };
            let parity = self.parity_ahead(slot.k, now);
            if parity > 0 {
                self.parity.make_ahead(block, parity, &self.window);
            }
        }
        self.parity.spread();
    }

    /// Parity packets that a block of `k` is given before anyone asks.
    fn parity_ahead(&mut self, k: u8, now: Timestamp) -> u8 {
        match self.config.ahead {
            Ahead::Fixed(parity) => parity.min(u8::MAX - k),
            // Who can ask loses nothing but time, and on a reliable stream has it.
            Ahead::Auto { .. } if self.config.delivery == Delivery::Reliable => 0,
            Ahead::Auto { floor, ceiling } => {
                let most = ceiling.of(k);
                // Who listens and says nothing may lose anything.
                if self.audience.together().present == 0 {
                    return most;
                }
                enough_for(k, self.known_loss(now), most).clamp(floor.min(most), most)
            }
        }
    }

    /// The loss that parity is meant for. To find it takes a look at every subscriber, which
    /// once for many blocks is often enough.
    fn known_loss(&mut self, now: Timestamp) -> f64 {
        let (at, loss) = self.ahead_loss;
        if now.since(at) < LOSS_LASTS {
            return loss;
        }
        let loss = self.loss_quantile(0.95);
        self.ahead_loss = (now, loss);
        loss
    }
}

/// The least parity with which a block of `k` is whole at a subscriber that loses this share, but
/// for one block in ten thousand; at most `most`.
#[must_use]
pub(super) fn enough_for(k: u8, loss: f64, most: u8) -> u8 {
    (0..most).find(|&parity| fails(k, parity, loss) <= TARGET).unwrap_or(most)
}

/// The chance that more than `parity` of `k + parity` packets are lost, each on its own.
fn fails(k: u8, parity: u8, loss: f64) -> f64 {
    let loss = loss.clamp(0.0, 0.999);
    let sent = f64::from(k) + f64::from(parity);
    let mut term = (1.0 - loss).powf(sent);
    let mut whole = term;
    for lost in 1..=u32::from(parity) {
        let lost = f64::from(lost);
        term *= (sent - lost + 1.0) / lost * loss / (1.0 - loss);
        whole += term;
    }
    1.0 - whole
}

/// One block in ten thousand may be left to repair.
const TARGET: f64 = 1e-4;

/// Reports come hardly more often than this.
const LOSS_LASTS: Duration = Duration::from_millis(50);

/// Where the sender's parity begins when nothing was sent.
pub(super) const START: Seq = Seq::ZERO;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_follows_loss() {
        assert_eq!(enough_for(64, 0.0, 16), 0);
        assert_eq!(enough_for(64, 0.001, 16), 2);
        assert_eq!(enough_for(64, 0.01, 16), 5);
        assert_eq!(enough_for(64, 0.3, 16), 16, "no more than allowed");
    }

    #[test]
    fn the_chance_is_that_of_the_binomial() {
        let by_hand = 1.0 - 0.9_f64.powi(3) - 3.0 * 0.1 * 0.9_f64.powi(2);
        assert!((fails(2, 1, 0.1) - by_hand).abs() < 1e-12);
    }
}
