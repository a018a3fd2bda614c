//! Arguments shared by several commands: instants, ids, and the filters that select sessions.

use clap::Args;
use countersign_core::Timestamp;
use countersign_core::clock::parse_duration;

use super::api_client::RequestFields;

/// Characters of an id made by `countersign_core::ids::random_id`.
const ID_LENGTH: usize = 32;
/// Ids of other systems are at least this long if they are random, such as the `sub` of Microsoft Entra; several short
/// options in one argument are not.
const MIN_LENGTH: usize = 20;

/// Validates an instant here, so that the message names the option; the backend parses it.
pub fn instant(text: &str) -> Result<String, String> {
    let is_instant = text.eq_ignore_ascii_case("now")
        || text.parse::<Timestamp>().is_ok()
        || parse_duration(text).is_some();
    match is_instant {
        true => Ok(text.to_owned()),
        false => {
            Err("expected an instant such as 2026-11-24T09:30:00Z, now, or how long ago, such as \
                      90m or 2h30m"
                .to_owned())
        }
    }
}

/// Parses an id of a session, a grant or a user. Ids of earlier versions and of upstreams may begin with `-`; any other
/// value that does is a misspelt option.
pub fn id(text: &str) -> Result<String, String> {
    match text.starts_with('-') && !is_hyphenated_id(text) {
        true => Err("is neither an option of this command nor an id; see --help".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Whether the text is an id that a command line would parse as an option.
pub fn is_hyphenated_id(text: &str) -> bool {
    let is_base64url = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let is_long = text.len() == ID_LENGTH || text.len() >= MIN_LENGTH && !text.starts_with("--");
    text.starts_with('-') && is_long && is_base64url
}

/// The fields that have a value, as request fields.
pub fn fields<const N: usize>(values: [(&str, Option<&str>); N]) -> RequestFields {
    let set_pairs = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    set_pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Several filters must all match. INSTANT is RFC 3339 (2026-11-24T09:30:00Z), `now`, or how long ago (90m).
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Part of the name, e-mail address, login or user id
    #[arg(long)]
    text: Option<String>,
    /// The whole user id, login or e-mail address
    #[arg(long, allow_hyphen_values = true, value_parser = id)]
    user: Option<String>,
    /// The whole name of a group of the user
    #[arg(long)]
    group: Option<String>,
    /// Signed in through this connector
    #[arg(long, value_name = "ID")]
    connector: Option<String>,
    /// Has a grant for this client that has not ended
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Signed in from this IP address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Last used at this INSTANT or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    seen_since: Option<String>,
    /// Last used before this INSTANT
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    seen_before: Option<String>,
    /// Signed in at this INSTANT or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    since: Option<String>,
    /// Signed in before this INSTANT; `now` matches everybody
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub before: Option<String>,
}

impl Filters {
    pub fn fields(&self) -> RequestFields {
        fields([
            ("text", self.text.as_deref()),
            ("user", self.user.as_deref()),
            ("group", self.group.as_deref()),
            ("connector", self.connector.as_deref()),
            ("client", self.client.as_deref()),
            ("ip", self.ip.as_deref()),
            ("seen_since", self.seen_since.as_deref()),
            ("seen_before", self.seen_before.as_deref()),
            ("created_since", self.since.as_deref()),
            ("created_before", self.before.as_deref()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::{Filters, id, instant};

    #[test]
    fn an_id_may_begin_with_a_hyphen_and_a_misspelt_option_is_none() {
        assert!(id("-hFq2vCkzX0bQG7Yt9_4dJmWn3RsLaEi").is_ok());
        assert!(
            id("-1sjXtFPdgTDmZf0r8kEwvE7XhWbyCtQm2aLUqKoIyc").is_ok(),
            "a `sub` of an upstream"
        );
        assert!(id("nobody").is_ok());
        assert!(id("--seen-before-yesterday").is_err());
        assert!(id("--evrything").is_err());
        assert!(id("-q").is_err());
    }

    #[test]
    fn an_instant_is_rfc_3339_now_or_a_duration() {
        for text in ["now", "NOW", "90m", "2026-11-24", "2026-11-24T09:30:00+01:00"] {
            assert!(instant(text).is_ok(), "{text}");
        }
        assert!(instant("yesterday").unwrap_err().contains("90m"));
    }

    #[test]
    fn before_and_since_are_about_the_sign_in() {
        let filters = Filters { before: Some("NOW".into()), ..Filters::default() };
        assert_eq!(filters.fields(), [("created_before".to_owned(), "NOW".to_owned())]);
    }
}
