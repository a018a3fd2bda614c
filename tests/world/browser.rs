//! A person's browser without a screen: pages, cookies, forms, and the verbs a test is told in.
//!
//! It follows redirects between servers of these tests and stops at the first that leaves them,
//! because that is where the application would take over. Nothing is hard-coded about the steps in
//! between. For what only a real browser does (CSP, scripts, looks) there is `Chromium`.

use reqwest::header::{COOKIE, HOST, ORIGIN, SET_COOKIE, USER_AGENT};
use reqwest::{Method, Url};

use super::clock::TestClock;
use super::cookies::{Cookie, Jar};
use super::page::Form;
use super::secrets::Secrets;
use super::{Page, Request, Server, address, http};

/// More redirects than this in a row are a loop.
const MAX_HOPS: usize = 20;

pub struct Browser {
    client: reqwest::Client,
    jar: Jar,
    page: Option<Page>,
    secrets: Secrets,
    clock: TestClock,
    /// The replica that is dialled for the issuer's own origin, and that origin.
    through: Option<(String, Url)>,
    address: Option<String>,
    user_agent: String,
}

/// What an application is told by the redirect that ends at it (RFC 6749 section 4.1.2).
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The whole URL, as the application's server or page would see it.
    pub url: Url,
    pub code: String,
    pub state: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
}

impl Arrival {
    /// What the application behind this URL is told by it.
    pub fn at(url: &str) -> Self {
        let url = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        let code = told(&url, "code").unwrap_or_else(|| panic!("no code: {url}"));
        Self { code, state: told(&url, "state"), iss: told(&url, "iss"), url }
    }
}

impl Browser {
    pub(super) fn new(client: reqwest::Client, secrets: Secrets, clock: TestClock) -> Self {
        Self {
            client,
            jar: Jar::default(),
            page: None,
            secrets,
            clock,
            through: None,
            address: None,
            user_agent: "TestBrowser/1.0".to_owned(),
        }
    }

    /// From now on it says of itself that it is this one.
    pub fn is_known_as(&mut self, user_agent: &str) -> &mut Self {
        self.user_agent = user_agent.to_owned();
        self
    }

    /// From now on every request for the issuer goes to this replica.
    pub fn through(&mut self, replica: &Server) -> &mut Self {
        self.through = Some((replica.origin(), Url::parse(&replica.issuer()).unwrap()));
        self
    }

    /// Where a proxy in front says it comes from, in X-Forwarded-For; see `web.clientRemoteIP`.
    pub fn comes_from(&mut self, ip: &str) -> &mut Self {
        self.address = Some(ip.to_owned());
        self
    }

    /// Types an address, or follows a link from anywhere.
    pub async fn opens(&mut self, url: impl AsRef<str>) -> &Page {
        let answer = self.get(url).await;
        self.follow(answer).await
    }

    /// Fills the form with a password that is before them, and sends it.
    pub async fn signs_in(&mut self, login: &str, password: &str) -> &Page {
        self.secrets.keep("a password that was typed", password);
        let form = self.form("password").fill("login", login).fill("password", password);
        self.submits(form).await
    }

    pub async fn approves(&mut self) -> &Page {
        let form = self.form("approval").press("approval", "approve");
        self.submits(form).await
    }

    pub async fn rejects(&mut self) -> &Page {
        let form = self.form("approval").press("approval", "rejected");
        self.submits(form).await
    }

    /// Follows the link that says this, such as the button of a connector.
    pub async fn clicks(&mut self, text: &str) -> &Page {
        let link = self.page().link(text);
        self.opens(link.unwrap_or_else(|| panic!("no link {text:?}: {}", self.page().text()))).await
    }

    /// Goes on to the upstream before which it stopped because it is a fake, and on from there.
    pub async fn visits_the_fake(&mut self) -> &Page {
        let upstream = self.page().location();
        let answer = self.get(upstream.expect("it was sent to an upstream")).await;
        self.follow(answer).await
    }

    /// The whole way of a login: opens the request, fills whatever forms come, and arrives.
    pub async fn logs_in(&mut self, request: &Request, login: &str, password: &str) -> Arrival {
        self.opens(&request.url).await;
        if self.page().form_with("password").is_some() {
            self.signs_in(login, password).await;
        }
        if self.page().form_with("approval").is_some() {
            self.approves().await;
        }
        self.arrives()
    }

    /// The application has been reached, with a code.
    pub fn arrives(&self) -> Arrival {
        let url = self.destination();
        let told = |name: &str| told(&url, name);
        let code = told("code").unwrap_or_else(|| panic!("no code, but: {:?}", self.page()));
        self.secrets.keep("an authorization code", &code);
        Arrival { code, state: told("state"), iss: told("iss"), url }
    }

