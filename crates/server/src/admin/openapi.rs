//! The OpenAPI 3.1 description of the API. It is public: of this installation it contains only the issuer URL.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::problem_details::ProblemDetails;
use crate::app::App;
use crate::response::json;

const DESCRIPTION: &str = include_str!("openapi.json");

pub async fn description(State(app): State<App>) -> Result<Response, ProblemDetails> {
    let broken = |_| countersign_issuer::IssuerError::Broken("openapi.json is not JSON".to_owned());
    let mut document: Map<String, Value> = serde_json::from_str(DESCRIPTION).map_err(broken)?;
    let here = app.issuer.settings.issuer.endpoint("/api/v1");
    document.insert("servers".to_owned(), serde_json::json!([{ "url": here }]));
    Ok(json(StatusCode::OK, &document))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Parses the routes from the source of the route table: `.route(&api_at("/x"),
    /// get(admin::x::api_list).delete(admin::x::api_delete))`.
    fn routed() -> BTreeSet<(String, String)> {
        let table = include_str!("../lib.rs");
        let routes = table.split("api_at(\"").skip(1);
        let split = |route: &str| {
            let (path, rest) = route.split_once('"').unwrap();
            let call = rest.split(".route(").next().unwrap();
            let methods = ["get", "post", "delete"];
            let named = methods.into_iter().filter(|m| call.contains(&format!("{m}(admin::")));
            named.map(|m| (path.to_owned(), m.to_owned())).collect::<Vec<_>>()
        };
        routes.flat_map(split).collect()
    }

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(super::DESCRIPTION).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((path.clone(), method.clone()));
            }
        }
        assert!(described.len() > 10);
        assert_eq!(routed(), described);
    }
}
