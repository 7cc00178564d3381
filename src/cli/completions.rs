//! `cdrveil completions`: what a shell needs to complete verbs and options.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Exit, output_failed};

#[derive(clap::Args)]
#[command(
    after_help = "bash: cdrveil completions bash > /usr/share/bash-completion/completions/cdrveil\n\
    zsh:  cdrveil completions zsh > /usr/share/zsh/vendor-completions/_cdrveil\n\
    fish: cdrveil completions fish > /usr/share/fish/vendor_completions.d/cdrveil.fish"
)]
pub(super) struct Args {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Exit {
    match io::stdout().write_all(&script(args.shell)) {
        Ok(()) => Exit::Ok,
        Err(error) => output_failed(&error),
    }
}

/// Made in memory: the generator panics where it cannot write.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cdrveil", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::{Command, ValueEnum};

    use super::*;

    fn words(command: &Command, found: &mut Vec<String>) {
        let options = command.get_arguments().filter_map(|argument| argument.get_long());
        found.extend(options.map(str::to_owned));
        for verb in command.get_subcommands() {
            found.push(verb.get_name().to_owned());
            words(verb, found);
        }
    }

    #[test]
    fn every_shell_completes_every_verb_and_option() {
        let mut expected = Vec::new();
        words(&Cli::command(), &mut expected);
        assert!(expected.len() > 40, "{expected:?}");
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in &expected {
                assert!(script.contains(word.as_str()), "{shell}: {word}");
            }
        }
    }
}
