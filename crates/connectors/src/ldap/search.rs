//! One search: limited in time, entries and bytes, without dereferencing aliases or following referrals; and its filter
//! (RFC 4515). All values in filters are escaped here and nowhere else.

use std::fmt::Write;
use std::time::Duration;

use ldap3::controls::{PagedResults, RawControl};
use ldap3::{DerefAliases, LdapResult, Scope, SearchOptions, ldap_escape};
use tokio::time::timeout;

use super::connection::Connection;
use super::entry::Entry;
use super::failure::DirectoryError;
use crate::ber;

const MAX_BYTES: usize = 32 << 20;
const PAGE: i32 = 500;
/// RFC 2696.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// A search request.
pub(super) struct SearchRequest<'a> {
    pub base: &'a str,
    pub scope: Scope,
    pub filter: String,
    pub attributes: Vec<&'a str>,
    pub limit: SearchLimit,
}

#[derive(Clone, Copy)]
pub(super) enum SearchLimit {
    /// The first entries up to this number; more are ignored.
    First(usize),
    /// All entries, by paging; more than this number is an error.
    All(usize),
}

impl SearchRequest<'_> {
    /// Description for the trace.
    pub fn describe(&self) -> String {
        let scope = match self.scope {
            Scope::Base => "base",
            Scope::OneLevel => "one",
            Scope::Subtree => "sub",
        };
        format!("search {:?}, scope {scope}, filter {}", self.base, self.filter)
    }
}

/// Runs a search. After an error the state of the connection is unknown, and it must not be used again.
pub(super) async fn run(
    connection: &mut Connection,
    request: &SearchRequest<'_>,
    within: Duration,
) -> Result<Vec<Entry>, DirectoryError> {
    let searched = timeout(within, pages(connection, request, within)).await;
    searched.unwrap_or_else(|_| Err(DirectoryError::no_response("no answer to a search in time")))
}

async fn pages(
    connection: &mut Connection,
    request: &SearchRequest<'_>,
    within: Duration,
) -> Result<Vec<Entry>, DirectoryError> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut cookie = Vec::new();
    loop {
        let result = page(connection, request, within, cookie, &mut |entry: Entry| {
            bytes += entry.size_bytes();
            entries.push(entry);
            match request.limit {
                _ if bytes > MAX_BYTES => Err(format!("more than {} MiB", MAX_BYTES >> 20)),
                SearchLimit::All(most) if entries.len() > most => {
                    Err(format!("more than {most} entries"))
                }
                _ => Ok(()),
            }
        })
        .await?;
        cookie = next_page(&result);
        if cookie.is_empty() {
            if let SearchLimit::First(most) = request.limit {
                entries.truncate(most);
            }
            return Ok(entries);
        }
    }
}

/// One page of results, or all of them from a server without paging.
async fn page(
    connection: &mut Connection,
    request: &SearchRequest<'_>,
    within: Duration,
    cookie: Vec<u8>,
    take: &mut (dyn FnMut(Entry) -> Result<(), String> + Send),
) -> Result<LdapResult, DirectoryError> {
    let seconds = i32::try_from(within.as_secs() + 1).unwrap_or(i32::MAX);
    let options = SearchOptions::new().deref(DerefAliases::Never).timelimit(seconds);
    let (options, controls) = match request.limit {
        SearchLimit::First(most) => {
            (options.sizelimit(i32::try_from(most).unwrap_or(i32::MAX)), Vec::new())
        }
        SearchLimit::All(_) => {
            (options, vec![RawControl::from(PagedResults { size: PAGE, cookie })])
        }
    };
    let mut ldap = connection.ldap.clone();
    ldap.with_search_options(options).with_controls(controls);
    let search = ldap.streaming_search(
        request.base,
        request.scope,
        &request.filter,
        request.attributes.clone(),
    );
    let broken = |e: &ldap3::LdapError| DirectoryError::no_response(connection.cause(e));
    let mut stream = search.await.map_err(|e| broken(&e))?;
    while let Some(item) = stream.next().await.map_err(|e| broken(&e))? {
        // References to other servers are not followed, because they would receive our credentials.
        if item.is_ref() || item.is_intermediate() {
            continue;
        }
        let entry = Entry::from_tag(item.0);
        let entry = entry.ok_or_else(|| {
            DirectoryError::Misconfigured(
                "the directory sent an entry that cannot be decoded".to_owned(),
            )
        })?;
        take(entry)
            .map_err(|much| DirectoryError::Misconfigured(format!("the search found {much}")))?;
    }
    let result = stream.finish().await;
    let cut = result.rc == SIZE_LIMIT_EXCEEDED && matches!(request.limit, SearchLimit::First(_));
    if result.rc == 0 || cut { Ok(result) } else { Err(DirectoryError::of_search(&result)) }
}

/// The cookie of the next page; empty after the last page and from servers without paging.
fn next_page(result: &LdapResult) -> Vec<u8> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == PAGED_RESULTS);
    let value = control.and_then(|control| control.1.val.as_deref()).unwrap_or_default();
    let cookie = ber::sequence(value).and_then(|parts| parts.get(1).copied());
    cookie.map(|cookie| cookie.body(value).to_vec()).unwrap_or_default()
}

/// `(&<configured>(|(attribute=value)…))`: the configured filter and at least one of the pairs.
pub(super) fn any_of<'a>(
    configured: &str,
    alternatives: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let mut parts: Vec<String> = alternatives
        .into_iter()
        .map(|(attribute, value)| format!("({attribute}={})", escape(value)))
        .collect();
    let wanted = match parts.len() {
        1 => parts.remove(0),
        _ => format!("(|{})", parts.concat()),
    };
    if configured.is_empty() { wanted } else { format!("(&{configured}{wanted})") }
}

/// Escapes a value. UTF-8 text keeps its characters; binary values are written in hexadecimal.
fn escape(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return ldap_escape(text).into_owned();
    }
    value.iter().fold(String::with_capacity(value.len() * 3), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "\\{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::any_of;

    fn one(value: &[u8]) -> String {
        any_of("(objectClass=person)", [("uid", value)])
    }

    #[test]
    fn a_name_is_escaped_once_and_whole() {
        for (name, escaped) in [
            ("jane", "jane"),
            ("*", r"\2a"),
            ("*)(uid=*", r"\2a\29\28uid=\2a"),
            (r"\2a", r"\5c2a"),
            ("a)(|(cn=*", r"a\29\28|\28cn=\2a"),
            ("nul\0", r"nul\00"),
            ("Zoë (ops)", r"Zoë \28ops\29"),
            ("名前", "名前"),
        ] {
            let filter = one(name.as_bytes());
            assert_eq!(filter, format!("(&(objectClass=person)(uid={escaped}))"));
            assert!(ldap3::parse_filter(&filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_written_in_hex() {
        assert_eq!(one(&[0xff, 0x2a, 0x41]), r"(&(objectClass=person)(uid=\ff\2a\41))");
    }

    #[test]
    fn several_attributes_are_alternatives_and_no_filter_is_none() {
        let value: &[u8] = b"x";
        assert_eq!(any_of("", [("uid", value)]), "(uid=x)");
        assert_eq!(any_of("", [("uid", value), ("mail", value)]), "(|(uid=x)(mail=x))");
        assert_eq!(
            any_of("(a=b)", [("uid", value), ("mail", value)]),
            "(&(a=b)(|(uid=x)(mail=x)))"
        );
    }
}
