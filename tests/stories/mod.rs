//! The stories, a file for each theme.

mod directory;
mod first_login;
mod in_the_browser;
mod kubernetes;
mod relying_party;
mod replicas;
mod starting;
mod staying_signed_in;
mod two_browsers;
