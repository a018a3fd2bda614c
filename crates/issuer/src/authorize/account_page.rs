//! Signing in to our own pages: a login like any other, that ends at one of them instead of in a code.
//!
//! Its client is in no list: no request, no token endpoint and no configuration can name it
//! ([`crate::Clients::behind`]). Nothing here gives anything to anybody but the browser's own session.

use std::time::Duration;

use countersign_core::{ClientId, Secret, Session, Timestamp, client, ids, scopes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{AuthRequest, BrowserBinding, Prompt, ResponseMode};
use crate::{Issuer, IssuerError};

const LONGEST_BYTES: usize = 1024;
const NOTICE: &str = "notice after an act";
/// A page opened again from the history says nothing old.
const NOTICE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The path of a page of ours, below the issuer's own, with its query: `/admin/sessions?user=jane`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountPage(String);

impl AccountPage {
    /// The person's own page.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// `None` for whatever a browser, now or one day, could take for an address elsewhere.
    ///
    /// What may stand in it is listed, not what may not: neither backslash nor space nor control
    /// character does, no empty or dotted segment, and in the path nothing encoded.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let segments = path.strip_prefix('/')?;
        let plain = |segment: &str| {
            segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@:".contains(&b))
                && !matches!(segment, "." | "..")
        };
        let (last, before) = match segments.rsplit_once('/') {
            Some((before, last)) => (last, before.split('/').all(|s| !s.is_empty() && plain(s))),
            None => (segments, true),
        };
        let query_fits =
            query.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@:/?=&%+,;!*'()".contains(&b));
        let fits = text.len() <= LONGEST_BYTES && before && plain(last) && query_fits;
        fits.then(|| Self(text.to_owned()))
    }

    /// Begins with exactly one slash; the issuer's own path goes before it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Issuer {
    /// The request of a login that ends at `page`. `again`: a login is asked for also of whoever is
    /// signed in; anybody may then sign in.
    pub fn own_request(&self, page: AccountPage, again: bool) -> Result<AuthRequest, IssuerError> {
        let prompt = Prompt { login: again, ..Prompt::default() };
        Ok(AuthRequest { prompt, ..self.own(page)? })
    }

    /// The session of this browser as our own pages may use it: it stands, its login asked for groups,
    /// and they are as fresh as for any application (design 5). `None`: sign in first.
    pub async fn own_session(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        let client = self.clients.account_pages();
        let Some(session) = self.browser_session_for(client, cookie).await? else {
            return Ok(None);
        };
        match self.serves(&self.own(AccountPage::home())?, client, &session) {
            true => self.up_to_date(session).await,
            false => Ok(None),
        }
    }

    /// Has this person proved who they are within this time?
    pub fn signed_in_freshly(&self, session: &Session, within: Duration) -> bool {
        self.now().since(session.auth_time) <= within
    }

    /// What a page of ours says after an act, sealed to this browser: the redirect after the act carries
    /// it, and nobody can make a page say what did not happen. `about` keeps one page's from another's.
    pub fn seal_flash(
        &self,
        about: &str,
        binding: &BrowserBinding,
        notice: &impl Serialize,
    ) -> Result<String, IssuerError> {
        let told = (self.now(), notice);
        let plain = serde_json::to_vec(&told).map_err(|e| IssuerError::Broken(e.to_string()))?;
        let keys = self.keyring.keys();
        Ok(keys.sealing_settled.seal(
            NOTICE,
            notice_for(about, binding.current()).as_bytes(),
            &plain,
        )?)
    }

    /// `None`: not said to this browser about this, or minutes ago.
    pub fn open_flash<T: DeserializeOwned>(
        &self,
        about: &str,
        binding: &BrowserBinding,
        sealed: &str,
    ) -> Option<T> {
        let keys = self.keyring.keys();
        let opened = binding.each().find_map(|binding| {
            keys.sealing.open(NOTICE, notice_for(about, binding).as_bytes(), sealed)
        })?;
        let (at, notice): (Timestamp, T) = serde_json::from_slice(&opened).ok()?;
        (self.now().since(at) <= NOTICE_LIFETIME).then_some(notice)
    }

    fn own(&self, page: AccountPage) -> Result<AuthRequest, IssuerError> {
        Ok(AuthRequest {
            id: ids::random_id()?,
            client: ClientId::new(client::OWN_PAGES),
            redirect_uri: String::new(),
            response_mode: ResponseMode::Query,
            state: None,
            scopes: [scopes::OPENID, scopes::GROUPS].map(str::to_owned).into_iter().collect(),
            nonce: None,
            challenge: None,
            prompt: Prompt::default(),
            max_age: None,
            hint: None,
            login_hint: None,
            connector: None,
            account_page: Some(page),
            expires_at: self.now() + self.settings.request_lifetime,
        })
    }
}

fn notice_for(about: &str, binding: &str) -> String {
    format!("{binding}\n{about}")
}

#[cfg(test)]
mod tests {
    use super::AccountPage;

    #[test]
    fn pages_of_ours_are_known_by_their_path() {
        for page in [
            "/",
            "/sessions",
            "/admin/",
            "/admin/sessions?user=jane%40example.com&group=a+b",
            "/admin/sessions/AbC-_09?notice=x.y",
            "/?page=2",
        ] {
            assert_eq!(AccountPage::parse(page).as_ref().map(AccountPage::as_str), Some(page));
        }
    }

    /// Threat 66: what browsers, proxies and frameworks have taken for an address elsewhere.
    #[test]
    fn whatever_could_lead_elsewhere_is_no_page_of_ours() {
        for elsewhere in [
            "",
            "evil",
            "//evil.example.com",
            "///evil.example.com",
            "/\\evil.example.com",
            "\\\\evil.example.com",
            "/\t/evil.example.com",
            "/%09/evil.example.com",
            "/%2f/evil.example.com",
            "/%5cevil.example.com",
            "/a//evil.example.com",
            "/./evil",
            "/../evil",
            "/admin/..",
            "/ /evil",
            "https:evil.example.com",
            "https://evil.example.com/",
            "javascript:alert(1)",
            "/admin#//evil",
            "/admin?a=\\b",
            "/admin?a=b c",
            "/admin\r\nLocation: https://evil.example.com",
            "/é",
            "/\0",
        ] {
            assert_eq!(AccountPage::parse(elsewhere), None, "{elsewhere:?}");
        }
        assert_eq!(AccountPage::parse(&format!("/{}", "a".repeat(2000))), None);
    }
}
