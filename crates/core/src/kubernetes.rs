//! How a cluster is told who somebody is, where a client stands for one.

use crate::{ClientId, Secret};

/// What makes a client a cluster's. Without it tokens are what they are for everybody else.
#[derive(Clone, Debug, Default)]
pub struct Kubernetes {
    pub groups: GroupClaims,
    /// What an API server may ask about tokens for this client; `None`: nothing.
    pub webhook: Option<Webhook>,
}

/// Where the groups of a token are that names this client in `aud`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupClaims {
    /// In the token.
    #[default]
    Token,
    /// With us: the token says where to ask (OpenID Connect Core 1.0 section 5.6.2).
    Distributed,
}

/// The TokenReview endpoint of one cluster: who may ask, and how claims become a user. All but the
/// secret means what kube-apiserver's flag `--oidc-…` of that name means, absent values included.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What the API server brings. Not the client's own secret, which laptops may have.
    pub secret: Secret,
    pub username_claim: String,
    /// `-` is none; `None` is [`Webhook::username_prefix`]'s to decide.
    pub username_prefix: Option<String>,
    /// `None`: nobody has groups.
    pub groups_claim: Option<String>,
    pub groups_prefix: String,
    /// Claims that must be there as this text.
    pub required_claims: Vec<(String, String)>,
}

impl Webhook {
    /// What stands before a name. Two issuers' users are kept apart unless somebody said otherwise;
    /// addresses are taken to be the same person's everywhere.
    pub fn username_prefix(&self, issuer: &str) -> String {
        match self.username_prefix.as_deref() {
            Some("-") => String::new(),
            None | Some("") if self.username_claim != "email" => format!("{issuer}#"),
            given => given.unwrap_or_default().to_owned(),
        }
    }
}

/// A cluster that is listed at `/clusters` (the configuration's `clusters`).
#[derive(Clone, Debug)]
pub struct KubernetesCluster {
    /// Names it in kubeconfigs and in paths.
    pub name: String,
    pub description: String,
    /// URL of the API server.
    pub server: String,
    /// PEM; `None` where the API server's certificate is trusted by the machines themselves.
    pub certificate_authority: Option<String>,
    /// The client whose ID tokens the API server accepts: their audience.
    pub client: ClientId,
    /// People in one of these groups see it; empty: everybody who is signed in.
    pub groups: Vec<String>,
    /// The default namespace of kubeconfigs.
    pub namespace: Option<String>,
}

impl KubernetesCluster {
    pub fn is_visible_to(&self, groups: &[String]) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::Webhook;
    use crate::Secret;

    #[test]
    fn the_prefix_of_a_name_is_what_kube_apiserver_would_put_before_it() {
        for (claim, prefix, expected) in [
            ("sub", None, "https://id.example.com#"),
            ("sub", Some(""), "https://id.example.com#"),
            ("name", None, "https://id.example.com#"),
            ("email", None, ""),
            ("email", Some("oidc:"), "oidc:"),
            ("sub", Some("-"), ""),
            ("email", Some("-"), ""),
            ("sub", Some("oidc:"), "oidc:"),
        ] {
            let webhook = Webhook {
                secret: Secret::default(),
                username_claim: claim.to_owned(),
                username_prefix: prefix.map(str::to_owned),
                groups_claim: None,
                groups_prefix: String::new(),
                required_claims: Vec::new(),
            };
            let found = webhook.username_prefix("https://id.example.com");
            assert_eq!(found, expected, "{claim} {prefix:?}");
        }
    }
}
