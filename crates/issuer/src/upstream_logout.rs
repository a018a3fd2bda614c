//! Signing out of the upstream too, after signing out here: offered, never done for somebody.
//!
//! Who signs out of an application does not expect to be signed out of their mail; who leaves a borrowed machine
//! does. So it is a link, and only where the upstream has such a place.

use std::time::Duration;

use countersign_core::Session;
use countersign_core::connector::LoginMethod;
use url::Url;

use crate::Issuer;

/// The page after signing out does not wait longer for an upstream.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a browser signs out of the upstream it came from.
#[derive(Clone, Debug)]
pub struct UpstreamLogout {
    /// What people read on the connector's button.
    pub name: String,
    /// OpenID Connect RP-Initiated Logout 1.0 section 2, at the upstream.
    pub url: Url,
}

impl Issuer {
    /// `None`: the session did not begin at an upstream that people can sign out of, or it does not answer.
    pub async fn upstream_logout(&self, session: &Session) -> Option<UpstreamLogout> {
        let connector = self.connectors.get(&session.connector)?;
        let LoginMethod::Redirect(method) = &connector.login_method else { return None };
        let url = tokio::time::timeout(WAIT_TIMEOUT, method.sign_out_url()).await.ok()??;
        Some(UpstreamLogout { name: connector.name.clone(), url })
    }
}
