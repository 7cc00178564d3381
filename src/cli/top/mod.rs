//! `cdrveil top`: the operator's page in a terminal, over the same JSON.
//!
//! Reads `/api/v1/status` and nothing else. The sentence on top is the daemon's own; only that it does not answer is
//! said here.

mod ask;
mod screen;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::cli::{Exit, complain};

use ask::{Address, Picture, ask};
use screen::View;

/// How often the daemon is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How often the screen is drawn, and how long a terminal may be gone before that is noticed.
const TURN: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
#[command(
    after_help = "Keys: q, escape or ctrl-c ends. It works from 80 columns and 24 lines.\n\
    A daemon elsewhere: ssh -L 9464:127.0.0.1:9464 HOST, then cdrveil top.\n\
    For scripts: curl http://127.0.0.1:9464/api/v1/status (docs/status.md)\n\
    Exit: 0 ended by a key, 64 no terminal or no such address."
)]
pub(super) struct Args {
    /// Address of a daemon's HTTP listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9464")]
    url: Address,
}

pub(super) fn run(args: &Args) -> Exit {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        complain(format!(
            "top needs a terminal; for scripts: curl {}/api/v1/status",
            args.url
        ));
        return Exit::Usage;
    }
    let shown = ratatui::try_init().and_then(|terminal| {
        let shown = watch(terminal, &args.url);
        ratatui::try_restore().and(shown)
    });
    match shown {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(format!("the terminal: {error}"));
            Exit::Internal
        }
    }
}

/// What the two threads tell: neither the daemon nor the terminal may hold up the other.
enum Told {
    Answer(Box<Result<Picture, String>>),
    End,
    Failed(io::Error),
}

fn watch(mut terminal: DefaultTerminal, address: &Address) -> io::Result<()> {
    let (tell, told) = mpsc::channel();
    asking(address.clone(), tell.clone());
    listening(tell);
    let mut view = View::new(address.to_string());
    loop {
        // A terminal that was closed is never readable again, and reading goes on for ever.
        if !io::stdin().is_terminal() {
            return Err(io::Error::other("it is gone"));
        }
        terminal.draw(|frame| view.draw(frame, Instant::now()))?;
        match told.recv_timeout(TURN) {
            Ok(Told::Answer(answer)) => match *answer {
                Ok(picture) => view.answered(picture, Instant::now()),
                Err(error) => view.failed(error),
            },
            Ok(Told::End) => return Ok(()),
            Ok(Told::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("nobody reads it: this is a bug"));
            }
        }
    }
}

/// Asks once a second.
fn asking(address: Address, tell: Sender<Told>) {
    thread::spawn(move || {
        while tell.send(Told::Answer(Box::new(ask(&address)))).is_ok() {
            thread::sleep(PERIOD);
        }
    });
}

fn listening(tell: Sender<Told>) {
    thread::spawn(move || {
        let told = loop {
            match event::read() {
                Ok(event) if ends(&event) => break Told::End,
                Ok(_) => {}
                Err(error) => break Told::Failed(error),
            }
        };
        // Whoever does not listen any more has ended.
        let _ = tell.send(told);
    });
}

fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (control_c || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}
