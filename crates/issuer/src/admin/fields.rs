//! Requests as named texts: the fields of a query, a form, a JSON body or a command line, read in one place.

use countersign_core::clock::parse_duration;
use countersign_core::event::EventKind;
use countersign_core::{
    ClientId, ConnectorId, GrantId, SessionFilter, SessionId, SessionState, Timestamp,
};
use countersign_store::{EventQuery, StoreError};

use crate::IssuerError;

/// Longest value of any field, in bytes.
const LONGEST: usize = 1024;

/// The only field that may be repeated: session ids, as the checkboxes of a form send them.
const REPEATABLE: &str = "id";
/// At most this many session ids in one request.
const MOST_IDS: usize = 100;

/// A field whose value is not accepted, with an explanation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    pub field: String,
    pub problem: String,
}

/// Why a request of an administrator was not answered: a field was not accepted, or the operation failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    Failed(#[from] IssuerError),
}

impl From<StoreError> for RequestError {
    /// An invalid cursor is reported as an error of the field `page`, because only that field contains cursors.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InvalidCursor => Self::Field(bad("page", "is no page of this list")),
            error => Self::Failed(error.into()),
        }
    }
}

/// Named values, each name at most once except [`REPEATABLE`]. An empty value counts as absent.
pub struct Fields<'a> {
    pairs: &'a [(String, String)],
    now: Timestamp,
}

