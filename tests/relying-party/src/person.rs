//! The person's half, played by whoever started this program.

use std::error::Error;

use openidconnect::CsrfToken;
use openidconnect::url::Url;

/// Reads the URL at which they came back, and takes the code from it.
pub fn comes_back(state: &CsrfToken) -> Result<String, Box<dyn Error>> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let url = Url::parse(line.trim())?;
    let told = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if told("state").as_deref() != Some(state.secret()) {
        return Err(format!("another state: {url}").into());
    }
    told("code").ok_or_else(|| format!("no code: {url}").into())
}
