//! Compares the API's responses with its description: types, required members, and members that it does not name.
//! Supports only those parts of JSON Schema that the description uses.

use serde_json::Value;

const DESCRIPTION: &str = include_str!("../../crates/server/src/admin/openapi.json");

/// Panics where a response to `method path` is not as described. `path` is below `/api/v1`, with its query.
///
/// A path that is not UTF-8 is refused before it reaches the API, without a JSON body.
pub fn check_response(method: &str, path: &str, status: u16, body: &Value) {
    if status == 400 && body.is_null() {
        return;
    }
    let document: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let path = path.split('?').next().unwrap_or(path);
    let schema = match status {
        200 => {
            let Some(operation) = operation(&document, method, path) else {
                panic!("{method} {path} succeeds and is not described")
            };
            operation["responses"]["200"]["content"]["application/json"]["schema"].clone()
        }
        _ => document["components"]["schemas"]["Problem"].clone(),
    };
    if let Err(difference) = matches(&document, &schema, body, "") {
        panic!("{method} {path} ({status}): {difference}: {body}");
    }
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let segments: Vec<&str> = path.split('/').collect();
    let is_path = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        let fits = |(part, segment): (&&str, &&str)| part.starts_with('{') || part == segment;
        parts.len() == segments.len() && parts.iter().zip(&segments).all(fits)
    };
    let paths = document["paths"].as_object().unwrap();
    // A path without a parameter comes first: `/sessions/end` is not `/sessions/{id}`.
    let exact = paths.get(path).into_iter();
    let templates = paths.iter().filter(|(template, _)| is_path(template)).map(|(_, path)| path);
    exact.chain(templates).find_map(|path| path.get(method.to_lowercase()))
}

fn matches(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let named = &document["components"]["schemas"][name];
        assert!(named.is_object(), "{name} is not described");
        return matches(document, named, value, at);
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        return Err(format!("{at} is none of {allowed:?}"));
    }
    match schema["type"].as_str() {
        Some("string") => {
            let text = value.as_str().ok_or(format!("{at} is no string"))?;
            let is_date = text.len() >= 20 && text.ends_with('Z') && text.contains('T');
            match schema["format"] == "date-time" && !is_date {
                true => Err(format!("{at} is no date-time")),
                false => Ok(()),
            }
        }
        Some("integer") => value.as_i64().map(|_| ()).ok_or(format!("{at} is no integer")),
        Some("boolean") => value.as_bool().map(|_| ()).ok_or(format!("{at} is no boolean")),
        Some("array") => {
            let items = value.as_array().ok_or(format!("{at} is no array"))?;
            items
                .iter()
                .try_for_each(|item| matches(document, &schema["items"], item, &format!("{at}[]")))
        }
        Some("object") => object(document, schema, value, at),
        other => Err(format!("{at}: the description has the type {other:?}")),
    }
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let members = value.as_object().ok_or(format!("{at} is no object"))?;
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        members.get(name).ok_or(format!("{at}.{name} is missing"))?;
    }
    // An object without described members may have any.
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for (name, member) in members {
        let at = format!("{at}.{name}");
        let described = properties.get(name).ok_or(format!("{at} is not described"))?;
        matches(document, described, member, &at)?;
    }
    Ok(())
}
