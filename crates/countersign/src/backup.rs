//! `countersign backup`: copies the SQLite database while servers use it.

use std::path::Path;
use std::process::ExitCode;

use countersign_store::Location;

use crate::cli::BackupArguments;
use crate::config::{self, RootKeys};

pub fn run(arguments: &BackupArguments) -> ExitCode {
    match back_up(arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn back_up(arguments: &BackupArguments) -> Result<String, String> {
    let env = crate::environment::variable;
    let loaded = config::load_without_listener(&arguments.config, &env);
    let report = loaded.to_string();
    let config = loaded.config.ok_or_else(|| report.trim_end().to_owned())?;
    let database = match &config.storage {
        Location::Sqlite { file } => file,
        Location::Postgres(_) => {
            return Err(
                "storage.type is postgres: use pg_dump, or what your other databases have".into()
            );
        }
        Location::Memory => {
            return Err("storage.type is memory: there is nothing to back up".into());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let copied = runtime
        .map_err(|e| e.to_string())?
        .block_on(countersign_store::backup_sqlite(database, &arguments.file));
    let bytes = copied.map_err(|e| e.to_string())?;
    Ok(summary(&arguments.file, bytes, &config.root_keys))
}

fn summary(file: &Path, bytes: u64, root_keys: &RootKeys) -> String {
    let keys = match root_keys {
        RootKeys::Beside(key) => format!(
            "Keep a copy of the root key {} somewhere else: without it the backup is of no use, and who has both has every \
             signing key.",
            key.display()
        ),
        RootKeys::Keys(_) => "The root key is not in it: keep it somewhere else.".to_owned(),
        RootKeys::None => {
            "There is no root key: the signing keys are in it, readable by anybody who has the file."
                .to_owned()
        }
    };
    format!("{} has {bytes} bytes.\n{keys}", file.display())
}
