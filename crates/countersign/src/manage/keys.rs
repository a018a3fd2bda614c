//! `countersign keys list|rotate`.

use countersign_issuer::admin::view::KeyView;

use super::output::{print, table};
use super::source::Source;
use super::{KeyCommand, Where};

pub async fn run(source: &Source, at: &Where, command: &KeyCommand) -> Result<(), String> {
    match command {
        KeyCommand::List => print(at, &source.keys().await?, |keys| listed(keys)),
        KeyCommand::Rotate => print(at, &source.rotate_keys().await?, |rotation| {
            let (number, signs_from) = (rotation.number, &rotation.signs_from);
            match rotation.made {
                true => format!("key {number} is published and signs from {signs_from}\n"),
                false => {
                    format!("key {number} was published already and signs from {signs_from}\n")
                }
            }
        }),
    }
}

fn listed(keys: &[KeyView]) -> String {
    let row = |key: &KeyView| {
        vec![
            key.number.to_string(),
            key.state.clone(),
            key.algorithm.clone(),
            key.kid.clone(),
            key.signs_from.clone(),
            key.drops_at.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    table(&["KEY", "STATE", "ALGORITHM", "KID", "SIGNS FROM", "FORGOTTEN AFTER"], &rows)
}
