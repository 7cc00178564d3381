//! One line on a terminal: how far, how fast. Silent anywhere else.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the line is drawn.
const DRAWN: Duration = Duration::from_millis(200);

/// How far a walk through files is.
pub(super) struct Progress {
    /// What is being done, where a verb does more than one thing; else empty.
    doing: &'static str,
    total: u64,
    bytes: u64,
    records: u64,
    began: Instant,
    drawn: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(doing: &'static str, files: &[PathBuf]) -> Self {
        let total = files
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .map(|data| data.len())
            .sum();
        Self {
            doing,
            total,
            bytes: 0,
            records: 0,
            began: Instant::now(),
            drawn: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn record(&mut self) {
        self.records += 1;
        // A look at the clock per record would cost more than the record.
        if self.terminal
            && self.records.is_multiple_of(1_024)
            && self.drawn.is_none_or(|drawn| drawn.elapsed() > DRAWN)
        {
            self.draw();
        }
    }

    #[allow(clippy::print_stderr)] // the progress line of a terminal
    fn draw(&mut self) {
        let rate = self.records as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let part = (self.bytes.min(self.total) * 100).checked_div(self.total);
        let part = part.map_or_else(String::new, |part| format!("{part:3} %  "));
        eprint!(
            "\r{}{part}{} records, {rate:.0}/s\x1b[K",
            self.doing, self.records
        );
        self.drawn = Some(Instant::now());
    }

    /// Takes the line off, before anything else is said.
    #[allow(clippy::print_stderr)]
    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
