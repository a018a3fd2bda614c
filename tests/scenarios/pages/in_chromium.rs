//! Every page in a real browser: on a desk and on a phone, by day and by night, by keyboard alone,
//! with and without scripts. Pictures of all of them are in target/screenshots.

use thirtyfour::Key;

use crate::world::{
    ALICE, ALICE_PASSWORD, Chromium, Client, Display, Need, OtherOrigin, Person, RelyingParty,
    Server, World,
};

const UPSTREAMS: &str = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n\
    - type: mockPassword\n  id: second\n  name: Contractors\n  config:\n    username: kilgore\n    \
    password: so-it-goes-1969";

/// An application whose back end sends people on to a third origin, as real ones do.
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

/// One look at one page: a picture, nothing wider than the screen, no policy broken, one heading,
/// every field with its label.
async fn looks_at(person: &Chromium, name: &str) {
    person.sees("h1").await;
    person.screenshot(name).await;
    assert!(!person.overflows().await, "{name} is wider than the screen");
    person.is_within_its_policy(name).await;
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

    /// Browsers also write down every answer that is no success; those pages are meant to be none.
    async fn is_within_its_policy(&self, page: &str) {
        let said = self.console().await;
        let is_ours = |line: &&String| {
            line.contains("Content Security Policy")
                || (line.starts_with("SEVERE")
                    && !line.contains("the server responded with a status"))
        };
        let bad: Vec<_> = said.iter().filter(is_ours).collect();
        assert!(bad.is_empty(), "{page}: {bad:#?}");
    }

    async fn focused(&self) -> thirtyfour::WebElement {
        self.driver.active_element().await.unwrap()
    }

    async fn keys(&self, keys: impl Into<thirtyfour::TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// Presses Tab until this has the focus. Whoever gets lost on the way gives up after ten.
    async fn tabs_to(&self, selector: &str) {
        let wanted = self.sees(selector).await;
        for _ in 0..10 {
            self.keys(Key::Tab).await;
            if self.focused().await.element_id() == wanted.element_id() {
                let outline = wanted.css_value("outline-style").await.unwrap();
                assert_ne!(outline, "none", "nobody sees where they are: {selector}");
                return;
            }
        }
        panic!("no way by keyboard to {selector}");
    }
}

async fn tour(look: Display, name: &str) {
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
    looks_at(&alice, &picture("home-signed-out")).await;
    alice.opens(&app.auth_request("openid email profile groups offline_access").url).await;
    alice.sees("#connector-corp").await;
    looks_at(&alice, &picture("choose")).await;
    alice.presses("#connector-local").await;
    alice.sees("#submit-login").await;
    looks_at(&alice, &picture("password")).await;
    alice.signs_in(ALICE, "alice-rides-8-bicycles").await;
    alice.sees("[role=alert]").await;
    looks_at(&alice, &picture("password-wrong")).await;
    alice.types("input[name=password]", ALICE_PASSWORD).await;
    alice.presses("#submit-login").await;
    alice.sees("button[value=approve]").await;
    looks_at(&alice, &picture("approval")).await;
    alice.approves().await;
    alice.waits_for_url(&site.arrived).await;

    alice.opens(server.url("/")).await;
    looks_at(&alice, &picture("home-signed-in")).await;
    alice.opens(server.url("/logout")).await;
    looks_at(&alice, &picture("logout")).await;
    alice.presses("#submit-logout").await;
    alice.sees("h1").await;
    looks_at(&alice, &picture("signed-out")).await;
    assert!(alice.text().await.contains("You are signed out"), "{}", alice.text().await);
    alice.opens(server.url("/")).await;
    assert!(alice.text().await.contains("You are not signed in"), "{}", alice.text().await);

    let elsewhere = [("redirect_uri", "https://evil.example.com/callback")];
    alice.opens(&app.auth_request_with("openid", &elsewhere).url).await;
    looks_at(&alice, &picture("error")).await;
    let said = alice.text().await;
    assert!(said.contains("https://evil.example.com/callback") && said.contains("400"), "{said}");
}

#[tokio::test]
async fn browser_on_a_desk_sees_every_page() {
    tour(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_desk_at_night_sees_every_page() {
    tour(Display::DESKTOP.dark(), "desktop-dark").await;
}

#[tokio::test]
async fn browser_on_a_phone_sees_every_page() {
    tour(Display::PHONE, "phone").await;
}

#[tokio::test]
async fn browser_on_a_phone_at_night_without_scripts_sees_every_page() {
    tour(Display::PHONE.dark().without_scripts(), "phone-dark").await;
}

#[tokio::test]
async fn browser_without_a_mouse_chooses_signs_in_and_agrees() {
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

    // On the page with the form the first field waits for her.
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
async fn browser_of_somebody_who_mistyped_says_so_and_waits_in_the_right_field() {
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
    assert_eq!(field.prop("value").await.unwrap().as_deref(), Some(""), "it is not shown again");
    assert_eq!(field.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    assert_eq!(field.attr("aria-describedby").await.unwrap(), alert.id().await.unwrap());
    let login = alice.sees("#login").await;
    assert_eq!(login.prop("value").await.unwrap().as_deref(), Some(ALICE));
    assert!(alice.driver.title().await.unwrap().starts_with("Error"), "read out first");
    // Typing on, without touching anything else, is enough.
    alice.keys(ALICE_PASSWORD).await;
    alice.keys(Key::Enter).await;
    alice.approves().await;
    alice.waits_for_url(&site.arrived).await;
}

/// OAuth 2.0 Form Post: the answer is a form that the browser sends to the application.
async fn hands_over(look: Display, name: &str) {
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
        looks_at(&alice, &format!("form-post-{name}")).await;
        assert!(site.back_end.requests().is_empty(), "nothing is sent before she presses");
        alice.presses("#form-post button").await;
    }
    alice.waits_for_url(&site.arrived).await;
    let posted: Vec<_> =
        site.back_end.requests().into_iter().filter(|heard| heard.method == "POST").collect();
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert_eq!(posted[0].target, "/callback", "nothing of it in an address");
    assert!(posted[0].body.contains("code="), "{posted:?}");
    assert!(posted[0].body.contains(&format!("state={}", request.state)), "{posted:?}");
    assert_eq!(posted[0].header("referer"), None, "the address of the login stays here");
    alice.is_within_its_policy("form_post").await;
}

#[tokio::test]
async fn browser_with_scripts_hands_a_posted_answer_over_by_itself() {
    hands_over(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_without_scripts_hands_a_posted_answer_over_by_a_button() {
    hands_over(Display::PHONE.without_scripts(), "phone").await;
}
