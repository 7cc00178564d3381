//! What stands where on the screen; drawn whole each time, from the last answer.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table, Wrap};

use super::ask::Picture;
use crate::telemetry::{grouped, span};

/// The last answer, and whether the daemon still answers.
pub(super) struct View {
    address: String,
    last: Option<(Picture, Instant)>,
    /// Why the last question had no answer.
    error: Option<String>,
}

impl View {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            last: None,
            error: None,
        }
    }

    pub(super) fn answered(&mut self, picture: Picture, now: Instant) {
        self.last = Some((picture, now));
        self.error = None;
    }

    pub(super) fn failed(&mut self, error: String) {
        self.error = Some(error);
    }

    pub(super) fn draw(&self, frame: &mut Frame, now: Instant) {
        let [title, banner, charts, tables, keys, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(5),
            Constraint::Length(5),
            Constraint::Min(4),
            Constraint::Length(5),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.banner(frame, banner, now);
        frame.render_widget(
            Line::from(format!(" q quits   {}", self.address)).fg(Color::DarkGray),
            foot,
        );
        let Some((picture, _)) = &self.last else {
            frame.render_widget(Line::from(" cdrveil").bold(), title);
            return;
        };
        let up = span(picture.uptime_seconds as i64 * 1000);
        let head = format!(" cdrveil {}   {}   up {up}", picture.version, picture.domain);
        frame.render_widget(Line::from(head).bold(), title);
        // What is old looks old.
        let tone = if self.error.is_some() {
            Style::new().add_modifier(Modifier::DIM)
        } else {
            Style::new()
        };
        let [flow, behind] = halves(charts);
        history(
            frame,
            flow,
            flow_title(picture),
            &picture.history.read,
            tone.fg(Color::Cyan),
        );
        let ages: Vec<u64> = picture
            .history
            .freshness
            .iter()
            .map(|age| age.map_or(0, |seconds| (seconds * 1000.0) as u64))
            .collect();
        history(
            frame,
            behind,
            behind_title(picture),
            &ages,
            tone.fg(Color::Yellow),
        );
        let [partitions, rejections] = halves(tables);
        frame.render_widget(partitions_table(picture).style(tone), partitions);
        frame.render_widget(rejections_table(picture).style(tone), rejections);
        frame.render_widget(keys_table(picture).style(tone), keys);
    }

    fn banner(&self, frame: &mut Frame, area: Rect, now: Instant) {
        let (colour, word, lines) = match (&self.error, &self.last) {
            (None, None) => (
                Color::DarkGray,
                "asking",
                vec![format!("Asking {} ...", self.address)],
            ),
            (Some(error), None) => (
                Color::Red,
                "no answer",
                vec![format!("No answer from {}: {error}", self.address)],
            ),
            (Some(error), Some((picture, heard))) => {
                let ago = span(now.saturating_duration_since(*heard).as_millis() as i64);
                let why = if picture.summary.state == "draining" {
                    "it was draining, so it has ended as it was told"
                } else {
                    "it has stopped or cannot be reached"
                };
                (
                    Color::Red,
                    "no answer",
                    vec![
                        format!("No answer for {ago}: {why} ({error})"),
                        format!("What is below is of then. It said: {}", picture.summary.text),
                    ],
                )
            }
            (None, Some((picture, _))) => {
                let summary = &picture.summary;
                let lines = [&summary.text].into_iter().chain(&summary.also).cloned();
                (colour_of(&summary.level), &*summary.state, lines.collect())
            }
        };
        let mut text: Vec<Line> = lines.into_iter().map(Line::from).collect();
        text[0] = std::mem::take(&mut text[0]).bold();
        let block = Block::bordered()
            .border_style(Style::new().fg(colour))
            .title(Span::from(format!(" {word} ")).fg(colour).bold());
        let banner = Paragraph::new(Text::from(text))
            .wrap(Wrap { trim: true })
            .block(block);
        frame.render_widget(banner, area);
    }
}

fn colour_of(level: &str) -> Color {
    match level {
        "ok" => Color::Green,
        "warning" => Color::Yellow,
        _ => Color::Red,
    }
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}

fn flow_title(picture: &Picture) -> String {
    let rate = |per_second: f64| {
        if per_second > 0.0 && per_second < 10.0 {
            format!("{per_second:.1}")
        } else {
            grouped(per_second.round() as u64)
        }
    };
    format!(
        " {} records/s, {} rejected ",
        rate(picture.rate.in_per_second),
        rate(picture.rate.rejected_per_second)
    )
}

