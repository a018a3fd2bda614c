//! Connectors of the database, read with the same code as those of the file.

use countersign_config::{Problems, Section, Severity, parse_yaml};
use countersign_core::{Connector, ConnectorFactory, StoredConnector};

/// Reads the configuration of a stored connector. As in Dex, `$` in it is taken literally.
pub struct StoredConnectors;

impl ConnectorFactory for StoredConnectors {
    fn build(&self, stored: &StoredConnector) -> Result<Connector, String> {
        let text = stored.config.expose();
        // JSON is YAML; without a config there is still a map to read.
        let text = if text.trim().is_empty() { "{}" } else { text };
        let root = parse_yaml(text).map_err(|_| "its config is not a JSON object".to_owned())?;
        let problems = Problems::new(true);
        let section = Section::root(&root, &problems);
        let (id, name) = (stored.id.clone(), stored.name.clone());
        let connector = countersign_connectors::check_kind(&stored.kind, section.is_some())
            .map(|()| countersign_connectors::read(&stored.kind, id, name, section))?;
        let errors = problems.into_sorted().into_iter();
        let errors: Vec<String> = errors
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        match connector {
            Some(connector) if errors.is_empty() => Ok(connector),
            _ => Err(errors.join("; ")),
        }
    }
}
