//! Administration: pages, API, command line, and who may use them.

pub mod api;
pub mod api_tokens;
pub mod blocked_users;
pub mod blocks_and_keys_in_chromium;
pub mod command_line;
pub mod command_line_on_a_terminal;
pub mod cross_site_requests;
pub mod dropped_keys;
pub mod page_input_and_headers;
pub mod pages;
pub mod pages_in_chromium;
pub mod secrets_and_filters;
pub mod selected_sessions;
