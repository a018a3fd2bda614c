//! Password hashes: bcrypt as in Dex's files, and argon2id as created by `hash-password`. The cost of a hash is checked
//! when it is parsed; [`Hashing`] limits concurrency and memory.
//!
//! Hashes and passwords are never printed, and a password is never truncated silently.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use countersign_core::{Secret, ids};

mod hashing;

pub use hashing::{Hashing, HashingError, HashingLimits};

/// Longer passwords are refused before they are hashed.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// bcrypt ignores bytes beyond this length.
const BCRYPT_BYTES: usize = 72;

/// OWASP's argon2id parameters: memory in KiB, passes, lanes.
const OURS: (u32, u32, u32) = (19_456, 2, 1);
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 20;
const MAX_LANES: u32 = 16;

/// A valid stored hash.
pub struct PasswordHash {
    text: String,
    scheme: Scheme,
}

enum Scheme {
    Bcrypt { cost: u32 },
    Argon2id { hash: Box<argon2::PasswordHash>, params: Params },
}

/// What is wrong with a stored hash. Contains only its parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    #[error("is neither a bcrypt nor an argon2id hash, nor base64 of one")]
    Unknown,
    #[error("is a malformed {0} hash")]
    Malformed(&'static str),
    #[error("has bcrypt cost {0}, expected 10 to 16")]
    BcryptCost(u32),
    #[error("is another kind of argon2, expected argon2id")]
    NotArgon2id,
    #[error("has {name}={found}, expected at most {most}")]
    TooCostly { name: &'static str, found: u32, most: u32 },
}

/// Why a password is refused before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the password is empty")]
    Empty,
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    #[error("the password contains a NUL character")]
    Nul,
}

/// Why no hash was created.
#[derive(Debug, thiserror::Error)]
pub enum NotHashed {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    NoRandomness(#[from] ids::NoRandomness),
    #[error("argon2: {0}")]
    Argon2(String),
}

/// A new argon2id hash in PHC format (m=19456, t=2, p=1), for the command `hash-password`. Takes about 30 ms of one
/// core.
pub fn hash_password(password: &Secret) -> Result<String, NotHashed> {
    check_password(password)?;
    let broken = |e: &dyn fmt::Display| NotHashed::Argon2(e.to_string());
    let (m, t, p) = OURS;
    let params = Params::new(m, t, p, Some(32)).map_err(|e| broken(&e))?;
    let salt = ids::random_bytes::<16>()?;
    let hash: argon2::PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|e| broken(&e))?;
    Ok(hash.to_string())
}

/// Refuses passwords that no stored hash can match. The result depends only on the password, so an early refusal
/// reveals nothing about a user.
pub fn check_password(password: &Secret) -> Result<(), Unusable> {
    let bytes = password.expose().as_bytes();
    match bytes.len() {
        0 => Err(Unusable::Empty),
        n if n > MAX_PASSWORD_BYTES => Err(Unusable::TooLong),
        _ if bytes.contains(&0) => Err(Unusable::Nul),
        _ => Ok(()),
    }
}

