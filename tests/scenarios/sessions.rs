//! Sessions after sign-in: cookies, single sign-on, logout, the account page.

pub mod account_pages;
pub mod account_pages_in_chromium;
pub mod back_channel_logout;
pub mod configuration_changes;
pub mod consents;
pub mod cookies;
pub mod logout_page;
pub mod post_logout_redirects;
pub mod rp_initiated_logout;
pub mod session_attacks;
pub mod single_sign_on;
