//! Completion in the shell: scripts for `kubectl-countersign`, and candidates for `kubectl countersign`, which kubectl 1.26
//! and later gets from a program named [`FOR_KUBECTL`].

use clap::{Arg, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::terminal::print_line;

/// The name under which kubectl starts the program that completes `kubectl countersign`.
pub const FOR_KUBECTL: &str = "kubectl_complete-countersign";

pub fn print_script(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-countersign", &mut script);
    print_line(String::from_utf8_lossy(&script).trim_end());
}

/// Prints the candidates for the last of these words, the others being complete. kubectl reads a candidate from each line,
/// its description after a tab, and from the last line whether file names are candidates too (0) or not (4).
pub fn print_candidates(words: &[String]) {
    let candidates = candidates(words);
    for candidate in &candidates {
        print_line(candidate);
    }
    print_line(if candidates.is_empty() { ":0" } else { ":4" });
}

fn candidates(words: &[String]) -> Vec<String> {
    let Some((typed, before)) = words.split_last() else { return Vec::new() };
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for word in before {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let option = before.last().and_then(|word| word.strip_prefix("--")).and_then(|name| {
        let mut options = command.get_arguments().filter(|option| !option.is_require_equals_set());
        options.find(|option| option.get_long() == Some(name))
    });
    let all: Vec<(String, String)> = match option.map(values).filter(|values| !values.is_empty()) {
        Some(values) => values,
        None if typed.starts_with('-') => command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .filter_map(|argument| {
                let name = format!("--{}", argument.get_long()?);
                Some((name, argument.get_help().map(ToString::to_string).unwrap_or_default()))
            })
            .collect(),
        None if command.has_subcommands() => command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| {
                let help = command.get_about().map(ToString::to_string).unwrap_or_default();
                (command.get_name().to_owned(), help)
            })
            .collect(),
        None => command.get_positionals().flat_map(values).collect(),
    };
    let matching = all.into_iter().filter(|(name, _)| name.starts_with(typed.as_str()));
    matching
        .map(|(name, help)| format!("{name}\t{}", help.lines().next().unwrap_or_default()))
        .collect()
}

/// The values that an argument can have, with their descriptions, if there are only some.
fn values(argument: &Arg) -> Vec<(String, String)> {
    let values = argument.get_possible_values().into_iter();
    values
        .map(|value| {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            (value.get_name().to_owned(), help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn commands_options_and_values_are_completed() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let candidates = candidates(&words);
            let names = candidates.iter().map(|one| one.split_once('\t').unwrap().0.to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(of("lo"), ["login", "logout"]);
        assert_eq!(of("login --no"), ["--no-browser"]);
        assert_eq!(of("login --grant-type auth"), ["authcode", "authcode-keyboard"]);
        assert_eq!(of("status --output "), ["text", "json"]);
        assert_eq!(of("completion z"), ["zsh"]);
        // An issuer is no word of a list.
        assert_eq!(of("login https://"), [""; 0]);
        assert!(of("login ").is_empty() && of("").contains(&"clusters".to_owned()));
    }
}
