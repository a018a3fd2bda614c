//! English.

mod admin;
mod sessions;

use super::{
    Approval, Choose, Clusters, Device, DisplayTime, Error, ErrorMessages, HandOver, Home, Links,
    Logout, Message, Messages, OutOfBand, Password, PluralMessage, Problems, Scopes,
};

pub const ENGLISH: Messages = Messages {
    lang: "en",
    dir: "ltr",
    sign_in_to: Message("Sign in to {}"),
    continue_at: Message("You will continue at {}"),
    via: Message("Signed in with {}"),
    sign_out: "Sign out",
    choose: CHOOSE,
    password: PASSWORD,
    approval: APPROVAL,
    scopes: SCOPES,
    error: ERROR,
    problems: PROBLEMS,
    links: LINKS,
    home: HOME,
    sessions: sessions::SESSIONS,
    groups: sessions::GROUPS,
    logout: LOGOUT,
    hand_over: HAND_OVER,
    out_of_band: OUT_OF_BAND,
    device: DEVICE,
    clusters: CLUSTERS,
    display_time: DISPLAY_TIME,
    admin: admin::ADMIN,
};

const CHOOSE: Choose = Choose {
    how: "Which account do you want to use?",
    last_used: "Last used",
    down: "Not answering right now",
    none: "No way to sign in is set up for this application. Please contact your administrator.",
};

const PASSWORD: Password = Password {
    with_account: Message("with your {} account"),
    with_own_account: Message("with your password for {}"),
    password: "Password",
    show: "Show password",
    hide: "Hide password",
    sign_in: "Sign in",
    other_connectors: "Other ways to sign in",
    error: "Error",
    wrong: "That did not match.",
    wrong_todo: "Check both fields and try again.",
    too_many: "Too many attempts.",
    retry_seconds: PluralMessage {
        one: "Try again in one second.",
        many: "Try again in {} seconds.",
    },
    retry_minutes: PluralMessage {
        one: "Try again in one minute.",
        many: "Try again in {} minutes.",
    },
    expired: "Your password has expired.",
    expired_todo: "Choose a new one where you usually change it, then sign in here again.",
    locked: "This account is locked for now.",
    locked_todo: "Wait a while, or ask your administrator to unlock it.",
    disabled: "This account is disabled.",
    disabled_todo: "Ask your administrator if you think it should not be.",
    down: "Your sign-in could not be completed.",
    down_todo: "This does not mean that your password is wrong. Try again in a moment.",
};

const APPROVAL: Approval = Approval {
    heading: Message("Continue to {}?"),
    requester: "An application on this device wants to sign you in.",
    requester_at: Message("{} wants to sign you in."),
    you_are: "You are",
    not_you: "Not you?",
    receives: "This application will receive",
    may: "It may also",
    groups: PluralMessage { one: "One group", many: "{} groups" },
    no_groups: "You are in no group.",
    allow: "Allow",
    deny: "Deny",
    then: Message("If you allow this, you go on to {}."),
};

const SCOPES: Scopes = Scopes {
    openid: "An identifier of your account",
    profile: "Your name",
    email: "Your email address",
    groups: "The groups you are in",
    offline_access: "Stay signed in as you while you are away",
    federated_id: "Your account’s identifier at the place you sign in with",
    admin: "See and end everybody’s sessions, if you are an administrator",
    audience: Message("Act as you at {}"),
    other: Message("Use what it calls {}"),
};

const ERROR: Error = Error { what_now: "What to do", reference: "Reference" };

