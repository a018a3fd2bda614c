//! Every page in Chromium: desktop and phone, light and dark, keyboard only, with and without scripts. Writes
//! pictures to target/screenshots.

use thirtyfour::Key;

use crate::world::{
    ALICE, ALICE_PASSWORD, Chromium, Client, Display, Need, OtherOrigin, Person, RelyingParty,
    Server, World,
};

const UPSTREAMS: &str = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n\
    - type: mockPassword\n  id: second\n  name: Contractors\n  config:\n    username: carl\n    \
    password: so-it-goes-1969";

/// A client whose back end redirects to a third origin, as real ones do.
struct Site {
    _dashboard: OtherOrigin,
    back_end: OtherOrigin,
    callback: String,
    arrived: String,
}

impl Site {
    fn new() -> Self {
        let dashboard = OtherOrigin::start();
        let arrived = format!("{}/dashboard", dashboard.url);
        let back_end = OtherOrigin::redirecting_to(&arrived);
        let callback = format!("{}/callback", back_end.url);
        Self { _dashboard: dashboard, back_end, callback, arrived }
    }

    async fn server(&self, world: World) -> (Server, RelyingParty) {
        let app = Client::new("example-app").redirects_to(&[&self.callback]);
        let server = world.client(app).with(UPSTREAMS).start().await;
        let app = server.relying_party("example-app");
        (server, app)
    }
}

/// Checks one page: picture, width, content security policy, one heading, a label for every field.
pub async fn checks_page(person: &Chromium, name: &str) {
    person.sees("h1").await;
    person.screenshot(name).await;
    assert!(!person.overflows().await, "{name} is wider than the screen");
    person.assert_no_policy_violation(name).await;
    assert_eq!(person.count("h1").await, 1, "{name}");
    assert_eq!(person.count("main").await, 1, "{name}");
    let fields = "input:not([type=hidden])";
    for field in person.driver.find_all(thirtyfour::By::Css(fields)).await.unwrap() {
        let id = field.attr("id").await.unwrap().unwrap_or_default();
        assert_eq!(person.count(&format!("label[for='{id}']")).await, 1, "{name}: {id:?}");
    }
    let title = person.driver.title().await.unwrap();
    assert!(title.ends_with("· Countersign") && title.len() > 15, "{name}: {title:?}");
}

impl Chromium {
    async fn count(&self, selector: &str) -> usize {
        self.driver.find_all(thirtyfour::By::Css(selector)).await.unwrap().len()
    }

    /// Browsers also log every unsuccessful response; those are intended here.
    async fn assert_no_policy_violation(&self, page: &str) {
        let console = self.console().await;
        let is_ours = |line: &&String| {
            line.contains("Content Security Policy")
                || (line.starts_with("SEVERE")
                    && !line.contains("the server responded with a status"))
        };
        let violations: Vec<_> = console.iter().filter(is_ours).collect();
        assert!(violations.is_empty(), "{page}: {violations:#?}");
    }

    async fn focused(&self) -> thirtyfour::WebElement {
        self.driver.active_element().await.unwrap()
    }

