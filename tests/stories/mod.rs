//! The stories, a file for each theme.

mod directory;
mod first_login;
mod in_the_browser;
mod kubernetes;
mod relying_party;
mod replicas;
mod revoking;
mod starting;
mod staying_signed_in;
mod two_browsers;
mod answers;
mod approval;
mod codes;
mod consent;
mod duplicates;
mod form_post;
mod hints;
mod out_of_band;
mod pkce;
mod prompts;
mod redirect_uris;
mod requests;
mod scopes;
mod trips;
