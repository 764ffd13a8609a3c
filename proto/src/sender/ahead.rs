//! Parity ahead of loss: how much of it, and for which blocks.

use super::Sender;
use crate::Seq;
use crate::config::{Ahead, Delivery};

impl Sender {
    /// Makes parity for the blocks that are closed and sent, and were given none yet.
    pub(super) fn send_ahead(&mut self) {
        let lead = self.window.lead();
        self.ahead_from = self.ahead_from.max(self.window.trail());
        while let Some(slot) = self.window.get(self.ahead_from) {
            let (block, k) = (slot.block, slot.k);
            let end = block.plus(u64::from(k));
            if k == 0 || end > lead {
                return;
            }
            let parity = self.parity_ahead(k);
            if parity > 0 && block == self.ahead_from {
                self.parity.make(block, parity, &self.window);
            }
            self.ahead_from = end;
        }
    }

    /// Parity packets that a block of `k` is given before anyone asks.
    fn parity_ahead(&self, k: u8) -> u8 {
        match self.config.ahead {
            Ahead::Fixed(parity) => parity.min(u8::MAX - k),
            // Who can ask loses nothing but time, and on a reliable stream has it.
            Ahead::Auto { .. } if self.config.delivery == Delivery::Reliable => 0,
            Ahead::Auto { floor, ceiling } => {
                let most = ceiling.of(k);
                enough_for(k, self.loss_quantile(0.95), most).clamp(floor.min(most), most)
            }
        }
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
