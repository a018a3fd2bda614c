//! View structs of sessions and grants for the account pages.

use countersign_core::{Grant, Session};

use super::display_time;

use crate::app::App;
use crate::page_error::PageError;
use crate::pages::{Device, GrantLine, SignInCard};

/// Builds the cards of a user's sessions; `mine` is the session of the requesting browser.
pub struct Cards<'a> {
    app: &'a App,
    mine: &'a Session,
}

impl<'a> Cards<'a> {
    pub fn new(app: &'a App, mine: &'a Session) -> Self {
        Self { app, mine }
    }

    /// A card for each session, with at most `grants` grants.
    pub async fn of(
        &self,
        sessions: impl Iterator<Item = &Session>,
        grants: usize,
    ) -> Result<Vec<SignInCard>, PageError> {
        let mut cards = Vec::new();
        for session in sessions {
            cards.push(self.one(session, 0, grants).await?.0);
        }
        Ok(cards)
    }

    /// The card of one session with the selected grants, and its total number of grants.
    pub async fn one(
        &self,
        session: &Session,
        skip: usize,
        take: usize,
    ) -> Result<(SignInCard, usize), PageError> {
        let live = self.app.issuer.live_grants(&session.id).await?;
        let skip = if skip < live.len() { skip } else { 0 };
        let lines: Vec<GrantLine> =
            live.iter().skip(skip).take(take).map(|grant| self.line(grant)).collect();
        let card = SignInCard {
            id: session.id.to_string(),
            device: Device::of(&session.user_agent),
            address: session.ip.as_str().into(),
            since: display_time(self.app, session.created_at),
            used: display_time(self.app, session.last_seen),
            here: session.id == self.mine.id,
            more_grants: (live.len() - lines.len()) as u64,
            grants: lines,
            href: self.app.path(&format!("/sessions/{}", session.id)),
        };
        Ok((card, live.len()))
    }

    fn line(&self, grant: &Grant) -> GrantLine {
        let client = self.app.issuer.clients.get(&grant.client);
        let name = client.as_ref().map_or(grant.client.as_str(), |client| &client.name);
        GrantLine {
            id: grant.id.to_string(),
            app: name.into(),
            scopes: grant
                .scopes
                .iter()
                .map(|scope| crate::login::next_step::scope_for_display(self.app, scope))
                .collect(),
            since: display_time(self.app, grant.created_at),
            used: display_time(self.app, grant.rotated_at),
            until: self.app.issuer.grant_expires_at(grant).map(|at| display_time(self.app, at)),
            refreshable: grant.refreshable,
        }
    }
}
