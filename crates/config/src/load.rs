//! Loads a file: the result is the reader's value, or the list of all problems.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Environment, Mark, Node, Problem, Problems, Section, Severity, expand, files, yaml};

/// The outcome of reading a file. `Display` prints one line for each problem.
pub struct Loaded<T> {
    /// `None` when any problem is an error.
    pub config: Option<T>,
    /// Sorted by position in the file.
    pub problems: Vec<Problem>,
    file: PathBuf,
    known_keys: Vec<String>,
}

impl<T> Loaded<T> {
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Every key known to the readers, such as `staticClients[].name`, for the blocks that the file contains.
    pub fn known_keys(&self) -> &[String] {
        &self.known_keys
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
        let config = config.filter(|_| !problems.has_errors());
        Self { config, problems: problems.into_sorted(), file: file.to_owned(), known_keys }
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
    match files::read_text(file, yaml::MAX_BYTES) {
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
    files::warn_if_readable_by_others(file, &root, &problems);
    expand::expand(&mut root, env, &problems);
    let config = Section::root(&root, &problems).and_then(|root| {
        let config = reader(&root);
        root.finish();
        config
    });
    Loaded::new(file, config, problems)
}
