//! The circuit breaker of a connector: an upstream's error must not end everybody's sessions. Here the
//! directory reports everybody as missing or disabled at once.

use std::fmt::Write as _;

use serde_json::Value;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::connectors::ldap::connector;
use crate::world::{Client, Need, Page, RelyingParty, Server, World, slapd};

/// More than twenty refused people open the circuit breaker.
const PEOPLE: usize = 25;
/// Refusals that take effect before it opens.
const EFFECTIVE: usize = 20;

/// Many signed-in people, and their directory.
struct Company {
    directory: slapd::Slapd,
    server: Server,
    app: RelyingParty,
    people: Vec<Employee>,
}

struct Employee {
    refresh_token: String,
    access_token: String,
    browser: crate::world::Browser,
}

fn entry(n: usize) -> String {
    format!("uid=p{n},ou=People,{}", slapd::SUFFIX)
}

impl Company {
    /// Every refresh revalidates, so nothing depends on time.
    async fn start(world: World) -> Option<Self> {
        let directory = slapd::Slapd::start()?;
        directory.modify(&ldif_of_everybody());
        let yaml = format!("{}sessions:\n  upstreamRefreshInterval: 0s\n", connector(&directory));
        let server = world.client(Client::new("wiki")).with(&yaml).start().await;
        let app = server.relying_party("example-app");
        let mut people = Vec::new();
        for n in 0..PEOPLE {
            let mut browser = server.browser();
            let request =
                app.auth_request_with("openid offline_access", &[("connector_id", "ldap")]);
            let auth_response = browser.logs_in(&request, &format!("p{n}"), slapd::PASSWORD).await;
            let response = app.redeems(&request, &auth_response).await;
            people.push(Employee {
                refresh_token: response.refresh_token().to_owned(),
                access_token: response.access_token().to_owned(),
                browser,
            });
        }
        Some(Self { directory, server, app, people })
    }

    fn remove_everybody(&self) {
        let gone = (0..PEOPLE).fold(String::new(), |mut ldif, n| {
            write!(ldif, "dn: {}\nchangetype: delete\n\n", entry(n)).unwrap();
            ldif
        });
        self.directory.modify(&gone);
    }

    fn add_everybody_again(&self) {
        self.directory.modify(&ldif_of_everybody());
    }

    /// Refreshes all, one after the other; status and error of each.
    async fn refreshes(&mut self) -> Vec<(u16, String)> {
        let mut results = Vec::new();
        for person in &mut self.people {
            let response = self.app.refreshes(&person.refresh_token).await;
            if response.status == 200 {
                response.refresh_token().clone_into(&mut person.refresh_token);
                results.push((200, String::new()));
                continue;
            }
            if response.status == 503 {
                assert_service_unavailable(&response.page);
            }
            results.push((response.status, response.error().to_owned()));
        }
        results
    }

    async fn signed_in(&self) -> usize {
        let mut signed_in = 0;
        for person in &self.people {
            let userinfo = self.app.userinfo(&person.access_token).await;
            signed_in += usize::from(userinfo.status == 200);
        }
        signed_in
    }
}

fn assert_service_unavailable(page: &Page) {
    let seconds = page.header("retry-after").expect("Retry-After");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{seconds}");
}

/// LDIF of all people.
fn ldif_of_everybody() -> String {
    (0..PEOPLE).fold(String::new(), |mut ldif, n| {
        write!(
            ldif,
            "dn: {}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: p{n}\nsn: {n}\ncn: P {n}\n\
             mail: p{n}@example.org\nuserPassword: {}\n\n",
            entry(n),
            slapd::PASSWORD
        )
        .unwrap();
        ldif
    })
}

fn count(results: &[(u16, String)], status: u16, error: &str) -> usize {
    results.iter().filter(|(is, reason)| (*is, reason.as_str()) == (status, error)).count()
}

/// Whether every result is `temporarily_unavailable`.
fn all_unavailable(results: &[(u16, String)]) -> bool {
    count(results, 503, "temporarily_unavailable") == results.len()
}

