use countersign_config::Node;
use countersign_core::connector::{
    AccountDiagnosis, LoginMethod, LoginOutcome, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::{Connector, Identity, LoginScopes, Secret, Timestamp, Trace};

use super::{Dummies, LocalUser, connector, read_users};
use crate::password::{Hashing, HashingLimits, hash_password};
use crate::tree::{self, list, map, plain, text};

/// bcrypt of "password", cost 10.
const BCRYPT: &str = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W";

fn connector_of(users: Vec<LocalUser>, hashing: Hashing) -> Connector {
    connector(users, hashing).0
}

fn read(entries: Vec<Node>) -> (Vec<LocalUser>, Vec<String>) {
    let root = map(vec![("staticPasswords", list(entries))]);
    tree::read(root, |root| read_users(root.sections("staticPasswords")))
}

fn person(email: &str, hash: &str, id: &str) -> Node {
    map(vec![
        ("email", text(email)),
        ("hash", text(hash)),
        ("username", text("someone")),
        ("userID", text(id)),
    ])
}

async fn sign_in(connector: &Connector, login: &str, password: &str) -> LoginOutcome {
    let LoginMethod::Password(method) = &connector.login_method else { panic!("it is a password") };
    let password = Secret::new(password);
    method.login(login, &password, LoginScopes::default(), &mut Trace::default()).await.unwrap()
}

fn accepted(login: LoginOutcome) -> SignedIn {
    let LoginOutcome::Accepted(signed_in) = login else { panic!("{login:?}") };
    *signed_in
}

#[test]
fn every_key_of_a_person_is_read() {
    let jane = map(vec![
        ("email", text("Jane@Example.com")),
        ("hash", text(BCRYPT)),
        ("username", text("jane")),
        ("userID", text("1")),
        ("name", text("Jane Doe")),
        ("preferredUsername", text("jd")),
        ("emailVerified", plain("false")),
        ("groups", list(vec![text("admins"), text("devs")])),
    ]);
    let (users, problems) = read(vec![jane, person("joe@example.com", BCRYPT, "2")]);
    assert!(problems.is_empty(), "{problems:?}");
    let identity = users[0].signed_in().identity;
    assert_eq!(
        identity,
        Identity {
            user_id: "1".into(),
            username: "Jane Doe".into(),
            preferred_username: "jd".into(),
            email: "Jane@Example.com".into(),
            email_verified: false,
            groups: vec!["admins".into(), "devs".into()],
        }
    );
    let joe = users[1].signed_in().identity;
    assert_eq!((joe.username.as_str(), joe.email_verified), ("someone", true));
}

#[test]
fn every_problem_is_reported_with_its_position_and_no_hash_is_printed() {
    let cheap = BCRYPT.replace("$10$", "$04$");
    let (users, problems) = read(vec![
        person("jane@example.com", BCRYPT, "1"),
        person("JANE@example.com ", BCRYPT, "2"),
        person("x@example.com", "garbage-that-is-secret", "3"),
        person("y@example.com", &cheap, "4"),
        map(vec![("email", text("z@example.com")), ("hashFromEnv", text("CS_NO_SUCH_VARIABLE"))]),
        map(vec![
            ("email", text("w@example.com")),
            ("hash", text(BCRYPT)),
            ("hashFromEnv", text("PATH")),
            ("userID", text("6")),
            ("hashh", text("x")),
        ]),
        map(vec![("email", text("v@example.com")), ("userID", text("1"))]),
    ]);
    let output = problems.join("\n");
    for expected in [
        "8:3: staticPasswords[1].email: is the same as that of the user in line 2",
        "14:3: staticPasswords[2].hash: is neither a bcrypt nor an argon2id hash",
        "19:3: staticPasswords[3].hash: has bcrypt cost 4, expected 10 to 16",
        "staticPasswords[4].hashFromEnv: the environment has no CS_NO_SUCH_VARIABLE",
        "staticPasswords[4].userID: is missing: with Dex all users without one have the same sub, so each of them is the other to every application; give each an id of its own, such as uuidgen prints, and grant again what was granted to that common sub",
        "staticPasswords[5].hashFromEnv: cannot be given together with hash",
        "staticPasswords[5].hashh: is not a known key, did you mean hash?",
        "staticPasswords[6].hash: is missing: give hash or hashFromEnv",
    ] {
        assert!(output.contains(expected), "no {expected:?} in\n{output}");
    }
    assert!(!output.contains("secret") && !output.contains("$2a$"), "{output}");
    assert_eq!(users.len(), 2);
}

#[test]
fn a_hash_from_the_environment_is_checked_like_any_other() {
    let entry = map(vec![
        ("email", text("a@example.com")),
        ("hashFromEnv", text("PATH")),
        ("userID", text("1")),
    ]);
    let (_, problems) = read(vec![entry]);
    assert!(problems[0].contains("hashFromEnv: is neither"), "{problems:?}");
}

#[tokio::test]
async fn unknown_users_cost_what_known_ones_cost() {
    let argon2 = hash_password(&Secret::new("secret")).unwrap();
    let (users, _) = read(vec![
        person("jane@example.com", BCRYPT, "1"),
        person("joe@example.com", &argon2, "2"),
    ]);
    let hashing = Hashing::default();
    let connector = connector_of(users, hashing.clone());
    let long_for_bcrypt = "x".repeat(100);
    for (login, password, is_accepted, work) in [
        ("jane@example.com", "password", true, 1),
        (" JANE@Example.COM ", "password", true, 1),
        ("jane@example.com", "wrong", false, 1),
        ("nobody@example.com", "password", false, 1),
        ("", "password", false, 1),
        ("joe@example.com", "secret", true, 1),
        ("joe@example.com", "wrong", false, 1),
        ("jane@example.com", &long_for_bcrypt, false, 1),
        ("nobody@example.com", &long_for_bcrypt, false, 1),
        ("jane@example.com", "", false, 0),
        ("nobody@example.com", "", false, 0),
        ("jane@example.com", &"x".repeat(2000), false, 0),
        ("nobody@example.com", &"x".repeat(2000), false, 0),
        ("jane@example.com", "pass\0word", false, 0),
        ("jane@example.com", "password\0", false, 0),
    ] {
        let before = hashing.verifications();
        let outcome = sign_in(&connector, login, password).await;
        assert_eq!(hashing.verifications() - before, work, "{login:?}");
        match outcome {
            LoginOutcome::Accepted(_) => assert!(is_accepted, "{login:?}"),
            LoginOutcome::Refused(refusal) => {
                assert_eq!(refusal, Refusal::BadCredentials, "{login:?}");
                assert!(!is_accepted, "{login:?}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_at_all_still_costs_one_verification() {
    let hashing = Hashing::default();
    let connector = connector_of(Vec::new(), hashing.clone());
    assert!(matches!(
        sign_in(&connector, "a@example.com", "x").await,
        LoginOutcome::Refused(Refusal::BadCredentials)
    ));
    assert_eq!(hashing.verifications(), 1);
}

#[test]
fn unknown_names_cost_what_configured_users_cost_and_always_the_same() {
    let argon2 = hash_password(&Secret::new("secret")).unwrap();
    let bcrypt_12 = BCRYPT.replace("$10$", "$12$");
    let (users, _) = read(vec![
        person("a@example.com", &argon2, "1"),
        person("b@example.com", &argon2, "2"),
        person("c@example.com", &argon2, "3"),
        person("d@example.com", &bcrypt_12, "4"),
    ]);
    let dummies = Dummies::like(&users);
    let bcrypt = |i: u32| {
        let name = format!("nobody{i}@example.com");
        let hash = dummies.of(&name).unwrap();
        assert_eq!(dummies.of(&name).unwrap().parameters(), hash.parameters());
        assert!(users.iter().any(|user| user.hash.parameters() == hash.parameters()));
        hash.scheme_name() == "bcrypt"
    };
    let share = (0..1000).filter(|i| bcrypt(*i)).count();
    // A quarter of the users; the bounds are six standard deviations around 250.
    assert!((168..=332).contains(&share), "{share} of 1000");
}

/// Threat 169: a name whose cost differs between two replicas, or before and after a restart, would be nobody's.
#[test]
fn unknown_names_cost_the_same_at_every_replica_and_almost_always_after_a_user_was_added() {
    let argon2 = || hash_password(&Secret::new("secret")).unwrap();
    let bcrypt = BCRYPT.replace("$10$", "$12$");
    let hashes = [vec![argon2(); 4], vec![bcrypt.clone(); 2]].concat();
    let of = |hashes: &[String]| {
        let entries = hashes.iter().enumerate();
        let entries = entries.map(|(n, hash)| person(&format!("{n}@example.com"), hash, "id"));
        Dummies::like(&read(entries.collect()).0)
    };
    let differing = |one: &Dummies, other: &Dummies| {
        let names = (0..1000).map(|i| format!("nobody{i}@example.com"));
        let parameters = |dummies: &Dummies, name: &str| dummies.of(name).unwrap().parameters();
        names.filter(|name| parameters(one, name) != parameters(other, name)).count()
    };
    let here = of(&hashes);
    assert_eq!(differing(&here, &of(&hashes)), 0);
    // With the key unchanged: from a third to two sevenths with bcrypt, which is 48 of 1000 names.
    let added = [hashes, vec![argon2()]].concat();
    let added = Dummies { key: here.key.clone(), ..of(&added) };
    assert!(differing(&here, &added) < 100, "{}", differing(&here, &added));
    let others = [vec![argon2(); 4], vec![bcrypt.replace("7Mc8", "7Mc9"); 2]].concat();
    assert!(differing(&here, &of(&others)) > 0, "the key is a secret of these users");
}

#[tokio::test]
async fn too_many_at_once_is_unavailable_and_not_a_refusal() {
    let (users, _) = read(vec![person("jane@example.com", BCRYPT, "1")]);
    let connector = connector_of(
        users,
        Hashing::new(HashingLimits { threads: 1, queue: 0, ..HashingLimits::default() }),
    );
    let LoginMethod::Password(method) = &connector.login_method else { panic!("it is a password") };
    let password = Secret::new("password");
    let (mut one, mut two) = (Trace::default(), Trace::default());
    let login_scopes = LoginScopes::default();
    let (first, second) = tokio::join!(
        method.login("jane@example.com", &password, login_scopes, &mut one),
        method.login("jane@example.com", &password, login_scopes, &mut two),
    );
    assert!(matches!(first, Ok(LoginOutcome::Accepted(_))));
    assert_eq!(second.unwrap_err().cause(), "too many logins at once");
}

#[tokio::test]
async fn a_refresh_sees_changes_removals_and_strangers() {
    let (users, _) = read(vec![person("jane@example.com", BCRYPT, "1")]);
    let before = connector_of(users, Hashing::default());
    let signed_in = accepted(sign_in(&before, "jane@example.com", "password").await);
    let refreshed = async |entries: Vec<Node>| {
        let now = connector_of(read(entries).0, Hashing::default());
        let refresh = now.refresh.unwrap();
        assert!(refresh.needs_no_request());
        let known = RefreshRequest {
            identity: &signed_in.identity,
            upstream: None,
            login_scopes: LoginScopes::default(),
            now: Timestamp::from_secs(1_795_000_000),
        };
        refresh.refresh(known, &mut Trace::default()).await.unwrap()
    };
    let RefreshOutcome::Current(same) =
        refreshed(vec![person("jane@example.com", BCRYPT, "1")]).await
    else {
        panic!("she is still there")
    };
    assert_eq!(same.fingerprint, signed_in.fingerprint);

    let other_hash = bcrypt::hash("another", 10).unwrap();
    let RefreshOutcome::Current(changed) =
        refreshed(vec![person("jane@example.com", &other_hash, "1")]).await
    else {
        panic!("she is still there")
    };
    assert_ne!(changed.fingerprint, signed_in.fingerprint, "for the issuer to refuse");

    let RefreshOutcome::Current(renamed) =
        refreshed(vec![person("jd@example.com", BCRYPT, "1")]).await
    else {
        panic!("she only has another address")
    };
    assert_eq!(renamed.identity.email, "jd@example.com");

    assert!(matches!(refreshed(vec![]).await, RefreshOutcome::Disabled));
    let stranger = vec![person("jane@example.com", BCRYPT, "2")];
    assert!(
        matches!(refreshed(stranger).await, RefreshOutcome::Disabled),
        "another person's address"
    );
}

#[tokio::test]
async fn the_trace_lists_the_steps_and_no_password() {
    let (users, _) = read(vec![person("jane@example.com", BCRYPT, "1")]);
    let connector = connector_of(users, Hashing::default());
    let LoginMethod::Password(method) = &connector.login_method else { panic!("it is a password") };
    let mut trace = Trace::default();
    let password = Secret::new("a-wrong-guess");
    method.login("jane@example.com", &password, LoginScopes::default(), &mut trace).await.unwrap();
    let steps: Vec<&str> = trace.steps().iter().map(|step| step.text.as_str()).collect();
    let expected =
        ["the local user jane@example.com", "found", "the password does not match the bcrypt hash"];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_diagnosis_lists_scheme_and_cost_but_not_the_hash() {
    let argon2 = hash_password(&Secret::new("secret")).unwrap();
    let mut joe = person("joe@example.com", &argon2, "2");
    let countersign_config::Value::Map(keys) = &mut joe.value else { panic!("a map") };
    let group = map(vec![("groups", list(vec![text("devs")]))]);
    let countersign_config::Value::Map(group) = group.value else { panic!("a map") };
    keys.extend(group);
    let (users, problems) = read(vec![person("jane@example.com", BCRYPT, "1"), joe]);
    assert!(problems.is_empty(), "{problems:?}");
    let hashing = Hashing::default();
    let connector = connector_of(users, hashing.clone());
    let LoginMethod::Password(method) = &connector.login_method else { panic!("it is a password") };
    let mut trace = Trace::default();
    for (login, id) in [(" JANE@example.com", "1"), ("joe@example.com", "2")] {
        let diagnosis = method.diagnose(login, &mut trace).await;
        let Ok(AccountDiagnosis::Found(identity)) = diagnosis else { panic!("{diagnosis:?}") };
        assert_eq!(identity.user_id, id);
    }
    let diagnosis = method.diagnose("nobody@example.com", &mut trace).await;
    let Ok(AccountDiagnosis::Refused { reason }) = diagnosis else { panic!("{diagnosis:?}") };
    assert_eq!(reason, "there is no local user \"nobody@example.com\"");
    let steps: Vec<&str> = trace.steps().iter().map(|step| step.text.as_str()).collect();
    let expected = [
        "the local user jane@example.com",
        "found",
        "the password is kept as bcrypt, cost 10, which reads at most 72 bytes of a password",
        "no password was tried",
        "the local user joe@example.com",
        "found",
        "the password is kept as argon2id, m=19456 KiB, t=2, p=1",
        "group \"devs\": the user's own",
        "no password was tried",
        "the local user nobody@example.com",
        "no such user among 2",
    ];
    assert_eq!(steps, expected);
    assert_eq!(hashing.verifications(), 0);
}
