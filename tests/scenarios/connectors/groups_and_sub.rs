//! Groups and `sub` of each connector, exactly as in Dex. Each table has one upstream with one Jane, and a
//! connector for each row of configuration. The rules in detail are tested beside the connectors; these tests
//! check what a client receives.

use serde_json::{Value, json};

use super::{github, google};
use crate::world::fakes::{self, provider::Provider};
use crate::world::{Browser, Server, World, dex_sub, slapd, verified};

/// Lines of a connector's `config`, and the resulting groups.
type Table<'a> = &'a [(&'a str, &'a [&'a str])];

/// Signs Jane in with each row. `connector` makes an entry of `connectors:` from an id and lines; `comes_in`
/// continues from the redirect to the upstream back to us.
async fn assert_groups_and_sub(
    table: Table<'_>,
    user_id: &str,
    connector: impl Fn(&str, &str) -> String,
    comes_in: impl AsyncFn(&mut Browser),
) {
    let ids = (0..table.len()).map(|n| format!("c{n}"));
    let lines: Vec<_> = ids.zip(table).collect();
    let all: String = lines.iter().map(|(id, (more, _))| connector(id, more)).collect();
    let world = World::new().with(&format!("connectors:\n{all}"));
    let server = world.with("oauth2:\n  skipApprovalScreen: true").start().await;
    for (id, (more, groups)) in &lines {
        let claims = claims_from(&server, id, &comes_in).await;
        assert_eq!(claims["sub"], dex_sub(user_id, id), "{more}");
        // Dex leaves out an empty claim.
        let expected = if groups.is_empty() { Value::Null } else { json!(groups) };
        assert_eq!(claims["groups"], expected, "{more}");
    }
}

async fn claims_from(server: &Server, id: &str, comes_in: &impl AsyncFn(&mut Browser)) -> Value {
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request_with("openid groups", &[("connector_id", id)]);
    jane.opens(&request.url).await;
    comes_in(&mut jane).await;
    let response = app.redeems(&request, &jane.auth_response()).await;
    verified(response.id_token(), &app.gets("/keys").await.json)
}

/// Returns from an upstream whose pages are skipped, with this code.
async fn returns_with_code(jane: &mut Browser, code: &str) {
    let upstream = jane.page().location().expect("a redirect to the upstream");
    let parameter = |name: &str| upstream.query_pairs().find(|(key, _)| key == name).unwrap().1;
    let back = [("code", code), ("state", &parameter("state"))];
    let back = reqwest::Url::parse_with_params(&parameter("redirect_uri"), back).unwrap();
    jane.opens(back.as_str()).await;
}

#[tokio::test]
async fn ldap_groups_and_sub_are_as_in_dex() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let at = format!("127.0.0.1:{}", directory.tls_port);
    let ca = directory.file("ca.pem");
    let connector = |id: &str, more: &str| {
        format!(
            "- type: ldap\n  id: {id}\n  name: Directory\n  config:\n    host: {at}\n    rootCA: {}\n    \
             bindDN: cn=service,{suffix}\n    bindPW: service-password\n    userSearch: {{baseDN: \
             \"ou=People,{suffix}\", username: uid, idAttr: uid, emailAttr: mail, nameAttr: cn}}\n    \
             groupSearch: {{baseDN: \"ou=Groups,{suffix}\", {more}}}\n",
            ca.display(),
            suffix = slapd::SUFFIX,
        )
    };
    let table: Table<'_> = &[
        (
            "nameAttr: cn, userMatchers: [{userAttr: DN, groupAttr: member}]",
            &["admins", "developers"],
        ),
        (
            "nameAttr: cn, userMatchers: [{userAttr: DN, groupAttr: member, recursionGroupAttr: member}]",
            &["admins", "developers", "staff", "everybody"],
        ),
        (
            "nameAttr: DN, userMatchers: [{userAttr: DN, groupAttr: member}]",
            &["cn=admins,ou=Groups,dc=example,dc=org", "cn=developers,ou=Groups,dc=example,dc=org"],
        ),
        (
            "nameAttr: cn, userMatchers: [{userAttr: departmentNumber, groupAttr: cn}]",
            &["dev", "ops"],
        ),
        ("nameAttr: cn, userMatchers: [{userAttr: mail, groupAttr: cn}]", &[]),
    ];
    let comes_in = async |jane: &mut Browser| {
        jane.signs_in("jane", slapd::PASSWORD).await;
    };
    assert_groups_and_sub(table, "jane", connector, comes_in).await;
}

#[tokio::test]
async fn oidc_groups_and_sub_are_as_in_dex() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        let more = json!({ "groups": ["staff", "board", "x"], "one": "admins",
                           "named": [{ "name": "x", "id": 1 }, "y"], "org": "o", "team": "t" });
        claims.extend(more.as_object().unwrap().clone());
    });
    let connector = |id: &str, more: &str| {
        format!(
            "- type: oidc\n  id: {id}\n  name: Provider\n  config:\n    issuer: {}\n    clientID: {}\n    \
             clientSecret: \"{}\"\n{more}",
            provider.web.url,
            fakes::provider::CLIENT,
            fakes::provider::SECRET
        )
    };
    let table: Table<'_> = &[
        ("", &[]),
        ("    insecureEnableGroups: true\n", &["staff", "board", "x"]),
        (
            "    insecureEnableGroups: true\n    claimMapping: {groups: one}\n    overrideClaimMapping: true\n",
            &["admins"],
        ),
        (
            "    insecureEnableGroups: true\n    claimMapping: {groups: named}\n    overrideClaimMapping: true\n",
            &["x", "y"],
        ),
        ("    insecureEnableGroups: true\n    allowedGroups: [board, none]\n", &["board"]),
        // Filter, allowed, prefix and suffix, new groups, in this order.
        (
            "    insecureEnableGroups: true\n    allowedGroups: [staff, board]\n    claimModifications:\n      \
             filterGroupClaims: {groupsFilter: a}\n      modifyGroupNames: {prefix: 'up:', suffix: '!'}\n      \
             newGroupFromClaims: [{claims: [org, team], delimiter: '-', prefix: bk}]\n",
            &["up:staff!", "up:board!", "bk-o-t"],
        ),
    ];
    let comes_in = async |jane: &mut Browser| {
        jane.continues_to_fake_upstream().await;
    };
    assert_groups_and_sub(table, "1234", connector, comes_in).await;
}

