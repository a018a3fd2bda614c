//! The account pages of a user: lists their sessions with the grants of each, ends sessions and withdraws consents. A
//! session, grant or consent of another user is answered like one that does not exist.
//!
//! The login to these pages and to those of administrators is like any other, but ends with a redirect to the page instead
//! of a code, and grants nothing beyond the browser's own session. Its client is not a registered one: no request, token
//! endpoint or configuration can name it ([`crate::Clients::of_request`]).
//!
//! Flash messages, with which these pages and the administrators' say what a form did, are sealed to the browser here.

use std::time::Duration;

use countersign_core::session::{EndReason, Ended};
use countersign_core::{
    ClientId, Grant, GrantId, ResponseType, Secret, Session, SessionFilter, SessionId, Timestamp,
    client, ids, scopes,
};
use countersign_store::StoredConsent;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::login::{AccountPage, AuthRequest, BrowserBinding, Prompt, ResponseMode};
use crate::{Issuer, IssuerError};

/// Sessions read by one query.
const BATCH: i64 = 500;
/// At most this many of a user's other sessions are listed, most recently used first.
/// [`Issuer::end_other_account_sessions`] ends the unlisted ones as well.
const MOST_LISTED: usize = 500;
const FLASH: &str = "flash message";
/// So that a page opened again from the browser's history does not show an old message.
const FLASH_LIFETIME: Duration = Duration::from_mins(10);

/// What ended at the request of the user it belonged to.
#[derive(Clone, Debug)]
pub struct AccountEnd {
    /// Expiry of the last token issued for it; `None` when no token was issued.
    pub tokens_until: Option<Timestamp>,
}

impl Issuer {
    /// The sessions of this session's user (same connector, same user id) that still admit a browser or have a live
    /// grant: this session first, then the others, most recently used first.
    pub async fn account_sessions(&self, mine: &Session) -> Result<Vec<Session>, IssuerError> {
        let (mut others, mut after) = (Vec::new(), None);
        while others.len() < MOST_LISTED {
            let (found, next) = self.other_sessions(mine, after.as_deref()).await?;
            others.extend(found);
            after = next;
            if after.is_none() {
                break;
            }
        }
        others.truncate(MOST_LISTED);
        others.sort_by_key(|session| std::cmp::Reverse(session.last_seen));
        Ok(std::iter::once(mine.clone()).chain(others).collect())
    }

    /// A page of the user's other sessions, newest first, and the cursor of the next page.
    async fn other_sessions(
        &self,
        mine: &Session,
        after: Option<&str>,
    ) -> Result<(Vec<Session>, Option<String>), IssuerError> {
        let others = SessionFilter {
            person: Some((mine.connector.clone(), mine.identity.user_id.clone())),
            except: Some(mine.id.clone()),
            ..SessionFilter::default()
        };
        let page = self.store.find_sessions(&others, after, BATCH).await?;
        // A session too old for the account pages may still satisfy the sign-on policy of a client.
        let (anywhere, now) = (self.settings.longest_sign_on(), self.now());
        let good = page.sessions.into_iter().filter(|found| {
            let in_browser = anywhere.admits(&found.session, now);
            (in_browser || found.live_grants > 0) && self.same_person(mine, &found.session)
        });
        Ok((good.map(|found| found.session).collect(), page.next))
    }

