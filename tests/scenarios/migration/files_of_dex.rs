//! What published Dex configurations and scripts rely on: its command line and environment, odd identifiers, relative
//! redirect URIs, and forms that are posted to Dex's URLs.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Url;

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Page, World};

const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Dex's Helm chart: the file has no block `web`, and the addresses are flags of the command line.
#[tokio::test]
async fn a_file_without_listeners_is_served_at_the_addresses_of_the_command_line() {
    let world = World::new();
    let (web, telemetry) = (world.origin(), world.telemetry());
    let (web, telemetry) = (&web["http://".len()..], &telemetry["http://".len()..]);
    let grpc = web.replace("5556", "5557");
    let flags = ["--web-http-addr", web, "--telemetry-addr", telemetry, "--grpc-addr", &grpc];
    let file = world.dir().join("chart.yaml");
    let yaml = format!(
        "issuer: {}\nstorage: {{type: memory}}\nexpiry: {{idTokens: 10m}}\n\
         connectors: [{{type: mockCallback, id: mock, name: Mock}}]\n",
        world.issuer()
    );
    std::fs::write(&file, yaml).unwrap();
    let program = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_countersign"));
        program.arg(command).arg(&file).stdin(Stdio::null());
        program
    };
    let without = program("check").output().unwrap();
    let printed = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success() && printed.contains("web: is missing"), "{printed}");
    let check = program("check").args(flags).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));

    let mut serving =
        program("serve").args(flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let ready = format!("{}/healthz/ready", world.telemetry());
    while !bare_client().get(&ready).send().await.is_ok_and(|response| response.status() == 200) {
        assert!(started.elapsed() < WAIT_TIMEOUT, "it did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let discovery = format!("{}/.well-known/openid-configuration", world.issuer());
    let is_served = send(bare_client().get(discovery)).await.status;
    let has_grpc = TcpStream::connect(&grpc).is_ok();
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert_eq!((is_served, has_grpc), (200, true));
}

/// `DEX_FRONTEND_DIR`, which Dex's image sets: the file names only the theme.
#[tokio::test]
async fn the_folder_of_the_environment_has_the_theme_that_the_file_names() {
    let world = World::new();
    let theme = world.dir().join("web/themes/company");
    std::fs::create_dir_all(&theme).unwrap();
    std::fs::write(theme.join("logo.png"), "a picture").unwrap();
    let dir = world.dir().join("web").to_str().unwrap().to_owned();
    let server =
        world.with("frontend:\n  theme: company").env("DEX_FRONTEND_DIR", &dir).start().await;
    let mut alice = server.browser();
    let page = alice.opens(server.relying_party("example-app").auth_request("openid").url).await;
    assert_eq!(page.attributes("img", "src"), ["/dex/theme/logo.png"]);
    let logo = alice.get(format!("{}/dex/theme/logo.png", server.origin())).await;
    assert_eq!((logo.status, logo.body.as_str()), (200, "a picture"));
}

/// Ids with spaces and colons are encoded in paths, and are whole in `aud` and `federated_claims`.
#[tokio::test]
async fn ids_with_spaces_and_colons_work_in_a_whole_login() {
    let client = Client::new("my app").redirects_to(&["https://my-app.example.com/callback"]);
    let mock = "connectors:\n- type: mockCallback\n  id: 'Mock: first'\n  name: Mock";
    let server = World::new().client(client).with(mock).start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("my app"));
    let request = app.auth_request("openid federated:id offline_access");
    browser.opens(&request.url).await;
    browser.clicks("Mock").await;
    browser.approves().await;
    let tokens = app.redeems(&request, &browser.auth_response()).await;
    let claims = crate::world::claims(tokens.id_token());
    assert_eq!(claims["aud"], "my app");
    assert_eq!(claims["federated_claims"]["connector_id"], "Mock: first");
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
}

/// Stock Kubeflow: the browser is sent to a path on the host of the issuer, and the code can be redeemed.
#[tokio::test]
async fn a_relative_redirect_uri_is_a_path_on_the_host_of_the_issuer() {
    let client = Client::new("kubeflow").redirects_to(&["/oauth2/callback", "/device/callback"]);
    let server = World::new().client(client).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("kubeflow"));
    let request = app.auth_request("openid email");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let expected = format!("{}/oauth2/callback?code=", server.origin());
    assert!(auth_response.url.as_str().starts_with(&expected), "{}", auth_response.url);
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(crate::world::claims(tokens.id_token())["email"], ALICE);
    let mut bob = server.browser();
    bob.opens(app.auth_request("openid").url).await;
    let host = Url::parse(&server.origin()).unwrap().host_str().unwrap().to_owned();
    let page = bob.signs_in(BOB, BOB_PASSWORD).await;
    assert!(page.text().contains(&format!("{host} wants to sign you in")), "{}", page.text());
    // No other path, and no other host.
    for other in [
        "/oauth2/callback/",
        "/",
        "//evil.example.com/oauth2/callback",
        "oauth2/callback",
        // It permits the device flow alone.
        "/device/callback",
    ] {
        let request = app.auth_request_with("openid", &[("redirect_uri", other)]);
        assert_eq!(server.browser().get(request.url).await.status, 400, "{other}");
    }
}

/// Posts fields to the URL of a page, and none of the hidden ones, as Kubeflow's documented login script does.
async fn posts_to_page(browser: &mut Browser, url: &Url, fields: &[(&str, &str)]) -> Page {
    assert!(url.query().is_some_and(|query| query.contains("req=")), "{url}");
    let response = browser.post_form(url, fields).await;
    browser.follow(response).await.clone()
}

#[tokio::test]
async fn a_script_signs_in_with_posts_to_the_urls_of_the_pages() {
    let server = World::new().start().await;
    let (mut script, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    let login = script.opens(&request.url).await.url.clone();
    assert!(login.path().ends_with("/auth/local/login"), "{login}");
    let fields = [("login", ALICE), ("password", "not-the-password")];
    assert_eq!(posts_to_page(&mut script, &login, &fields).await.status, 401);
    let fields = [("login", ALICE), ("password", ALICE_PASSWORD)];
    let approval = posts_to_page(&mut script, &login, &fields).await.url;
    assert!(approval.path().ends_with("/approval"), "{approval}");
    posts_to_page(&mut script, &approval, &[("approval", "approve")]).await;
    let tokens = app.redeems(&request, &script.auth_response()).await;
    assert_eq!(crate::world::claims(tokens.id_token())["email"], ALICE);

    // The query decides nothing: another browser's `req` is refused there as in a field.
    let mut mallory = server.browser();
    let response = mallory.post_form(&login, &fields).await;
    assert_eq!(response.status, 400, "{}", response.text());
}
