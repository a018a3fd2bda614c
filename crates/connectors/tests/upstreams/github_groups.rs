//! GitHub's groups: the strings Dex returns for organizations and teams, and which users are refused.

use countersign_config::Node;
use countersign_core::LoginScopes;
use countersign_core::connector::Refusal;

use crate::fake_github::{GitHub, OrgRestriction, Person};
use crate::github::{connector, login};
use crate::steps::{ALL, Keys, accepted, refused, trace_text};
use crate::tree::{list, map, plain, text};

fn orgs(of: &[(&str, &[&str])]) -> (&'static str, Node) {
    let org = |(name, teams): &(&str, &[&str])| {
        let teams = teams.iter().map(|team| text(*team)).collect();
        map(vec![("name", text(*name)), ("teams", list(teams))])
    };
    ("orgs", list(of.iter().map(org).collect()))
}

fn names(word: &str) -> (&'static str, Node) {
    ("teamNameField", text(word))
}

/// The groups that Dex returns. Jane is in acme (Platform Team, ops) and globex (ops).
#[tokio::test]
async fn groups_are_spelled_as_dex_spells_them() {
    let all = || ("loadAllGroups", plain("true"));
    let table: Vec<(Keys, Vec<&str>)> = vec![
        (vec![], vec![]),
        (vec![all()], vec!["acme", "acme:Platform Team", "acme:ops", "globex", "globex:ops"]),
        (
            vec![all(), names("slug")],
            vec!["acme", "acme:platform-team", "acme:ops", "globex", "globex:ops"],
        ),
        (vec![orgs(&[("acme", &[])])], vec!["acme:Platform Team", "acme:ops"]),
        (vec![orgs(&[("acme", &[])]), all()], vec!["acme:Platform Team", "acme:ops"]),
        (vec![orgs(&[("acme", &[])]), names("")], vec!["acme:Platform Team", "acme:ops"]),
        (vec![orgs(&[("acme", &[])]), names("slug")], vec!["acme:platform-team", "acme:ops"]),
        (
            vec![orgs(&[("acme", &[])]), names("both")],
            vec!["acme:Platform Team", "acme:platform-team", "acme:ops"],
        ),
        (vec![orgs(&[("acme", &["ops"])])], vec!["acme:ops"]),
        (vec![orgs(&[("acme", &["Platform Team"])])], vec!["acme:Platform Team"]),
        (vec![orgs(&[("acme", &["platform-team"])]), names("both")], vec!["acme:platform-team"]),
        // Both organizations have a team of this name; a required team is matched with its organization.
        (vec![orgs(&[("globex", &["ops"]), ("acme", &["nobody"])])], vec!["globex:ops"]),
        (vec![orgs(&[("globex", &[]), ("acme", &["ops"])])], vec!["globex:ops", "acme:ops"]),
        (vec![orgs(&[("hooli", &[]), ("acme", &["ops"])])], vec!["acme:ops"]),
        // Spelled as in the configuration; GitHub compares names without regard to case.
        (vec![orgs(&[("ACME", &["ops"])])], vec!["ACME:ops"]),
        (vec![("org", text("acme"))], vec!["Platform Team", "ops"]),
        (vec![("org", text("acme")), names("slug")], vec!["platform-team", "ops"]),
        (vec![("org", text("hooli"))], vec![]),
    ];
    let fake = GitHub::start().await;
    for (with, expected) in table {
        let shown = format!("{with:?}");
        let jane = accepted(login(&fake, &connector(&fake, with), ALL).await.0);
        assert_eq!(jane.identity.groups, expected, "{shown}");
    }
}

#[tokio::test]
async fn groups_are_read_only_if_requested_or_required() {
    let fake = GitHub::start().await;
    let without = connector(&fake, vec![("loadAllGroups", plain("true"))]);
    let jane = accepted(login(&fake, &without, LoginScopes::default()).await.0);
    assert!(jane.identity.groups.is_empty());
    assert_eq!((fake.request_count("/user/teams"), fake.request_count("/user/orgs")), (0, 0));
    let with = connector(&fake, vec![orgs(&[("acme", &[])])]);
    let jane = accepted(login(&fake, &with, LoginScopes::default()).await.0);
    assert_eq!(jane.identity.groups.len(), 2);
}

