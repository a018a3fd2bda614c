//! Words that are not used: private terms of earlier versions, for which the standards have a term.

use std::path::{Path, PathBuf};

use super::{root, rust_files};

/// Private words of earlier versions, and the term to use instead. Compared with each word of the text:
/// identifiers, comments and string literals.
const REPLACED_WORDS: [(&str, &str); 6] = [
    ("suitcase", "callback state"),
    ("luggage", "callback state"),
    ("courier", "logout dispatcher"),
    ("trips", "upstream logins"),
    ("entrance", "admin session or token"),
    ("disgrace", "unavailable"),
];

/// Words that are ordinary English in a sentence and unclear as a name. Compared with each part of an identifier
/// (`LoginTrip`, `login_trip`), not with comments and string literals.
const REPLACED_IN_IDENTIFIERS: [(&str, &str); 42] = [
    ("why", "reason, cause or error"),
    ("asked", "request, requested, query or filter"),
    ("asking", "request or task"),
    ("asks", "requests"),
    ("told", "what it is: events, notified, reported"),
    ("tells", "returns, reports or prints"),
    ("untold", "default"),
    ("said", "response, claims or output"),
    ("says", "what it is: headers, template, output"),
    ("spoken", "messages"),
    ("speaks", "is or supports"),
    ("answer", "response, outcome or result"),
    ("answers", "responses, outcomes or results"),
    ("given", "configured, issued or granted"),
    ("gives", "returns or issues"),
    ("gave", "returned or issued"),
    ("brought", "presented or params"),
    ("brings", "presents or contains"),
    ("taken", "used, reserved or accepted"),
    ("visit", "request context or browser"),
    ("visits", "requests or browsers"),
    ("verdict", "outcome, result or status"),
    ("welcome", "accepted"),
    ("elsewhere", "other, or what it is"),
    ("envelope", "pending login or login state"),
    ("binder", "browser binding"),
    ("wants", "login scopes or requested"),
    ("trip", "upstream login"),
    ("kilgore", "mock identity"),
    ("brake", "circuit breaker"),
    ("braked", "circuit open"),
    ("desk", "logout rules"),
    ("news", "notifications"),
    ("notice", "flash message or notification"),
    ("moment", "display time or instant"),
    ("places", "inventory"),
    ("looks", "reads or interval"),
    ("stands", "is valid"),
    ("story", "steps or trace"),
    ("door", "restriction"),
    ("twin", "the other"),
    ("bite", "batch"),
];

/// Identifiers that have such a word for a reason.
const ALLOWED_IDENTIFIERS: [(&str, &str); 4] = [
    ("Visit", "a trait of tracing"),
    ("ConsentGiven", "the event kind consent_given of the API"),
    ("a_notice_of_disconnection_is_recognized", "Notice of Disconnection, RFC 4511 section 4.4.1"),
    ("visit_", "the methods of serde's Visitor"),
];

#[test]
fn replaced_words_do_not_come_back() {
    let mut found = Vec::new();
    for (path, text) in rust_files(&root().join("crates")) {
        for (number, line) in text.lines().enumerate() {
            for word in words(line) {
                if let Some((_, better)) = REPLACED_WORDS.iter().find(|(old, _)| *old == word) {
                    let at = format!("{}:{}", path.display(), number + 1);
                    found.push(format!("{at}: `{word}`; the term is {better}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn identifiers_use_the_terms_of_the_standards() {
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        for (path, text) in rust_files(&root().join(folder)) {
            for (line, identifier) in identifiers(&text) {
                if let Some((word, better)) = replaced_part(identifier) {
                    found.push(format!(
                        "{}:{line}: `{identifier}` has `{word}`; the term is {better}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn file_names_use_the_terms_of_the_standards() {
    let mut paths = Vec::new();
    for folder in ["crates", "deploy", "templates", "tests"] {
        paths_below(&root().join(folder), &mut paths);
    }
    assert!(paths.len() > 500, "{} files", paths.len());
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_none_or(|name| replaced_part(name).is_some())
    });
    assert!(paths.is_empty(), "{paths:#?}");
}

/// The files and folders below a folder, except those that tools and tests create.
fn paths_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.ends_with("target") || path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            paths_below(&path, into);
        }
        into.push(path);
    }
}

fn replaced_part(identifier: &str) -> Option<(&'static str, &'static str)> {
    let is_allowed = |(name, _): &(&str, &str)| match name.strip_suffix('_') {
        Some(prefix) => identifier.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_')),
        None => identifier == *name,
    };
    if ALLOWED_IDENTIFIERS.iter().any(is_allowed) {
        return None;
    }
    let parts = words(identifier);
    REPLACED_IN_IDENTIFIERS.iter().find(|(old, _)| parts.iter().any(|part| part == old)).copied()
}

/// The identifiers of Rust source with their lines, outside comments and literals.
fn identifiers(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut line, mut rest) = (Vec::new(), 1, text);
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at(length);
        if (first.is_alphabetic() || first == '_') && !token.ends_with(['"', '#', '\'']) {
            found.push((line, token));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

/// The bytes of the comment, literal, identifier or single character that begins `text`.
fn token_length(text: &str, first: char) -> usize {
    let until = |end: &str, from: usize| {
        text.get(from..)
            .and_then(|rest| rest.find(end))
            .map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if first == '"' {
        return string_length(text);
    }
    if first == '\'' {
        return char_length(text);
    }
    if !first.is_alphanumeric() && first != '_' {
        return first.len_utf8();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let hashes = after.len() - after.trim_start_matches('#').len();
    match word {
        "r" | "br" if after[hashes..].starts_with('"') => {
            until(&format!("\"{}", "#".repeat(hashes)), end + hashes + 1)
        }
        "b" if after.starts_with('"') => end + string_length(after),
        "b" if after.starts_with('\'') => end + char_length(after),
        _ => end,
    }
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Of a character literal; of a lifetime only its quotation mark.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let from = at + c.len_utf8();
            text[from..].find('\'').map_or(text.len(), |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// `PendingLogin`, `pending_login` and "pending login" all give `pending` and `login`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut previous_is_lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && previous_is_lower) {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        previous_is_lower = c.is_lowercase();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn the_reader_of_identifiers_finds_what_it_should() {
    let text = "// why\nfn asked<'a>(c: char) { let a = \"told \\\" said\"; /* said */ r#\"why \" x\"# == b\"why\" && c == 'y' && c == '\\''; }";
    let found: Vec<_> = identifiers(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["fn", "asked", "a", "c", "char", "let", "a", "c", "c"]);
    assert!(replaced_part("asked_for").is_some() && replaced_part("NotAsked").is_some());
    assert!(replaced_part("visit_map").is_none() && replaced_part("visited").is_none());
}
