//! Adds clusters to a kubeconfig. Comments, order and all other entries are preserved byte for byte.

pub mod file;

use std::path::Path;
use std::str::FromStr;

use serde_json::{Value, json};
use yaml_edit::{Document, Mapping, Sequence, YamlFile, YamlNode};

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
    let (file, document) = parse(text)?;
    for entry in entries {
        let command = own_command(&document, &entry.name);
        if command.is_none() && has(&document, &entry.name) {
            return Err(Error::Local(format!(
                "the kubeconfig has an entry {0:?} that this program did not write; rename it first: \
                 kubectl config rename-context {0} {0}-old, and its cluster and user with an editor",
                entry.name
            )));
        }
        put(&document, "clusters", &cluster(entry))?;
        put(&document, "users", &user(entry, command.as_deref().unwrap_or(COMMAND)))?;
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
    let text = file.to_string();
    check(&text, entries)?;
    Ok(text)
}

/// The file, whose comments may be before `---`, and its document, which is changed in place.
fn parse(text: &str) -> Result<(YamlFile, Document), Error> {
    let file = YamlFile::from_str(text)
        .map_err(|cause| Error::Local(format!("the kubeconfig is not valid YAML: {cause}")))?;
    let documents: Vec<Document> = file.documents().collect();
    if documents.len() > 1 {
        return Err(Error::Local(
            "the kubeconfig has more than one YAML document, of which kubectl reads the first only"
                .to_owned(),
        ));
    }
    match documents.into_iter().next() {
        Some(document) if document.as_mapping().is_some() => Ok((file, document)),
        _ => Err(Error::Local("the kubeconfig is not a mapping".to_owned())),
    }
}

/// The name of the first entry that this program did not write, in another file that kubectl merges: an entry of this
/// name in the file that is read first would hide it. A file that cannot be parsed has none.
pub fn hidden_entry<'a>(text: &str, entries: &'a [Entry]) -> Option<&'a str> {
    let (_file, document) = parse(text).ok()?;
    let is_hidden = |entry: &&Entry| {
        own_command(&document, &entry.name).is_none() && has(&document, &entry.name)
    };
    entries.iter().find(is_hidden).map(|entry| entry.name.as_str())
}

fn has(document: &Document, name: &str) -> bool {
    LISTS.iter().any(|list| existing(document, list, name).is_some())
}

/// The command of the user entry of this name, if it is this program, also if somebody has written its whole path.
fn own_command(document: &Document, name: &str) -> Option<String> {
    let exec = existing(document, "users", name)
        .and_then(|user| user.get_mapping("user"))
        .and_then(|user| user.get_mapping("exec"));
    let command = exec.and_then(|exec| text_of(&exec, "command"))?;
    Path::new(&command).file_name().is_some_and(|name| name == COMMAND).then_some(command)
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

fn user(entry: &Entry, command: &str) -> Value {
    let arguments = [&["get-token".to_owned()], entry.get_token_arguments.as_slice()].concat();
    json!({ "name": entry.name, "user": { "exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
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
    let (_file, document) = parse(text).map_err(|cause| broken(&cause.to_string()))?;
    for list in LISTS {
        let sequence = document.get_sequence(list).ok_or_else(|| broken(list))?;
        for entry in entries {
            position(&sequence, &entry.name).ok_or_else(|| broken(&entry.name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