    /// The application has been reached, with this error (RFC 6749 section 4.1.2.1).
    pub fn arrives_with_error(&self) -> String {
        let error = told(&self.destination(), "error");
        error.unwrap_or_else(|| panic!("no error at {}", self.destination()))
    }

    /// What is before them now.
    pub fn page(&self) -> &Page {
        self.page.as_ref().expect("a page has been opened")
    }

    pub async fn submits(&mut self, form: Form) -> &Page {
        let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let answer = match form.is_post {
            true => self.post_form(&form.action, &fields).await,
            false => {
                let mut url = form.action.clone();
                url.query_pairs_mut().clear().extend_pairs(fields);
                self.get(url).await
            }
        };
        self.follow(answer).await
    }

    /// One request and its answer, cookies included, followed nowhere.
    pub async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.ask(Method::GET, url.as_ref(), &[]).await
    }

    /// One form and its answer, cookies included, followed nowhere.
    pub async fn post_form(&mut self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Page {
        self.ask(Method::POST, url.as_ref(), fields).await
    }

    /// Submits a form of another site's page: browsers send no `SameSite=Lax` cookie with such a POST, but do with the
    /// redirect that answers it.
    pub async fn submits_from_another_site(&mut self, form: Form) -> &Page {
        let own = std::mem::take(&mut self.jar);
        let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let answer = self.post_form(&form.action, &fields).await;
        assert!(self.jar.all().is_empty(), "a cookie was set in answer to another site");
        self.jar = own;
        self.follow(answer).await
    }

    /// Goes on while an answer redirects to a server of these tests; the last one is the page.
    pub async fn follow(&mut self, mut answer: Page) -> &Page {
        for _ in 0..MAX_HOPS {
            let next =
                answer.location().filter(|url| address::is_own(url.host_str().unwrap_or("")));
            let Some(next) = next else { return self.page.insert(answer) };
            answer = self.get(&next).await;
        }
        panic!("more than {MAX_HOPS} redirects; the last one: {answer:?}");
    }

    pub fn cookies(&self) -> &[Cookie] {
        self.jar.all()
    }

    /// As after closing and clearing the browser.
    pub fn forgets_cookies(&mut self) {
        self.jar.clear();
    }

    /// Takes over the cookies of another browser, as a thief would.
    pub fn steals_cookies_of(&mut self, other: &Self) {
        self.jar = other.jar.clone();
    }

    async fn ask(&mut self, method: Method, url: &str, fields: &[(&str, &str)]) -> Page {
        let url = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        let (dialled, host) = (self.dialled(&url), http::host_of(&url));
        let mut request = self.client.request(method.clone(), dialled).header(HOST, host);
        request = request.header(USER_AGENT, &self.user_agent);
        if let Some(cookies) = self.jar.header(&url, self.clock.now()) {
            request = request.header(COOKIE, cookies);
        }
        if let Some(address) = &self.address {
            request = request.header("x-forwarded-for", address);
        }
        if method == Method::POST {
            request = request.header(ORIGIN, self.origin()).form(fields);
        }
        let answer = request.send().await.unwrap_or_else(|e| panic!("{method} {url}: {e:?}"));
        for header in answer.headers().get_all(SET_COOKIE) {
            let header = header.to_str().expect("a readable cookie");
            // The way in that was used last is no secret.
            let is_secret = !header.split('=').next().is_some_and(|name| name.ends_with("-last"));
            let value = self.jar.set(&url, header, self.clock.now());
            if let Some(value) = value.filter(|_| is_secret) {
                self.secrets.keep(&format!("the cookie {header:.24}…"), &value);
            }
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_else(|e| panic!("{method} {url}: {e:?}"));
        Page { url, status, headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
    }

    fn dialled(&self, url: &Url) -> Url {
        match &self.through {
            Some((origin, issuer)) if issuer.origin() == url.origin() => http::at(origin, url),
            _ => url.clone(),
        }
    }

    /// What a browser sends as `Origin` with a form (Fetch, "append a request Origin header"): a page
    /// that sends no referrer hides its origin too.
    fn origin(&self) -> String {
        let page = self.page.as_ref().filter(|page| !page.body.contains("\"no-referrer\""));
        page.map_or("null".into(), |page| page.url.origin().ascii_serialization())
    }

    fn form(&self, field: &str) -> Form {
        let form = self.page().form_with(field);
        form.unwrap_or_else(|| panic!("no form asks for {field}: {:?}", self.page()))
    }

    /// Where the browser was last sent, or is.
    fn destination(&self) -> Url {
        self.page().location().unwrap_or_else(|| self.page().url.clone())
    }
}

/// A parameter of a redirect, in the query or (implicit and hybrid flows) in the fragment.
fn told(url: &Url, name: &str) -> Option<String> {
    let mut in_fragment = url.clone();
    in_fragment.set_query(url.fragment());
    let find = |url: &Url| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    find(url).or_else(|| find(&in_fragment))
}
