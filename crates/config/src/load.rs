//! Loads a file, and checks its permission bits; the result is the reader's value, or the list of all problems.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::{read_text, readable_by_others};
use crate::{Environment, Mark, Node, Problem, Problems, Section, Severity, Value, expand, yaml};

/// The outcome of reading a file. `Display` prints one line for each problem.
pub struct Loaded<T> {
    /// `None` when any problem is an error.
    pub config: Option<T>,
    /// Sorted by position in the file.
    pub problems: Vec<Problem>,
    file: PathBuf,
    known_keys: Vec<String>,
    files: Vec<PathBuf>,
}

impl<T> Loaded<T> {
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Every key known to the readers, such as `staticClients[].name`, for the blocks that the file contains.
    pub fn known_keys(&self) -> &[String] {
        &self.known_keys
    }

    /// The files that were to be read because the configuration names them, whether they could be or not.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// One line: `config.yaml:14:5: staticClients[0].redirectURIs: is empty`.
    pub fn line(&self, problem: &Problem) -> String {
        let file = self.file.display();
        if problem.mark == Mark::WHOLE_FILE {
            format!("{file}: {}", problem.message)
        } else {
            format!("{file}:{problem}")
        }
    }

    fn new(file: &Path, config: Option<T>, problems: Problems) -> Self {
        let known_keys = problems.known_keys();
        let files = problems.files.named();
        let config = config.filter(|_| !problems.has_errors());
        let (problems, file) = (problems.into_sorted(), file.to_owned());
        Self { config, problems, file, known_keys, files }
    }

    fn failed(file: &Path, lenient: bool, mark: Mark, message: String) -> Self {
        let problems = Problems::new(lenient);
        problems.error(mark, "", message);
        Self::new(file, None, problems)
    }
}

/// Warnings have `warning: ` between the position and the key.
impl<T> fmt::Display for Loaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            let file = self.file.display();
            let kind = if problem.severity == Severity::Warning { "warning: " } else { "" };
            if problem.mark == Mark::WHOLE_FILE {
                writeln!(f, "{file}: {kind}{}", problem.message)?;
                continue;
            }
            let Mark { line, column } = problem.mark;
            let path = &problem.path;
            let colon = if path.is_empty() { "" } else { ": " };
            writeln!(f, "{file}:{line}:{column}: {kind}{path}{colon}{}", problem.message)?;
        }
        Ok(())
    }
}

/// Reads a configuration file with `reader`. If `lenient`, unknown keys are warnings instead of errors.
pub fn load<T>(
    file: &Path,
    env: Environment<'_>,
    lenient: bool,
    reader: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Loaded<T> {
    match read_text(file, yaml::MAX_BYTES) {
        Ok(text) => read(&text, file, env, lenient, reader),
        Err(message) => Loaded::failed(file, lenient, Mark::WHOLE_FILE, message),
    }
}

/// Reads the text of a configuration. `file` is the name in messages, and the file whose permission bits are
/// checked.
pub fn read<T>(
    text: &str,
    file: &Path,
    env: Environment<'_>,
    lenient: bool,
    reader: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Loaded<T> {
    match yaml::parse(text) {
        Ok(root) => read_tree(root, file, env, lenient, reader),
        Err(error) => Loaded::failed(file, lenient, error.mark, error.message),
    }
}

/// As [`read`], from the tree that [`parse_yaml`](crate::parse_yaml) returns.
pub fn read_tree<T>(
    mut root: Node,
    file: &Path,
    env: Environment<'_>,
    lenient: bool,
    reader: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Loaded<T> {
    let problems = Problems::new(lenient);
    warn_if_readable_by_others(file, &root, &problems);
    expand::expand(&mut root, env, &problems);
    let config = Section::root(&root, &problems).and_then(|root| {
        let config = reader(&root);
        root.finish();
        config
    });
    Loaded::new(file, config, problems)
}

/// Adds one warning, at the first secret in the file, if the file is readable by others than its owner.
pub fn warn_if_readable_by_others(file: &Path, root: &Node, problems: &Problems) {
    // The secrets of the example are public, and git checks it out with permissions for everyone.
    if file.file_name().is_some_and(|name| name == "config.example.yaml") {
        return;
    }
    let Some(mode) = readable_by_others(file) else { return };
    if let Some((mark, path)) = first_secret(root, "") {
        let message = format!(
            "is a secret in a file that others than its owner can open (mode {mode:04o}, expected 0600)"
        );
        problems.warning(mark, path, message);
    }
}

/// Keys whose value is a secret, in lower case.
const SECRETS: &[&str] = &[
    "secret",
    "clientsecret",
    "password",
    "bindpw",
    "rootkey",
    "hash",
    "cookieencryptionkey",
    "token",
];

/// The first secret whose value is in the file itself and not in the environment.
fn first_secret(node: &Node, path: &str) -> Option<(Mark, String)> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(key, value)| {
            let path =
                if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
            let name = key.text.to_ascii_lowercase();
            if SECRETS.contains(&name.as_str()) && is_literal(value) {
                return Some((value.mark, path));
            }
            first_secret(value, &path)
        }),
        Value::List(nodes) => nodes
            .iter()
            .enumerate()
            .find_map(|(index, node)| first_secret(node, &format!("{path}[{index}]"))),
        Value::Null | Value::Scalar { .. } => None,
    }
}

fn is_literal(value: &Node) -> bool {
    match &value.value {
        // `$NAME` alone refers to the environment, but bcrypt's `$2a$…` and argon2's `$argon2id$…` do not.
        Value::Scalar { text, .. } => {
            let reference = text.strip_prefix('$').is_some_and(|rest| !rest.contains('$'));
            !text.is_empty() && !reference
        }
        Value::List(nodes) => nodes.iter().any(is_literal),
        Value::Null | Value::Map(_) => false,
    }
}
