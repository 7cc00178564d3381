//! `cdrveil man`: a manual page for every verb, of what its `--help` says.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::{Cli, Exit, complain};

#[derive(clap::Args)]
#[command(
    after_help = "One page for each verb: man FOLDER/cdrveil-run.1 shows one. Packages put them into /usr/share/man/man1."
)]
pub(super) struct Args {
    /// Where to write the pages; made if it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    let made = std::fs::create_dir_all(&args.folder);
    match made.and_then(|()| clap_mangen::generate_to(Cli::command(), &args.folder)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(format!("{}: {error}", args.folder.display()));
            Exit::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Command;

    use super::*;

    /// The page of a command, and those of its verbs; how many there are.
    fn pages(command: &Command, name: &str, folder: &Path) -> usize {
        let page = fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let shown = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&shown), "{name}: {shown}");
        }
        let verbs = command.get_subcommands();
        1 + verbs
            .map(|verb| pages(verb, &format!("{name}-{}", verb.get_name()), folder))
            .sum::<usize>()
    }

    #[test]
    fn every_verb_has_a_page_with_all_its_options() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new/man1");
        assert_eq!(
            run(&Args {
                folder: folder.clone()
            }),
            Exit::Ok
        );
        let found = pages(&Cli::command(), "cdrveil", &folder);
        assert!(found > 15, "{found}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), found, "no other pages");
    }
}
