//! Login to the account and administration pages: like any other login, but it ends with a redirect to that page
//! instead of a code.
//!
//! Its client is not a registered one: no request, token endpoint or configuration can name it
//! ([`crate::Clients::behind`]). The login grants nothing beyond the browser's own session.

use std::time::Duration;

use countersign_core::{ClientId, Secret, Session, Timestamp, client, ids, scopes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::BrowserBinding;
use super::request::{AccountPage, AuthRequest, Prompt, ResponseMode};
use crate::{Issuer, IssuerError};

const FLASH: &str = "flash message";
/// So that a page opened again from the browser's history does not show an old message.
const FLASH_LIFETIME: Duration = Duration::from_mins(10);

impl Issuer {
    /// The request of a login that ends at `page`. `again`: a new login is required even if the browser is signed in,
    /// possibly as another user.
    pub fn account_page_request(
        &self,
        page: AccountPage,
        again: bool,
    ) -> Result<AuthRequest, IssuerError> {
        let prompt = Prompt { login: again, ..Prompt::default() };
        Ok(AuthRequest { prompt, ..self.new_account_request(page)? })
    }

    /// The session of this browser if the account pages may use it: it is valid, its login requested groups, and its
    /// groups are as fresh as for any client (design 5). `None`: a login is required first.
    pub async fn account_page_session(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, IssuerError> {
        let client = self.clients.account_pages();
        let Some(session) = self.browser_session_for(client, cookie).await? else {
            return Ok(None);
        };
        match self.is_usable_for(&self.new_account_request(AccountPage::home())?, client, &session)
        {
            true => self.revalidate_and_store(session).await,
            false => Ok(None),
        }
    }

    /// Whether the user authenticated within this time.
    pub fn signed_in_freshly(&self, session: &Session, within: Duration) -> bool {
        self.now().since(session.auth_time) <= within
    }

    /// Seals a flash message to this browser, so that the redirect after a form can carry it and no one else can create
    /// one. `about` names the page, so that one page's message is not shown by another.
    pub fn seal_flash(
        &self,
        about: &str,
        binding: &BrowserBinding,
        flash: &impl Serialize,
    ) -> Result<String, IssuerError> {
        let signed = (self.now(), flash);
        let plain = serde_json::to_vec(&signed).map_err(|e| IssuerError::Broken(e.to_string()))?;
        let keys = self.keyring.keys();
        Ok(keys.sealing_settled.seal(
            FLASH,
            flash_binding(about, &binding.current()).as_bytes(),
            &plain,
        )?)
    }

    /// `None`: not sealed for this browser and page, or expired.
    pub fn open_flash<T: DeserializeOwned>(
        &self,
        about: &str,
        binding: &BrowserBinding,
        sealed: &str,
    ) -> Option<T> {
        let keys = self.keyring.keys();
        let bound_to = flash_binding(about, &binding.current());
        let opened = keys.sealing.open(FLASH, bound_to.as_bytes(), sealed)?;
        let (at, flash): (Timestamp, T) = serde_json::from_slice(&opened).ok()?;
        (self.now().since(at) <= FLASH_LIFETIME).then_some(flash)
    }

    fn new_account_request(&self, page: AccountPage) -> Result<AuthRequest, IssuerError> {
        Ok(AuthRequest {
            id: ids::random_id()?,
            client: ClientId::new(client::OWN_PAGES),
            redirect_uri: String::new(),
            response_type: countersign_core::ResponseType::CODE,
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
            device: None,
            expires_at: self.now() + self.settings.request_lifetime,
        })
    }
}

fn flash_binding(about: &str, binding: &str) -> String {
    format!("{binding}\n{about}")
}
