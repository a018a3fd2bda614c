//! Explains why a user can or cannot sign in, and why a group is or is not in their token: the stored sessions, the
//! current response of the upstreams, and the claims a client would receive.

use std::time::Duration;

use countersign_core::connector::{AccountDiagnosis, LoginMethod};
use countersign_core::identity::subject;
use countersign_core::trace::TraceKind;
use countersign_core::{Client, ConnectorId, Identity, SessionFilter, Trace};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::blocked_users::BlockedUserView;
use super::view::SessionView;
use crate::{Issuer, IssuerError};

/// At most this many users of that name, over all connectors.
const MOST_PEOPLE: i64 = 20;
const MOST_SESSIONS: i64 = 20;
/// An upstream that does not respond within this time is reported as unreachable.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

/// All that is known about one user name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    pub user: String,
    /// The users who have signed in under this name, by connector.
    pub people: Vec<PersonView>,
    /// Current responses of the upstreams that can be queried without the user's credentials.
    pub upstreams: Vec<UpstreamView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonView {
    pub connector: String,
    pub user_id: String,
    pub sub: String,
    pub username: String,
    pub email: String,
    pub groups: Vec<String>,
    pub administrator: bool,
    /// The block currently in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedUserView>,
    /// The newest live sessions, at most 20.
    pub sessions: Vec<SessionView>,
    /// Number of live sessions.
    pub sessions_total: i64,
    /// What the client named in the request would receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientExplanation>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientExplanation {
    pub client: String,
    pub may_use_connector: bool,
    /// Seconds.
    pub token_lifetime: u64,
    /// Sentences that state what prevents a login, or which claims the client receives.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpstreamView {
    pub connector: String,
    /// One line each: → request, ← response, + included, - excluded, · note.
    pub trace: Vec<String>,
    /// The result of the query, as a sentence.
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Absent when the upstream returned no result for the user: the groups are unknown, which differs from an empty
    /// list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

impl Issuer {
    /// `user` is a login, an e-mail address, a name or a user id.
    pub async fn explain(
        &self,
        user: &str,
        client: Option<&Client>,
    ) -> Result<Explanation, IssuerError> {
        let mut people = Vec::new();
        for person in self.store.find_people(user, MOST_PEOPLE).await? {
            people.push(self.person(&person.connector, &person.identity, client).await?);
        }
        let upstreams = self.query_directories(user).await?;
        Ok(Explanation { user: user.to_owned(), people, upstreams })
    }

    /// Queries all directories concurrently, so that a hanging one does not delay the others.
    async fn query_directories(&self, user: &str) -> Result<Vec<UpstreamView>, IssuerError> {
        let mut tasks = JoinSet::new();
        for (place, connector) in self.connectors.iter().enumerate() {
            if let LoginMethod::Password(method) = connector.login_method.clone() {
                let (id, user) = (connector.id.clone(), user.to_owned());
                tasks.spawn(async move {
                    let mut trace = Trace::default();
                    let diagnosed = timeout(WAIT_TIMEOUT, method.diagnose(&user, &mut trace)).await;
                    (place, upstream(&id, diagnosed.ok(), &trace))
                });
            }
        }
        let mut views = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            views.push(joined.map_err(|e| IssuerError::Broken(e.to_string()))?);
        }
        views.sort_by_key(|(place, _)| *place);
        Ok(views.into_iter().map(|(_, view)| view).collect())
    }

    async fn person(
        &self,
        connector: &ConnectorId,
        identity: &Identity,
        client: Option<&Client>,
    ) -> Result<PersonView, IssuerError> {
        let filter = SessionFilter {
            person: Some((connector.clone(), identity.user_id.clone())),
            ..SessionFilter::default()
        };
        let found = self.store.find_sessions(&filter, None, MOST_SESSIONS).await?;
        let sessions_total = self.store.count_sessions(&filter).await?.sessions;
        let admin = self.settings.admin.admits_groups(connector, &identity.groups);
        Ok(PersonView {
            connector: connector.to_string(),
            user_id: identity.user_id.clone(),
            sub: subject(&identity.user_id, connector),
            username: identity.username.clone(),
            email: identity.email.clone(),
            groups: identity.groups.clone(),
            administrator: admin,
            blocked: self.blocked_user(connector, &identity.user_id).await?,
            sessions_total,
            sessions: found.sessions.iter().map(SessionView::from).collect(),
            client: client.map(|client| self.explain_client(client, connector, identity)),
        })
    }

    fn explain_client(
        &self,
        client: &Client,
        connector: &ConnectorId,
        identity: &Identity,
    ) -> ClientExplanation {
        let may_use_connector = self.connectors.allowed(client, connector).is_some();
        let mut notes = Vec::new();
        if self.connectors.get(connector).is_none() {
            notes.push(format!("the connector {connector} is not configured any more"));
        } else if !may_use_connector {
            notes.push(format!("allowedConnectors of this client does not name {connector}"));
        }
        match identity.groups.len() {
            0 => notes.push("the upstream returned no groups: see its trace below".to_owned()),
            n => notes.push(format!("it receives {n} groups if it requests the scope groups")),
        }
        if identity.email.is_empty() {
            notes.push("there is no e-mail address, so the claim email is left out".to_owned());
        } else if !identity.email_verified {
            notes.push(
                "email_verified is false: Kubernetes refuses the claim email then".to_owned(),
            );
        }
        ClientExplanation {
            client: client.id.to_string(),
            may_use_connector,
            token_lifetime: self.settings.token_lifetime_of(client).as_secs(),
            notes,
        }
    }
}

type DiagnosisResult = Result<AccountDiagnosis, countersign_core::connector::ConnectorError>;

fn upstream(
    connector: &ConnectorId,
    diagnosed: Option<DiagnosisResult>,
    trace: &Trace,
) -> UpstreamView {
    let (outcome, identity) = match diagnosed {
        None => (format!("no answer within {} s", WAIT_TIMEOUT.as_secs()), None),
        Some(Err(down)) => (down.to_string(), None),
        Some(Ok(AccountDiagnosis::Refused { reason })) => {
            (format!("would be refused: {reason}"), None)
        }
        Some(Ok(AccountDiagnosis::Found(found))) => ("found".to_owned(), Some(*found)),
    };
    UpstreamView {
        connector: connector.to_string(),
        trace: trace_lines(trace),
        outcome,
        user_id: identity.as_ref().map(|found| found.user_id.clone()),
        groups: identity.map(|found| found.groups),
    }
}

/// A trace as lines of text.
pub fn trace_lines(trace: &Trace) -> Vec<String> {
    let line = |step: &countersign_core::trace::TraceStep| {
        let sign = match step.kind {
            TraceKind::Request => "→",
            TraceKind::Response => "←",
            TraceKind::Included => "+",
            TraceKind::Excluded => "-",
            TraceKind::Note => "·",
        };
        format!("{sign} {}", step.text)
    };
    let mut lines: Vec<String> = trace.steps().iter().map(line).collect();
    if trace.left_out() > 0 {
        lines.push(format!("… and {} more steps", trace.left_out()));
    }
    lines
}
