//! English texts about sessions and their ends.

use super::super::sessions::{Consents, Ended, Groups, Sessions, SharedData};
use super::super::{Message, PluralMessage};

pub const SESSIONS: Sessions = Sessions {
    heading: "Where you are signed in",
    here: "This browser",
    unknown_device: "Unknown browser",
    on: Message("on {}"),
    signed_in: "signed in",
    used: "used",
    granted: "granted",
    no_grants: "Has granted nothing to any application.",
    stays: "stays signed in",
    until: "ends",
    receives: "Receives:",
    more_grants: PluralMessage { one: "and one more", many: "and {} more" },
    all: PluralMessage { one: "Show your one sign-in", many: "Show all {} sign-ins" },
    end: "End",
    end_sign_in: Message("End the sign-in with {}"),
    end_grant: Message("End what {} was given"),
    everywhere_else: "Sign out everywhere else",
    everywhere_else_explain: "Ends every sign-in but this one, with all its grants to applications and command-line \
                              tools.",
    end_all_others: "End all others",
    newer: "Newer",
    older: "Older",
    one_heading: "One sign-in",
    grants_heading: "Its grants to applications",
    grants_explain: "Each line is one time an application, or a terminal, was signed in from this browser.",
    address: "Address",
    program: "Browser",
    since: "Signed in",
    last_used: "Last used",
    browser_until: "Sign in again",
    back: "Your sign-in page",
    shared_data: SHARED_DATA,
    ended: ENDED,
    consents: CONSENTS,
};

const CONSENTS: Consents = Consents {
    heading: "Applications you have allowed",
    explain: "They receive this without another approval. Withdrawing it signs you out of the application everywhere, and \
              its next sign-in needs your approval again.",
    none: "No application may sign you in without approval.",
    granted: "allowed",
    withdraw: "Withdraw",
    withdraw_label: Message("Withdraw what {} is allowed"),
};

const SHARED_DATA: SharedData = SharedData {
    openid: "an identifier",
    profile: "your name",
    email: "your email address",
    groups: "your groups",
    federated_id: "your account’s identifier",
    audience: Message("acts as you at {}"),
};

const ENDED: Ended = Ended {
    sign_in: "The sign-in has ended, with all its grants to applications.",
    grant: Message("What {} was given has ended."),
    others: PluralMessage {
        one: "One other sign-in has ended, with all its grants to applications.",
        many: "{} other sign-ins have ended, with all their grants to applications.",
    },
    no_others: "There is no other sign-in.",
    consent: Message("{} is not allowed any more."),
    last_token: "The last token an application still holds stops working",
    no_token: "No application holds a token of it that still works.",
    outlives: "Kubernetes may go by an answer it had before for 10 seconds more, or up to 2 minutes where it asks a \
               webhook. What is already open (exec, watch, port-forward) goes on until it closes.",
};

pub const GROUPS: Groups = Groups {
    heading: "Your groups",
    provided_by: Message("From {}, as of"),
    stale: Message("{} could not be read again; these are the groups it returned before."),
    not_requested: "This sign-in did not ask for your groups.",
    ask: "Sign in again to see them",
    all: PluralMessage { one: "Show your one group", many: "Show all {} groups" },
    search: "Find a group",
    find: "Find",
    none_found: "No group of yours has that in its name.",
    earlier: "Earlier",
    more: "More",
};
