//! Reads the `config` of an LDAP connector: Dex's keys, and our own `hosts`, `timeout`, `poolSize`.

use std::time::Duration;

use countersign_config::{Section, Value};
use countersign_core::Secret;
use ldap3::Scope;

use super::{Config, Email, GroupSearch, Matcher, Security, UserSearch, read_hosts};
use crate::ldap::tls;

const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);
const POOL_SIZE: u64 = 8;

/// Every key is read before the first return, so that all problems are reported at once.
pub(in crate::ldap) fn read(section: Section<'_>) -> Option<Config> {
    check_kerberos(&section);
    let security = read_security(&section);
    let hosts = read_hosts(&section, security.as_ref());
    let bind = read_bind(&section);
    let prompt = section.text("usernamePrompt").filter(|text| !text.is_empty());
    let users = match section.section("userSearch") {
        Some(search) => read_user_search(search),
        None => {
            if !section.has("userSearch") {
                section.error("userSearch", "is missing");
            }
            None
        }
    };
    // An absent `groupSearch` means no groups; an invalid one is an error.
    let groups = match section.section("groupSearch") {
        Some(search) => read_group_search(search).map(Some),
        None => (!section.has("groupSearch")).then_some(None),
    };
    let timeout = section.duration("timeout").unwrap_or(TIMEOUT);
    if timeout.is_zero() || timeout > LONGEST {
        section.error("timeout", "must be longer than 0s and at most 5m");
    }
    let pool_size = section.number("poolSize", 1, 256).unwrap_or(POOL_SIZE);
    section.finish();
    Some(Config {
        hosts: hosts?,
        security: security?,
        bind: bind?,
        prompt: prompt.unwrap_or_else(|| "Username".to_owned()),
        users: users?,
        groups: groups?,
        timeout: timeout.min(LONGEST),
        pool_size: usize::try_from(pool_size).unwrap_or(1),
    })
}

/// Dex's sign-in by Kerberos ticket (SPNEGO), which this server does not have: docs/dex.md says why. Without
/// `fallbackToPassword` passwords would be accepted where Dex accepts tickets only, so that is an error.
fn check_kerberos(section: &Section<'_>) {
    let Some(kerberos) = section.tolerated_section("kerberos") else { return };
    let is_enabled = kerberos.flag("enabled").unwrap_or(false);
    let is_password_allowed = kerberos.flag("fallbackToPassword").unwrap_or(false);
    let without_effect = [
        "keytabPath",
        "spn",
        "keytabPrincipal",
        "maxClockSkew",
        "expectedRealm",
        "usernameFromPrincipal",
    ];
    for key in without_effect {
        kerberos.has(key);
    }
    match (is_enabled, is_password_allowed) {
        (false, _) => {}
        (true, true) => kerberos.warning(
            "enabled",
            "Kerberos tickets are not accepted here: people type their password, as with fallbackToPassword",
        ),
        (true, false) => kerberos.error(
            "enabled",
            "Kerberos tickets are not accepted here, and without fallbackToPassword Dex accepts nothing else: \
             remove kerberos if people may type their password of the directory",
        ),
    }
    kerberos.finish();
}

fn read_security(section: &Section<'_>) -> Option<Security> {
    let clear = section.flag("insecureNoSSL").unwrap_or(false);
    let start_tls = section.flag("startTLS").unwrap_or(false);
    let settings = tls::TlsSettings::read(section);
    match (clear, start_tls) {
        (true, true) => {
            section.error("startTLS", "contradicts insecureNoSSL, which sends passwords in clear");
            None
        }
        (true, false) => {
            settings.warn_unused(section);
            Some(Security::Clear)
        }
        (false, true) => settings.build(section).map(Security::StartTls),
        (false, false) => settings.build(section).map(Security::Tls),
    }
}

/// `Some(None)`: anonymous bind. One of the two alone is an error: a name with an empty password would be an
/// unauthenticated bind (RFC 4513 section 5.1.2), which many servers answer with success.
#[expect(clippy::option_option, reason = "no bind is a valid configuration; a problem is `None`")]
fn read_bind(section: &Section<'_>) -> Option<Option<(String, Secret)>> {
    let dn = section.text("bindDN").unwrap_or_default();
    let password = section.secret("bindPW").unwrap_or_default();
    match (dn.is_empty(), password.is_empty()) {
        (true, true) => Some(None),
        (false, false) => Some(Some((dn, password))),
        (false, true) => {
            section.error("bindPW", "is missing or empty, and bindDN is given");
            None
        }
        (true, false) => {
            section.error("bindDN", "is missing or empty, and bindPW is given");
            None
        }
    }
}

fn read_user_search(section: Section<'_>) -> Option<UserSearch> {
    let base = section.required_text("baseDN");
    let filter = filter(&section);
    let username = username_attributes(&section);
    let scope = scope(&section);
    let id = required_attribute(&section, "idAttr");
    let name = optional_attribute(&section, "nameAttr");
    let preferred_username = optional_attribute(&section, "preferredUsernameAttr");
    let email_attribute = optional_attribute(&section, "emailAttr");
    let suffix = section.text("emailSuffix").filter(|text| !text.is_empty());
    let email = match (suffix, email_attribute, &name) {
        (Some(suffix), _, Some(_)) => Some(Email::Suffix(suffix)),
        (Some(_), _, None) => {
            section.error("emailSuffix", "needs nameAttr: it is put behind the name");
            None
        }
        (None, Some(attribute), _) => Some(Email::Attribute(attribute)),
        (None, None, _) => {
            section.error("emailAttr", "is missing: give emailAttr or emailSuffix");
            None
        }
    };
    section.finish();
    Some(UserSearch {
        base: base?,
        filter: filter?,
        username: username?,
        scope: scope?,
        id: id?,
        name,
        preferred_username,
        email: email?,
    })
}

