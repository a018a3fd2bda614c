//! The summary of a configuration for `countersign check`. Contains no secret.

use std::fmt::{self, Write};
use std::time::Duration;

use countersign_core::clock::show_duration;
use countersign_core::{Client, GrantType};
use countersign_issuer::settings::PkcePolicy;
use countersign_store::{Location, PostgresHost};

use super::{Algorithm, Config, RootKeys, lifetimes};

impl Config {
    /// A few lines per subject, each ending with a line break.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "issuer      {}", self.issuer.as_str())?;
        writeln!(out, "storage     {}", storage(&self.storage))?;
        writeln!(out, "root key    {}", root_keys(&self.root_keys))?;
        if let Some(listen) = &self.web.http {
            writeln!(out, "http        {listen}")?;
        }
        if let Some(https) = &self.web.https {
            writeln!(out, "https       {}", https.listen)?;
        }
        if let Some(listen) = &self.telemetry {
            writeln!(out, "telemetry   {listen}")?;
        }
        // What a proxy in front must pass on (docs/reverse-proxy.md).
        let request = self.limits.header_bytes;
        let response = "8 KiB in responses (nginx: proxy_buffer_size 16k)";
        writeln!(out, "headers     {request} bytes in requests, {response}")?;
        self.write_lifetimes(out)?;
        writeln!(out, "pkce        {}", pkce(&self.oauth2.pkce))?;
        writeln!(out, "connectors  {}", self.connector_count())?;
        for connector in &self.connectors {
            let id = connector.id.as_str();
            writeln!(out, "  {id:<24}  {:<14}  {}", connector.kind, connector.name)?;
        }
        if let Some(local) = &self.password_db {
            let users = count(local.users.len(), "static user");
            writeln!(out, "  {:<24}  {:<14}  {users}", super::connectors::LOCAL, "password db")?;
        }
        writeln!(out, "clients     {}", self.clients.len())?;
        for client in &self.clients {
            let id = client.id.as_str();
            writeln!(out, "  {id:<24}  {:<14}  {}", kind(client), redirects(client))?;
            if let Some(own) = lifetimes::client_summary(&client.lifetimes) {
                writeln!(out, "  {:<24}  its own:        {own}", "")?;
            }
            if let Some(uri) = &client.backchannel_logout_uri {
                writeln!(out, "  {:<24}  logout tokens:  {uri}", "")?;
            }
        }
        Ok(())
    }

    fn write_lifetimes(&self, out: &mut String) -> fmt::Result {
        let (expiry, refresh) = (&self.expiry, &self.expiry.refresh_tokens);
        let name = |algorithm| match algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        };
        let algorithm = match self.signer.access_token_algorithm {
            None => name(self.signer.algorithm).to_owned(),
            Some(access) => {
                format!("{}, access tokens {}", name(self.signer.algorithm), name(access))
            }
        };
        let period = show_duration(self.signer.rotation_period);
        match &self.signer.external {
            Some(external) => writeln!(out, "signing     {}", external.name())?,
            None => writeln!(out, "signing     {algorithm}, a new key every {period}")?,
        }
        writeln!(
            out,
            "tokens      {}; codes {}; logins {}",
            show_duration(expiry.id_tokens),
            show_duration(expiry.codes),
            show_duration(expiry.auth_requests),
        )?;
        if self.oauth2.grant_types.contains(&GrantType::RefreshToken) {
            writeln!(
                out,
                "refresh     {}, reusable for {}, unused at most {}, in all at most {}",
                if refresh.rotate { "rotated" } else { "not rotated" },
                show_duration(refresh.reuse_interval),
                end(refresh.valid_if_not_used_for),
                end(refresh.absolute_lifetime),
            )?;
        } else {
            writeln!(out, "refresh     off")?;
        }
        let sessions = &self.sessions;
        if !sessions.sso {
            return writeln!(out, "sign-on     off: every application requires a login");
        }
        writeln!(
            out,
            "sign-on     at most {}, idle at most {}",
            show_duration(sessions.absolute_lifetime),
            show_duration(sessions.idle_lifetime),
        )
    }

    fn connector_count(&self) -> usize {
        self.connectors.len() + usize::from(self.password_db.is_some())
    }
}

fn storage(storage: &Location) -> String {
    match storage {
        Location::Memory => "memory (all is forgotten at the end)".to_owned(),
        Location::Sqlite { file } => format!("sqlite3 {}", file.display()),
        Location::Postgres(pg) => {
            let host = |host: &PostgresHost| format!("{}:{}", host.name, host.port);
            let hosts: Vec<String> = pg.hosts.iter().map(host).collect();
            format!("postgres {}@{}/{}", pg.user, hosts.join(","), pg.database)
        }
    }
}

fn root_keys(keys: &RootKeys) -> String {
    match keys {
        RootKeys::Keys(keys) => format!("{} configured, the first seals", keys.len()),
        RootKeys::Beside(file) => format!("in {}, made at first start", file.display()),
        RootKeys::None => "none: keys rest unsealed".to_owned(),
    }
}

fn pkce(pkce: &PkcePolicy) -> String {
    let scope = match (pkce.enforce, pkce.required_for_public_clients) {
        (true, _) => "required of every client",
        (false, true) => "required of public clients",
        (false, false) => "required of no client",
    };
    let methods: Vec<&str> = pkce.methods.iter().map(|method| method.as_str()).collect();
    format!("{scope}, {}", methods.join(" and "))
}

fn kind(client: &Client) -> &'static str {
    if client.public { "public" } else { "confidential" }
}

fn redirects(client: &Client) -> String {
    if client.redirect_uris.is_empty() && client.public {
        return "loopback".to_owned();
    }
    client.redirect_uris.join(" ")
}

fn end(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "any time".to_owned(), show_duration)
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
