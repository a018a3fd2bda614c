//! An upstream's mistake does not log out the company (design.md 5): the directory says of everybody at
//! once that there is no such person, or that the account is disabled.

use std::fmt::Write as _;

use serde_json::Value;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::connectors::ldap::connector;
use crate::world::{Client, Need, Page, RelyingParty, Server, World, slapd};

/// More than twenty refused people are a mistake.
const PEOPLE: usize = 25;
const BELIEVED: usize = 20;

/// Everybody signed in, and the directory they come from.
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
    /// Every refresh asks the directory, so nothing depends on the time.
    async fn in_the_morning(world: World) -> Option<Self> {
        let directory = slapd::Slapd::start()?;
        directory.modify(&everybody());
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

    fn everybody_is_gone(&self) {
        let gone = (0..PEOPLE).fold(String::new(), |mut ldif, n| {
            write!(ldif, "dn: {}\nchangetype: delete\n\n", entry(n)).unwrap();
            ldif
        });
        self.directory.modify(&gone);
    }

    fn everybody_is_back(&self) {
        self.directory.modify(&everybody());
    }

    /// All of them, one after the other; status and error of each.
    async fn refreshes(&mut self) -> Vec<(u16, String)> {
        let mut heard = Vec::new();
        for person in &mut self.people {
            let response = self.app.refreshes(&person.refresh_token).await;
            if response.status == 200 {
                response.refresh_token().clone_into(&mut person.refresh_token);
                heard.push((200, String::new()));
                continue;
            }
            if response.status == 503 {
                assert_come_back_later(&response.page);
            }
            heard.push((response.status, response.error().to_owned()));
        }
        heard
    }

    async fn signed_in(&self) -> usize {
        let mut signed_in = 0;
        for person in &self.people {
            let told = self.app.userinfo(&person.access_token).await;
            signed_in += usize::from(told.status == 200);
        }
        signed_in
    }
}

fn assert_come_back_later(page: &Page) {
    let seconds = page.header("retry-after").expect("Retry-After");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{seconds}");
}

/// The entries of the whole company, as they are added.
fn everybody() -> String {
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

fn how_many(heard: &[(u16, String)], status: u16, error: &str) -> usize {
    heard.iter().filter(|(is, why)| (*is, why.as_str()) == (status, error)).count()
}

/// How many waited and nothing else went wrong.
fn all_wait(heard: &[(u16, String)]) -> bool {
    how_many(heard, 503, "temporarily_unavailable") == heard.len()
}

#[tokio::test]
async fn ldap_an_emptied_directory_logs_out_nobody() {
    let Some(mut company) = Company::in_the_morning(World::new()).await else { return };
    assert_eq!(how_many(&company.refreshes().await, 200, ""), PEOPLE);

    company.everybody_is_gone();
    let heard = company.refreshes().await;
    assert_eq!(how_many(&heard[..BELIEVED], 400, "invalid_grant"), BELIEVED, "{heard:?}");
    assert!(all_wait(&heard[BELIEVED..]), "{heard:?}");
    assert!(all_wait(&company.refreshes().await), "and from now on everybody");
    assert_eq!(company.signed_in().await, PEOPLE, "nobody's session has ended");

    // The alarm: once, at the level of errors, by a name that does not change; and in the metrics.
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
    let asked =
        "countersign_upstream_request_duration_seconds_count{connector=\"ldap\",op=\"login\"}";
    assert!(metrics.contains(&format!("{asked} {PEOPLE}")), "{metrics}");

    // Single sign-on counts on the same directory: a page that names it.
    let wiki = company.server.relying_party("wiki");
    let page = company.people[0].browser.opens(wiki.auth_request("openid").url).await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("Directory"), "{}", page.text());
    assert_come_back_later(page);

    // It is back, and only a person can say that it is right now. Nor does a restart forget.
    company.everybody_is_back();
    assert!(all_wait(&company.refreshes().await));
    company.server.restart().await;
    assert!(all_wait(&company.refreshes().await));
    assert_eq!(company.signed_in().await, PEOPLE);

    // Whoever has to confirm can sign in.
    let mut admin = company.server.browser();
    let request = company.app.auth_request_with("openid", &[("connector_id", "ldap")]);
    let auth_response = admin.logs_in(&request, "p7", slapd::PASSWORD).await;
    assert_eq!(company.app.redeems(&request, &auth_response).await.status, 200);
}

/// "Disabled" ends a session at once, which is for one person, not for all.
#[tokio::test]
async fn ldap_a_directory_that_disables_everybody_ends_three_sessions_at_most() {
    let Some(mut company) = Company::in_the_morning(World::new()).await else { return };
    let disabled = (0..PEOPLE).fold(String::new(), |mut ldif, n| {
        let dn = entry(n);
        let lock = "pwdAccountLockedTime: 000001010000Z";
        write!(ldif, "dn: {dn}\nchangetype: modify\nadd: pwdAccountLockedTime\n{lock}\n\n")
            .unwrap();
        ldif
    });
    company.directory.modify(&disabled);
    let heard = company.refreshes().await;
    assert_eq!(how_many(&heard[..BELIEVED], 400, "invalid_grant"), BELIEVED, "{heard:?}");
    assert!(all_wait(&heard[BELIEVED..]), "{heard:?}");
    assert_eq!(company.signed_in().await, PEOPLE - 3);
    assert_eq!(company.server.count_in_log("circuit_breaker_opened"), 1);
}

/// "These refusals are meant", said through the API.
async fn somebody_confirms(server: &Server) {
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let told = ops.calls_api("GET", "/connectors", &token, Value::Null).await.json;
    let connectors = told["connectors"].as_array().unwrap();
    let circuit_open =
        connectors.iter().find(|connector| connector.get("circuit_open_since").is_some());
    let id = circuit_open.unwrap_or_else(|| panic!("{told}"))["id"].as_str().unwrap();
    let path = format!("/connectors/{id}/confirm");
    assert_eq!(ops.calls_api("POST", &path, &token, Value::Null).await.status, 200);
    let again = ops.calls_api("POST", &path, &token, Value::Null).await;
    assert_eq!(again.status, 404, "there is nothing left to confirm");
}

#[tokio::test]
async fn ldap_a_brake_holds_on_every_replica_until_somebody_confirms() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().client(Client::new("ops")).with(ADMINS);
    let Some(mut company) = Company::in_the_morning(world).await else { return };
    let other = company.server.replica().await;
    company.everybody_is_gone();
    company.refreshes().await;
    assert_eq!(company.server.count_in_log("circuit_breaker_opened"), 1);

    // The other replica hears of it by itself, and ends nobody even before it does.
    other.waits_for_log(1, "circuit_breaker_open").await;
    company.app.via_replica(&other);
    assert!(all_wait(&company.refreshes().await));
    assert_eq!(company.signed_in().await, PEOPLE);

    // The directory is mended, and somebody says so.
    company.everybody_is_back();
    somebody_confirms(&company.server).await;
    other.waits_for_log(1, "circuit_breaker_closed").await;
    company.server.waits_for_log(1, "circuit_breaker_closed").await;
    assert_eq!(how_many(&company.refreshes().await, 200, ""), PEOPLE);

    // Who was just told "these are meant" is not asked again: all of them are refused.
    company.everybody_is_gone();
    let heard = company.refreshes().await;
    assert_eq!(how_many(&heard, 400, "invalid_grant"), PEOPLE, "{heard:?}");
    assert_eq!(other.count_in_log("circuit_breaker_opened"), 0);
    assert_eq!(
        company.signed_in().await,
        PEOPLE,
        "one refusal of a missing person ends no session"
    );
}