/// One attribute, or a list of attributes.
fn username_attributes(section: &Section<'_>) -> Option<Vec<String>> {
    let Some(item) = section.item("username") else {
        section.error("username", "is missing");
        return None;
    };
    let names = match item.node.value {
        Value::List(_) => section.texts("username"),
        _ => vec![item.text()?],
    };
    if names.is_empty() {
        item.error("is empty");
        return None;
    }
    if let Some(bad) =
        names.iter().find(|name| !is_attribute(name) || super::super::entry::is_dn(name))
    {
        item.error(format!("{bad:?} is not the name of an attribute"));
        return None;
    }
    Some(names)
}

fn read_group_search(section: Section<'_>) -> Option<GroupSearch> {
    let base = section.required_text("baseDN");
    let filter = filter(&section);
    let scope = scope(&section);
    let name = required_attribute(&section, "nameAttr");
    let configured = section.has("userMatchers");
    let matchers: Vec<_> = section.sections("userMatchers").into_iter().map(read_matcher).collect();
    let matchers = matchers.into_iter().collect::<Option<Vec<_>>>();
    let deprecated = deprecated_matcher(&section, configured);
    let matchers = if configured { matchers } else { deprecated.map(|matcher| vec![matcher]) };
    if matchers.as_ref().is_some_and(Vec::is_empty) {
        section.error("userMatchers", "is empty: nobody would have a group");
    }
    section.finish();
    Some(GroupSearch {
        base: base?,
        filter: filter?,
        scope: scope?,
        name: name?,
        matchers: matchers?,
    })
}

fn read_matcher(section: Section<'_>) -> Option<Matcher> {
    let user = required_attribute(&section, "userAttr");
    let group = section.required_text("groupAttr");
    let group = group.and_then(|name| checked_match(&section, "groupAttr", name));
    let recursion = optional_match(&section, "recursionGroupAttr");
    section.finish();
    Some(Matcher { user: user?, group: group?, recursion })
}

/// Dex's older keys for a single matcher, which Dex ignores beside `userMatchers`.
fn deprecated_matcher(section: &Section<'_>, has_matchers: bool) -> Option<Matcher> {
    let user = optional_attribute(section, "userAttr");
    let group = optional_match(section, "groupAttr");
    let recursion = optional_match(section, "recursionGroupAttr");
    if has_matchers {
        if user.is_some() || group.is_some() || recursion.is_some() {
            section.warning("userAttr", "is ignored, because userMatchers is given");
        }
        return None;
    }
    match (user, group) {
        (Some(user), Some(group)) => {
            section.warning("userAttr", "is deprecated, use userMatchers");
            Some(Matcher { user, group, recursion })
        }
        _ => {
            let reason = "is missing: without it nobody has a group. Give it, such as [{userAttr: DN, groupAttr: \
                          member}], or leave groupSearch out";
            section.error("userMatchers", reason);
            None
        }
    }
}

/// A filter in parentheses, since it is combined with others; empty if there is none.
fn filter(section: &Section<'_>) -> Option<String> {
    let filter = section.text("filter").unwrap_or_default();
    let sound = filter.is_empty()
        || (filter.starts_with('(')
            && filter.ends_with(')')
            && ldap3::parse_filter(&filter).is_ok());
    if !sound {
        section.error("filter", "is not an LDAP filter, expected such as (objectClass=person)");
    }
    sound.then_some(filter)
}

fn scope(section: &Section<'_>) -> Option<Scope> {
    if !section.has("scope") {
        return Some(Scope::Subtree);
    }
    section
        .choice("scope", &[("sub", Scope::Subtree), ("one", Scope::OneLevel), ("", Scope::Subtree)])
}

fn required_attribute(section: &Section<'_>, key: &'static str) -> Option<String> {
    let name = section.required_text(key)?;
    checked_attribute(section, key, name)
}

fn optional_attribute(section: &Section<'_>, key: &'static str) -> Option<String> {
    let name = section.text(key).filter(|name| !name.is_empty())?;
    checked_attribute(section, key, name)
}

fn checked_attribute(section: &Section<'_>, key: &'static str, name: String) -> Option<String> {
    if !is_attribute(&name) {
        section.error(key, format!("{name:?} is not the name of an attribute"));
        return None;
    }
    Some(name)
}

fn optional_match(section: &Section<'_>, key: &'static str) -> Option<String> {
    let name = section.text(key).filter(|name| !name.is_empty())?;
    checked_match(section, key, name)
}

/// The text before `=` in a filter: an attribute, or an extensible match such as `member:1.2.840.113556.1.4.1941:` (RFC
/// 4515 section 3: attribute, `:dn` and matching rule, each after a colon, and a final colon).
fn checked_match(section: &Section<'_>, key: &'static str, name: String) -> Option<String> {
    let Some(extensible) = name.strip_suffix(':') else {
        return checked_attribute(section, key, name);
    };
    let parts: Vec<&str> = extensible.split(':').collect();
    let is_match = match parts.as_slice() {
        [attribute, rule] | [attribute, "dn", rule] => {
            is_attribute(attribute) && is_attribute(rule)
        }
        _ => false,
    };
    if !is_match {
        let expected = "expected such as member or member:1.2.840.113556.1.4.1941:";
        section.error(key, format!("{name:?} is not the name of an attribute, {expected}"));
        return None;
    }
    Some(name)
}

/// An attribute description (RFC 4512 section 2.5): a name or an OID, with options.
fn is_attribute(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.;_".contains(c))
}
