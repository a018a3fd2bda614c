//! A fake of the transit secrets engine of Vault (API documentation "Transit secrets engine"): `GET
//! /v1/transit/keys/NAME`, `POST /v1/transit/sign/NAME`, and the two requests by which a token renews itself. It signs
//! with real keys, and refuses what Vault refuses.
//!
//! Checked against Vault's and `OpenBao`'s documentation and published responses: members of a key and of its versions,
//! versions below `min_decryption_version` left out, `creation_time` with nanoseconds and any zone, base64url without
//! padding with `marshaling_algorithm=jws`, `errors` with 400, 403 and 503.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::fakes::web::{Reply, Request, Web};

pub const VAULT_TOKEN: &str = "hvs.a-vault-token-of-the-tests";

/// A Vault with one transit key, `dex`.
pub struct Transit {
    pub web: Web,
    state: Arc<Mutex<State>>,
}

struct State {
    kind: &'static str,
    versions: BTreeMap<u64, Version>,
    min_encryption_version: u64,
    min_decryption_version: u64,
    token: String,
    /// `ttl`, `creation_ttl` and `renewable` of the token.
    token_life: (u64, u64, bool),
    /// The answer to every request instead of the true one.
    fault: Option<Reply>,
    /// The answer to requests for the versions instead of the true one.
    read_fault: Option<Reply>,
}

struct Version {
    key: Key,
    created_at: String,
}

enum Key {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    /// Of a type that this fake does not sign with.
    Other,
}

impl Transit {
    /// With one version, made long before the tests, of a type such as `rsa-2048`.
    pub fn start(kind: &'static str) -> Self {
        let state = State {
            kind,
            versions: BTreeMap::new(),
            min_encryption_version: 0,
            min_decryption_version: 1,
            token: VAULT_TOKEN.to_owned(),
            token_life: (0, 0, false),
            fault: None,
            read_fault: None,
        };
        let state = Arc::new(Mutex::new(state));
        let web = Web::start_apart(handler_of(&state));
        let transit = Self { web, state };
        transit.rotates("2020-02-29T09:30:00.123456789Z");
        transit
    }

    /// `vault write -f transit/keys/dex/rotate` at this instant.
    pub fn rotates(&self, at: &str) {
        let mut state = self.state.lock().unwrap();
        let (number, key) = (state.versions.len() as u64 + 1, Key::generate(state.kind));
        state.versions.insert(number, Version { key, created_at: at.to_owned() });
    }

    /// `vault write transit/keys/dex/config min_decryption_version=… min_encryption_version=…`
    pub fn allows_only_from(&self, version: u64) {
        let mut state = self.state.lock().unwrap();
        (state.min_decryption_version, state.min_encryption_version) = (version, version);
    }

    /// The token that is accepted from now on.
    pub fn accepts_only(&self, token: &str) {
        self.state.lock().unwrap().token = token.to_owned();
    }

    /// Remaining and whole life of the token in seconds, and whether it can be renewed.
    pub fn token_lives(&self, ttl: u64, creation_ttl: u64, renewable: bool) {
        self.state.lock().unwrap().token_life = (ttl, creation_ttl, renewable);
    }

    /// Answers every request with this, until it `recovers`.
    pub fn fails(&self, fault: Reply) {
        self.state.lock().unwrap().fault = Some(fault);
    }

    /// Signs, but answers requests for the versions with this, until it `recovers`.
    pub fn fails_to_name_versions(&self, fault: Reply) {
        self.state.lock().unwrap().read_fault = Some(fault);
    }

    pub fn recovers(&self) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.read_fault) = (None, None);
    }

    /// For a second server of the same Vault, over TLS.
    pub fn handler(&self) -> impl Fn(&str, &Request) -> Reply + Send + Sync + use<> {
        handler_of(&self.state)
    }

    /// `signer` for the configuration file, with a token.
    pub fn signer(&self) -> String {
        self.signer_with(&format!("token: {VAULT_TOKEN}"))
    }

    /// `signer`, with these lines of `config` instead of a token.
    pub fn signer_with(&self, lines: &str) -> String {
        let url = &self.web.url;
        format!("signer:\n  type: vault\n  config:\n    addr: {url}\n    keyName: dex\n    {lines}")
    }
}

fn handler_of(state: &Arc<Mutex<State>>) -> impl Fn(&str, &Request) -> Reply + Send + Sync + use<> {
    let state = Arc::clone(state);
    move |_, request| state.lock().unwrap().response(request)
}

/// What Vault answers while it is sealed.
pub fn sealed() -> Reply {
    Reply::Json(503, json!({ "errors": ["Vault is sealed"] }))
}

