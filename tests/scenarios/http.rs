//! HTTP itself: malformed requests, headers, caching, CORS, special characters.

pub mod caching;
pub mod cors;
pub mod host_and_headers;
pub mod hostile_connections;
pub mod raw_requests;
pub mod special_characters;