    async fn keys(&self, keys: impl Into<thirtyfour::TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// Presses Tab until this element has the focus; at most ten times.
    async fn tabs_to(&self, selector: &str) {
        let wanted = self.sees(selector).await;
        for _ in 0..10 {
            self.keys(Key::Tab).await;
            if self.focused().await.element_id() == wanted.element_id() {
                let outline = wanted.css_value("outline-style").await.unwrap();
                assert_ne!(outline, "none", "the focus is invisible: {selector}");
                return;
            }
        }
        panic!("not reachable by keyboard:  {selector}");
    }
}

async fn tours_pages(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::new();
    let many: Vec<_> = (0..30).map(|n| format!("team-{n:02}@engineering.example.com")).collect();
    let mut groups: Vec<&str> = vec!["admins", "developers", "a (group), with: *"];
    groups.extend(many.iter().map(String::as_str));
    let alice = Person::new(ALICE, ALICE_PASSWORD).groups(&groups);
    let (server, app) = site.server(World::new().person(alice)).await;
    let alice = Chromium::with(look).await;
    let picture = |page: &str| format!("{page}-{name}");

    alice.opens(server.url("/")).await;
    checks_page(&alice, &picture("home-signed-out")).await;
    alice.opens(&app.auth_request("openid email profile groups offline_access").url).await;
    alice.sees("#connector-corp").await;
    checks_page(&alice, &picture("choose")).await;
    alice.presses("#connector-local").await;
    alice.sees("#submit-login").await;
    checks_page(&alice, &picture("password")).await;
    alice.signs_in(ALICE, "alice-rides-8-bicycles").await;
    alice.sees("[role=alert]").await;
    checks_page(&alice, &picture("password-wrong")).await;
    alice.types("input[name=password]", ALICE_PASSWORD).await;
    alice.presses("#submit-login").await;
    alice.sees("button[value=approve]").await;
    checks_page(&alice, &picture("approval")).await;
    alice.approves().await;
    alice.waits_for_url(&site.arrived).await;

    alice.opens(server.url("/")).await;
    checks_page(&alice, &picture("home-signed-in")).await;
    alice.opens(server.url("/logout")).await;
    checks_page(&alice, &picture("logout")).await;
    alice.presses("#submit-logout").await;
    alice.sees("h1").await;
    checks_page(&alice, &picture("signed-out")).await;
    assert!(alice.text().await.contains("You are signed out"), "{}", alice.text().await);
    alice.opens(server.url("/")).await;
    assert!(alice.text().await.contains("You are not signed in"), "{}", alice.text().await);

    let other_redirect = [("redirect_uri", "https://evil.example.com/callback")];
    alice.opens(&app.auth_request_with("openid", &other_redirect).url).await;
    checks_page(&alice, &picture("error")).await;
    let text = alice.text().await;
    assert!(text.contains("https://evil.example.com/callback") && text.contains("400"), "{text}");
}

#[tokio::test]
async fn browser_on_a_desktop_shows_every_page() {
    tours_pages(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_in_the_dark_theme_shows_every_page() {
    tours_pages(Display::DESKTOP.dark(), "desktop-dark").await;
}

#[tokio::test]
async fn browser_on_a_phone_shows_every_page() {
    tours_pages(Display::PHONE, "phone").await;
}

#[tokio::test]
async fn browser_on_a_dark_phone_without_scripts_shows_every_page() {
    tours_pages(Display::PHONE.dark().without_scripts(), "phone-dark").await;
}

#[tokio::test]
async fn browser_without_a_mouse_completes_a_login_by_keyboard() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::new();
    let (_server, app) = site.server(World::new()).await;
    let alice = Chromium::with(Display::DESKTOP).await;
    alice.opens(&app.auth_request("openid email").url).await;
    alice.tabs_to("#connector-local").await;
    alice.screenshot("choose-focus").await;
    alice.keys(Key::Enter).await;

    // The first field of the form has the focus.
    alice.sees("#submit-login").await;
    assert_eq!(alice.focused().await.id().await.unwrap().as_deref(), Some("login"));
    alice.keys(ALICE).await;
    alice.tabs_to("#password").await;
    alice.keys(ALICE_PASSWORD).await;
    alice.keys(Key::Enter).await;
    alice.tabs_to("button[value=approve]").await;
    alice.keys(Key::Enter).await;
    alice.waits_for_url(&site.arrived).await;
}

#[tokio::test]
async fn browser_shows_a_wrong_password_and_focuses_the_password_field() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::new();
    let (_server, app) = site.server(World::new()).await;
    let alice = Chromium::with(Display::DESKTOP).await;
    alice.opens(&app.auth_request("openid email").url).await;
    alice.presses("#connector-local").await;
    alice.signs_in(ALICE, "alice-rides-8-bicycles").await;

    let alert = alice.sees("[role=alert]").await;
    assert!(alert.text().await.unwrap().contains("did not match"));
    let field = alice.focused().await;
    assert_eq!(field.id().await.unwrap().as_deref(), Some("password"));
    assert_eq!(
        field.prop("value").await.unwrap().as_deref(),
        Some(""),
        "the password is not repeated"
    );
    assert_eq!(field.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    assert_eq!(field.attr("aria-describedby").await.unwrap(), alert.id().await.unwrap());
    let login = alice.sees("#login").await;
    assert_eq!(login.prop("value").await.unwrap().as_deref(), Some(ALICE));
    assert!(alice.driver.title().await.unwrap().starts_with("Error"), "read out first");
    // Typing the password and Enter is enough.
    alice.keys(ALICE_PASSWORD).await;
    alice.keys(Key::Enter).await;
    alice.approves().await;
    alice.waits_for_url(&site.arrived).await;
}

#[tokio::test]
async fn browser_shows_and_hides_the_typed_password() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::new();
    let (_server, app) = site.server(World::new()).await;
    let alice = Chromium::with(Display::PHONE).await;
    alice.opens(&app.auth_request("openid email").url).await;
    alice.presses("#connector-local").await;
    alice.types("#login", ALICE).await;
    alice.types("#password", ALICE_PASSWORD).await;
    let field_type = async || alice.sees("#password").await.attr("type").await.unwrap().unwrap();
    assert_eq!(field_type().await, "password");
    assert_eq!(alice.text_of("#show-password").await, "Show password");
    alice.presses("#show-password").await;
    assert_eq!(field_type().await, "text");
    assert_eq!(alice.text_of("#show-password").await, "Hide password");
    checks_page(&alice, "password-shown-phone").await;
    alice.presses("#show-password").await;
    assert_eq!(field_type().await, "password");
    // The button is between the field and "Sign in" in the order of the Tab key, and does not submit.
    assert_eq!(alice.focused().await.id().await.unwrap().as_deref(), Some("password"));
    alice.keys(Key::Enter).await;
    alice.approves().await;
    alice.waits_for_url(&site.arrived).await;
}

/// Backstage, MSAL and `signinPopup`: the window that opened the login reads the result from the popup, or the popup
/// writes to `window.opener`. One page with `Cross-Origin-Opener-Policy: same-origin` on the way breaks both.
#[tokio::test]
async fn browser_keeps_the_opener_of_a_popup_that_signs_in_with_several_connectors() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = OtherOrigin::start();
    let callback = format!("{}/cb", site.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let server = World::new().client(app).with(UPSTREAMS).start().await;
    let app = server.relying_party("example-app");
    let alice = Chromium::with(Display::DESKTOP).await;
    for connector in ["corp", "second", "local"] {
        let url = app.auth_request_with("openid email", &[("prompt", "login")]).url;
        alice.opens(format!("{}/app", site.url)).await;
        let opener = alice.driver.window().await.unwrap();
        let open = format!("window.popup = window.open('{url}', '{connector}')");
        alice.driver.execute(open, Vec::new()).await.unwrap();
        let popup = alice.driver.windows().await.unwrap().into_iter().find(|w| *w != opener);
        alice.driver.switch_to_window(popup.expect("a popup")).await.unwrap();
        alice.presses(&format!("#connector-{connector}")).await;
        match connector {
            "local" => alice.signs_in(ALICE, ALICE_PASSWORD).await,
            "second" => alice.signs_in("carl", "so-it-goes-1969").await,
            _ => {}
        }
        alice.approves().await;
        alice.waits_for_url(&callback).await;
        let script = "return window.opener !== null && window.opener.popup === window";
        let kept = alice.driver.execute(script, Vec::new()).await.unwrap();
        assert_eq!(kept.json(), &serde_json::json!(true), "{connector}");
        alice.driver.close_window().await.unwrap();
        alice.driver.switch_to_window(opener).await.unwrap();
    }
}

/// OAuth 2.0 Form Post Response Mode.
async fn submits_form_post(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::new();
    let (_server, app) = site.server(World::new()).await;
    let alice = Chromium::with(look).await;
    let request = app.auth_request_with("openid email", &[("response_mode", "form_post")]);
    alice.opens(&request.url).await;
    alice.presses("#connector-corp").await;
    alice.approves().await;
    if !look.has_scripts {
        alice.sees("#form-post").await;
        checks_page(&alice, &format!("form-post-{name}")).await;
        assert!(
            site.back_end.requests().is_empty(),
            "nothing is sent before the button is pressed"
        );
        alice.presses("#form-post button").await;
    }
    alice.waits_for_url(&site.arrived).await;
    let posted: Vec<_> =
        site.back_end.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert_eq!(posted[0].target, "/callback", "no parameters in the URL");
    assert!(posted[0].body.contains("code="), "{posted:?}");
    assert!(posted[0].body.contains(&format!("state={}", request.state)), "{posted:?}");
    assert_eq!(posted[0].header("referer"), None, "no referrer");
    alice.assert_no_policy_violation("form_post").await;
}

#[tokio::test]
async fn browser_with_scripts_submits_the_form_post_page_by_itself() {
    submits_form_post(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_without_scripts_submits_the_form_post_page_by_a_button() {
    submits_form_post(Display::PHONE.without_scripts(), "phone").await;
}