impl Key {
    fn generate(kind: &str) -> Self {
        let ec = |algorithm| Self::Ec(EcdsaKeyPair::generate(algorithm).unwrap());
        match kind {
            "rsa-2048" => Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap()),
            "rsa-3072" => Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa3072).unwrap()),
            "rsa-4096" => Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa4096).unwrap()),
            "ecdsa-p256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ecdsa-p384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "ecdsa-p521" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => Self::Other,
        }
    }

    fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(key) => key.public_key().as_der().unwrap(),
            Self::Ec(key) => key.public_key().as_der().unwrap(),
            Self::Other => return "lvzLSJkGWyVvMDkfCFOcmuXiyh0xQTnSLNUpAvJuLEY=".to_owned(),
        };
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn sign(&self, hash: &str, input: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match hash {
            "sha2-256" => &digest::SHA256,
            "sha2-384" => &digest::SHA384,
            "sha2-512" => &digest::SHA512,
            _ => return None,
        };
        let digest = Digest::import_less_safe(input, algorithm).ok()?;
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ec(key) => Some(key.sign_digest(&digest).ok()?.as_ref().to_vec()),
            Self::Other => None,
        }
    }
}

impl State {
    fn response(&mut self, request: &Request) -> Reply {
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        if request.headers.get("x-vault-token") != Some(&self.token) {
            return errors(403, "permission denied");
        }
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/transit/keys/dex") => match &self.read_fault {
                Some(fault) => fault.clone(),
                None => wrapped(&self.key()),
            },
            ("POST", "/v1/transit/sign/dex") => self.signs(&body),
            ("GET", "/v1/auth/token/lookup-self") => {
                let (ttl, creation_ttl, renewable) = self.token_life;
                let policies = ["default", "countersign"];
                wrapped(&json!({ "accessor": "8609694a", "creation_ttl": creation_ttl, "ttl": ttl,
                                  "renewable": renewable, "policies": policies, "type": "service" }))
            }
            ("POST", "/v1/auth/token/renew-self") if self.token_life.2 => {
                self.token_life.0 = self.token_life.1;
                Reply::ok(
                    json!({ "auth": { "renewable": true, "lease_duration": self.token_life.1 } }),
                )
            }
            ("POST", "/v1/auth/token/renew-self") => errors(400, "lease is not renewable"),
            _ => Reply::Json(404, json!({ "errors": [] })),
        }
    }

    fn key(&self) -> Value {
        let version = |version: &Version| {
            json!({ "creation_time": version.created_at, "name": self.kind,
                    "public_key": version.key.public_pem() })
        };
        let visible = self.versions.range(self.min_decryption_version..);
        let keys: BTreeMap<String, Value> =
            visible.map(|(number, found)| (number.to_string(), version(found))).collect();
        json!({ "type": self.kind, "name": "dex", "keys": keys, "latest_version": self.versions.len(),
                "min_available_version": 0, "min_decryption_version": self.min_decryption_version,
                "min_encryption_version": self.min_encryption_version, "supports_signing": true,
                "derived": false, "exportable": false, "deletion_allowed": false })
    }

    fn signs(&self, body: &Value) -> Reply {
        let number = body["key_version"].as_u64().unwrap_or(self.versions.len() as u64);
        if number < self.min_encryption_version {
            // As OpenBao 2.5.5 answers.
            let reason = "1 error occurred:\n\t* requested version for signing is less than the minimum encryption key \
                          version\n\n";
            return errors(500, reason);
        }
        let Some(version) = self.versions.get(&number) else {
            return errors(
                400,
                "requested version for signing is higher than the latest key version",
            );
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let is_expected = body["prehashed"] == true
            && text("marshaling_algorithm") == "jws"
            && text("signature_algorithm") == "pkcs1v15";
        let input = STANDARD.decode(text("input")).unwrap_or_default();
        match version.key.sign(text("hash_algorithm"), &input).filter(|_| is_expected) {
            Some(signature) => {
                let signature = URL_SAFE_NO_PAD.encode(signature);
                wrapped(
                    &json!({ "key_version": number, "signature": format!("vault:v{number}:{signature}") }),
                )
            }
            None => errors(400, "invalid request"),
        }
    }
}

/// A successful response.
fn wrapped(data: &Value) -> Reply {
    Reply::ok(
        json!({ "request_id": "0b7b6a1c-4f4c-4a3e-8a37-5d5ad9d2b0a1", "lease_id": "", "renewable": false,
                      "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": null }),
    )
}

fn errors(status: u16, text: &str) -> Reply {
    Reply::Json(status, json!({ "errors": [text] }))
}