fn behind_title(picture: &Picture) -> String {
    let age = picture.history.freshness.last().copied().flatten();
    let age = age.map_or_else(
        || "nothing waits".to_owned(),
        |age| format!("{} behind", span((age * 1000.0) as i64)),
    );
    let lag = picture.history.lag.last().copied().flatten();
    let lag = lag.map_or_else(String::new, |lag| format!(", {} waiting", grouped(lag)));
    format!(" {age}{lag} ")
}

/// The newest seconds that fit, now at the right.
fn history(frame: &mut Frame, area: Rect, title: String, values: &[u64], style: Style) {
    let room = usize::from(area.width.saturating_sub(2));
    let newest = &values[values.len().saturating_sub(room)..];
    let padded: Vec<u64> = std::iter::repeat_n(0, room - newest.len())
        .chain(newest.iter().copied())
        .collect();
    let chart = Sparkline::default()
        .data(&padded)
        .style(style)
        .block(Block::bordered().title(title));
    frame.render_widget(chart, area);
}

fn partitions_table(picture: &Picture) -> Table<'static> {
    let mut all: Vec<_> = picture
        .lanes
        .iter()
        .flat_map(|lane| {
            lane.partitions
                .iter()
                .map(move |partition| (lane.lane, partition))
        })
        .collect();
    all.sort_by_key(|(_, partition)| (std::cmp::Reverse(partition.lag), partition.number));
    let title = format!(" waiting in {} partitions, most first ", all.len());
    let rows = all.into_iter().map(|(lane, partition)| {
        Row::new([
            right(partition.lag.map_or_else(|| "unknown".to_owned(), grouped)),
            Line::from(format!("{}/{}", partition.topic, partition.number)),
            Line::from(format!("lane {lane}")),
        ])
    });
    let widths = [Constraint::Length(13), Constraint::Fill(1), Constraint::Length(7)];
    Table::new(rows, widths).block(Block::bordered().title(title))
}

fn rejections_table(picture: &Picture) -> Table<'static> {
    let mut found: Vec<_> = picture
        .rejected
        .iter()
        .filter(|reason| reason.records > 0)
        .collect();
    found.sort_by_key(|reason| std::cmp::Reverse(reason.records));
    let (rejected, read) = (grouped(picture.totals.rejected), grouped(picture.totals.read));
    let rows = found.into_iter().map(|reason| {
        let last = reason.last.as_ref().map_or_else(String::new, |place| {
            format!("{}/{} @ {}", place.topic, place.partition, place.offset)
        });
        Row::new([
            right(grouped(reason.records)),
            Line::from(reason.reason.clone()),
            Line::from(last),
        ])
    });
    let widths = [Constraint::Length(9), Constraint::Length(10), Constraint::Fill(1)];
    Table::new(rows, widths)
        .block(Block::bordered().title(format!(" {rejected} of {read} rejected, last at ")))
}

/// The key in use, those around it, the next ones first.
fn keys_table(picture: &Picture) -> Table<'static> {
    let keyring = &picture.keyring;
    let at = keyring
        .epochs
        .iter()
        .position(|epoch| Some(&epoch.id) == keyring.in_use.as_ref())
        .unwrap_or(0);
    let near = keyring.epochs.iter().skip(at.saturating_sub(1)).take(3).rev();
    let rows = near.map(|epoch| {
        let to = epoch.activate_at.as_millisecond() - picture.time.as_millisecond();
        let begins = if to > 0 {
            format!("begins in {}", span(to))
        } else {
            format!("since {}", epoch.activate_at.strftime("%Y-%m-%d %H:%M"))
        };
        let row = Row::new([
            Line::from(epoch.id.clone()),
            Line::from(epoch.state.clone()),
            Line::from(begins),
            Line::from(format!("kcv {}", epoch.kcv)),
            right(format!("{} records", grouped(epoch.records))),
        ]);
        if Some(&epoch.id) == keyring.in_use.as_ref() {
            row.bold()
        } else {
            row
        }
    });
    let widths = [
        Constraint::Length(16),
        Constraint::Length(12),
        Constraint::Length(22),
        Constraint::Length(13),
        Constraint::Fill(1),
    ];
    let print: String = keyring.fingerprint.chars().take(16).collect();
    Table::new(rows, widths).block(Block::bordered().title(format!(" keys, keyring {print} ")))
}