impl PasswordHash {
    /// Parses bcrypt (`$2a$`, `$2b$`, `$2y$`), argon2id in PHC format, or base64 of either, as in Dex's files.
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        let text = text.trim();
        if text.starts_with('$') {
            return Self::parse_plain(text);
        }
        let unpadded = text.trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(unpadded).map_err(|_| BadHash::Unknown)?;
        let inner = String::from_utf8(bytes).map_err(|_| BadHash::Unknown)?;
        Self::parse_plain(inner.trim())
    }

    fn parse_plain(text: &str) -> Result<Self, BadHash> {
        let scheme = match text.split('$').nth(1) {
            Some("2a" | "2b" | "2y") => bcrypt_scheme(text)?,
            Some("argon2id") => argon2id_scheme(text)?,
            Some("argon2i" | "argon2d") => return Err(BadHash::NotArgon2id),
            _ => return Err(BadHash::Unknown),
        };
        Ok(Self { text: text.to_owned(), scheme })
    }

    /// One complete computation, whatever the result. Blocks for its duration: called only by the threads of
    /// [`Hashing`].
    fn matches(&self, password: &Secret, memory: &mut Argon2Memory) -> bool {
        let bytes = password.expose().as_bytes();
        match &self.scheme {
            Scheme::Bcrypt { .. } => {
                // Computed even if it cannot match, so that the duration does not reveal a user's scheme.
                bcrypt::verify(bytes, &self.text).unwrap_or(false) & self.reads_all_of(password)
            }
            Scheme::Argon2id { hash, params } => {
                argon2id_matches(bytes, hash, params, memory).unwrap_or(false)
            }
        }
    }

    /// False if the scheme ignores the end of this password: bcrypt uses only 72 bytes.
    pub fn reads_all_of(&self, password: &Secret) -> bool {
        match self.scheme {
            Scheme::Bcrypt { .. } => password.expose().len() <= BCRYPT_BYTES,
            Scheme::Argon2id { .. } => true,
        }
    }

    /// Memory of one verification, in KiB.
    pub fn memory_kib(&self) -> u32 {
        match &self.scheme {
            Scheme::Bcrypt { .. } => 0,
            Scheme::Argon2id { params, .. } => params.m_cost(),
        }
    }

    /// Changes with the password, and reveals nothing about it. A plain digest suffices, because its input is a salted
    /// hash.
    pub fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"countersign password hash\0");
        context.update(self.text.as_bytes());
        URL_SAFE_NO_PAD.encode(context.finish().as_ref())
    }

    /// The cost parameters; hashes with equal ones take equal time.
    pub(crate) fn parameters(&self) -> (u32, u32, u32) {
        match &self.scheme {
            Scheme::Bcrypt { cost } => (0, *cost, 0),
            Scheme::Argon2id { params, .. } => (params.m_cost(), params.t_cost(), params.p_cost()),
        }
    }

    /// A hash with the same parameters that no known password matches, verified for unknown users.
    pub(crate) fn dummy(like: Option<&Self>) -> Result<Self, BadHash> {
        let (m, t, p) = match like.map(|hash| &hash.scheme) {
            Some(Scheme::Bcrypt { cost }) => {
                let base64 = GeneralPurpose::new(&BCRYPT, NO_PAD);
                let (salt, sum) = (base64.encode([0x5a; 16]), base64.encode([0; 23]));
                return Self::parse(&format!("$2b${cost:02}${salt}{sum}"));
            }
            Some(Scheme::Argon2id { params, .. }) => {
                (params.m_cost(), params.t_cost(), params.p_cost())
            }
            None => OURS,
        };
        let salt = STANDARD_NO_PAD.encode([0x5a; 16]);
        let sum = STANDARD_NO_PAD.encode([0; 32]);
        Self::parse(&format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${sum}"))
    }

    /// Scheme and cost, for administrators; without salt and hash.
    pub fn describe(&self) -> String {
        match &self.scheme {
            Scheme::Bcrypt { cost } => {
                format!(
                    "bcrypt, cost {cost}, which reads at most {BCRYPT_BYTES} bytes of a password"
                )
            }
            Scheme::Argon2id { params, .. } => {
                let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
                format!("argon2id, m={m} KiB, t={t}, p={p}")
            }
        }
    }

    pub fn scheme_name(&self) -> &'static str {
        match self.scheme {
            Scheme::Bcrypt { .. } => "bcrypt",
            Scheme::Argon2id { .. } => "argon2id",
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} hash]", self.scheme_name())
    }
}

/// The argon2 memory of one thread, reused by each verification. It grows to what the most expensive hash needs and is
/// not freed: the allocator would keep it anyway, once per thread that ever allocated it.
#[derive(Default)]
struct Argon2Memory(Vec<Block>);

impl Argon2Memory {
    fn blocks(&mut self, count: usize) -> Option<&mut [Block]> {
        if self.0.len() < count {
            // The old block is freed first, so that both never exist at the same time.
            self.0 = Vec::new();
            self.0 = vec![Block::default(); count];
        }
        self.0.get_mut(..count)
    }
}

/// `None` if the stored hash is incomplete, which `argon2id_scheme` excludes.
fn argon2id_matches(
    password: &[u8],
    hash: &argon2::PasswordHash,
    params: &Params,
    memory: &mut Argon2Memory,
) -> Option<bool> {
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let version = hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
    let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
    let mut computed = vec![0; expected.len()];
    let blocks = memory.blocks(params.block_count())?;
    argon2.hash_password_into_with_memory(password, salt, &mut computed, blocks).ok()?;
    Some(constant_time::verify_slices_are_equal(&computed, expected.as_bytes()).is_ok())
}

fn bcrypt_scheme(text: &str) -> Result<Scheme, BadHash> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| BadHash::Malformed("bcrypt"))?;
    match parts.get_cost() {
        cost @ 10..=16 => Ok(Scheme::Bcrypt { cost }),
        cost => Err(BadHash::BcryptCost(cost)),
    }
}

fn argon2id_scheme(text: &str) -> Result<Scheme, BadHash> {
    let malformed = BadHash::Malformed("argon2id");
    let hash = argon2::PasswordHash::new(text).map_err(|_| malformed.clone())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed);
    }
    let params = Params::try_from(&hash).map_err(|_| malformed)?;
    for (name, found, most) in [
        ("m", params.m_cost(), MAX_MEMORY_KIB),
        ("t", params.t_cost(), MAX_PASSES),
        ("p", params.p_cost(), MAX_LANES),
    ] {
        if found > most {
            return Err(BadHash::TooCostly { name, found, most });
        }
    }
    Ok(Scheme::Argon2id { hash: Box::new(hash), params })
}

#[cfg(test)]
mod tests;