const PROBLEMS: Problems = Problems {
    start_again: ErrorMessages {
        title: "Please start again",
        happened: "This sign-in was started too long ago, in another browser, or is already finished.",
        todo: "Go back to the application and sign in again. If that does not help, check that your browser accepts \
               cookies from this site.",
    },
    form_expired: ErrorMessages {
        title: "This page was out of date",
        happened: "Something changed since the page was opened, so nothing was done.",
        todo: "Open the page again and repeat what you wanted to do.",
    },
    unknown_app: ErrorMessages {
        title: "This application is not known here",
        happened: "You were sent here by an application that is not registered:",
        todo: "Check the link you followed. If you run the application, check its client ID.",
    },
    wrong_redirect: ErrorMessages {
        title: "We stopped this sign-in",
        happened: "The application requested a redirect to an address that is not registered for it:",
        todo: "You can close this page. If you run the application, register exactly this address as a redirect URI.",
    },
    bad_request: ErrorMessages {
        title: "The application sent an invalid request",
        happened: "The application’s request is not valid.",
        todo: "Go back to the application and sign in again. If you run it, see the details above.",
    },
    refused: ErrorMessages {
        title: "You were not signed in",
        happened: "The sign-in was cancelled or refused at the place you sign in with.",
        todo: "If you did not cancel it yourself, try again or use another account.",
    },
    not_allowed: ErrorMessages {
        title: "You cannot go on with this account",
        happened: "You signed in, but this account may not be used here.",
        todo: "Use another account, or ask your administrator and give the reference below.",
    },
    blocked: ErrorMessages {
        title: "This account is blocked",
        happened: "You signed in, but an administrator of this service has blocked this account. Trying again does \
                   not help.",
        todo: "Ask the administrators of this service and give them the reference below. They can lift the block.",
    },
    blocked_until: Message("Until {}"),
    blocked_contact: Message("Contact: {}"),
    missing_groups: ErrorMessages {
        title: "A group is missing",
        happened: "You signed in, but this is only open to members of one of these groups or organisations:",
        todo: "Ask your administrator for membership and give the reference below, then sign in again.",
    },
    email_not_verified: ErrorMessages {
        title: "Your e-mail address is not verified",
        happened: "You signed in, but the place you sign in with does not say that your e-mail address is yours.",
        todo: "Verify the address there and sign in again. If it is verified, ask your administrator and give the reference below.",
    },
    not_through_proxy: ErrorMessages {
        title: "Sign in through your company’s proxy",
        happened: "Signing in this way is possible only at the address your company has set up for it.",
        todo: "Open that address, or ask your administrator and give the reference below.",
    },
    upstream_failed: ErrorMessages {
        title: "The sign-in did not work",
        happened: "Your identity provider returned a response that cannot be used.",
        todo: "Try again. If it happens again, ask your administrator and give the reference below.",
    },
    invalid_response: ErrorMessages {
        title: "The sign-in did not work",
        happened: "What your identity provider returned through this browser is not valid.",
        todo: "Go back to the application and sign in again. If it happens again, give the details above and the \
               reference below to those who run this service.",
    },
    upstream_misconfigured: ErrorMessages {
        title: "An administrator must complete the setup",
        happened: "You did nothing wrong. Something this sign-in needs is missing or set up incorrectly:",
        todo: "Trying again does not help. Show your administrator this page, or use another way to sign in.",
    },
    upstream_down: ErrorMessages {
        title: "The sign-in does not work right now",
        happened: "You did nothing wrong. Something that this sign-in needs does not work right now:",
        todo: "Try again in a moment, or use another way to sign in. If it stays like this, contact your administrator \
               and give the reference below.",
    },
    not_found: ErrorMessages {
        title: "Nothing here",
        happened: "There is no page at this address.",
        todo: "Check the address, or start from the application you want to use.",
    },
    method_not_allowed: ErrorMessages {
        title: "Not in this way",
        happened: "This address cannot be used like that.",
        todo: "Start from the application you want to use.",
    },
    too_many_requests: ErrorMessages {
        title: "Too many requests",
        happened: "Too much came from your network in a short time.",
        todo: "Wait a minute, then try again.",
    },
    internal: ErrorMessages {
        title: "Something went wrong here",
        happened: "This is our fault, not yours. The cause has been written to the log.",
        todo: "Try again. If it happens again, ask your administrator and give the reference below.",
    },
    unavailable: ErrorMessages {
        title: "Back in a moment",
        happened: "This service cannot answer right now.",
        todo: "Wait a moment, then try again.",
    },
    outcome_unknown: ErrorMessages {
        title: "Not confirmed",
        happened: "This service could not confirm your last step, which may have been done.",
        todo: "Wait a moment, then look whether it was done, or try again.",
    },
};

const LINKS: Links = Links {
    back_to: Message("Back to {}"),
    other_connectors: "Other ways to sign in",
    try_again: "Try again",
    home: "Your sign-in page",
    sign_out_of: Message("Also sign out of {}"),
};

