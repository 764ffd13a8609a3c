//! One live line on a terminal, none in a pipe.

use std::io::{self, IsTerminal};

use host::logging;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::snapshot::Snapshot;

/// How many listen to the largest audience, as its publisher estimates it.
fn listeners(streams: &[Snapshot]) -> String {
    match streams.iter().filter_map(|stream| stream.audience).max() {
        None => "no session yet".to_owned(),
        Some(1) => "1 subscriber".to_owned(),
        Some(few @ ..=16) => format!("{few} subscribers"),
        Some(many) => format!("about {many} subscribers"),
    }
}

/// The line, if there is a terminal to draw it on.
pub(crate) struct ProgressLine {
    bar: Option<ProgressBar>,
    before: u64,
}

impl ProgressLine {
    /// A line on stderr, if that is a terminal.
    pub(crate) fn start(is_wanted: bool) -> Self {
        let is_shown = is_wanted && io::stderr().is_terminal();
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            let around = bar.clone();
            logging::write_lines_around(Some(Box::new(move |write| around.suspend(write))));
            bar
        });
        Self { bar, before: 0 }
    }

    /// Whether it is drawn.
    pub(crate) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Draws it anew; once a second, so that what came since is a rate.
    pub(crate) fn draw(&mut self, streams: &[Snapshot]) {
        let Some(bar) = &self.bar else { return };
        let sum = |of: fn(&Snapshot) -> u64| streams.iter().map(of).sum::<u64>();
        let bytes = sum(|stream| stream.tally.bytes_written);
        let rate = bytes.saturating_sub(self.before);
        self.before = bytes;
        bar.set_message(format!(
            "{} · {}/s · {} · lost {} · repaired {} · kernel drops {}",
            HumanBytes(bytes),
            HumanBytes(rate),
            listeners(streams),
            sum(|stream| stream.tally.stats.packets_lost()),
            sum(|stream| stream.tally.stats.packets_mended()),
            sum(|stream| stream.tally.kernel_drops),
        ));
        bar.tick();
    }

    /// Takes it off the terminal.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            logging::write_lines_around(None);
            bar.finish_and_clear();
        }
    }
}
