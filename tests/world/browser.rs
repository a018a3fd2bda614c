//! A browser without a screen: cookies, pages, forms, redirects.
//!
//! It follows redirects between servers of these tests and stops at the first URL of another origin, where the client
//! application would continue. It fills whatever form a page has, so tests do not depend on the steps of a
//! login. For what only a real browser does (CSP, scripts, layout) use `Chromium`.

use reqwest::header::{COOKIE, HOST, ORIGIN, SET_COOKIE, USER_AGENT};
use reqwest::{Method, Url};

use super::clock::TestClock;
use super::cookies::{Cookie, Jar};
use super::log::Secrets;
use super::page::Form;
use super::{AuthRequest, Page, Server, address, http};

/// More consecutive redirects than this are a loop.
const MAX_HOPS: usize = 20;

pub struct Browser {
    client: reqwest::Client,
    jar: Jar,
    page: Option<Page>,
    secrets: Secrets,
    clock: TestClock,
    /// The replica to connect to for the issuer's origin, and the issuer.
    through: Option<(String, Url)>,
    address: Option<String>,
    traceparent: Option<String>,
    user_agent: String,
}

/// The parameters of an authorization response (RFC 6749 section 4.1.2).
#[derive(Clone, Debug)]
pub struct AuthResponse {
    /// The whole URL, as the client receives it.
    pub url: Url,
    pub code: String,
    pub state: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
}

