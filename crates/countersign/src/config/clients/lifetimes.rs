//! `staticClients[].expiry` and `.sessions`: lifetimes of one client, with the keys of the global blocks.

use std::fmt::Write;
use std::time::Duration;

use countersign_config::Section;
use countersign_core::clock::show_duration;
use countersign_core::{Lifetimes, Limit};
use countersign_issuer::settings::SignOnPolicy;

use crate::config::lifetimes::{self, LONG_CODE, SHORT_REUSE_INTERVAL};

/// `all`: the values for clients without their own.
pub fn read(section: &Section<'_>, all: &SignOnPolicy) -> Lifetimes {
    let mut own = Lifetimes::default();
    if let Some(block) = section.section("expiry") {
        read_expiry(&block, &mut own);
        block.finish();
    }
    if let Some(block) = section.section("sessions") {
        own.session_absolute = lifetimes::lifetime(Some(&block), "absoluteLifetime");
        own.session_idle = lifetimes::lifetime(Some(&block), "validIfNotUsedFor");
        let absolute = own.session_absolute.unwrap_or(all.absolute_lifetime);
        if own.session_idle.is_some_and(|idle| idle > absolute) {
            block.error("validIfNotUsedFor", "is longer than absoluteLifetime");
        }
        block.finish();
    }
    own
}

fn read_expiry(block: &Section<'_>, own: &mut Lifetimes) {
    own.tokens = lifetimes::lifetime(Some(block), "idTokens");
    own.requests = lifetimes::lifetime(Some(block), "authRequests");
    own.codes = lifetimes::lifetime(Some(block), "codes");
    if own.codes.is_some_and(|codes| codes > LONG_CODE) {
        block.warning("codes", "is over 10m, the most that RFC 6749 section 4.1.2 recommends");
    }
    let Some(refresh) = block.section("refreshTokens") else { return };
    own.rotate = refresh.flag("disableRotation").map(|disabled| !disabled);
    own.reuse_interval = lifetimes::duration(&refresh, "reuseInterval");
    if own.reuse_interval.is_some_and(|configured| configured < SHORT_REUSE_INTERVAL) {
        let reason = "a client that misses one answer is signed out, expected 10s or more";
        refresh.warning("reuseInterval", reason);
    }
    own.refresh_absolute = lifetimes::duration(&refresh, "absoluteLifetime").map(limit);
    own.refresh_idle = lifetimes::duration(&refresh, "validIfNotUsedFor").map(limit);
    refresh.finish();
}

/// Zero means unlimited, as in the global block.
fn limit(configured: Duration) -> Limit {
    if configured.is_zero() { Limit::Never } else { Limit::After(configured) }
}

/// A short summary; `None` if the client has no lifetimes of its own.
pub fn summary(own: &Lifetimes) -> Option<String> {
    let mut text = String::new();
    let mut say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{comma}{what} {value}");
        }
    };
    let end = |limit: Limit| limit.duration().map_or_else(|| "any time".to_owned(), show_duration);
    say("tokens", own.tokens.map(show_duration));
    say("codes", own.codes.map(show_duration));
    say("logins", own.requests.map(show_duration));
    say("refresh tokens", own.rotate.map(|yes| if yes { "rotated" } else { "not rotated" }.into()));
    say("reusable for", own.reuse_interval.map(show_duration));
    say("unused at most", own.refresh_idle.map(end));
    say("in all at most", own.refresh_absolute.map(end));
    say("sign-on at most", own.session_absolute.map(show_duration));
    say("idle at most", own.session_idle.map(show_duration));
    (!text.is_empty()).then_some(text)
}