#[tokio::test]
async fn google_groups_and_sub_are_as_in_dex() {
    let fake = fakes::google::Google::start().await;
    let [a, b, c, all, ring] = &["a", "b", "c", "all", "ring"].map(|n| format!("{n}@example.com"));
    let lines = |by: &str, more: &str| format!("{by}{more}");
    let transitive = "    fetchTransitiveGroupMembership: true\n";
    let table: Table<'_> = &[
        (google::BY_DIRECTORY, &[a, b, c]),
        (&lines(google::BY_DIRECTORY, transitive), &[a, all, b, ring, c]),
        (&lines(google::BY_DIRECTORY, "    groups: [c@example.com, z@example.com]\n"), &[c]),
        (&lines(google::BY_CLOUD, transitive), &["x@example.com", "y@example.com"]),
    ];
    let connector = |id: &str, more: &str| google::connector(id, &fake, more);
    let comes_in = async |jane: &mut Browser| {
        jane.continues_to_fake_upstream().await;
    };
    assert_groups_and_sub(table, "1234", connector, comes_in).await;
}

#[tokio::test]
async fn gitlab_groups_and_sub_are_as_in_dex() {
    let fake = fakes::gitlab::fake().await;
    let connector = |id: &str, more: &str| {
        let at = &fake.web.url;
        format!(
            "- type: gitlab\n  id: {id}\n  name: GitLab\n  config:\n    baseURL: {at}\n    \
             clientID: client\n    clientSecret: secret\n{more}"
        )
    };
    let table: Table<'_> = &[
        ("", &["ops", "ops/dev", "web"]),
        (
            "    getGroupsPermission: true\n",
            &["ops", "ops/dev", "web", "ops:owner", "ops/dev:owner", "web:developer"],
        ),
        ("    groups: [web, none]\n", &["web"]),
        ("    groups: [ops, 'ops:owner']\n    getGroupsPermission: true\n", &["ops", "ops:owner"]),
    ];
    assert_groups_and_sub(table, "42", connector, async |jane: &mut Browser| {
        returns_with_code(jane, "c").await;
    })
    .await;
}

#[tokio::test]
async fn microsoft_groups_and_sub_are_as_in_dex() {
    let fake = fakes::graph::fake().await;
    let connector = |id: &str, more: &str| {
        let at = &fake.web.url;
        format!(
            "- type: microsoft\n  id: {id}\n  name: Microsoft\n  config:\n    apiURL: {at}\n    graphURL: {at}\n    \
             clientID: client\n    clientSecret: secret\n    tenant: contoso.example\n{more}"
        )
    };
    let table: Table<'_> = &[
        ("", &["ID 0", "ID 2"]),
        ("    groupNameFormat: id\n", &["id-0", "id-1", "id-2"]),
        ("    onlySecurityGroups: true\n", &["SEC 0", "SEC 1", "SEC 2"]),
        ("    groups: [ID 2]\n", &["ID 0", "ID 2"]),
        ("    groups: [ID 2]\n    useGroupsAsWhitelist: true\n", &["ID 2"]),
    ];
    assert_groups_and_sub(table, "7f1c", connector, async |jane: &mut Browser| {
        returns_with_code(jane, "c").await;
    })
    .await;
}

#[tokio::test]
async fn github_groups_and_sub_are_as_in_dex() {
    let fake = fakes::github::GitHub::start().await;
    let table: Table<'_> = &[
        ("", &[]),
        ("    orgs: [{name: acme}]\n", &["acme:Platform Team", "acme:ops"]),
        (
            "    orgs: [{name: acme}]\n    teamNameField: slug\n",
            &["acme:platform-team", "acme:ops"],
        ),
        (
            "    orgs: [{name: acme}]\n    teamNameField: both\n",
            &["acme:Platform Team", "acme:platform-team", "acme:ops"],
        ),
        ("    orgs: [{name: acme, teams: [ops]}, {name: globex}]\n", &["acme:ops", "globex:ops"]),
        (
            "    loadAllGroups: true\n",
            &["acme", "acme:Platform Team", "acme:ops", "globex", "globex:ops"],
        ),
        ("    org: acme\n", &["Platform Team", "ops"]),
    ];
    let connector = |id: &str, more: &str| github::connector(id, &fake, more);
    let comes_in = async |jane: &mut Browser| github::authorizes(jane).await;
    assert_groups_and_sub(table, "42", connector, comes_in).await;
}