impl AuthResponse {
    /// Parses an authorization response from its URL.
    pub fn at(url: &str) -> Self {
        let url = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        let code = response_parameter(&url, "code").unwrap_or_else(|| panic!("no code: {url}"));
        Self {
            code,
            state: response_parameter(&url, "state"),
            iss: response_parameter(&url, "iss"),
            url,
        }
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
            traceparent: None,
            user_agent: "TestBrowser/1.0".to_owned(),
        }
    }

    /// Sets the header `User-Agent`.
    pub fn with_user_agent(&mut self, user_agent: &str) -> &mut Self {
        self.user_agent = user_agent.to_owned();
        self
    }

    /// Sends every request for the issuer to this replica.
    pub fn via_replica(&mut self, replica: &Server) -> &mut Self {
        self.through = Some((replica.origin(), Url::parse(&replica.issuer()).unwrap()));
        self
    }

    /// Sets `X-Forwarded-For`, as a reverse proxy does; see `web.clientRemoteIP`.
    pub fn with_forwarded_for(&mut self, ip: &str) -> &mut Self {
        self.address = Some(ip.to_owned());
        self
    }

    /// Sets `traceparent`, as a reverse proxy does that begins a trace (W3C Trace Context).
    pub fn with_traceparent(&mut self, traceparent: &str) -> &mut Self {
        self.traceparent = Some(traceparent.to_owned());
        self
    }

    /// Opens a URL and follows redirects.
    pub async fn opens(&mut self, url: impl AsRef<str>) -> &Page {
        let response = self.get(url).await;
        self.follow(response).await
    }

    /// Fills and submits the password form of the current page.
    pub async fn signs_in(&mut self, login: &str, password: &str) -> &Page {
        self.secrets.remember("a password that was typed", password);
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

    /// Follows the link with this text, such as the button of a connector.
    pub async fn clicks(&mut self, text: &str) -> &Page {
        let link = self.page().link(text);
        self.opens(link.unwrap_or_else(|| panic!("no link {text:?}: {}", self.page().text()))).await
    }

    /// Follows the redirect to a fake upstream, at which the browser had stopped, and on from there.
    pub async fn continues_to_fake_upstream(&mut self) -> &Page {
        let upstream = self.page().location();
        let response = self.get(upstream.expect("a redirect to an upstream")).await;
        self.follow(response).await
    }

    /// Runs a whole login: opens the request, fills the forms that appear, and returns the authorization
    /// response.
    pub async fn logs_in(
        &mut self,
        request: &AuthRequest,
        login: &str,
        password: &str,
    ) -> AuthResponse {
        self.opens(&request.url).await;
        if self.page().form_with("password").is_some() {
            self.signs_in(login, password).await;
        }
        if self.page().form_with("approval").is_some() {
            self.approves().await;
        }
        self.auth_response()
    }

    /// The authorization response to the client, which must carry a code.
    pub fn auth_response(&self) -> AuthResponse {
        let url = self.destination();
        let response_parameter = |name: &str| response_parameter(&url, name);
        let code =
            response_parameter("code").unwrap_or_else(|| panic!("no code, but: {:?}", self.page()));
        self.secrets.remember("an authorization code", &code);
        AuthResponse {
            code,
            state: response_parameter("state"),
            iss: response_parameter("iss"),
            url,
        }
    }

    /// The `error` of the authorization response (RFC 6749 section 4.1.2.1).
    pub fn auth_error(&self) -> String {
        let error = response_parameter(&self.destination(), "error");
        error.unwrap_or_else(|| panic!("no error at {}", self.destination()))
    }

    /// The current page.
    pub fn page(&self) -> &Page {
        self.page.as_ref().expect("a page has been opened")
    }

    pub async fn submits(&mut self, form: Form) -> &Page {
        let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let response = match form.is_post {
            true => self.post_form(&form.action, &fields).await,
            false => {
                let mut url = form.action.clone();
                url.query_pairs_mut().clear().extend_pairs(fields);
                self.get(url).await
            }
        };
        self.follow(response).await
    }

    /// Sends one GET request with cookies; redirects are not followed.
    pub async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.request(Method::GET, url.as_ref(), &[]).await
    }

    /// Submits one form with cookies; redirects are not followed.
    pub async fn post_form(&mut self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Page {
        self.request(Method::POST, url.as_ref(), fields).await
    }

    /// Submits a form of another site's page: browsers send no `SameSite=Lax` cookie with such a POST, but do with the
    /// redirect that answers it.
    pub async fn submits_from_another_site(&mut self, form: Form) -> &Page {
        let own = std::mem::take(&mut self.jar);
        let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let response = self.post_form(&form.action, &fields).await;
        assert!(self.jar.all().is_empty(), "a cookie was set in answer to another site");
        self.jar = own;
        self.follow(response).await
    }

    /// Follows redirects to servers of these tests; the last response becomes the page.
    pub async fn follow(&mut self, mut response: Page) -> &Page {
        for _ in 0..MAX_HOPS {
            let next =
                response.location().filter(|url| address::is_own(url.host_str().unwrap_or("")));
            let Some(next) = next else { return self.page.insert(response) };
            response = self.get(&next).await;
        }
        panic!("more than {MAX_HOPS} redirects; the last one: {response:?}");
    }

    pub fn cookies(&self) -> &[Cookie] {
        self.jar.all()
    }

    /// As after clearing the browser's data.
    pub fn forgets_cookies(&mut self) {
        self.jar.clear();
    }

    /// Copies the cookies of another browser, as an attacker would.
    pub fn steals_cookies_of(&mut self, other: &Self) {
        self.jar = other.jar.clone();
    }

    async fn request(&mut self, method: Method, url: &str, fields: &[(&str, &str)]) -> Page {
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
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        if method == Method::POST {
            request = request.header(ORIGIN, self.origin()).form(fields);
        }
        let response = request.send().await.unwrap_or_else(|e| panic!("{method} {url}: {e:?}"));
        for header in response.headers().get_all(SET_COOKIE) {
            let header = header.to_str().expect("a readable cookie");
            // The cookie with the last used connector is not a secret.
            let is_secret = !header.split('=').next().is_some_and(|name| name.ends_with("-last"));
            let value = self.jar.set(&url, header, self.clock.now());
            if let Some(value) = value.filter(|_| is_secret) {
                self.secrets.remember(&format!("the cookie {header:.24}…"), &value);
            }
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|e| panic!("{method} {url}: {e:?}"));
        Page { url, status, headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
    }

    fn dialled(&self, url: &Url) -> Url {
        match &self.through {
            Some((origin, issuer)) if issuer.origin() == url.origin() => http::at(origin, url),
            _ => url.clone(),
        }
    }

    /// The `Origin` a browser sends with a form (Fetch, "append a request Origin header"): a page without
    /// referrer sends `null`.
    fn origin(&self) -> String {
        let page = self.page.as_ref().filter(|page| !page.body.contains("\"no-referrer\""));
        page.map_or("null".into(), |page| page.url.origin().ascii_serialization())
    }

    fn form(&self, field: &str) -> Form {
        let form = self.page().form_with(field);
        form.unwrap_or_else(|| panic!("no form with {field}: {:?}", self.page()))
    }

    /// The target of the last redirect, or the URL of the page.
    fn destination(&self) -> Url {
        self.page().location().unwrap_or_else(|| self.page().url.clone())
    }
}

/// A parameter of a redirect, from the query or (implicit and hybrid flows) from the fragment.
fn response_parameter(url: &Url, name: &str) -> Option<String> {
    let mut in_fragment = url.clone();
    in_fragment.set_query(url.fragment());
    let find = |url: &Url| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    find(url).or_else(|| find(&in_fragment))
}