const HOME: Home = Home {
    signed_in_heading: "You are signed in",
    since: "Signed in",
    until: "Ends",
    groups_heading: "Your groups",
    groups: PluralMessage { one: "Show one group", many: "Show {} groups" },
    no_groups: "None. Applications that go by groups will not let you in.",
    discovery: "OpenID Connect discovery document",
    signed_out_heading: "You are not signed in",
    what_this_is: "This is where applications find out who you are. You sign in here once, with an account you \
                   already have, and your password stays here.",
    how_heading: "To use an application",
    how: "Open the application you want to use and choose to sign in there. It sends you here and takes you back.",
};

const LOGOUT: Logout = Logout {
    heading: "Sign out?",
    explain: "You will have to sign in again in this browser.",
    stay: "Stay signed in",
    tools: "Also my command-line tools",
    tools_hint: "kubectl and other programs that you signed in from this browser",
    done: "You are signed out",
    done_explain: "To sign in again, start from the application you want to use.",
    tools_kept: "Command-line tools that you signed in stay signed in.",
    tools_ended: "Command-line tools that you signed in are signed out too.",
    notified: "Applications being notified",
    not_redirected: Message(
        "{} requested a redirect to an address that is not registered for it, so you stay here. If you run the \
         application, register exactly this address as a postLogoutRedirectURI.",
    ),
    hint_refused: "The application sent an id_token_hint that is not an ID token which it received from this service \
                   for a session. This browser was not signed in, so no session was ended.",
};

const HAND_OVER: HandOver = HandOver {
    heading: Message("Going on to {}"),
    explain: "If nothing happens, press Continue.",
    go_on: "Continue",
};

const OUT_OF_BAND: OutOfBand = OutOfBand {
    title: Message("Code for {}"),
    heading: "Copy this code",
    explain: Message("Paste it where {} prompts for it."),
    code: "Code",
    careful: "Give it to nobody: for a few minutes it signs in as you.",
};

const DEVICE: Device = Device {
    heading: "Connect a device",
    explain: "Type the code that the device or program shows.",
    code: "Code",
    careful: "Type only a code from a device of yours. Whoever sends you a code tries to sign in as you.",
    wrong: "This code is not valid.",
    wrong_todo: "Check it on the device. Codes expire after some minutes: if need be, let the device show a new one.",
    confirm_heading: Message("Sign in to {} on another device?"),
    confirm: Message("A device wants to use {} as you. Compare this with the device:"),
    program: "Program",
    address: "Address",
    requested: "Requested",
    only_yours: "Go on only if you started this yourself.",
    otherwise: "If somebody sent you the code or a link to this page, close it: they would be signed in as you.",
    it_is_mine: "It is mine",
    cancel: "Cancel",
    on_device: "On this device",
    approved: "The device is connected",
    approved_explain: Message("Return to it: {} goes on there. You can close this page."),
    approved_careful: "You can see and end what you have signed in at any time.",
    denied: "The device was not connected",
    denied_explain: Message("{} was notified that you denied it. You can close this page."),
};

const CLUSTERS: Clusters = Clusters {
    heading: "Your clusters",
    none: "There is no Kubernetes cluster for the groups you are in. Ask your administrator if you expected one.",
    how: "Set up kubectl for all of them",
    how_explain: "It opens a browser, signs you in and adds the clusters to your kubeconfig.",
    one_by_one: "One by one",
    download: "Download kubeconfig",
    download_all: "Download one kubeconfig for all",
    no_secret: "A kubeconfig holds no secret: kubectl prompts you to sign in when it needs to. It runs kubectl-countersign, \
                which must be installed.",
    link: "Your clusters",
};

const DISPLAY_TIME: DisplayTime = DisplayTime {
    now: "now",
    minutes_ago: PluralMessage { one: "one minute ago", many: "{} minutes ago" },
    in_minutes: PluralMessage { one: "in one minute", many: "in {} minutes" },
    hours_ago: PluralMessage { one: "one hour ago", many: "{} hours ago" },
    in_hours: PluralMessage { one: "in one hour", many: "in {} hours" },
    days_ago: PluralMessage { one: "one day ago", many: "{} days ago" },
    in_days: PluralMessage { one: "in one day", many: "in {} days" },
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ],
};
