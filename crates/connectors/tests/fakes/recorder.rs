//! Writes down what the fake of a vendor answered, so that tests/contracts can compare it with the vendor's own
//! description. Does nothing unless `COUNTERSIGN_RECORDS` names a folder, as `./test` sees to.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Reply, Request};

/// The answer to `request`. What is no answer of an API (silence, a redirect, a page) is left out.
pub fn record(vendor: &str, request: &Request, reply: &Reply) {
    let (status, body) = match reply {
        Reply::Json(status, body) | Reply::With(status, _, _, body) => (*status, body.clone()),
        Reply::Full(status, _, text) => (*status, serde_json::from_str(text).unwrap_or_default()),
        _ => return,
    };
    record_at(&request.path, vendor, request, status, &body);
}

/// The same where the path in the description, or below another prefix, is known.
pub fn record_at(path: &str, vendor: &str, request: &Request, status: u16, body: &Value) {
    let Some(folder) = std::env::var_os("COUNTERSIGN_RECORDS") else { return };
    let query: Vec<&String> = request.query.iter().map(|(name, _)| name).collect();
    let line = json!({ "vendor": vendor, "method": request.method, "path": path, "query": query,
                       "status": status, "body": body });
    let file = PathBuf::from(folder).join(format!("{}.jsonl", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    // In one piece, since tests run side by side.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
