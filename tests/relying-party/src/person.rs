//! The authorization response, passed on standard input by the program that started this one.

use std::error::Error;

use openidconnect::CsrfToken;
use openidconnect::url::Url;

/// Reads the URL of the authorization response and returns its code, after checking `state`.
pub fn receive_callback(state: &CsrfToken) -> Result<String, Box<dyn Error>> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let url = Url::parse(line.trim())?;
    let parameter = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if parameter("state").as_deref() != Some(state.secret()) {
        return Err(format!("another state: {url}").into());
    }
    parameter("code").ok_or_else(|| format!("no code: {url}").into())
}
