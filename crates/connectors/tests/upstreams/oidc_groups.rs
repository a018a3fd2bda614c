//! Groups and e-mail addresses: spelled as by Dex, and none that the provider did not return.

use countersign_core::connector::Refusal;
use serde_json::{Value, json};

use crate::oidc::{connector, login};
use crate::provider::Provider;
use crate::steps::{Keys, accepted, broken, refused};
use crate::tree::{list, map, plain, text};

fn with_groups(mut more: Keys) -> Keys {
    more.push(("insecureEnableGroups", plain("true")));
    more
}

fn modifications(more: Keys) -> Keys {
    with_groups(vec![("claimModifications", map(more))])
}

async fn groups(claims: Value, keys: Keys) -> Vec<String> {
    let provider = Provider::start().await;
    let changes = claims.as_object().unwrap().clone();
    provider.claims(move |claims| claims.extend(changes.clone()));
    accepted(login(&provider, &connector(&provider, keys)).await).identity.groups
}

#[tokio::test]
async fn groups_are_spelled_as_dex_spells_them() {
    let filter = |regex: &str| ("filterGroupClaims", map(vec![("groupsFilter", text(regex))]));
    let names = ("modifyGroupNames", map(vec![("prefix", text("up:")), ("suffix", text("!"))]));
    let new = |clear: &str| {
        (
            "newGroupFromClaims",
            list(vec![map(vec![
                ("claims", list(vec![text("org"), text("count"), text("team")])),
                ("delimiter", text("-")),
                ("clearDelimiter", plain(clear)),
                ("prefix", text("bk")),
            ])]),
        )
    };
    let allowed = ("allowedGroups", list(vec![text("staff"), text("board")]));
    let mapped = ("claimMapping", map(vec![("groups", text("roles"))]));
    let made = json!({ "groups": [], "org": "a-b", "count": 3, "team": "c" });
    for (claims, keys, expected) in [
        (json!({ "groups": ["b", "a", "b"] }), with_groups(vec![]), vec!["b", "a", "b"]),
        (json!({ "groups": "admins" }), with_groups(vec![]), vec!["admins"]),
        (json!({ "groups": [{ "name": "x", "id": 1 }, "y"] }), with_groups(vec![]), vec!["x", "y"]),
        (json!({ "groups": null }), with_groups(vec![]), vec![]),
        (json!({ "groups": ["a"] }), vec![], vec![]),
        (json!({ "groups": ["a"], "roles": ["r"] }), with_groups(vec![mapped.clone()]), vec!["a"]),
        (json!({ "groups": null, "roles": ["r"] }), with_groups(vec![mapped.clone()]), vec!["r"]),
        (
            json!({ "groups": ["a"], "roles": ["r"] }),
            with_groups(vec![mapped, ("overrideClaimMapping", plain("true"))]),
            vec!["r"],
        ),
        (
            json!({ "groups": ["ops-eu", "dev", "ops"] }),
            modifications(vec![filter("^ops")]),
            vec!["ops-eu", "ops"],
        ),
        (json!({ "groups": ["staff", "x"] }), with_groups(vec![allowed.clone()]), vec!["staff"]),
        (json!({ "groups": ["a"] }), modifications(vec![names.clone()]), vec!["up:a!"]),
        (made.clone(), modifications(vec![new("false")]), vec!["bk-a-b-c"]),
        (made, modifications(vec![new("true")]), vec!["bk-ab-c"]),
        (json!({ "groups": ["a"], "org": 1 }), modifications(vec![new("false")]), vec!["a"]),
        // filter, allowed, prefix and suffix, new: in this order.
        (
            json!({ "groups": ["staff", "board", "x"], "org": "o" }),
            {
                let mut keys = modifications(vec![filter("a"), names, new("false")]);
                keys.push(allowed);
                keys
            },
            vec!["up:staff!", "up:board!", "bk-o"],
        ),
    ] {
        assert_eq!(groups(claims.clone(), keys).await, expected, "{claims}");
    }
}

/// Threat 102.
#[tokio::test]
async fn threat_102_groups_of_an_odd_shape_are_an_error_and_make_nobody_an_admin() {
    let many: Vec<String> = (0..10_001).map(|n| format!("{n:x}")).collect();
    for groups in [
        json!(5),
        json!(true),
        json!({ "admins": true }),
        json!([5]),
        json!([null]),
        json!([["a"]]),
        json!([{ "id": "admins" }]),
        json!([{ "name": { "name": "admins" } }]),
    ] {
        let provider = Provider::start().await;
        let case = groups.to_string();
        provider.claims(move |claims| {
            claims.insert("groups".into(), groups.clone());
        });
        let cause = broken(login(&provider, &connector(&provider, with_groups(vec![]))).await);
        assert!(cause.contains("\"groups\""), "{case}: {cause}");
    }
    let provider = Provider::start().await;
    provider.set(|b| {
        b.userinfo.insert("groups".into(), json!(many));
    });
    let keys = with_groups(vec![("getUserInfo", plain("true"))]);
    let cause = broken(login(&provider, &connector(&provider, keys)).await);
    assert!(cause.contains("over 10000 groups"), "{cause}");
}

#[tokio::test]
async fn a_user_in_no_allowed_group_is_refused_with_the_list() {
    for claims in [json!({ "groups": ["x"] }), json!({ "groups": [] }), json!({ "groups": null })] {
        let provider = Provider::start().await;
        let changes = claims.as_object().unwrap().clone();
        provider.claims(move |claims| claims.extend(changes.clone()));
        let keys = with_groups(vec![("allowedGroups", list(vec![text("staff"), text("board")]))]);
        let refusal = refused(login(&provider, &connector(&provider, keys)).await);
        let required = vec!["staff".to_owned(), "board".to_owned()];
        assert_eq!(refusal, Refusal::NotInRequiredGroup { required });
    }
}

/// Threat 94. Only `true` is accepted, unless configured otherwise; even then `false` is passed on as `false`.
#[tokio::test]
async fn threat_94_an_unverified_address_is_never_a_verified_one() {
    for (claim, skip, expected) in [
        (json!(true), false, Some(true)),
        (json!(false), false, None),
        (json!(false), true, Some(false)),
        (json!("true"), false, None),
        (json!("true"), true, Some(true)),
        (json!("false"), false, None),
        (json!("false"), true, Some(false)),
        (json!(1), false, None),
        (Value::Null, false, None),
        (Value::Null, true, Some(true)),
    ] {
        let provider = Provider::start().await;
        let case = claim.to_string();
        provider.claims(move |claims| {
            claims.insert("email_verified".into(), claim.clone());
        });
        let keys = match skip {
            true => vec![("insecureSkipEmailVerified", plain("true"))],
            false => vec![],
        };
        let login = login(&provider, &connector(&provider, keys)).await;
        match expected {
            Some(verified) => {
                assert_eq!(accepted(login).identity.email_verified, verified, "{case}");
            }
            None => assert_eq!(refused(login), Refusal::EmailNotVerified, "{case}"),
        }
    }
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.remove("email_verified");
    });
    assert_eq!(
        refused(login(&provider, &connector(&provider, vec![])).await),
        Refusal::EmailNotVerified
    );
    provider.claims(|claims| {
        claims.remove("email");
    });
    assert!(broken(login(&provider, &connector(&provider, vec![])).await).contains("e-mail"));
    let keys = vec![("scopes", list(vec![text("profile")]))];
    let jane = accepted(login(&provider, &connector(&provider, keys)).await).identity;
    assert_eq!((jane.email.as_str(), jane.email_verified), ("", true));
}
