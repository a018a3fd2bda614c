//! kubeconfig entries as kubelogin's own documentation has them, with our binary under its name and nothing else
//! changed.

use std::path::Path;

use reqwest::Url;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Server, Workstation, World, certificates,
    claims,
};

const PASSWORD_AND_CLIENT_CREDENTIALS: &str = "oauth2:\n  skipApprovalScreen: true\n  passwordConnector: local\n  \
    grantTypes: [authorization_code, refresh_token, client_credentials, password, \
    \"urn:ietf:params:oauth:grant-type:device_code\"]";

fn entry(alice: &Workstation, client: &str, more: &[&str]) -> Vec<String> {
    let line = [
        "get-token",
        &format!("--oidc-issuer-url={}", alice.issuer()),
        &format!("--oidc-client-id={client}"),
        "--oidc-extra-scope=email",
        "--oidc-extra-scope=offline_access",
    ];
    line.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// `kubectl oidc-login setup` prints these.
#[tokio::test]
async fn the_entry_of_the_setup_command_works() {
    let server = World::new().client(Client::public("kubernetes")).start().await;
    let alice = server.workstation();
    let kubelogin = alice.linked_as("kubectl-oidc_login");
    let browser = format!("--browser-command={}", alice.path("browser").display());
    let more =
        ["--oidc-pkce-method=auto", "--token-cache-dir=~/.kube/cache/oidc-login", &browser, "-v1"];
    let line = entry(&alice, "kubernetes", &more);
    let running = alice.starts_program(&kubelogin, &line);
    let url = Url::parse(&alice.opens(1).await).unwrap();
    let redirect =
        url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
    assert!(redirect.starts_with("http://localhost:"), "{redirect}");
    alice.signs_in(1, &mut server.browser()).await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
    assert!(alice.path(".kube/cache/oidc-login").is_dir());
}

/// `--local-server-cert` and `--local-server-key`: the redirect is https.
#[tokio::test]
async fn the_redirect_can_be_https() {
    let redirect = "https://localhost:18443";
    let client = Client::new("kubernetes").redirects_to(&[redirect]);
    let server = World::new().client(client).start().await;
    let alice = server.workstation();
    certificates::write(&alice.path(""), "127.0.0.1".parse().unwrap());
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let browser = format!("--browser-command={}", alice.path("browser").display());
    let secret = format!("--oidc-client-secret={secret}");
    let (cert, key) = ("--local-server-cert=~/server.crt", "--local-server-key=~/server.key");
    let listen = "--listen-address=127.0.0.1:18443";
    let refused = alice.runs_command(&entry(&alice, "kubernetes", &[cert, listen]));
    assert!(refused.failure().contains("--local-server-key"), "{}", refused.stderr);
    let running =
        alice.starts(&entry(&alice, "kubernetes", &[cert, key, listen, &browser, &secret]));
    let mut browser = server.browser();
    browser.opens(alice.opens(1).await).await;
    browser.signs_in(ALICE, ALICE_PASSWORD).await;
    browser.approves().await;
    let callback = browser.auth_response().url;
    assert!(callback.as_str().starts_with(redirect), "{callback}");
    // The listener does not respond to plain http.
    let plain = callback.as_str().replace("https://", "http://");
    assert!(crate::world::http::bare_client().get(plain).send().await.is_err());
    let mut client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let authority = std::fs::read(certificates::authority_file(&alice.path(""))).unwrap();
    client = client.add_root_certificate(reqwest::Certificate::from_pem(&authority).unwrap());
    let page = client.build().unwrap().get(callback.as_str()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("You are signed in"));
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
}

async fn server_with_all_grant_types() -> Server {
    World::new()
        .client(Client::new("kubernetes").redirects_to(&["/device/callback"]))
        .with(PASSWORD_AND_CLIENT_CREDENTIALS)
        .start()
        .await
}

/// Two users of a kubeconfig that differ in the user name only, and the client itself: each has tokens of their own.
#[tokio::test]
async fn entries_for_different_people_do_not_share_tokens() {
    let server = server_with_all_grant_types().await;
    let alice = server.workstation();
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let secret = format!("--oidc-client-secret={secret}");
    let of = |name: &str, password: &str| {
        let (name, password) = (format!("--username={name}"), format!("--password={password}"));
        // `auto` with a user name is the password grant, as in kubelogin.
        entry(&alice, "kubernetes", &[&secret, &name, &password])
    };
    let (hers, his) = (of(ALICE, ALICE_PASSWORD), of(BOB, BOB_PASSWORD));
    for _ in 0..2 {
        assert_eq!(claims(&alice.runs_command(&hers).token())["email"], ALICE);
        assert_eq!(claims(&alice.runs_command(&his).token())["email"], BOB);
    }
    let mut by_client = entry(&alice, "kubernetes", &[&secret, "--grant-type=client-credentials"]);
    by_client.retain(|word| word != "--oidc-extra-scope=offline_access");
    assert_eq!(claims(&alice.runs_command(&by_client).token())["sub"], "client:kubernetes");
}

/// A pipeline has no person, and a refusal may be over a minute later: the next call tries again.
#[tokio::test]
async fn a_grant_type_without_login_page_is_tried_again_after_a_failure() {
    let server = server_with_all_grant_types().await;
    let job = server.workstation();
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let secret = format!("--oidc-client-secret={secret}");
    let username = format!("--username={ALICE}");
    let with = |password: &str| {
        let password = format!("--password={password}");
        entry(&job, "kubernetes", &[&secret, "--grant-type=password", &username, &password])
    };
    let refused = job.runs_command(&with("not-her-password"));
    assert!(refused.failure().contains("invalid_grant"), "{}", refused.stderr);
    assert_eq!(claims(&job.runs_command(&with(ALICE_PASSWORD)).token())["email"], ALICE);
}

/// As in kubelogin: what the flags do not have is entered on the terminal.
#[tokio::test]
async fn the_password_grant_prompts_on_a_terminal() {
    let server = server_with_all_grant_types().await;
    let alice = server.workstation();
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let secret = format!("--oidc-client-secret={secret}");
    let line = entry(&alice, "kubernetes", &[&secret, "--grant-type=password"]);
    let refused = alice.runs_command(&line);
    assert!(refused.failure().contains("needs --username and --password"), "{}", refused.stderr);
    let typed = alice.runs_on_terminal(80, &line, &format!("{ALICE}\n{ALICE_PASSWORD}\n"));
    for shown in ["Username: ", "Password: ", "ExecCredential"] {
        assert!(typed.stdout.contains(shown), "{shown}: {}", typed.stdout);
    }
}

/// The terminal does not show the password. Whatever ends the prompt, it shows afterwards what is typed.
#[tokio::test]
async fn the_terminal_is_as_before_after_a_prompt_that_was_interrupted() {
    let server = server_with_all_grant_types().await;
    let alice = server.workstation();
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let secret = format!("--oidc-client-secret={secret}");
    let username = format!("--username={ALICE}");
    let line = entry(&alice, "kubernetes", &[&secret, &username]);
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let program = alice.linked_as("kubectl-countersign").display().to_string();
    let session = format!(
        "terminal=$(tty)\n\
         for signal in INT TERM; do\n\
         {program} {} <\"$terminal\" &\n\
         tries=0\n\
         until stty -a | grep -q -e ' -echo ' || [ $tries -ge 600 ]; do tries=$((tries+1)); sleep 0.1; done\n\
         kill -$signal $!\n\
         wait $!\n\
         echo \"status $?\"\n\
         stty -a | grep -o -e ' -*echo '\n\
         done\n\
         touch \"$HOME/done\"\n",
        words.join(" ")
    );
    std::fs::write(alice.path("session"), session).unwrap();
    // If its own input ended, `script` would type that end.
    let command = "(until [ -e \"$HOME/done\" ]; do sleep 0.1; done) | \
                   script --quiet --return --command 'sh \"$HOME/session\"' /dev/null";
    let shown = alice.starts_program(Path::new("/bin/sh"), &["-c", command]).ends().stdout;
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    let statuses = lines.iter().filter(|line| line.starts_with("status "));
    assert_eq!(statuses.collect::<Vec<_>>(), [&"status 130", &"status 143"], "{shown}");
    assert_eq!(lines.iter().filter(|line| **line == "echo").count(), 2, "{shown}");
}

/// An issuer that compares redirect URIs byte by byte: nothing is appended to the one of the flag.
#[tokio::test]
async fn the_redirect_uri_of_the_flag_is_sent_as_written() {
    let server = World::new().client(Client::public("kubernetes")).start().await;
    let alice = server.workstation();
    let browser = format!("--browser-command={}", alice.path("browser").display());
    let flags = ["--oidc-redirect-url=http://localhost:8000", "--listen-address=127.0.0.1:0"];
    let _running = alice.starts(&entry(&alice, "kubernetes", &[flags[0], flags[1], &browser]));
    let url = Url::parse(&alice.opens(1).await).unwrap();
    let redirect = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1;
    assert_eq!(redirect, "http://localhost:8000");
}

#[tokio::test]
async fn all_grant_types_of_kubelogin_pass() {
    let server = server_with_all_grant_types().await;
    let alice = server.workstation();
    let secret = server.relying_party("kubernetes").secret.unwrap();
    let secret = format!("--oidc-client-secret={secret}");
    let password = format!("--password={ALICE_PASSWORD}");
    let username = format!("--username={ALICE}");

    let by_password =
        entry(&alice, "kubernetes", &[&secret, "--grant-type=password", &username, &password]);
    assert_eq!(claims(&alice.runs_command(&by_password).token())["email"], ALICE);

    let by_device = entry(
        &alice,
        "kubernetes",
        &[&secret, "--grant-type=device-code", "--skip-open-browser", "--token-cache-storage=none"],
    );
    let mut running = alice.starts(&by_device);
    let code = running.user_code();
    let mut browser = server.browser();
    crate::scenarios::login::device::types_code(&mut browser, &server, &code).await;
    crate::scenarios::login::device::confirms_device(&mut browser, ALICE, ALICE_PASSWORD).await;
    browser.approves().await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);

    let mut by_client = entry(
        &alice,
        "kubernetes",
        &[&secret, "--grant-type=client-credentials", "--token-cache-storage=none"],
    );
    // The client credentials grant has no refresh token: `offline_access` gets `invalid_scope`, as in Dex.
    by_client.retain(|word| word != "--oidc-extra-scope=offline_access");
    let token = alice.runs_command(&by_client).token();
    assert_eq!(claims(&token)["sub"], "client:kubernetes");
}
