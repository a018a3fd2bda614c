//! Custom resources as `kubectl get … -o json` prints them, and etcd as `etcdctl get --prefix … -w json` does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::ReadError;
use crate::dex::DexData;
use crate::record::Record;

/// Kinds of the API group `dex.coreos.com`, with the name of the corresponding SQL table.
const RESOURCES: [(&str, &str); 12] = [
    ("OAuth2Client", "client"),
    ("Password", "password"),
    ("Connector", "connector"),
    ("SigningKey", "keys"),
    ("RefreshToken", "refresh_token"),
    ("OfflineSessions", "offline_session"),
    ("UserIdentity", "user_identity"),
    ("AuthCode", "authorization codes"),
    ("AuthRequest", "authorization requests"),
    ("DeviceRequest", "device requests"),
    ("DeviceToken", "device tokens"),
    ("AuthSession", "browser sessions"),
];

/// Key prefixes in etcd, below the configured namespace.
const PREFIXES: [(&str, &str); 12] = [
    ("client", "client"),
    ("password", "password"),
    ("connector", "connector"),
    ("openid-connect-keys", "keys"),
    ("refresh_token", "refresh_token"),
    ("offline_session", "offline_session"),
    ("user_identity", "user_identity"),
    ("auth_code", "authorization codes"),
    ("auth_req", "authorization requests"),
    ("device_req", "device requests"),
    ("device_token", "device tokens"),
    ("auth_session", "browser sessions"),
];

pub(crate) fn read(text: &str) -> Result<DexData, ReadError> {
    let document: Value = serde_json::from_str(text)
        .map_err(|e| ReadError::Format(format!("it begins as JSON but is none: {e}")))?;
    if let Some(items) = document.get("items").and_then(Value::as_array) {
        return Ok(kubernetes(items));
    }
    if document.get("apiVersion").is_some() {
        return Ok(kubernetes(std::slice::from_ref(&document)));
    }
    if let Some(pairs) = document.get("kvs").and_then(Value::as_array) {
        return Ok(etcd(pairs));
    }
    let expected = "expected what `kubectl get -o json` or `etcdctl get -w json` prints";
    Err(ReadError::Format(format!("it has neither `items` nor `kvs`: {expected}")))
}

fn kubernetes(items: &[Value]) -> DexData {
    let mut data =
        DexData { source: "custom resources of Kubernetes".to_owned(), ..DexData::default() };
    for item in items {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let is_dex = text(item.get("apiVersion")).is_some_and(|v| v.starts_with("dex.coreos.com/"));
        let (Some(kind), Value::Object(object)) = (text(item.get("kind")), item) else { continue };
        let known = RESOURCES.iter().find(|(name, _)| *name == kind).filter(|_| is_dex);
        let Some((_, kind)) = known else {
            data.unreadable.push(format!("an object of kind {kind}, which is not Dex's"));
            continue;
        };
        let mut record = Record::of_object(object.clone());
        let name = text(item.get("metadata").and_then(|metadata| metadata.get("name")));
        // For other kinds the name is an encoding of the id, which is also in the body.
        if let Some(name) = name.filter(|_| *kind == "refresh_token") {
            record.set_id(&name);
        }
        data.add(kind, &record);
    }
    data
}

fn etcd(pairs: &[Value]) -> DexData {
    let mut data = DexData { source: "keys of etcd".to_owned(), ..DexData::default() };
    for pair in pairs {
        let Some((key, value)) = decoded(pair, "key").zip(decoded(pair, "value")) else { continue };
        let Some(kind) = kind_of(&key) else {
            data.unreadable.push(format!("the key {key}, which is not Dex's"));
            continue;
        };
        match serde_json::from_str::<Map<String, Value>>(&value) {
            Ok(object) => data.add(kind, &Record::of_object(object)),
            // The cause is omitted because it may quote a secret.
            Err(_) => data.unreadable.push(format!("the value of {key} is not a JSON object")),
        }
    }
    data
}

fn decoded(pair: &Value, member: &str) -> Option<String> {
    let bytes = STANDARD.decode(pair.get(member)?.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// The kind of an etcd key. Ids and the namespace may contain `/`: the first part that equals a prefix of Dex decides.
fn kind_of(key: &str) -> Option<&'static str> {
    let find = |part: &str| PREFIXES.iter().find(|(prefix, _)| *prefix == part);
    key.split('/').find_map(find).map(|(_, kind)| *kind)
}
