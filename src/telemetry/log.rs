//! Log set-up: structured lines on stderr, times in RFC 3339 UTC.
//!
//! Only this program and librdkafka may speak. Other crates log what they
//! parse (a phone number library logs phone numbers), so their lines are off
//! at every level; so is the formatted text of a panic.

use std::any::Any;
use std::io::{IsTerminal, stderr};
use std::panic::PanicHookInfo;
use std::str::FromStr;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, fmt};

/// `[log]` as typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The most talkative level shown; default info.
    pub level: LogLevel,
    /// Text or JSON; default: JSON unless stderr is a terminal.
    pub format: LogFormat,
}

/// A level, least talkative first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stopped or was refused.
    Error,
    /// What needs a look.
    Warn,
    /// Starts, stops, assignments, reloads.
    #[default]
    Info,
    /// What retries by itself.
    Debug,
    /// Every batch; never a payload.
    Trace,
}

impl FromStr for LogLevel {
    type Err = String;

    /// Reads the word of `--log-level`.
    ///
    /// # Errors
    ///
    /// Any other word, with the list of those that exist.
    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return Err("not a log level: error, warn, info, debug or trace".to_owned()),
        })
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sends events to stderr from now on. The first call counts; later ones do nothing.
pub fn init(settings: LogSettings) {
    let terminal = stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let layer = if json {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(stderr)
            .boxed()
    } else {
        fmt::layer().with_ansi(terminal).with_writer(stderr).boxed()
    };
    let subscriber = Registry::default().with(layer.with_filter(targets(settings.level)));
    // Not `try_init`: that would also let in what other crates send through `log`.
    // A second call changes nothing.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// From now on a panic shows its place and no text that may quote data: on the log, or on
/// stderr where a verb has none.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(report_panic));
}

fn targets(level: LogLevel) -> Targets {
    Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("cdrveil", level)
        .with_target("librdkafka", level)
}

#[allow(clippy::print_stderr)] // the verbs without a log
fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = shown(panic.payload());
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?");
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "cdrveil", place, thread, "panic: {message}");
    } else {
        eprintln!("cdrveil: panic at {place} (thread {thread}): {message}; this is a bug");
    }
}

/// A formatted panic may quote the bytes it choked on: only fixed texts are shown.
fn shown(payload: &dyn Any) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(text withheld: it may quote data)")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn settings_have_defaults_and_refuse_unknown_words() {
        let read = |text: &str| toml::from_str::<LogSettings>(text);
        assert_eq!(read("").unwrap(), LogSettings::default());
        assert_eq!(
            read("level = \"debug\"\nformat = \"json\"").unwrap(),
            LogSettings {
                level: LogLevel::Debug,
                format: LogFormat::Json
            }
        );
        for wrong in ["level = \"loud\"", "format = \"xml\"", "levle = \"info\""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!("INFO".parse::<LogLevel>().is_err());
    }

    #[test]
    fn a_panic_shows_fixed_texts_only() {
        assert_eq!(shown(&"index out of bounds"), "index out of bounds");
        assert_eq!(
            shown(&"bad number +447700900001".to_owned()),
            "(text withheld: it may quote data)"
        );
    }

    #[derive(Clone, Default)]
    struct Capture(Arc<Mutex<Vec<u8>>>);

    impl Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn other_crates_stay_silent_at_the_most_talkative_level() {
        let capture = Capture::default();
        let writer = capture.clone();
        let layer = fmt::layer().json().with_writer(move || writer.clone());
        let subscriber = Registry::default().with(layer.with_filter(targets(LogLevel::Trace)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "cdrveil::lane", "ours");
            tracing::debug!(target: "librdkafka", "broker");
            tracing::error!(target: "rlibphonenumber", "+447700900123");
        });
        let text = String::from_utf8(capture.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ours") && text.contains("broker"), "{text}");
        assert!(!text.contains("7700900123"), "{text}");
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
            "{text}"
        );
    }
}
