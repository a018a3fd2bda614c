//! Signing in: from the authorization request to the authorization response.

pub mod authorization_requests;
pub mod authorization_responses;
pub mod browser_binding;
pub mod connector_choice;
pub mod consent;
pub mod device;
pub mod device_flow;
pub mod device_flow_attacks;
pub mod first_login;
pub mod form_post;
pub mod id_token_hint;
pub mod implicit_and_hybrid;
pub mod out_of_band;
pub mod own_pages;
pub mod passwords;
pub mod prompt_and_max_age;
pub mod redirect_uris;
pub mod repeated_parameters;
pub mod shared_address;
