//! The filters that select the sessions of a command.

use clap::Args;

use crate::manage::api_client::RequestFields;
use crate::manage::arguments::{fields, instant};

/// Several filters must all match. INSTANT is RFC 3339 (2026-11-24T09:30:00Z), `now`, or how long ago (90m).
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Part of the name, e-mail address, login or user id
    #[arg(long)]
    text: Option<String>,
    /// The whole user id, login or e-mail address
    #[arg(long)]
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
    use super::Filters;

    #[test]
    fn before_and_since_are_about_the_sign_in() {
        let filters = Filters { before: Some("NOW".into()), ..Filters::default() };
        assert_eq!(filters.fields(), [("created_before".to_owned(), "NOW".to_owned())]);
    }
}
