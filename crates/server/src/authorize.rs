//! The way of a login, hop by hop. Each hop ends at the issuer's dispatcher, never at another hop.

pub mod approval;
pub mod auth;
pub mod callback;
pub mod connector;
pub mod login;
pub mod resume;
