//! GitHub's JSON of a user, an organization and a team, with every required member. Values that the connector does not
//! read are invented; the names of members are those of the published description.

use serde_json::{Map, Value, json};

use super::{Person, Team};

const API: &str = "https://api.github.com";
const WHEN: &str = "2020-01-02T03:04:05Z";

/// `private-user` in the description.
pub fn user(person: &Person) -> Value {
    let Person { login, id, name, public_email, .. } = person;
    let url = |rest: &str| format!("{API}/users/{login}{rest}");
    object([
        json!({
            "login": login, "id": id, "user_view_type": "private", "node_id": node("U", *id),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            "gravatar_id": "", "url": url(""), "html_url": format!("https://github.com/{login}"),
            "followers_url": url("/followers"), "following_url": url("/following{/other_user}"),
            "gists_url": url("/gists{/gist_id}"), "starred_url": url("/starred{/owner}{/repo}"),
            "subscriptions_url": url("/subscriptions"), "organizations_url": url("/orgs"),
            "repos_url": url("/repos"), "events_url": url("/events{/privacy}"),
            "received_events_url": url("/received_events"), "type": "User", "site_admin": false,
            "name": name, "company": null, "blog": "", "location": null, "email": public_email,
            "hireable": null, "bio": null, "twitter_username": null, "notification_email": null,
        }),
        json!({
            "public_repos": 1, "public_gists": 0, "followers": 0, "following": 0,
            "created_at": WHEN, "updated_at": WHEN, "private_gists": 0, "total_private_repos": 0,
            "owned_private_repos": 0, "disk_usage": 0, "collaborators": 0,
            "two_factor_authentication": true,
            "plan": { "name": "free", "space": 976_562_499, "collaborators": 0,
                      "private_repos": 10_000 },
        }),
    ])
}

/// `email` in the description.
pub fn emails(person: &Person) -> Vec<Value> {
    let email = |own: &super::Email| {
        let visibility = own.primary.then_some("private");
        json!({ "email": own.email, "primary": own.primary, "verified": own.verified,
                "visibility": visibility })
    };
    person.emails.iter().map(email).collect()
}

/// `organization-simple` in the description.
pub fn org(login: &str) -> Value {
    let id = number(login);
    let url = |rest: &str| format!("{API}/orgs/{login}{rest}");
    json!({
        "login": login, "id": id, "node_id": node("O", id), "url": url(""),
        "repos_url": url("/repos"), "events_url": url("/events"), "hooks_url": url("/hooks"),
        "issues_url": url("/issues"), "members_url": url("/members{/member}"),
        "public_members_url": url("/public_members{/member}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "description": null,
    })
}

/// `team-full` in the description, with its `team-organization`.
pub fn team(team: &Team) -> Value {
    let Team { org: of, name, slug } = team;
    let org_id = number(of);
    let id = number(&format!("{of}/{slug}"));
    let organization = object([
        org(of),
        json!({
            "html_url": format!("https://github.com/{of}"), "has_organization_projects": true,
            "has_repository_projects": true, "public_repos": 0, "public_gists": 0, "followers": 0,
            "following": 0, "type": "Organization", "created_at": WHEN, "updated_at": WHEN,
            "archived_at": null,
        }),
    ]);
    let url = format!("{API}/organizations/{org_id}/team/{id}");
    json!({
        "id": id, "node_id": node("T", id), "url": url,
        "html_url": format!("https://github.com/orgs/{of}/teams/{slug}"), "name": name,
        "slug": slug, "description": "", "privacy": "closed",
        "notification_setting": "notifications_enabled", "permission": "pull",
        "members_url": format!("{url}/members{{/member}}"),
        "repositories_url": format!("{url}/repos"), "parent": null, "members_count": 3,
        "repos_count": 1, "created_at": WHEN, "updated_at": WHEN, "organization": organization,
        "type": "organization", "organization_id": org_id,
    })
}

/// An invented id, always the same for a name.
fn number(name: &str) -> u64 {
    name.bytes().fold(1_000, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_000)
}

fn node(kind: &str, id: u64) -> String {
    format!("{kind}_kgDO{id:08}")
}

fn object<const N: usize>(parts: [Value; N]) -> Value {
    let mut all = Map::new();
    for part in parts {
        let Value::Object(part) = part else { panic!("a shape is an object") };
        all.extend(part);
    }
    Value::Object(all)
}
