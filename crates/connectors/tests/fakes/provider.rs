//! An OpenID Connect provider that behaves correctly unless a test configures otherwise.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::connector::LoginRedirect;
use serde_json::{Map, Value, json};
use url::Url;

use super::web::{Reply, Request, Shown, Web, recorder};

pub const CLIENT: &str = "countersign";
pub const SECRET: &str = "a secret with: odd/characters";

/// Changes the claims of the ID token before it is signed.
pub type Change = Arc<dyn Fn(&mut Map<String, Value>) + Send + Sync>;

pub type Apis = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// The provider's behaviour; a test replaces what it needs.
#[derive(Default)]
pub struct Behaviour {
    pub claims: Option<Change>,
    /// Replaces the header of the ID token, which has ES256 and the kid.
    pub header: Option<Value>,
    pub signature: Signature,
    /// Replaces the responses of these paths.
    pub replies: Vec<(&'static str, Reply)>,
    /// Members that replace those of the discovery document.
    pub metadata: Map<String, Value>,
    pub userinfo: Map<String, Value>,
    pub without_id_token: bool,
    pub without_refresh_token: bool,
    /// A refresh token can be used once; the response contains the next one.
    pub rotates: bool,
    pub kid: Option<&'static str>,
    /// Publishes and signs with its other key, under the same `kid`.
    pub key_replaced: bool,
    /// Further APIs beside OpenID Connect, such as those of Google.
    pub apis: Option<Apis>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Signature {
    #[default]
    Genuine,
    OfAnotherKey,
    Empty,
    /// HS256, with the public key as the shared secret.
    Hmac,
}

#[derive(Default)]
struct Memory {
    nonce: Option<String>,
    challenge: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: String,
    generation: u32,
    code_used: bool,
}

pub struct Provider {
    pub web: Web,
    pub behaviour: Arc<Mutex<Behaviour>>,
    memory: Arc<Mutex<Memory>>,
}

struct Inner {
    behaviour: Arc<Mutex<Behaviour>>,
    memory: Arc<Mutex<Memory>>,
    key: EcdsaKeyPair,
    other: EcdsaKeyPair,
    client: &'static str,
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Provider {
    pub async fn start() -> Self {
        let (inner, behaviour, memory) = Inner::new();
        let web = Web::start(move |base, request| inner.response(base, request)).await;
        Self { web, behaviour, memory }
    }

    /// Serves over TLS; returns its certificate in PEM too.
    pub async fn start_tls(shown: Shown) -> (Self, String) {
        let (inner, behaviour, memory) = Inner::new();
        let (web, pem) =
            Web::start_tls(shown, move |base, request| inner.response(base, request)).await;
        (Self { web, behaviour, memory }, pem)
    }

    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub fn claims(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.set(|behaviour| behaviour.claims = Some(Arc::new(change)));
    }

    /// The query of the callback after the browser has followed the redirect and the user has signed in.
    pub fn visited(&self, redirect: &LoginRedirect) -> Vec<(String, String)> {
        let query: Vec<(String, String)> = redirect.url.query_pairs().into_owned().collect();
        self.memory.lock().unwrap().visited(&query)
    }

    pub fn apis(&self, apis: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) {
        self.set(|behaviour| behaviour.apis = Some(Arc::new(apis)));
    }

    pub fn forget_refresh_tokens(&self) {
        self.memory.lock().unwrap().refresh_token = String::from("revoked");
    }
}

impl Memory {
    /// The callback's query for this authorization request.
    fn visited(&mut self, query: &[(String, String)]) -> Vec<(String, String)> {
        let parameter = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        self.nonce = parameter("nonce");
        self.challenge = parameter("code_challenge");
        self.redirect_uri = parameter("redirect_uri");
        self.code_used = false;
        vec![
            ("code".to_owned(), "the-code".to_owned()),
            ("state".to_owned(), parameter("state").unwrap()),
        ]
    }
}

impl Inner {
    fn new() -> (Self, Arc<Mutex<Behaviour>>, Arc<Mutex<Memory>>) {
        let behaviour = Arc::<Mutex<Behaviour>>::default();
        let memory = Arc::<Mutex<Memory>>::default();
        let (key, other) = (key(), key());
        let inner = Self {
            behaviour: behaviour.clone(),
            memory: memory.clone(),
            key,
            other,
            client: CLIENT,
        };
        (inner, behaviour, memory)
    }

    fn response(&self, base: &str, request: &Request) -> Reply {
        let behaviour = self.behaviour.lock().unwrap();
        if let Some((_, reply)) = behaviour.replies.iter().find(|(path, _)| *path == request.path) {
            return reply.clone();
        }
        match request.path.as_str() {
            "/.well-known/openid-configuration" => Reply::ok(metadata(base, &behaviour)),
            "/authorize" => {
                let back = self.memory.lock().unwrap().visited(&request.query);
                let to = request.query("redirect_uri").unwrap();
                Reply::Redirect(Url::parse_with_params(to, back).unwrap().into())
            }
            "/keys" => Reply::ok(self.keys(&behaviour)),
            "/token" => self.token(base, request, &behaviour),
            "/userinfo" => match request.bearer() {
                Some("the-access-token") => {
                    let mut claims = json!({ "sub": "1234" }).as_object().unwrap().clone();
                    claims.extend(behaviour.userinfo.clone());
                    Reply::ok(Value::Object(claims))
                }
                _ => Reply::Json(401, json!({ "error": "invalid_token" })),
            },
            _ => behaviour
                .apis
                .as_ref()
                .and_then(|apis| apis(request))
                .inspect(|reply| recorder::record("google", request, reply))
                .unwrap_or_else(Reply::not_found),
        }
    }

    fn signing_key(&self, behaviour: &Behaviour) -> &EcdsaKeyPair {
        if behaviour.key_replaced { &self.other } else { &self.key }
    }

    fn keys(&self, behaviour: &Behaviour) -> Value {
        let kid = behaviour.kid.unwrap_or("first");
        let public = self.signing_key(behaviour).public_key().as_ref();
        let (x, y) = (encoded(&public[1..33]), encoded(&public[33..]));
        json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y, "x5t": "AAAA" },
            { "kty": "oct", "kid": "hmac", "k": x },
        ]})
    }

    fn token(&self, base: &str, request: &Request, behaviour: &Behaviour) -> Reply {
        let wrong = |code: &str| Reply::Json(400, json!({ "error": code }));
        if !authenticated(request, self.client) {
            return Reply::Json(401, json!({ "error": "invalid_client" }));
        }
        let mut memory = self.memory.lock().unwrap();
        let nonce = match request.form("grant_type").as_deref() {
            Some("authorization_code") => {
                let verifier = request.form("code_verifier");
                let hashed = verifier.map(|v| encoded(digest(&SHA256, v.as_bytes())));
                let fits = request.form("code").as_deref() == Some("the-code")
                    && request.form("redirect_uri") == memory.redirect_uri
                    && hashed == memory.challenge;
                if !fits || memory.code_used {
                    return wrong("invalid_grant");
                }
                memory.code_used = true;
                memory.refresh_token = String::from("refresh-0");
                memory.nonce.clone()
            }
            Some("refresh_token")
                if request.form("refresh_token").as_deref() == Some(&memory.refresh_token) =>
            {
                if behaviour.rotates {
                    memory.generation += 1;
                    memory.refresh_token = format!("refresh-{}", memory.generation);
                }
                None
            }
            Some("refresh_token") => return wrong("invalid_grant"),
            _ => return wrong("unsupported_grant_type"),
        };
        let mut response = json!({ "access_token": "the-access-token", "token_type": "Bearer",
                                 "expires_in": 300 });
        if !behaviour.without_id_token {
            response["id_token"] = self.id_token(base, nonce, behaviour).into();
        }
        let first = request.form("code").is_some();
        if !behaviour.without_refresh_token && (first || behaviour.rotates) {
            response["refresh_token"] = memory.refresh_token.clone().into();
        }
        Reply::ok(response)
    }

    fn id_token(&self, base: &str, nonce: Option<String>, behaviour: &Behaviour) -> String {
        let mut claims = json!({
            "iss": base, "sub": "1234", "aud": CLIENT, "exp": now() + 300, "iat": now(),
            "name": "Jane Doe", "preferred_username": "jane", "email": "jane@example.com",
            "email_verified": true, "groups": ["staff", "admins"],
        });
        let claims = claims.as_object_mut().unwrap();
        claims.extend(nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
        if let Some(change) = &behaviour.claims {
            change(claims);
        }
        let usual = json!({ "alg": "ES256", "kid": "first", "typ": "JWT", "x5t": "AAAA" });
        let header = behaviour.header.as_ref().unwrap_or(&usual);
        let payload = serde_json::to_string(claims).unwrap();
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(payload));
        let by = |key: &EcdsaKeyPair| {
            encoded(key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap())
        };
        let signature = match behaviour.signature {
            Signature::Genuine => by(self.signing_key(behaviour)),
            Signature::OfAnotherKey => by(&self.other),
            Signature::Empty => String::new(),
            Signature::Hmac => {
                let key = aws_lc_rs::hmac::Key::new(
                    aws_lc_rs::hmac::HMAC_SHA256,
                    self.key.public_key().as_ref(),
                );
                encoded(aws_lc_rs::hmac::sign(&key, signed.as_bytes()))
            }
        };
        format!("{signed}.{signature}")
    }
}

fn metadata(base: &str, behaviour: &Behaviour) -> Value {
    let mut document = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize?tenant=1"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    document.as_object_mut().unwrap().extend(behaviour.metadata.clone());
    document
}

fn authenticated(request: &Request, client: &str) -> bool {
    use base64::engine::general_purpose::STANDARD;
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encoded(client), encoded(SECRET)));
    let header = request.headers.get("authorization").map(String::as_str);
    let posted = request.form("client_id").as_deref() == Some(client)
        && request.form("client_secret").as_deref() == Some(SECRET);
    header == Some(&format!("Basic {basic}")) || header.is_none() && posted
}
