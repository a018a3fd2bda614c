//! The backend of a command: the database itself, or a server's API. The calls are defined in the module of each
//! resource.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use countersign_core::SessionFilter;
use countersign_issuer::Issuer;
use countersign_issuer::admin::Administrator;
use countersign_issuer::admin::fields::{BULK_FIELDS, Fields};
use countersign_issuer::admin::queries::Page;
use countersign_server::App;

use super::CommandError;
use super::api_client::{ApiClient, RequestFields};
use crate::config;
use crate::environment::SystemClock;
use crate::wiring::{self, Shared};

#[derive(Clone, Debug, Default, Args)]
pub struct BackendArguments {
    /// Use the database of this configuration file; no server needs to run [env: COUNTERSIGN_CONFIG]
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "url")]
    pub config: Option<PathBuf>,
    /// Use the API of the server with this issuer URL [env: COUNTERSIGN_URL]. It needs
    /// COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET of a client in admin.clients, or COUNTERSIGN_TOKEN
    #[arg(long, value_name = "ISSUER", global = true)]
    pub url: Option<String>,
    /// PEM file of the certificate authority that issued the server's certificate, for --url
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "config")]
    pub certificate_authority: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
enum Location {
    Config(PathBuf),
    Url(String),
}

impl BackendArguments {
    /// An option on the command line overrides both variables. If both variables are set it is an error, so that a
    /// change never reaches a server that was not meant.
    fn location(&self, env: impl Fn(&str) -> Option<String>) -> Result<Location, CommandError> {
        if let Some(url) = &self.url {
            return Ok(Location::Url(url.clone()));
        }
        if let Some(file) = &self.config {
            return Ok(Location::Config(file.clone()));
        }
        let variable = |name: &str| env(name).filter(|value| !value.is_empty());
        match (variable("COUNTERSIGN_CONFIG"), variable("COUNTERSIGN_URL")) {
            (None, Some(url)) => Ok(Location::Url(url)),
            (Some(file), None) => Ok(Location::Config(file.into())),
            (Some(_), Some(_)) => Err(CommandError::other(
                "COUNTERSIGN_CONFIG and COUNTERSIGN_URL are both set: add --config FILE or --url ISSUER",
            )),
            (None, None) => Err(CommandError::other(
                "add --config FILE (the database itself) or --url ISSUER (a server's API), or set \
                 COUNTERSIGN_CONFIG or COUNTERSIGN_URL",
            )),
        }
    }
}

pub enum Backend {
    Database { app: Box<App>, administrator: Administrator },
    Api(ApiClient),
}

impl Backend {
    pub async fn open(arguments: &BackendArguments) -> Result<Self, CommandError> {
        let env = crate::environment::variable;
        let file = match arguments.location(env)? {
            Location::Url(url) => {
                let authority = arguments.certificate_authority.as_deref();
                return Ok(Self::Api(ApiClient::connect(&url, authority).await?));
            }
            Location::Config(file) => file,
        };
        let loaded = config::load(&file, &env, true);
        let report = loaded.to_string();
        let config = loaded.config.ok_or_else(|| CommandError::other(report.trim_end()))?;
        let clock = Arc::new(SystemClock::default());
        let opened = wiring::open(&config, &Shared::new(&config, clock.clone())).await;
        let app = opened.map_err(CommandError::Other)?;
        // Replicas on PostgreSQL use the database's clock, and so does this process.
        if let Ok(Some(database)) = app.issuer.store.database_time().await {
            clock.follow(database);
        }
        let account = env("SUDO_USER").or_else(|| env("USER")).unwrap_or_else(|| "unknown".into());
        let account: String = account.chars().filter(|c| !c.is_control()).take(64).collect();
        let administrator = Administrator::local_operator(&account);
        Ok(Self::Database { app: Box::new(app), administrator })
    }

    pub async fn close(&self) {
        if let Self::Database { app, .. } = self {
            app.issuer.store.close().await;
        }
    }
}

/// The fields, validated against the names that the operation knows.
pub fn checked<'a>(
    fields: &'a RequestFields,
    known: &[&str],
    issuer: &Issuer,
) -> Result<Fields<'a>, CommandError> {
    Ok(Fields::new(fields, known, issuer.now())?)
}

pub fn page(fields: &Fields<'_>) -> Result<Page, CommandError> {
    Ok(fields.page()?)
}

/// The filter of an operation on many sessions.
pub fn bulk_filter(fields: &RequestFields, issuer: &Issuer) -> Result<SessionFilter, CommandError> {
    let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
    Ok(checked(fields, &known, issuer)?.bulk()?)
}

#[cfg(test)]
mod tests {
    use super::{BackendArguments, Location};

    fn location(
        config: Option<&str>,
        url: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Location, String> {
        let arguments = BackendArguments {
            config: config.map(Into::into),
            url: url.map(Into::into),
            certificate_authority: None,
        };
        let env = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        arguments.location(env).map_err(|error| error.to_string())
    }

    #[test]
    fn an_option_overrides_the_environment_and_nothing_is_guessed() {
        let both = [("COUNTERSIGN_CONFIG", "a.yaml"), ("COUNTERSIGN_URL", "https://a")];
        let [config, url] = both;
        let b_yaml = Ok(Location::Config("b.yaml".into()));
        assert_eq!(location(Some("b.yaml"), None, &both), b_yaml);
        assert_eq!(location(None, Some("https://b"), &both), Ok(Location::Url("https://b".into())));
        assert_eq!(location(None, None, &[config]), Ok(Location::Config("a.yaml".into())));
        assert_eq!(location(None, None, &[url]), Ok(Location::Url("https://a".into())));
        assert!(location(None, None, &both).unwrap_err().contains("both set"));
        assert!(location(None, None, &[("COUNTERSIGN_URL", "")]).unwrap_err().contains("--config"));
    }
}
