//! The command line is consistent, and all forms of its arguments are parsed.

use clap::CommandFactory;

use super::*;

const ID: &str = "-hFq2vCkzX0bQG7Yt9_4dJmWn3RsLaEi";
const SUB: &str = "-1sjXtFPdgTDmZf0r8kEwvE7XhWbyCtQm2aLUqKoIyc";

fn parse(arguments: &[&str]) -> Result<String, String> {
    let arguments = ["countersign"].iter().chain(arguments).map(OsString::from);
    match Cli::try_parse_from(with_ids_last(arguments)) {
        Ok(cli) => Ok(format!("{:?}", cli.command)),
        Err(error) => Err(error.to_string()),
    }
}

/// Regression (issue 9, item 14).
#[test]
fn ids_that_begin_with_a_hyphen_are_accepted_everywhere() {
    for arguments in [
        &["sessions", "show", ID, "--config", "a.yaml"][..],
        &["sessions", "end", ID, "other", "--config", "a.yaml"],
        &["sessions", "end", "--config", "a.yaml", "--", ID],
        &["sessions", "end", "--grant", ID, "--config", "a.yaml"],
        &["events", "--session", ID, "--config", "a.yaml", "--page", ID],
    ] {
        let parsed = parse(arguments).unwrap();
        assert!(parsed.contains(ID) && parsed.contains("a.yaml"), "{parsed}");
    }
    // The id of a user at an upstream, which may be random too.
    for arguments in [
        &["users", "block", SUB, "--connector", "entra", "--reason", "r", "--config", "a.yaml"][..],
        &["users", "unblock", "--connector", "entra", SUB, "--config", "a.yaml"],
        &["explain", SUB, "--config", "a.yaml"],
        &["sessions", "list", "--user", SUB, "--config", "a.yaml"],
        &["sessions", "end", "--user", SUB, "--config", "a.yaml"],
        &["events", "--user", SUB, "--config", "a.yaml"],
    ] {
        let parsed = parse(arguments).unwrap();
        assert!(parsed.contains(SUB) && parsed.contains("a.yaml"), "{parsed}");
    }
    assert!(parse(&["sessions", "end", "--user", "--everything", "--config", "a.yaml"]).is_err());
    assert!(parse(&["sessions", "end", "--evrything"]).unwrap_err().contains("--everything"));
}

#[test]
fn the_command_line_of_dex_is_accepted() {
    for (line, expected) in [
        ("countersign dex serve a.yaml", "countersign serve a.yaml"),
        ("/usr/bin/dex serve a.yaml", "/usr/bin/dex serve a.yaml"),
        ("x /usr/local/bin/dex serve dex", "x serve dex"),
    ] {
        let arguments = line.split(' ').map(OsString::from);
        let kept = without_program_name(arguments);
        assert_eq!(kept.join(std::ffi::OsStr::new(" ")), expected);
    }
}

/// Every option and argument has a help text.
#[test]
fn every_option_has_a_help_text() {
    fn undocumented(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter(|argument| argument.get_help().is_none());
        let own = own.map(|argument| format!("{} {}", command.get_name(), argument.get_id()));
        let below = command.get_subcommands().flat_map(undocumented);
        let about = command.get_about().is_none().then(|| command.get_name().to_owned());
        own.chain(below).chain(about).collect()
    }
    let mut command = Cli::command();
    command.build();
    assert_eq!(undocumented(&command), [""; 0]);
}
