//! Expands `$NAME` in the three blocks where Dex does: `storage.config`, `signer.config` and `connectors[].config`.
//! Elsewhere it would break bcrypt hashes (`$2a$10$…`).

use crate::{Node, Problems, Value};

/// Looks up an environment variable. A parameter, so that tests do not depend on the process environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `$NAME` and `${NAME}` by environment variables, and `$$` by a dollar sign. A variable that is not set is an
/// error at its position. `DEX_EXPAND_ENV=false` disables expansion.
pub fn expand(root: &mut Node, env: Environment<'_>, problems: &Problems) {
    if is_off(env) {
        return;
    }
    for block in ["storage", "signer"] {
        if let Some(config) = child(root, block).and_then(|node| child(node, "config")) {
            expand_below(config, &format!("{block}.config"), env, problems);
        }
    }
    let Some(Value::List(connectors)) = child(root, "connectors").map(|node| &mut node.value)
    else {
        return;
    };
    for (index, connector) in connectors.iter_mut().enumerate() {
        if let Some(config) = child(connector, "config") {
            expand_below(config, &format!("connectors[{index}].config"), env, problems);
        }
    }
}

/// Go's spellings of false (`strconv.ParseBool`).
fn is_off(env: Environment<'_>) -> bool {
    env("DEX_EXPAND_ENV")
        .is_some_and(|value| matches!(&*value, "0" | "f" | "F" | "false" | "FALSE" | "False"))
}

fn child<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|(key, _)| key.text.eq_ignore_ascii_case(name)).map(|(_, node)| node)
}

fn expand_below(node: &mut Node, path: &str, env: Environment<'_>, problems: &Problems) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar { text, plain } => {
            if !text.contains('$') {
                return;
            }
            match expanded(text, env) {
                // A value from the environment is text, whatever it looks like, as in Dex.
                Ok(new) => (*text, *plain) = (new, false),
                Err(message) => problems.error(node.mark, path, message),
            }
        }
        Value::List(nodes) => {
            for (index, node) in nodes.iter_mut().enumerate() {
                expand_below(node, &format!("{path}[{index}]"), env, problems);
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                expand_below(node, &format!("{path}.{}", key.text), env, problems);
            }
        }
    }
}

fn expanded(text: &str, env: Environment<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        let (name, tail, braced) = match after.strip_prefix('{') {
            Some(inner) => {
                let (name, tail) = inner.split_once('}').ok_or("has ${ without its }")?;
                (name, tail, true)
            }
            None => {
                let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
                let (name, tail) = after.split_at_checked(end).unwrap_or((after, ""));
                (name, tail, false)
            }
        };
        if !braced && (name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit())) {
            // `$` at the end, or before a digit or another sign, does not begin a name.
            out.push('$');
            rest = after;
            continue;
        }
        // The name is not shown: a bare name within a longer text may be part of a password that contains a dollar
        // sign.
        let tellable = braced || text.strip_prefix('$') == Some(name);
        out.push_str(&env(name).ok_or_else(|| unset(tellable.then_some(name)))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn unset(name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() && name.chars().all(is_name) => {
            format!(
                "names the environment variable {name}, which is not set (a dollar is written $$)"
            )
        }
        _ => "names an environment variable that is not set (a dollar is written $$)".to_owned(),
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::{expanded, is_off};

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("ldap.example.com".into()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$HOST".into()),
            _ => None,
        }
    }

    #[test]
    fn names_are_replaced_once_and_doubled_dollars_halved() {
        for (text, expected) in [
            ("$HOST", "ldap.example.com"),
            ("${HOST}:636", "ldap.example.com:636"),
            ("a$HOST/b${EMPTY}c", "aldap.example.com/bc"),
            ("pa$$HOST", "pa$HOST"),
            ("$DOLLAR", "$HOST"),
            ("^admins$", "^admins$"),
            ("5$, $5", "5$, $5"),
        ] {
            assert_eq!(expanded(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unset_name_is_an_error_that_does_not_repeat_a_password() {
        for (text, expected) in [
            (
                "$LDAP_PW",
                "names the environment variable LDAP_PW, which is not set (a dollar is written $$)",
            ),
            (
                "x${LDAP_PW}",
                "names the environment variable LDAP_PW, which is not set (a dollar is written $$)",
            ),
            ("pa$sword", "names an environment variable that is not set (a dollar is written $$)"),
            ("${pa ss}", "names an environment variable that is not set (a dollar is written $$)"),
            ("${}", "names an environment variable that is not set (a dollar is written $$)"),
            ("${HOST", "has ${ without its }"),
        ] {
            assert_eq!(expanded(text, &env), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn expansion_is_turned_off_by_the_words_of_go() {
        for (word, off) in [("false", true), ("0", true), ("true", false), ("", false)] {
            assert_eq!(is_off(&|_| Some(word.to_owned())), off, "{word}");
        }
        assert!(!is_off(&|_| None));
    }
}