fn right(text: String) -> Line<'static> {
    Line::from(text).right_aligned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn picture(state: &str, level: &str, text: &str) -> Picture {
        let status = serde_json::json!({
            "summary": {"state": state, "level": level, "text": text, "also": []},
            "version": "0.1.0", "domain": "billing", "time": "2026-11-22T00:00:00Z", "uptime_seconds": 300,
            "rate": {"in_per_second": 41200.0, "rejected_per_second": 2.5, "public_per_second": 41197.5, "window_seconds": 10},
            "history": {"in": [0, 10, 20, 41_200], "lag": [null, 3, 2, 1234], "freshness": [null, 0.2, 0.1, 0.3]},
            "totals": {"in": 1_000_000, "rejected": 12, "public": 0, "skipped": 0, "restricted": 0},
            "lanes": [{"lane": 1, "partitions": [
                {"topic": "cdr.raw", "partition": 0, "lag": 4},
                {"topic": "cdr.raw", "partition": 1, "lag": 1230},
                {"topic": "cdr.raw", "partition": 2, "lag": null}]}],
            "rejected": [
                {"reason": "format", "records": 2, "last": {"topic": "cdr.raw", "partition": 1, "offset": 7}},
                {"reason": "number", "records": 10, "last": {"topic": "cdr.raw", "partition": 0, "offset": 41}},
                {"reason": "poison", "records": 0, "last": null}],
            "keyring": {"fingerprint": "9fc082d49fc082d49fc082d4", "in_use": "2026-11", "epochs": [
                {"id": "2026-10", "state": "deactivated", "activate_at": "2026-10-01T00:00:00Z", "kcv": "e5c5b4f0", "records": 5},
                {"id": "2026-11", "state": "active", "activate_at": "2026-11-01T00:00:00Z", "kcv": "57ec797b", "records": 999_995},
                {"id": "2026-12", "state": "pre-active", "activate_at": "2026-12-01T00:00:00Z", "kcv": "e08b0c9a", "records": 0}]},
        });
        serde_json::from_value(status).unwrap()
    }

    fn drawn(view: &View, now: Instant, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame, now)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn eighty_by_twenty_four_hold_what_matters() {
        let mut view = View::new("http://127.0.0.1:9464".to_owned());
        let now = Instant::now();
        let sentence = "Healthy: 41,200 records/s, 0.3 s behind, key 2026-11, next in 9 d";
        view.answered(picture("healthy", "ok", sentence), now);
        let screen = drawn(&view, now, (80, 24));
        for text in [
            sentence,
            " healthy ",
            "cdrveil 0.1.0   billing   up 5 min",
            "41,200 records/s, 2.5 rejected",
            "0.3 s behind, 1,234 waiting",
            "1,230 cdr.raw/1",
            "10 number     cdr.raw/0 @ 41",
            "12 of 1,000,000 rejected",
            "begins in 9 d",
            "kcv 57ec797b",
            "q quits   http://127.0.0.1:9464",
        ] {
            assert!(screen.contains(text), "{text}\n{screen}");
        }
        // The slowest partition and the most frequent reason stand first.
        assert!(screen.find("cdr.raw/1") < screen.find("cdr.raw/0 "), "{screen}");
        assert!(!screen.contains("poison"), "{screen}");
        assert!(screen.contains('█'), "{screen}");
    }

    #[test]
    fn a_daemon_that_is_gone_is_told_with_what_it_last_said() {
        let mut view = View::new("http://127.0.0.1:9464".to_owned());
        let now = Instant::now();
        assert!(drawn(&view, now, (80, 24)).contains("Asking http://127.0.0.1:9464"));
        view.failed("Connection refused".to_owned());
        assert!(drawn(&view, now, (80, 24)).contains("No answer from http://127.0.0.1:9464: Connection"));
        view.answered(picture("behind", "warning", "Behind: 45 s"), now);
        assert!(drawn(&view, now, (80, 24)).contains(" behind "));
        view.failed("Connection refused".to_owned());
        let screen = drawn(&view, now + Duration::from_secs(12), (80, 24));
        for text in [
            "No answer for 12 s: it has stopped or cannot be reached",
            "It said: Behind: 45 s",
        ] {
            assert!(screen.contains(text), "{text}\n{screen}");
        }
        view.answered(picture("draining", "warning", "Draining: ..."), now);
        view.failed("Connection refused".to_owned());
        assert!(drawn(&view, now, (80, 24)).contains("it was draining, so it has ended"));
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        let mut view = View::new("http://127.0.0.1:9464".to_owned());
        view.answered(picture("healthy", "ok", "Healthy"), Instant::now());
        for width in [1, 2, 10, 40, 200] {
            for height in [1, 3, 10, 60] {
                drawn(&view, Instant::now(), (width, height));
            }
        }
    }
}
