//! What tests of the public door share: a main that can show tests as ignored, and a real Kafka broker.
//!
//! libtest cannot ignore a test at run time, so test binaries that need Kafka say `harness = false` in
//! Cargo.toml and hand their tests to [`run`].

#![allow(dead_code)] // every test binary uses its own part of this

pub mod deployment;
pub mod kafka;
pub mod ledger;
pub mod member;
pub mod mishaps;
pub mod oracle;

use libtest_mimic::{Arguments, Trial};

/// A test and its name, which says the behaviour.
pub type Test = (&'static str, fn());

/// Whether tests that need Kafka are to run; with `CDRVEIL_SKIP_KAFKA=1` they show as ignored.
pub fn kafka_wanted() -> bool {
    std::env::var_os("CDRVEIL_SKIP_KAFKA").is_none_or(|value| value != "1")
}

/// Hands functions to [`run`], each under its own name: a function cannot know a name.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => { support::run(&[$((stringify!($test), $test as fn())),*]) };
}

/// Runs tests that need Kafka, takes the shared broker down, and exits.
pub fn run(tests: &[Test]) -> ! {
    let trials = tests
        .iter()
        .map(|&(name, test)| {
            let trial = Trial::test(name, move || {
                test();
                Ok(())
            });
            trial.with_ignored_flag(!kafka_wanted())
        })
        .collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    kafka::stop_shared();
    conclusion.exit()
}
