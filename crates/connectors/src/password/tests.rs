use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Secret;

use super::{
    Argon2Memory, BadHash, Hashing, HashingError, HashingLimits, PasswordHash, Unusable,
    check_password, hash_password,
};

/// bcrypt of "password", cost 10: the one in Dex's sample configuration.
const DEX_SAMPLE: &str = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W";
const SALT: &str = "c29tZXNhbHRzb21lc2FsdA";
const SUM: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn matches(hash: &PasswordHash, password: &str) -> bool {
    hash.matches(&Secret::new(password), &mut Argon2Memory::default())
}

fn argon2(kind: &str, parameters: &str) -> String {
    format!("${kind}$v=19${parameters}${SALT}${SUM}")
}

#[test]
fn what_we_make_is_argon2id_and_verifies() {
    let made = hash_password(&Secret::new("correct horse")).unwrap();
    assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
    let hash = PasswordHash::parse(&made).unwrap();
    assert!(matches(&hash, "correct horse"));
    assert!(!matches(&hash, "correct horse "));
    assert_ne!(made, hash_password(&Secret::new("correct horse")).unwrap(), "salted");
}

#[test]
fn the_hash_of_dexs_sample_verifies_plain_and_in_base64() {
    let encoded = STANDARD.encode(DEX_SAMPLE);
    let plain = PasswordHash::parse(DEX_SAMPLE).unwrap();
    for text in [DEX_SAMPLE, &encoded, encoded.trim_end_matches('=')] {
        let hash = PasswordHash::parse(text).unwrap();
        assert!(matches(&hash, "password"));
        assert!(!matches(&hash, "Password"));
        assert_eq!(hash.fingerprint(), plain.fingerprint(), "one hash, however it is written");
    }
}

#[test]
fn dear_cheap_foreign_and_broken_hashes_are_refused() {
    let rest = DEX_SAMPLE.strip_prefix("$2a$10").unwrap();
    for (text, expected) in [
        (format!("$2a$04{rest}"), BadHash::BcryptCost(4)),
        (format!("$2y$09{rest}"), BadHash::BcryptCost(9)),
        (format!("$2b$17{rest}"), BadHash::BcryptCost(17)),
        (format!("$2x$10{rest}"), BadHash::Unknown),
        (format!("$2a$10{}", &rest[..20]), BadHash::Malformed("bcrypt")),
        (argon2("argon2i", "m=19456,t=2,p=1"), BadHash::NotArgon2id),
        (argon2("argon2d", "m=19456,t=2,p=1"), BadHash::NotArgon2id),
        (
            argon2("argon2id", "m=4194304,t=2,p=1"),
            BadHash::TooCostly { name: "m", found: 4_194_304, most: 1 << 20 },
        ),
        (
            argon2("argon2id", "m=19456,t=21,p=1"),
            BadHash::TooCostly { name: "t", found: 21, most: 20 },
        ),
        (
            argon2("argon2id", "m=19456,t=2,p=17"),
            BadHash::TooCostly { name: "p", found: 17, most: 16 },
        ),
        (argon2("argon2id", "m=0,t=0,p=0"), BadHash::Malformed("argon2id")),
        ("$argon2id$v=19$m=19456,t=2,p=1".to_owned(), BadHash::Malformed("argon2id")),
        ("$scrypt$whatever".to_owned(), BadHash::Unknown),
        ("hunter2".to_owned(), BadHash::Unknown),
        ("ä".to_owned(), BadHash::Unknown),
        (String::new(), BadHash::Unknown),
    ] {
        assert_eq!(PasswordHash::parse(&text).unwrap_err(), expected, "{text}");
    }
    assert!(PasswordHash::parse(&argon2("argon2id", "m=19456,t=2,p=1")).is_ok());
}

#[test]
fn a_hash_does_not_print() {
    let hash = PasswordHash::parse(DEX_SAMPLE).unwrap();
    assert_eq!(format!("{hash:?}"), "[bcrypt hash]");
}