/// A required team is compared with its organization and exactly, so a similar team admits nobody.
#[tokio::test]
async fn a_user_in_no_required_group_is_refused_with_the_list() {
    let fake = GitHub::start().await;
    let refusal = |required: &[&str]| Refusal::NotInRequiredGroup {
        required: required.iter().map(|name| (*name).to_owned()).collect(),
    };
    for (of, required) in [
        (orgs(&[("hooli", &[])]), vec!["hooli"]),
        (orgs(&[("acme", &["security"])]), vec!["acme:security"]),
        // Platform Team is a team of acme, not of globex; by default teams are returned by name, not by slug.
        (orgs(&[("globex", &["Platform Team"])]), vec!["globex:Platform Team"]),
        (orgs(&[("acme", &["platform-team"])]), vec!["acme:platform-team"]),
        (orgs(&[("acme", &["OPS"])]), vec!["acme:OPS"]),
        (orgs(&[("hooli", &["a", "b"]), ("initech", &[])]), vec!["hooli:a", "hooli:b", "initech"]),
    ] {
        for login_scopes in [ALL, LoginScopes::default()] {
            let connector = connector(&fake, vec![of.clone()]);
            assert_eq!(refused(login(&fake, &connector, login_scopes).await.0), refusal(&required));
        }
    }
    fake.set(|state| state.signed_in = "bob".to_owned());
    let (login, trace) = login(&fake, &connector(&fake, vec![orgs(&[("acme", &[])])]), ALL).await;
    assert_eq!(refused(login), refusal(&["acme"]));
    assert!(trace_text(&trace).contains("Excluded acme: not a member"), "{}", trace_text(&trace));
    assert_eq!(fake.request_count("/orgs/acme/members/bob"), 1);
}

/// Threat 97: 200 teams, and more.
#[tokio::test]
async fn all_pages_are_read() {
    let fake = GitHub::start().await;
    fake.person("jane", |jane| {
        jane.teams.clear();
        for n in 0..250 {
            let person = jane.clone().in_team("acme", &format!("Team {n}"), &format!("team-{n}"));
            *jane = person;
        }
        for n in 0..120 {
            jane.emails.push(crate::fake_github::Email {
                email: format!("j{n}@old.example"),
                primary: false,
                verified: true,
            });
        }
        let address = jane.emails.remove(0);
        jane.emails.push(address);
    });
    let connector = connector(&fake, vec![orgs(&[("acme", &[])]), names("slug")]);
    let jane = accepted(login(&fake, &connector, ALL).await.0).identity;
    assert_eq!(jane.email, "jane@example.com", "it is on the second page");
    assert_eq!(jane.groups.len(), 250);
    assert_eq!(jane.groups[249], "acme:team-249");
    assert_eq!((fake.request_count("/user/teams"), fake.request_count("/user/emails")), (3, 2));
}

/// Threat 97: memberships that an organization hides are not guessed, and the trace says what to do.
#[tokio::test]
async fn an_organization_that_hides_its_members_is_reported_and_counts_as_none() {
    for (restriction, reason) in [
        (
            OrgRestriction::Shut,
            "Excluded acme: not a member, or the organization keeps this application out",
        ),
        (
            OrgRestriction::SingleSignOn,
            "Excluded acme: the organization demands its own single sign-on",
        ),
    ] {
        let fake = GitHub::start().await;
        fake.set(|state| state.restrictions.insert("acme".to_owned(), restriction));
        let both = connector(&fake, vec![orgs(&[("acme", &[]), ("globex", &[])])]);
        let (response, trace) = login(&fake, &both, ALL).await;
        assert_eq!(accepted(response).identity.groups, ["globex:ops"]);
        assert!(trace_text(&trace).contains(reason), "{}", trace_text(&trace));
        let only = connector(&fake, vec![orgs(&[("acme", &["ops"])])]);
        let required = vec!["acme:ops".to_owned()];
        let refusal = refused(login(&fake, &only, ALL).await.0);
        assert_eq!(refusal, Refusal::NotInRequiredGroup { required });
    }
    // Without the requested scope the memberships are not visible either.
    let fake = GitHub::start().await;
    fake.set(|state| state.granted_scopes = Some("user:email"));
    let only = connector(&fake, vec![orgs(&[("acme", &[])])]);
    let refusal = refused(login(&fake, &only, ALL).await.0);
    assert_eq!(refusal, Refusal::NotInRequiredGroup { required: vec!["acme".to_owned()] });
}

/// Every response of the fake is recorded with the path the published description has for it.
#[tokio::test]
async fn the_fake_records_its_responses() {
    let fake = GitHub::start().await;
    fake.set(|state| state.people.push(Person::new(9, "eve", "Eve").in_org("acme")));
    let connector = connector(&fake, vec![orgs(&[("acme", &[]), ("hooli", &[])])]);
    accepted(login(&fake, &connector, ALL).await.0);
    let lines = fake.recorded_lines();
    let requests: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        requests.iter().map(|r| (r["path"].as_str().unwrap(), &r["status"])).collect();
    let member = "/orgs/{org}/members/{username}";
    assert_eq!(
        seen,
        [
            ("/user", &200.into()),
            ("/user/emails", &200.into()),
            (member, &204.into()),
            (member, &302.into()),
            ("/user/teams", &200.into()),
        ]
    );
    assert_eq!(requests[0]["body"]["login"], "jane");
    assert!(requests[2]["body"].is_null() && requests.iter().all(|line| line["method"] == "GET"));
}
