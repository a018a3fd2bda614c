//! The program of tests/upstreams: a provider of OpenID Connect by other people (`oidc-provider`), as
//! an upstream of ours. One JSON object a line each way; its provider.mjs describes them.

use serde_json::{Value, json};

use super::node::Node;
use super::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, World, address};

/// Knows Alice (`sub` `alice-at-the-provider`, groups `climbers` and `cooks`) and Bob (`sub`
/// `bob-at-the-provider`, no groups) with the passwords they have everywhere.
pub struct RealProvider {
    pub issuer: String,
    node: Node,
}

impl RealProvider {
    /// Starts it, for this world to be its client. `Need::Upstreams` has been checked before.
    pub fn known_to(world: &World) -> Self {
        let issuer = format!("http://{}:4000", address::own());
        let mut provider = Self { issuer, node: Node::runs("provider.mjs") };
        provider.node.does(json!({
            "op": "begin", "issuer": provider.issuer,
            "client": {
                "id": "countersign", "secret": SECRET,
                "redirect_uri": format!("{}/callback", world.issuer()),
            },
            "people": [
                {"sub": "alice-at-the-provider", "password": ALICE_PASSWORD, "name": "Alice Arden",
                 "email": ALICE, "groups": ["climbers", "cooks"]},
                {"sub": "bob-at-the-provider", "password": BOB_PASSWORD, "name": "Bob Byrne",
                 "email": BOB, "groups": []},
            ],
        }));
        provider
    }

    /// Its entry under `connectors:`, with the id `provider`; `more` are lines of its `config`.
    pub fn connector(&self, more: &str) -> String {
        format!(
            "connectors:\n- type: oidc\n  id: provider\n  name: The provider\n  config:\n    \
             issuer: {}\n    clientID: countersign\n    clientSecret: {SECRET}\n    scopes: \
             [profile, email, groups]\n    getUserInfo: true\n    insecureEnableGroups: true\n{more}",
            self.issuer
        )
    }

    /// From now on nobody listens at its address. It forgets nothing.
    pub fn stops(&mut self) {
        self.node.does(json!({"op": "stop"}));
    }

    pub fn goes_on(&mut self) {
        self.node.does(json!({"op": "go on"}));
    }

    /// There is no longer anybody with this `sub`.
    pub fn removes(&mut self, sub: &str) {
        self.node.does(json!({"op": "remove", "sub": sub}));
    }

    pub fn puts_into(&mut self, sub: &str, groups: &[&str]) {
        self.node.does(json!({"op": "groups", "sub": sub, "groups": groups}));
    }

    /// What it noticed so far of this kind: `authorization`, `grant`, `refusal`, `revocation`, `end_session`.
    pub fn saw(&mut self, what: &str) -> Vec<Value> {
        self.node.saw(what)
    }
}

const SECRET: &str = "the-secret-of-countersign-at-the-provider";