#[test]
fn passwords_with_equal_bcrypt_prefixes_are_both_refused() {
    let exactly = "x".repeat(72);
    let hash = PasswordHash::parse(&bcrypt::hash(&exactly, 10).unwrap()).unwrap();
    assert!(matches(&hash, &exactly.clone()));
    assert!(!matches(&hash, &format!("{exactly}y")), "73 bytes are not shortened");
    assert!(!hash.reads_all_of(&Secret::new(format!("{exactly}y"))));
}

#[test]
fn impossible_hashes_are_refused_before_hashing() {
    for (password, expected) in [
        (String::new(), Err(Unusable::Empty)),
        ("x".repeat(1025), Err(Unusable::TooLong)),
        ("a\0b".to_owned(), Err(Unusable::Nul)),
        ("x".repeat(1024), Ok(())),
        (" ".to_owned(), Ok(())),
    ] {
        assert_eq!(check_password(&Secret::new(password.clone())), expected);
        assert_eq!(hash_password(&Secret::new(password)).is_ok(), expected.is_ok());
    }
}

#[test]
fn a_dummy_costs_what_its_model_costs_and_opens_to_nothing() {
    for model in [DEX_SAMPLE.to_owned(), argon2("argon2id", "m=1024,t=3,p=2")] {
        let model = PasswordHash::parse(&model).unwrap();
        let dummy = PasswordHash::dummy(Some(&model)).unwrap();
        assert_eq!(dummy.parameters(), model.parameters());
        assert_eq!(dummy.scheme_name(), model.scheme_name());
        assert!(!matches(&dummy, "password"));
    }
    assert_eq!(PasswordHash::dummy(None).unwrap().scheme_name(), "argon2id");
}

#[test]
fn argon2_memory_is_allocated_once_and_grows_to_the_most_demanding_hash() {
    let mut memory = Argon2Memory::default();
    let hash = |m| PasswordHash::parse(&argon2("argon2id", &format!("m={m},t=1,p=1"))).unwrap();
    let mut verify = |m: u32| {
        assert!(!hash(m).matches(&Secret::new("x"), &mut memory));
        (memory.0.len(), memory.0.as_ptr())
    };
    let (blocks, address) = verify(256);
    assert_eq!(blocks, 256, "one block for each KiB");
    assert_eq!(verify(64), (blocks, address));
    assert_eq!(verify(256), (blocks, address));
    assert_eq!(verify(512).0, 512);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excess_requests_are_refused_as_busy() {
    let hashing = Hashing::new(HashingLimits { threads: 1, queue: 2, ..HashingLimits::default() });
    let hash = Arc::new(PasswordHash::parse(DEX_SAMPLE).unwrap());
    let attempt = || {
        let (hashing, hash) = (hashing.clone(), hash.clone());
        tokio::spawn(async move { hashing.verify(hash, Secret::new("password")).await })
    };
    let attempts: Vec<_> = (0..20).map(|_| attempt()).collect();
    let mut outcomes = Vec::new();
    for attempt in attempts {
        outcomes.push(attempt.await.unwrap());
    }
    let verified = outcomes.iter().filter(|outcome| **outcome == Ok(true)).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(HashingError::Busy)).count();
    assert_eq!(verified + refused, 20);
    assert!(refused > 0, "three fit, twenty came");
    assert_eq!(hashing.verifications(), u64::try_from(verified).unwrap());
    assert_eq!(hashing.verify(hash, Secret::new("password")).await, Ok(true), "the storm is over");
}

#[tokio::test]
async fn a_hash_that_needs_more_memory_than_allowed_is_not_computed() {
    let limits = HashingLimits { memory_kib: 1024, ..HashingLimits::default() };
    let hashing = Hashing::new(limits);
    let hash = |m: u32| {
        Arc::new(PasswordHash::parse(&argon2("argon2id", &format!("m={m},t=1,p=1"))).unwrap())
    };
    assert_eq!(hashing.verify(hash(1024), Secret::new("x")).await, Ok(false));
    assert_eq!(
        hashing.verify(hash(1025), Secret::new("x")).await,
        Err(HashingError::TooMuchMemory { needed_kib: 1025, limit_kib: 1024 })
    );
    assert_eq!(hashing.verifications(), 1);
}
