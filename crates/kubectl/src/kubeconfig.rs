//! Adds clusters to a kubeconfig. Comments, order and all other entries are preserved byte for byte.

pub mod file;

use std::str::FromStr;

use serde_json::{Value, json};
use yaml_edit::{Document, Mapping, Sequence, YamlNode};

use crate::error::Error;

/// The `command` in the `exec` section of a user entry written by this program.
const COMMAND: &str = "kubectl-countersign";
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];
const EMPTY: &str = "apiVersion: v1\nkind: Config\nclusters:\nusers:\ncontexts:\n";

/// A cluster with its user and context entries, which all have the cluster's name.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    /// Address of the API server.
    pub server: String,
    /// PEM in base64; `None`: the system's authorities.
    pub certificate_authority_data: Option<String>,
    pub namespace: Option<String>,
    /// The arguments of `kubectl-countersign get-token`.
    pub get_token_arguments: Vec<String>,
}

/// Returns `text` with the entries added. An entry that this program wrote before is replaced if it differs; its
/// context keeps a namespace set by the user.
///
/// `current_context`: the new default context of `kubectl`; `None` leaves it unchanged.
///
/// # Errors
/// `text` is not YAML, one of its lists (`clusters`, `users`, `contexts`) is not a list, or it has an entry of the same
/// name that this program did not write.
pub fn merge(
    text: &str,
    entries: &[Entry],
    current_context: Option<&str>,
) -> Result<String, Error> {
    let text = if text.trim().is_empty() { EMPTY } else { text };
    let document = Document::from_str(text)
        .map_err(|cause| Error::Local(format!("the kubeconfig is not valid YAML: {cause}")))?;
    if document.as_mapping().is_none() {
        return Err(Error::Local("the kubeconfig is not a mapping".to_owned()));
    }
    for entry in entries {
        let is_own = is_own(&document, &entry.name);
        if !is_own && LISTS.iter().any(|list| existing(&document, list, &entry.name).is_some()) {
            return Err(Error::Local(format!(
                "the kubeconfig has an entry {0:?} that this program did not write; rename it first: \
                 kubectl config rename-context {0} {0}-old, and its cluster and user with an editor",
                entry.name
            )));
        }
        put(&document, "clusters", &cluster(entry))?;
        put(&document, "users", &user(entry))?;
        let keeps_context = existing(&document, "contexts", &entry.name)
            .is_some_and(|context| context_is_for(&context, &entry.name));
        if !keeps_context {
            put(&document, "contexts", &context(entry))?;
        }
    }
    if let Some(context) = current_context {
        let is_current = document.get_string("current-context").as_deref() == Some(context);
        if !is_current {
            document.set("current-context", context);
        }
    }
    let text = document.to_string();
    check(&text, entries)?;
    Ok(text)
}

/// Whether the user entry of this name runs this program.
fn is_own(document: &Document, name: &str) -> bool {
    let exec = existing(document, "users", name)
        .and_then(|user| user.get_mapping("user"))
        .and_then(|user| user.get_mapping("exec"));
    exec.and_then(|exec| text_of(&exec, "command")).as_deref() == Some(COMMAND)
}

fn context_is_for(element: &Mapping, name: &str) -> bool {
    element.get_mapping("context").is_some_and(|context| {
        ["cluster", "user"].iter().all(|key| text_of(&context, key).as_deref() == Some(name))
    })
}

fn existing(document: &Document, list: &str, name: &str) -> Option<Mapping> {
    let sequence = document.get_sequence(list)?;
    match sequence.get(position(&sequence, name)?)? {
        YamlNode::Mapping(mapping) => Some(mapping),
        _ => None,
    }
}

fn text_of(mapping: &Mapping, key: &str) -> Option<String> {
    match mapping.get(key)? {
        YamlNode::Scalar(scalar) => Some(scalar.as_string()),
        _ => None,
    }
}

fn cluster(entry: &Entry) -> Value {
    let mut cluster = json!({ "server": entry.server });
    if let (Some(data), Some(cluster)) =
        (&entry.certificate_authority_data, cluster.as_object_mut())
    {
        cluster.insert("certificate-authority-data".to_owned(), json!(data));
    }
    json!({ "name": entry.name, "cluster": cluster })
}

fn context(entry: &Entry) -> Value {
    let mut context = json!({ "cluster": entry.name, "user": entry.name });
    if let (Some(namespace), Some(context)) = (&entry.namespace, context.as_object_mut()) {
        context.insert("namespace".to_owned(), json!(namespace));
    }
    json!({ "name": entry.name, "context": context })
}

fn user(entry: &Entry) -> Value {
    let arguments = [&["get-token".to_owned()], entry.get_token_arguments.as_slice()].concat();
    json!({ "name": entry.name, "user": { "exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": COMMAND,
        "args": arguments,
        "interactiveMode": "IfAvailable",
        "installHint": "Install kubectl-countersign and make sure that it is in your PATH.",
    } } })
}

/// Replaces the element of the same name, or appends a new one.
fn put(document: &Document, list: &str, element: &Value) -> Result<(), Error> {
    let name = element["name"].as_str().unwrap_or_default();
    let node = parsed(&block(element, 0))?;
    let existing = document.get_sequence(list).filter(|sequence| !sequence.is_empty());
    let Some(sequence) = existing else {
        if document.get(list).is_some_and(|node| !is_empty(&node)) {
            return Err(Error::Local(format!("`{list}` in the kubeconfig is not a list")));
        }
        let item = block(element, 2);
        let whole = parsed(&format!("- {}", item.trim()))?;
        document.set(list, whole);
        return Ok(());
    };
    match position(&sequence, name) {
        // An equal entry keeps its bytes, including comments.
        Some(index) if sequence.get(index).is_some_and(|old| old.yaml_eq(&node)) => {}
        Some(index) => drop(sequence.set(index, node)),
        None => sequence.push(node),
    }
    Ok(())
}

