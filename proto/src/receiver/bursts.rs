//! How long the runs of lost datagrams are: what the sender interleaves by.

/// Runs of lost datagrams by length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bursts {
    /// Of 1, 2, 3–4, 5–8, 9 and more.
    counts: [u32; 5],
    /// Datagrams of the run that is not over.
    run: u64,
}

impl Bursts {
    /// The next datagram in the order of numbers came, or did not.
    pub(super) fn on_settled(&mut self, came: bool) {
        if came {
            self.end_run();
        } else {
            self.run += 1;
        }
    }

    /// So many datagrams in a row did not come.
    pub(super) fn on_lost(&mut self, count: u64) {
        self.run = self.run.saturating_add(count);
    }

    /// Those of the sessions before this one as well.
    pub(super) fn after(self, before: [u32; 5]) -> [u32; 5] {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(before) {
            *count = count.saturating_add(before);
        }
        counts
    }

    fn end_run(&mut self) {
        let class = match self.run {
            0 => return,
            1 => 0,
            2 => 1,
            3..=4 => 2,
            5..=8 => 3,
            _ => 4,
        };
        self.run = 0;
        if let Some(count) = self.counts.get_mut(class) {
            *count = count.saturating_add(1);
        }
    }
}