    /// The grants of a session that have neither ended nor expired, most recently used first.
    pub async fn live_grants(&self, session: &SessionId) -> Result<Vec<Grant>, IssuerError> {
        let now = self.now();
        let mut grants = self.store.grants_of(session).await?;
        grants.retain(|grant| {
            grant.ended.is_none() && self.grant_expires_at(grant).is_none_or(|until| until > now)
        });
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.rotated_at));
        Ok(grants)
    }

    /// When the grant expires if it is not used again; `None`: it does not expire.
    pub fn grant_expires_at(&self, grant: &Grant) -> Option<Timestamp> {
        if !grant.refreshable {
            return Some(grant.tokens_until);
        }
        let client = self.clients.get(&grant.client);
        let policy =
            client.map_or(self.settings.refresh, |client| self.settings.refresh_of(&client));
        let until = policy.end(grant.created_at, grant.rotated_at)?;
        Some(until.max(grant.tokens_until))
    }

    /// When this session's browser must authenticate again to use the account pages.
    pub fn browser_session_expires_at(&self, session: &Session) -> Timestamp {
        let policy = &self.settings.sign_on;
        let whole = session.auth_time + policy.absolute_lifetime;
        session.cookie_until.min(whole).min(session.browser_seen + policy.idle_lifetime)
    }

    /// A session of the same user; `None` when the user has no such session.
    pub async fn account_session(
        &self,
        mine: &Session,
        id: &SessionId,
    ) -> Result<Option<Session>, IssuerError> {
        let found = self.store.session(id).await?;
        Ok(found.filter(|other| other.ended.is_none() && self.same_person(mine, other)))
    }

    /// Ends a session of the user and its grants. Of one that has ended already the result is the same, because the same
    /// button may be pressed twice. `None`: the user never had such a session.
    pub async fn end_account_session(
        &self,
        mine: &Session,
        id: &SessionId,
        ip: &str,
    ) -> Result<Option<AccountEnd>, IssuerError> {
        let found = self.store.session(id).await?;
        let Some(session) = found.filter(|other| self.same_person(mine, other)) else {
            return Ok(None);
        };
        let ended = self.store.end_session(&session.id, self.by_person(mine), Some(ip)).await?;
        let Some(ended) = ended else {
            let grants = self.store.grants_of(&session.id).await?;
            let tokens_until = grants.iter().map(|grant| grant.tokens_until).max();
            return Ok(Some(AccountEnd { tokens_until }));
        };
        tracing::info!(event = "session_ended", session = %session.id, by = %mine.id, user_id = %mine.identity.user_id, reason = EndReason::EndedByUser.as_str(), "a person ended a sign-in of theirs");
        Ok(Some(AccountEnd { tokens_until: ended.tokens_until }))
    }

    /// Ends one grant. Of one that has ended already the result is the same, because the same button may be pressed
    /// twice. `None`: the user has no such grant.
    pub async fn end_account_grant(
        &self,
        mine: &Session,
        id: &GrantId,
        ip: &str,
    ) -> Result<Option<(Grant, AccountEnd)>, IssuerError> {
        let Some((grant, session)) = self.store.grant(id).await? else { return Ok(None) };
        if session.ended.is_some() || !self.same_person(mine, &session) {
            return Ok(None);
        }
        let ended = self.store.end_grant(&grant.id, self.by_person(mine), Some(ip)).await?;
        let Some(ended) = ended else {
            let tokens_until = Some(grant.tokens_until);
            return Ok(Some((grant, AccountEnd { tokens_until })));
        };
        tracing::info!(event = "grant_ended", grant = %grant.id, client = %grant.client, session = %session.id, by = %mine.id, user_id = %mine.identity.user_id, reason = EndReason::EndedByUser.as_str(), "a person ended a grant of theirs");
        Ok(Some((grant, AccountEnd { tokens_until: Some(ended.tokens_until) })))
    }

    /// Ends every session of the user except this one, and returns how many ended.
    pub async fn end_other_account_sessions(
        &self,
        mine: &Session,
        ip: &str,
    ) -> Result<(u64, AccountEnd), IssuerError> {
        let (mut count, mut last, mut after) = (0, None, None);
        loop {
            let (others, next) = self.other_sessions(mine, after.as_deref()).await?;
            for other in others {
                if let Some(ended) = self.end_account_session(mine, &other.id, ip).await? {
                    count += 1;
                    last = last.max(ended.tokens_until);
                }
            }
            after = next;
            if after.is_none() {
                return Ok((count, AccountEnd { tokens_until: last }));
            }
        }
    }

    /// Two sessions are of the same user when connector and user id are equal and the connector's configuration still
    /// has the fingerprint stored at sign-in.
    fn same_person(&self, mine: &Session, other: &Session) -> bool {
        other.connector == mine.connector
            && other.identity.user_id == mine.identity.user_id
            && !self.fingerprint_changed(other)
    }

    fn by_person(&self, mine: &Session) -> Ended {
        let by = format!("user:{}", mine.identity.user_id);
        Ended { at: self.now(), by, reason: EndReason::EndedByUser }
    }
}

impl Issuer {
    /// The consents of this session's user, ordered by client id.
    pub async fn account_consents(
        &self,
        mine: &Session,
    ) -> Result<Vec<StoredConsent>, IssuerError> {
        Ok(self.store.consents_of(&mine.identity.user_id, &mine.connector).await?)
    }

    /// Withdraws a consent: the client's grants of this user end in all sessions, and its next login shows the approval
    /// page again. `None`: there was neither a consent nor a grant.
    pub async fn withdraw_account_consent(
        &self,
        mine: &Session,
        client: &ClientId,
    ) -> Result<Option<AccountEnd>, IssuerError> {
        let user_id = &mine.identity.user_id;
        let by = format!("user:{user_id}");
        let withdrawn =
            self.store.withdraw_consent(user_id, &mine.connector, client, &by, self.now()).await?;
        let Some(withdrawn) = withdrawn else { return Ok(None) };
        tracing::info!(event = "consent_withdrawn", client = %client, session = %mine.id, user_id, grants = withdrawn.grants_ended, "a person withdrew a consent");
        Ok(Some(AccountEnd { tokens_until: withdrawn.tokens_until }))
    }
}

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
        let bound_to = flash_binding(about, &binding.current());
        Ok(self.keyring.keys().sealing_settled.seal(FLASH, bound_to.as_bytes(), &plain)?)
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
            response_type: ResponseType::CODE,
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