fn is_empty(node: &YamlNode) -> bool {
    match node {
        YamlNode::Sequence(sequence) => sequence.is_empty(),
        YamlNode::Scalar(scalar) => matches!(scalar.as_string().as_str(), "" | "null" | "~"),
        _ => false,
    }
}

fn position(sequence: &Sequence, name: &str) -> Option<usize> {
    sequence.values().position(|node| {
        let YamlNode::Mapping(mapping) = node else { return false };
        text_of(&mapping, "name").as_deref() == Some(name)
    })
}

fn parsed(text: &str) -> Result<YamlNode, Error> {
    let document = Document::from_str(text).map_err(|cause| Error::Local(cause.to_string()))?;
    let node = document.as_mapping().map(YamlNode::Mapping);
    node.or_else(|| document.as_sequence().map(YamlNode::Sequence)).ok_or_else(|| {
        Error::Local("an entry for the kubeconfig is neither a mapping nor a list".to_owned())
    })
}

/// JSON as block style YAML, indented by `indent` spaces. Strings are quoted as in JSON, which is valid YAML.
fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::Object(_) => format!("{pad}{key}:\n{}", block(value, indent + 2)),
                Value::Array(items) => {
                    let items: String =
                        items.iter().map(|item| format!("{pad}- {item}\n")).collect();
                    format!("{pad}{key}:\n{items}")
                }
                scalar => format!("{pad}{key}: {scalar}\n"),
            })
            .collect(),
        scalar => format!("{pad}{scalar}\n"),
    }
}

/// Verifies that the result can be parsed and contains every entry, so that a kubeconfig is never replaced by an
/// invalid one.
fn check(text: &str, entries: &[Entry]) -> Result<(), Error> {
    let broken = |what: &str| {
        Error::Local(format!("editing the kubeconfig failed ({what}); it was not changed"))
    };
    let document = Document::from_str(text).map_err(|cause| broken(&cause.to_string()))?;
    for list in LISTS {
        let sequence = document.get_sequence(list).ok_or_else(|| broken(list))?;
        for entry in entries {
            position(&sequence, &entry.name).ok_or_else(|| broken(&entry.name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Entry, merge};

    const BY_HAND: &str = "\
# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster:
    server: https://old.example:6443   # do not touch
  name: old
contexts:
  - name: old
    context: {cluster: old, user: old}
current-context: old
users:
- name: old
  user:
    token: \"abc\"
";

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            server: format!("https://{name}.example:6443"),
            certificate_authority_data: Some("Q0E=".to_owned()),
            namespace: Some("web".to_owned()),
            get_token_arguments: vec!["--oidc-issuer-url=https://id.example/dex".to_owned()],
        }
    }

    #[test]
    fn what_was_there_stays_to_the_byte() {
        let merged = merge(BY_HAND, &[entry("prod"), entry("stage")], None).unwrap();
        let mut rest = merged.as_str();
        for line in BY_HAND.lines() {
            let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is gone from\n{merged}"));
            rest = &rest[at + line.len()..];
        }
        assert!(merged.contains("https://stage.example:6443"), "{merged}");
        assert!(merged.contains("current-context: old"), "{merged}");
    }

    #[test]
    fn an_entry_of_the_same_name_is_replaced() {
        let once = merge(BY_HAND, &[entry("prod")], Some("prod")).unwrap();
        let twice = merge(&once, &[entry("prod")], Some("prod")).unwrap();
        assert_eq!(twice.matches("https://prod.example:6443").count(), 1, "{twice}");
        assert!(twice.contains("current-context: prod"), "{twice}");
    }

    #[test]
    fn the_same_again_changes_no_byte_and_a_namespace_that_was_set_stays() {
        let once = merge(BY_HAND, &[entry("prod")], Some("prod")).unwrap();
        assert_eq!(merge(&once, &[entry("prod")], Some("prod")).unwrap(), once);
        let edited = once.replace("namespace: \"web\"", "namespace: mine # for now");
        assert_ne!(edited, once);
        assert_eq!(merge(&edited, &[entry("prod")], None).unwrap(), edited);
        let moved = Entry { server: "https://moved.example".to_owned(), ..entry("prod") };
        let moved = merge(&edited, &[moved], None).unwrap();
        assert!(moved.contains("namespace: mine # for now"), "{moved}");
        assert!(moved.contains("https://moved.example"), "{moved}");
    }

    #[test]
    fn a_foreign_entry_is_not_replaced() {
        let error = merge(BY_HAND, &[entry("old")], None).unwrap_err();
        assert!(error.to_string().contains("rename-context old"), "{error}");
    }

    #[test]
    fn a_new_file_and_one_with_empty_lists_are_filled() {
        for text in ["", "apiVersion: v1\nkind: Config\nclusters: []\nusers: null\ncontexts:\n"] {
            let merged = merge(text, &[entry("prod"), entry("stage")], Some("prod")).unwrap();
            assert_eq!(merged.matches("name: \"stage\"").count(), 3, "{merged}");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        for text in ["- a\n", "clusters: 5\n", "clusters: {a: b}\n"] {
            assert!(merge(text, &[entry("prod")], None).is_err(), "{text}");
        }
    }
}
