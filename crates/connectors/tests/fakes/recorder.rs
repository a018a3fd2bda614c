//! Records the responses of the fake of a vendor, so that tests/contracts can compare them with the vendor's own
//! description. Does nothing unless `COUNTERSIGN_RECORDS` names a folder, which `./test` sets.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Reply, Request};

/// Records the response to `request`. Replies that are not responses of an API (no response, a redirect, a page) are
/// left out.
pub fn record(vendor: &str, request: &Request, reply: &Reply) {
    let (status, body) = match reply {
        Reply::Json(status, body) | Reply::With(status, _, _, body) => (*status, body.clone()),
        Reply::Full(status, _, text) => (*status, serde_json::from_str(text).unwrap_or_default()),
        _ => return,
    };
    record_at(&request.path, vendor, request, status, &body);
}

/// Like [`record`], for a path that the description writes differently or below another prefix.
pub fn record_at(path: &str, vendor: &str, request: &Request, status: u16, body: &Value) {
    let Some(folder) = std::env::var_os("COUNTERSIGN_RECORDS") else { return };
    let query: Vec<&String> = request.query.iter().map(|(name, _)| name).collect();
    let line = json!({ "vendor": vendor, "method": request.method, "path": path, "query": query,
                       "status": status, "body": body });
    let file = PathBuf::from(folder).join(format!("{}.jsonl", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    // In one write, because tests run in parallel.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
