//! `token`: the claims of the cached ID token, and how an API server interprets each.

use std::time::Duration;

use countersign_core::claim_descriptions::{describe, show_value};
use countersign_core::{Secret, Timestamp};
use serde_json::json;

use crate::cli::{OutputFormat, TokenArguments};
use crate::error::Error;
use crate::id_token::IdTokenClaims;
use crate::profile::StoredSecret;
use crate::selection::Selection;
use crate::terminal::{self, Style, print_line, printable};

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends no request: prints the tokens as cached.
pub async fn run(arguments: &TokenArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let selection = Selection::of(&arguments.select)?;
    let mut all = Vec::new();
    for profile in selection.profiles() {
        let record = selection.cache.lock(profile, LOCK_TIMEOUT).await?.read().await?;
        if let Some(problem) = record.unreadable {
            let command = profile.login_command(selection.cache.other_directory());
            return Err(Error::KeyringUnavailable { problem: problem.to_string(), command });
        }
        let tokens = record.tokens;
        let main = tokens.id_token.map(|token| (profile.client_id.clone(), token));
        let tokens = main.into_iter().chain(tokens.by_audience);
        all.extend(tokens.map(|(audience, token)| (profile.issuer.clone(), audience, token)));
    }
    if all.is_empty() {
        return Err(Error::Local(
            "no ID token is cached; run: kubectl countersign login ISSUER_URL".to_owned(),
        ));
    }
    let mut claims = Vec::new();
    for (issuer, audience, StoredSecret(token)) in &all {
        claims.push((issuer, audience, IdTokenClaims::decode(token)?));
    }
    match (arguments.raw, arguments.select.output) {
        (true, _) => return print_raw(all.iter().map(|(_, _, StoredSecret(token))| token)),
        (false, OutputFormat::Json) => {
            let tokens: Vec<_> = claims
                .iter()
                .map(|(issuer, audience, claims)| {
                    json!({"issuer": issuer, "audience": audience, "claims": claims.all})
                })
                .collect();
            print_line(&format!("{:#}", json!({ "idTokens": tokens })));
        }
        (false, OutputFormat::Text) => {
            for (issuer, audience, claims) in &claims {
                let title = format!("ID token of {issuer} for {audience}");
                print_line(&Style::for_stdout().bold(&printable(&title)));
                print_claims(claims, now());
            }
        }
    }
    Ok(())
}

fn print_raw<'a>(mut tokens: impl Iterator<Item = &'a Secret>) -> Result<(), Error> {
    let (first, second) = (tokens.next(), tokens.next());
    match (first, second) {
        (Some(token), None) => {
            print_line(token.expose());
            Ok(())
        }
        _ => Err(Error::Local("more than one ID token is cached; name the issuer".to_owned())),
    }
}

fn print_claims(claims: &IdTokenClaims, now: Timestamp) {
    let style = Style::for_stdout();
    if claims.expires_at <= now {
        let text = format!("  expired at {}", terminal::instant(claims.expires_at, now));
        print_line(&style.red(&text));
    }
    let name_width = claims.all.keys().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, value) in &claims.all {
        let shown = format!("{:name_width$}", printable(name));
        print_line(&format!("  {}  {}", style.bold(&shown), printable(&show_value(name, value))));
        let words: Vec<String> = describe(name).split(' ').map(str::to_owned).collect();
        let indent = " ".repeat(name_width + 4);
        for line in lines(&words, terminal::width().saturating_sub(name_width + 4)) {
            print_line(&format!("{indent}{}", style.dim(&line)));
        }
    }
    print_line("");
}

fn lines(words: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.clone());
        }
    }
    lines
}
