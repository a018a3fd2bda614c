//! Sessions: their list, one in detail, and ending them, as pages and in the API.

pub mod api;
pub mod detail;
pub mod end;
pub mod end_views;
pub mod list;
