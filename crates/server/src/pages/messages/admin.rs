//! The sentences of the administrator's pages.

use super::{ErrorMessages, Message, PluralMessage};

#[derive(Clone, Copy, Debug)]
pub struct Admin {
    /// What the pages are called, in their navigation and on the person's own page.
    pub name: &'static str,
    pub nav: Nav,
    /// Names of fields, as they stand in addresses, and what they are called.
    pub fields: [(&'static str, &'static str); 18],
    pub states: [(&'static str, &'static str); 3],
    /// Kinds of events, as stored, in words.
    pub kinds: [(&'static str, &'static str); 17],
    /// Reasons of ends and events, as stored, in words.
    pub reasons: [(&'static str, &'static str); 12],
    pub form: Form,
    pub list: List,
    pub one: One,
    pub end: End,
    pub keys: Keys,
    pub places: Places,
    pub log: Log,
    pub explain: Explain,
    pub no_administrator: ErrorMessages,
    pub nobody_is: ErrorMessages,
    pub somebody_else: &'static str,
    /// Before what is wrong with the file.
    pub configuration_failure: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Nav {
    pub sessions: &'static str,
    pub events: &'static str,
    pub memberships: &'static str,
    pub explain: &'static str,
    pub clients: &'static str,
    pub connectors: &'static str,
    pub keys: &'static str,
    pub you: Message,
    pub own: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub find: &'static str,
    pub more: &'static str,
    pub clear: &'static str,
    pub when: &'static str,
    pub all: &'static str,
    /// Before what is wrong with a field.
    pub wrong: Message,
    pub next: &'static str,
    pub first: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct List {
    pub heading: &'static str,
    pub found: PluralMessage,
    pub newest: PluralMessage,
    pub none: &'static str,
    pub person: &'static str,
    pub connector: &'static str,
    pub from: &'static str,
    pub signed_in: &'static str,
    pub last_used: &'static str,
    pub apps: &'static str,
    pub state: &'static str,
    pub live: &'static str,
    pub ended: &'static str,
    pub no_apps: &'static str,
    pub more_apps: Message,
    pub end_these: &'static str,
    pub end_many: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct One {
    pub heading: Message,
    pub you: &'static str,
    pub email: &'static str,
    pub login: &'static str,
    pub user_id: &'static str,
    pub address: &'static str,
    pub program: &'static str,
    pub proved: &'static str,
    pub session: &'static str,
    pub last_token: &'static str,
    pub no_token: &'static str,
    pub ended_by: Message,
    pub all_of_person: &'static str,
    pub explain_person: &'static str,
    pub groups: &'static str,
    pub no_groups: &'static str,
    pub show_groups: PluralMessage,
    pub as_of: &'static str,
    pub grants: &'static str,
    pub no_grants: &'static str,
    pub app: &'static str,
    pub scopes: &'static str,
    pub given: &'static str,
    pub until: &'static str,
    pub refreshable: &'static str,
    pub end: &'static str,
    pub end_grant: Message,
    pub end_session: &'static str,
    pub end_explain: &'static str,
    pub events: &'static str,
    pub no_events: &'static str,
    pub all_events: &'static str,
    pub trace: &'static str,
    pub trace_explain: &'static str,
    pub no_trace: &'static str,
    pub further: PluralMessage,
}

#[derive(Clone, Copy, Debug)]
pub struct End {
    pub heading: &'static str,
    pub which: &'static str,
    pub since_heading: &'static str,
    pub since_explain: &'static str,
    pub all_heading: &'static str,
    pub all_explain: &'static str,
    pub all_check: &'static str,
    pub preview: &'static str,
    pub preview_heading: &'static str,
    pub meant: &'static str,
    pub everything: &'static str,
    pub nothing: &'static str,
    pub sessions: &'static str,
    pub people: &'static str,
    pub grants: &'static str,
    pub apps: &'static str,
    pub yours: &'static str,
    pub last_token: &'static str,
    pub no_token: &'static str,
    pub beyond: &'static str,
    pub begun_later: &'static str,
    pub sure: &'static str,
    pub sure_hint: &'static str,
    pub not_sure: &'static str,
    pub end_now: PluralMessage,
    pub back: &'static str,
    pub done_heading: &'static str,
    pub done_sessions: PluralMessage,
    pub done_grants: PluralMessage,
    pub done_grant: &'static str,
    pub more: &'static str,
    pub go_on: &'static str,
    pub own_ended: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub heading: &'static str,
    pub number: &'static str,
    pub kid: &'static str,
    pub algorithm: &'static str,
    pub state: &'static str,
    pub created: &'static str,
    pub signs_from: &'static str,
    pub drops_at: &'static str,
    pub next: &'static str,
    pub signing: &'static str,
    pub retired: &'static str,
    pub rotate_heading: &'static str,
    pub rotate_explain: &'static str,
    pub rotate: &'static str,
    pub made: Message,
    pub already: Message,
}

#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub clients: &'static str,
    pub connectors: &'static str,
    pub client: &'static str,
    pub connector: &'static str,
    pub kind: &'static str,
    pub public: &'static str,
    pub confidential: &'static str,
    pub redirects: &'static str,
    pub allowed: &'static str,
    pub all: &'static str,
    pub tokens_live: &'static str,
    pub minutes: PluralMessage,
    pub seconds: PluralMessage,
    pub sessions: &'static str,
    pub its_sessions: PluralMessage,
    pub its_grants: PluralMessage,
    pub health: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub as_seen: &'static str,
    pub last_answer: &'static str,
    pub last_failure: &'static str,
    pub never: &'static str,
    pub circuit_breaker: &'static str,
    pub circuit_open_since: &'static str,
    pub brake_explain: &'static str,
    pub confirm: &'static str,
    pub confirm_label: Message,
    pub confirmed: Message,
    pub check_circuit_closed: Message,
    pub none: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Log {
    pub heading: &'static str,
    pub none: &'static str,
    pub when: &'static str,
    pub what: &'static str,
    pub who: &'static str,
    pub about: &'static str,
    pub details: &'static str,
    pub session: &'static str,
    pub from: Message,
    pub memberships: &'static str,
    pub memberships_explain: &'static str,
    pub memberships_none: &'static str,
    pub person: &'static str,
    pub since: &'static str,
    pub until: &'static str,
    pub still: &'static str,
    pub tokens_until: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Explain {
    pub heading: &'static str,
    pub explain: &'static str,
    pub ask: &'static str,
    pub remembered: &'static str,
    pub nobody: &'static str,
    pub sub: &'static str,
    pub groups: &'static str,
    pub administrator: &'static str,
    pub sessions: &'static str,
    pub may: &'static str,
    pub may_not: &'static str,
    pub upstreams: &'static str,
    pub no_upstreams: &'static str,
    pub says: Message,
}
