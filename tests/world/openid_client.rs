//! The programs of tests/upstreams that stand on our applications' side, by other people's code: a client
//! (`openid-client`) and one who hears of logouts (`jose`). Their files describe what they understand.

use serde_json::{Value, json};

use super::node::Node;
use super::secrets::Secrets;
use super::{Client, RelyingParty, Server, World, address};

pub struct OpenIdClient {
    node: Node,
    secrets: Secrets,
}

impl OpenIdClient {
    /// In the shoes of one of our clients, with the discovery document read. `Need::Upstreams` has been
    /// checked before.
    pub fn acting_as(app: &RelyingParty, server: &Server) -> Self {
        let mut client = Self { node: Node::runs("client.mjs"), secrets: server.secrets.clone() };
        client.does(json!({
            "op": "begin", "issuer": server.issuer(), "id": app.id, "secret": app.secret,
        }));
        client
    }

    /// What came of this order, which must not have failed.
    pub fn does(&mut self, order: Value) -> Value {
        let done = self.tries(order);
        assert!(done["error"].is_null(), "{done}");
        done
    }

    /// What came of this order, refusals included (`error`, `status`).
    pub fn tries(&mut self, order: Value) -> Value {
        let done = self.node.does(order);
        for token in ["access_token", "refresh_token", "id_token"] {
            self.secrets.keep(token, done["tokens"][token].as_str().unwrap_or_default());
        }
        done
    }
}

/// An application that hears of logouts, and says what it believes.
pub struct VerifyingReceiver {
    node: Node,
    pub url: String,
}

impl VerifyingReceiver {
    /// Listens for what this world's issuer has to say to the client of this id.
    pub fn of(world: &World, id: &str) -> Self {
        let url = format!("http://{}:4001/bye", address::own());
        let mut node = Node::runs("receiver.mjs");
        let issuer = world.issuer();
        node.does(json!({ "op": "begin", "listen": url, "issuer": issuer, "audience": id }));
        Self { node, url }
    }

    /// The application of this id, which wants to hear here.
    pub fn client(&self, id: &str) -> Client {
        Client::new(id).with(&format!("backchannelLogoutURI: {}", self.url))
    }

    /// The claims of each logout token it verified.
    pub fn accepted(&mut self) -> Vec<Value> {
        self.node.saw("logout")
    }

    /// Why it did not believe the others.
    pub fn refused(&mut self) -> Vec<Value> {
        self.node.saw("refusal")
    }
}
