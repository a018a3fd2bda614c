//! Blocked users: their list, the page that blocks one, and the API.

pub mod api;
pub mod block;
pub mod list;
