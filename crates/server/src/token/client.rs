//! How a client proves itself: `client_secret_basic`, `client_secret_post` or `none`, never two at once
//! (RFC 6749 section 2.3).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::{ClientId, Secret};
use countersign_issuer::clients::ClientProof;
use countersign_issuer::token::{TokenError, TokenErrorCode};

use crate::form::{decoded, once};

/// One answer for every way of not being proven.
pub fn invalid() -> TokenError {
    TokenError::refused(TokenErrorCode::InvalidClient, "Invalid client credentials.")
}

pub fn proof(headers: &HeaderMap, pairs: &[(String, String)]) -> Result<ClientProof, TokenError> {
    let id = once(pairs, "client_id").filter(|id| !id.is_empty());
    let secret = once(pairs, "client_secret");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        let id = id.ok_or_else(invalid)?;
        return Ok(ClientProof { id: ClientId::new(id), secret: secret.map(Secret::new) });
    };
    if values.next().is_some() || secret.is_some() {
        return Err(invalid());
    }
    let (basic_id, basic_secret) = value.to_str().ok().and_then(basic).ok_or_else(invalid)?;
    if id.is_some_and(|id| id != basic_id) {
        return Err(invalid());
    }
    Ok(ClientProof { id: ClientId::new(basic_id), secret: Some(Secret::new(basic_secret)) })
}

/// Id and secret, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

/// Stricter than a form: a stray percent sign means that somebody did not encode the secret at all.
fn form_decoded(text: &str) -> Option<String> {
    let mut after_percent = text.split('%').skip(1);
    let whole = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    after_percent.all(whole).then(|| decoded(text))?
}

#[cfg(test)]
mod tests {
    use super::basic;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn read(text: &str) -> Option<(String, String)> {
        basic(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn id_and_secret_are_form_decoded() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read("app:s3cret"), pair("app", "s3cret"));
        assert_eq!(read("a%3Ab:p%2Bq+r%C3%A9"), pair("a:b", "p+q ré"));
        assert_eq!(read("app:"), pair("app", ""));
        assert_eq!(basic("bearer xyz"), None);
        for odd in ["app", "app:%", "app:%zz", "app:%ff"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