impl<'a> Fields<'a> {
    /// Refuses repeated fields, and fields not in `known`: a misspelt filter that was ignored would end sessions that
    /// the administrator did not mean.
    pub fn new(
        pairs: &'a [(String, String)],
        known: &[&str],
        now: Timestamp,
    ) -> Result<Self, FieldError> {
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let list = known.join(", ");
                return Err(bad(
                    &name.chars().take(64).collect::<String>(),
                    format!("is not known, expected one of {list}"),
                ));
            }
            if name != REPEATABLE && pairs.iter().filter(|(other, _)| other == name).count() > 1 {
                return Err(bad(name, "is repeated"));
            }
            if value.len() > LONGEST || value.contains('\0') {
                return Err(bad(name, "is longer than 1024 bytes or holds a NUL"));
            }
        }
        Ok(Self { pairs, now })
    }

    /// The value without surrounding spaces; `None` if absent or empty.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A past or present instant: RFC 3339, `now`, or a duration before now such as `90m`.
    pub fn instant(&self, name: &str) -> Result<Option<Timestamp>, FieldError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.eq_ignore_ascii_case("now") {
            return Ok(Some(self.now));
        }
        if let Ok(instant) = text.parse() {
            return Ok(Some(instant));
        }
        let ago = parse_duration(text).map(|ago| Some(self.now - ago));
        ago.ok_or_else(|| bad(name, "expected an instant such as 2026-11-24T09:30:00Z, now, or how long ago, such as 90m"))
    }

    /// A whole number from 1 to `most`; `default` if absent.
    pub fn number(&self, name: &str, default: i64, most: i64) -> Result<i64, FieldError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse::<i64>().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| bad(name, format!("expected a whole number from 1 to {most}")))
    }

    /// A future instant: RFC 3339, or a duration from now such as `8h`.
    pub fn end(&self, name: &str) -> Result<Option<Timestamp>, FieldError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let from_now = || parse_duration(text).map(|duration| self.now + duration);
        let end = text.parse().ok().or_else(from_now);
        let end = end.ok_or_else(|| {
            bad(name, "expected an instant such as 2026-12-24T09:30:00Z, or how long, such as 8h")
        })?;
        match end > self.now {
            true => Ok(Some(end)),
            false => Err(bad(name, "is in the past")),
        }
    }

    /// The session ids of all `id` fields; each field may hold several, separated by commas.
    fn session_ids(&self) -> Result<Vec<SessionId>, FieldError> {
        let values = self.pairs.iter().filter(|(name, _)| name == REPEATABLE);
        let ids = values.flat_map(|(_, value)| value.split(',')).map(str::trim);
        let ids: Vec<SessionId> = ids.filter(|id| !id.is_empty()).map(SessionId::new).collect();
        match ids.len() > MOST_IDS {
            true => Err(bad(REPEATABLE, format!("names more than {MOST_IDS} sessions"))),
            false => Ok(ids),
        }
    }

    /// See [`SESSION_FIELDS`].
    pub fn sessions(&self) -> Result<SessionFilter, FieldError> {
        let state = match self.text("state") {
            None | Some("live") => SessionState::Live,
            Some("ended") => SessionState::Ended,
            Some("all") => SessionState::All,
            Some(_) => return Err(bad("state", "expected live, ended or all")),
        };
        Ok(SessionFilter {
            text: self.owned("text"),
            user: self.owned("user"),
            group: self.owned("group"),
            connector: self.text("connector").map(ConnectorId::new),
            client: self.text("client").map(ClientId::new),
            ip: self.owned("ip"),
            seen_since: self.instant("seen_since")?,
            seen_before: self.instant("seen_before")?,
            created_since: self.instant("created_since")?,
            created_before: self.instant("created_before")?,
            sessions: self.session_ids()?,
            state,
            ..SessionFilter::default()
        })
    }

    /// See [`BULK_FIELDS`], and `everything`, which must be `true` if and only if the filter matches every session.
    pub fn bulk(&self) -> Result<SessionFilter, FieldError> {
        let filter = self.sessions()?;
        match (filter.is_everything(), self.text("everything")) {
            (true, Some("true")) | (false, None) => Ok(filter),
            (false, Some(_)) => Err(bad("everything", "goes with no other field")),
            (true, _) => {
                Err(bad("everything", "no field narrows this: say \"true\" to end everything"))
            }
        }
    }

    /// See [`HOLDER_FIELDS`]. The interval defaults to the present instant. `None`: no group is given.
    pub fn memberships(&self) -> Result<Option<Holders>, FieldError> {
        let Some(group) = self.owned("group") else { return Ok(None) };
        let until = self.instant("until")?.unwrap_or(self.now);
        let since = self.instant("since")?.unwrap_or(until);
        if since > until {
            return Err(bad("since", "is later than until"));
        }
        let connector = self.text("connector").map(ConnectorId::new);
        Ok(Some(Holders { group, connector, since, until }))
    }

    /// See [`EVENT_FIELDS`].
    pub fn events(&self) -> Result<EventQuery, FieldError> {
        let kind = self
            .text("kind")
            .map(|kind| EventKind::parse(kind).ok_or_else(|| bad("kind", "is no kind of event")));
        Ok(EventQuery {
            session: self.text("session").map(SessionId::new),
            grant: self.text("grant").map(GrantId::new),
            client: self.text("client").map(ClientId::new),
            connector: self.text("connector").map(ConnectorId::new),
            user_id: self.owned("user_id"),
            actor: self.owned("actor"),
            ip: self.owned("ip"),
            text: self.owned("text"),
            kind: kind.transpose()?,
            since: self.instant("since")?,
            until: self.instant("until")?,
            limit: self.number("limit", 50, 500)?,
            before_id: self.owned("page"),
        })
    }
}

/// A query for the users who had this group between two instants.
#[derive(Clone, Debug)]
pub struct Holders {
    pub group: String,
    /// Only members at this connector; `None`: at any.
    pub connector: Option<ConnectorId>,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Fields of [`Holders`], paging included.
pub const HOLDER_FIELDS: [&str; 6] = ["group", "connector", "since", "until", "limit", "page"];
/// Fields of a [`SessionFilter`].
pub const SESSION_FIELDS: [&str; 12] = [
    REPEATABLE,
    "text",
    "user",
    "group",
    "connector",
    "client",
    "ip",
    "seen_since",
    "seen_before",
    "created_since",
    "created_before",
    "state",
];
/// Fields of a bulk end, which applies to live sessions only: [`SESSION_FIELDS`] without the last one, `state`.
pub const BULK_FIELDS: &[&str] = match SESSION_FIELDS.split_last() {
    Some((_state, rest)) => rest,
    None => &[],
};
/// Fields of an [`EventQuery`], paging included.
pub const EVENT_FIELDS: [&str; 13] = [
    "session",
    "grant",
    "client",
    "connector",
    "user_id",
    "actor",
    "ip",
    "text",
    "kind",
    "since",
    "until",
    "limit",
    "page",
];

pub fn bad(field: &str, problem: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), problem: problem.into() }
}
