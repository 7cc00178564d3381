//! `cdrveil run`: the daemon in the foreground, with its signals.

use std::future::Future;
use std::io::{self, ErrorKind};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::memory::swap_warning;
use crate::cli::{ConfigArg, Exit, complain, complain_of};
use crate::config::{self, Config};
use crate::daemon::{self, DaemonError, Order};
use crate::telemetry::log::{self, LogLevel};

#[derive(clap::Args)]
#[command(
    after_help = "Signals: TERM and INT finish what is open and stop (again: at once); HUP re-reads the keyring, rate deck and lists.\n\
    Any key of the file can come from the environment: CDRVEIL_KAFKA__GROUP=x sets [kafka] group."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Log level: error, warn, info, debug, trace (no level shows a payload)
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

/// `unguarded`: what the process could not do for the keys' sake.
pub(super) fn run(args: &Args, unguarded: &[String]) -> Exit {
    let mut log = config::log_settings(&args.config.config);
    log.level = args.log_level.unwrap_or(log.level);
    log::init(log);
    let config = match Config::load(&args.config.config, &config::environment()) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Exit::Config;
        }
    };
    for warning in unguarded.iter().map(String::as_str).chain(swap_warning()) {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(serve(config));
    // A probe may still wait for a dead broker: it does not hold up the end.
    runtime.shutdown_background();
    exit
}

async fn serve(config: Config) -> Exit {
    let (orders, ordered) = mpsc::channel(1);
    let shutdown = match signals(orders) {
        Ok(shutdown) => shutdown,
        Err(error) => {
            complain(error);
            return Exit::Internal;
        }
    };
    match daemon::run(config, shutdown, ordered, |_| {}).await {
        Ok(totals) => {
            tracing::info!(totals = %totals, "stopped");
            Exit::Ok
        }
        Err(error) => {
            complain(&error);
            exit_of(&error)
        }
    }
}

/// The exit code of a daemon that could not start or go on.
pub(super) fn exit_of(error: &DaemonError) -> Exit {
    match error {
        DaemonError::Unavailable { .. } => Exit::Unavailable,
        // An address that is not up yet, or a port that another process has for now: no reason to give up for good.
        DaemonError::Admin { error, .. }
            if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) =>
        {
            Exit::Unavailable
        }
        DaemonError::Topics(_)
        | DaemonError::Register(_)
        | DaemonError::Admin { .. }
        | DaemonError::Refused(_) => Exit::Config,
        DaemonError::SelfTest(_)
        | DaemonError::Lane(_)
        | DaemonError::Panicked
        | DaemonError::Helper(..)
        | DaemonError::Drain(_)
        | DaemonError::System(_) => Exit::Internal,
    }
}

/// Resolves at the first TERM or INT; a second one ends the process at once.
fn signals(orders: mpsc::Sender<Order>) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // One waiting order is enough: it reads whatever is there then.
            let _ = orders.try_send(Order::Reload);
        }
    });
    Ok(async move {
        first(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            let code = first(&mut terminate, &mut interrupt).await;
            complain("stopped at once; what was open is read again");
            std::process::exit(code);
        });
    })
}

/// The exit code a shell expects of the signal that came first.
pub(super) async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
    }
}