#[tokio::test]
async fn ldap_an_emptied_directory_ends_no_session() {
    let Some(mut company) = Company::start(World::new()).await else { return };
    assert_eq!(count(&company.refreshes().await, 200, ""), PEOPLE);

    company.remove_everybody();
    let results = company.refreshes().await;
    assert_eq!(count(&results[..EFFECTIVE], 400, "invalid_grant"), EFFECTIVE, "{results:?}");
    assert!(all_unavailable(&results[EFFECTIVE..]), "{results:?}");
    assert!(all_unavailable(&company.refreshes().await), "afterwards everybody");
    assert_eq!(company.signed_in().await, PEOPLE, "no session has ended");

    // One log line of level error, and the metrics.
    let log = company.server.log();
    let alarms: Vec<_> =
        log.lines().filter(|line| line.contains("circuit_breaker_opened")).collect();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].to_lowercase().contains("error") && alarms[0].contains("ldap"), "{alarms:?}");
    let metrics = format!("{}/metrics", company.server.telemetry());
    let metrics = company.people[0].browser.get(metrics).await.body;
    assert!(
        metrics.contains("countersign_connector_circuit_open{connector=\"ldap\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("countersign_connector_up{connector=\"ldap\"} 1"), "{metrics}");
    let metric =
        "countersign_upstream_request_duration_seconds_count{connector=\"ldap\",op=\"login\"}";
    assert!(metrics.contains(&format!("{metric} {PEOPLE}")), "{metrics}");

    // Single sign-on revalidates too: an error page names the connector.
    let wiki = company.server.relying_party("wiki");
    let page = company.people[0].browser.opens(wiki.auth_request("openid").url).await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("Directory"), "{}", page.text());
    assert_service_unavailable(page);

    // The directory is back, but only an administrator closes the circuit; a restart does not.
    company.add_everybody_again();
    assert!(all_unavailable(&company.refreshes().await));
    company.server.restart().await;
    assert!(all_unavailable(&company.refreshes().await));
    assert_eq!(company.signed_in().await, PEOPLE);

    // The administrator can sign in at another connector.
    let mut admin = company.server.browser();
    let request = company.app.auth_request_with("openid", &[("connector_id", "ldap")]);
    let auth_response = admin.logs_in(&request, "p7", slapd::PASSWORD).await;
    assert_eq!(company.app.redeems(&request, &auth_response).await.status, 200);
}

/// A disabled account ends its session at once; many at once open the circuit.
#[tokio::test]
async fn ldap_disabling_everybody_ends_few_sessions() {
    let Some(mut company) = Company::start(World::new()).await else { return };
    let disabled = (0..PEOPLE).fold(String::new(), |mut ldif, n| {
        let dn = entry(n);
        let lock = "pwdAccountLockedTime: 000001010000Z";
        write!(ldif, "dn: {dn}\nchangetype: modify\nadd: pwdAccountLockedTime\n{lock}\n\n")
            .unwrap();
        ldif
    });
    company.directory.modify(&disabled);
    let results = company.refreshes().await;
    assert_eq!(count(&results[..EFFECTIVE], 400, "invalid_grant"), EFFECTIVE, "{results:?}");
    assert!(all_unavailable(&results[EFFECTIVE..]), "{results:?}");
    assert_eq!(company.signed_in().await, PEOPLE - 3);
    assert_eq!(company.server.count_in_log("circuit_breaker_opened"), 1);
}

/// An administrator confirms the refusals through the API.
async fn confirm_refusals(server: &Server) {
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let response = ops.calls_api("GET", "/connectors", &token, Value::Null).await.json;
    let connectors = response["connectors"].as_array().unwrap();
    let circuit_open =
        connectors.iter().find(|connector| connector.get("circuit_open_since").is_some());
    let id = circuit_open.unwrap_or_else(|| panic!("{response}"))["id"].as_str().unwrap();
    let path = format!("/connectors/{id}/confirm");
    assert_eq!(ops.calls_api("POST", &path, &token, Value::Null).await.status, 200);
    let again = ops.calls_api("POST", &path, &token, Value::Null).await;
    assert_eq!(again.status, 404, "there is nothing left to confirm");
}

#[tokio::test]
async fn ldap_an_open_circuit_holds_on_every_replica_until_it_is_closed() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().client(Client::new("ops")).with(ADMINS);
    let Some(mut company) = Company::start(world).await else { return };
    let other = company.server.replica().await;
    company.remove_everybody();
    company.refreshes().await;
    assert_eq!(company.server.count_in_log("circuit_breaker_opened"), 1);

    // The other replica learns of it from the database, and ends nothing before that.
    other.waits_for_log(1, "circuit_breaker_open").await;
    company.app.via_replica(&other);
    assert!(all_unavailable(&company.refreshes().await));
    assert_eq!(company.signed_in().await, PEOPLE);

    // The directory is back, and an administrator closes the circuit.
    company.add_everybody_again();
    confirm_refusals(&company.server).await;
    other.waits_for_log(1, "circuit_breaker_closed").await;
    company.server.waits_for_log(1, "circuit_breaker_closed").await;
    assert_eq!(count(&company.refreshes().await, 200, ""), PEOPLE);

    // After the confirmation refusals are effective.
    company.remove_everybody();
    let results = company.refreshes().await;
    assert_eq!(count(&results, 400, "invalid_grant"), PEOPLE, "{results:?}");
    assert_eq!(other.count_in_log("circuit_breaker_opened"), 0);
    assert_eq!(
        company.signed_in().await,
        PEOPLE,
        "one refusal of a missing person ends no session"
    );
}
