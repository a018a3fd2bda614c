//! The lifetimes that apply to a client: its own where configured, otherwise the issuer's.
//!
//! What is kept for all clients (keys, rows, the session cookie) lasts as long as the longest lifetime of any client.

use std::time::Duration;

use countersign_core::{Client, Lifetimes, Limit, Session, Timestamp};

use crate::Settings;
use crate::settings::{RefreshPolicy, SignOnPolicy};

impl Settings {
    /// Lifetime of ID and access tokens.
    pub fn token_lifetime_of(&self, client: &Client) -> Duration {
        client.lifetimes.tokens.unwrap_or(self.token_lifetime)
    }

    pub fn code_lifetime_of(&self, client: &Client) -> Duration {
        client.lifetimes.codes.unwrap_or(self.code_lifetime)
    }

    /// Time from the request at `/auth` to the code.
    pub fn request_lifetime_of(&self, client: &Client) -> Duration {
        client.lifetimes.requests.unwrap_or(self.request_lifetime)
    }

    pub fn refresh_of(&self, client: &Client) -> RefreshPolicy {
        let (own, all) = (&client.lifetimes, &self.refresh);
        let end = |own: Option<Limit>, all| own.map_or(all, Limit::duration);
        RefreshPolicy {
            rotate: own.rotate.unwrap_or(all.rotate),
            reuse_interval: own.reuse_interval.unwrap_or(all.reuse_interval),
            absolute_lifetime: end(own.refresh_absolute, all.absolute_lifetime),
            valid_if_not_used_for: end(own.refresh_idle, all.valid_if_not_used_for),
        }
    }

    pub fn sign_on_of(&self, client: &Client) -> SignOnPolicy {
        let (own, all) = (&client.lifetimes, self.sign_on);
        SignOnPolicy {
            absolute_lifetime: own.session_absolute.unwrap_or(all.absolute_lifetime),
            idle_lifetime: own.session_idle.unwrap_or(all.idle_lifetime),
            ..all
        }
    }

    /// The longest token lifetime of any client.
    pub fn longest_token_lifetime(&self) -> Duration {
        self.longest(self.token_lifetime, |own| own.tokens)
    }

    pub fn longest_request_lifetime(&self) -> Duration {
        self.longest(self.request_lifetime, |own| own.requests)
    }

    /// The longest sign-on lifetimes of any client: a session beyond them satisfies no client.
    pub fn longest_sign_on(&self) -> SignOnPolicy {
        SignOnPolicy {
            absolute_lifetime: self
                .longest(self.sign_on.absolute_lifetime, |own| own.session_absolute),
            idle_lifetime: self.longest(self.sign_on.idle_lifetime, |own| own.session_idle),
            ..self.sign_on
        }
    }

    /// The longest lifetime of a refresh token since its code was redeemed; `None` when some client has no limit.
    pub fn longest_refresh_lifetime(&self) -> Option<Duration> {
        self.longest_limit(self.refresh.absolute_lifetime, |own| own.refresh_absolute)
    }

    /// The longest time a refresh token may be unused; `None` when some client has no limit.
    pub fn longest_refresh_rest(&self) -> Option<Duration> {
        self.longest_limit(self.refresh.valid_if_not_used_for, |own| own.refresh_idle)
    }

    fn longest(&self, all: Duration, own: impl Fn(&Lifetimes) -> Option<Duration>) -> Duration {
        self.client_lifetimes.iter().filter_map(own).fold(all, Duration::max)
    }

    fn longest_limit(
        &self,
        all: Option<Duration>,
        own: impl Fn(&Lifetimes) -> Option<Limit>,
    ) -> Option<Duration> {
        let mut longest = all?;
        for limit in self.client_lifetimes.iter().filter_map(own) {
            longest = longest.max(limit.duration()?);
        }
        Some(longest)
    }
}

impl SignOnPolicy {
    /// Whether the session's cookie, its absolute lifetime and its idle lifetime are all unexpired.
    pub fn admits(&self, session: &Session, now: Timestamp) -> bool {
        now < session.cookie_until
            && now < session.auth_time + self.absolute_lifetime
            && now.since(session.browser_seen) < self.idle_lifetime
    }
}

impl RefreshPolicy {
    /// When a refresh token expires if it is not used before; `None`: never.
    pub fn end(&self, created_at: Timestamp, rotated_at: Timestamp) -> Option<Timestamp> {
        let ends = [
            self.absolute_lifetime.map(|max| created_at + max),
            self.valid_if_not_used_for.map(|max| rotated_at + max),
        ];
        ends.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::{Client, Lifetimes, Limit};

    use crate::settings::tests::example;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_client_without_its_own_has_the_issuers() {
        let (settings, client) = (example(), Client::default());
        assert_eq!(settings.token_lifetime_of(&client), settings.token_lifetime);
        assert_eq!(settings.refresh_of(&client).reuse_interval, settings.refresh.reuse_interval);
        assert_eq!(settings.longest_token_lifetime(), settings.token_lifetime);
        assert_eq!(settings.longest_refresh_rest(), None);
    }

    #[test]
    fn the_longest_of_all_decides_what_is_kept() {
        let mut settings = example();
        settings.refresh.absolute_lifetime = Some(HOUR);
        let own = |tokens, end| Lifetimes {
            tokens: Some(tokens),
            refresh_absolute: Some(end),
            ..Lifetimes::default()
        };
        settings.client_lifetimes = vec![own(HOUR, Limit::After(9 * HOUR)), Lifetimes::default()];
        assert_eq!(settings.longest_token_lifetime(), HOUR);
        assert_eq!(settings.longest_refresh_lifetime(), Some(9 * HOUR));
        settings.client_lifetimes.push(own(HOUR / 2, Limit::Never));
        assert_eq!(settings.longest_refresh_lifetime(), None, "one is kept for ever");
    }

    #[test]
    fn a_client_may_have_no_end_where_the_issuer_has_one() {
        let mut settings = example();
        settings.refresh.absolute_lifetime = Some(HOUR);
        let lifetimes = Lifetimes { refresh_absolute: Some(Limit::Never), ..Lifetimes::default() };
        let client = Client { lifetimes, ..Client::default() };
        assert_eq!(settings.refresh_of(&client).absolute_lifetime, None);
        assert_eq!(settings.refresh_of(&Client::default()).absolute_lifetime, Some(HOUR));
    }
}
