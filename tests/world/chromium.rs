//! A real browser: Chromium, driven through chromedriver, for what only a browser decides: content security
//! policy, scripts on or off, layout on a phone, the dark theme.
//!
//! Every test starts its own chromedriver on a port the driver chooses, with its own profile; both end with
//! the test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner, WebDriverResult};
use thirtyfour::{
    By, CapabilitiesHelper, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel,
    WebDriver, WebElement,
};

/// How long a page may take to show what a test waits for.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Without the background flags Chromium requests Google's hosts at every start.
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--force-color-profile=srgb",
];

/// Screen size, colour scheme and scripts.
#[derive(Clone, Copy, Debug)]
pub struct Display {
    pub width: u32,
    pub height: u32,
    pub is_dark: bool,
    pub has_scripts: bool,
}

impl Display {
    pub const DESKTOP: Self = Self { width: 1280, height: 800, is_dark: false, has_scripts: true };
    /// The narrowest supported screen.
    pub const PHONE: Self = Self { width: 320, height: 640, ..Self::DESKTOP };

    pub const fn dark(self) -> Self {
        Self { is_dark: true, ..self }
    }

    pub const fn without_scripts(self) -> Self {
        Self { has_scripts: false, ..self }
    }
}

pub struct Chromium {
    /// For what the methods below do not cover.
    pub driver: WebDriver,
    display: Display,
    _process: Driver,
    _profile: TempDir,
}

/// chromedriver and the browser's processes, which share its process group.
struct Driver(Child);

impl Chromium {
    /// `Need::Browser` must have been checked.
    pub async fn with(display: Display) -> Self {
        let profile = tempfile::Builder::new().prefix("chromium-").tempdir().unwrap();
        let (process, url) = Driver::start(profile.path());
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in ARGUMENTS {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities
            .add_arg(&format!("--user-data-dir={}", profile.path().join("user").display()))
            .unwrap();
        capabilities.set_binary("/usr/bin/chromium").unwrap();
        capabilities.accept_insecure_certs(true).unwrap();
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        if !display.has_scripts {
            let off = json!({"profile.managed_default_content_settings.javascript": 2});
            capabilities.add_experimental_option("prefs", off).unwrap();
        }
        let driver = WebDriver::new(url, capabilities).await.expect("Chromium starts");
        let metrics = json!({"width": display.width, "height": display.height, "deviceScaleFactor": 1,
            "mobile": display.width < 500});
        let scheme = if display.is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
        driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await.unwrap();
        Self { driver, display, _process: process, _profile: profile }
    }

    pub async fn opens(&self, url: impl AsRef<str>) {
        self.driver.goto(url.as_ref()).await.unwrap();
    }

    /// Waits for an element that matches a CSS selector.
    pub async fn sees(&self, selector: &str) -> WebElement {
        let started = Instant::now();
        loop {
            match self.driver.find(By::Css(selector)).await {
                Ok(element) => return element,
                Err(_) if started.elapsed() < WAIT_TIMEOUT => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // Not `text()`, which itself waits for an element.
                Err(error) => panic!("no {selector} at {}: {error}", self.url().await),
            }
        }
    }

    pub async fn types(&self, selector: &str, text: &str) {
        self.on(selector, async |element| element.send_keys(text).await).await;
    }

    pub async fn presses(&self, selector: &str) {
        self.on(selector, async |element| element.click().await).await;
    }

    /// The text of the first element that matches a CSS selector; waits for it.
    pub async fn text_of(&self, selector: &str) -> String {
        self.on(selector, async |element| element.text().await).await
    }

    /// Waits for an element and acts on it. A navigation in between replaces the element
    /// (StaleElementReference, raised before the action): then the new page's element is used.
    async fn on<T>(
        &self,
        selector: &str,
        act: impl AsyncFn(WebElement) -> WebDriverResult<T>,
    ) -> T {
        let started = Instant::now();
        loop {
            match act(self.sees(selector).await).await {
                Ok(result) => return result,
                Err(error) if is_stale(&error) && started.elapsed() < WAIT_TIMEOUT => {}
                Err(error) => panic!("{selector} at {}: {error}", self.url().await),
            }
        }
    }

    /// Fills and submits the password form.
    pub async fn signs_in(&self, login: &str, password: &str) {
        self.types("input[name=login]", login).await;
        self.types("input[name=password]", password).await;
        self.presses("#submit-login").await;
    }

    pub async fn approves(&self) {
        self.presses("button[name=approval][value=approve]").await;
    }

    /// Waits until the URL begins with `prefix`, and returns it.
    pub async fn waits_for_url(&self, prefix: &str) -> String {
        let started = Instant::now();
        loop {
            let url = self.url().await;
            if url.starts_with(prefix) {
                return url;
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "still at {url}: {:?}", self.console().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// The visible text of the page.
    pub async fn text(&self) -> String {
        self.text_of("body").await
    }

    /// The messages of the console since the last call: policy violations, failed requests, errors.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.unwrap();
        entries.into_iter().map(|entry| format!("{}: {}", entry.level, entry.message)).collect()
    }

    /// True if something is wider than the screen.
    pub async fn overflows(&self) -> bool {
        let metrics = self.driver.cdp().send_raw("Page.getLayoutMetrics", json!({})).await.unwrap();
        metrics["cssContentSize"]["width"].as_f64().unwrap() > f64::from(self.display.width)
    }

    /// Writes a picture of the whole page to target/screenshots.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        let all = json!({"captureBeyondViewport": true});
        let picture = self.driver.cdp().send_raw("Page.captureScreenshot", all).await.unwrap();
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(&path, picture).unwrap();
        path
    }
}

fn is_stale(error: &WebDriverError) -> bool {
    matches!(error.as_inner(), WebDriverErrorInner::StaleElementReference(_))
}

impl Drop for Chromium {
    /// The processes are killed; an orderly shutdown by thirtyfour takes up to two minutes.
    fn drop(&mut self) {
        self.driver.clone().leak().ok();
    }
}

impl Driver {
    /// The driver's and the browser's files are in `dir`; the driver prints its port.
    fn start(dir: &Path) -> (Self, String) {
        let mut child = Command::new("/usr/bin/chromedriver")
            .args(["--port=0", &format!("--log-path={}", dir.join("driver.log").display())])
            .env("TMPDIR", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = output.find(|line| line.contains("started successfully on port"));
        let line = line.expect("chromedriver prints its port");
        let port = line.rsplit(' ').next().unwrap_or_default().trim_end_matches('.').to_owned();
        std::thread::spawn(move || output.for_each(drop));
        (Self(child), format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Need, OtherOrigin};
    use super::{By, Chromium, Display};

    const HTML: &str = "<!DOCTYPE html><meta name=viewport content='width=device-width'>\
        <style>body{background:#fff}@media(prefers-color-scheme:dark){body{background:#000}}</style>\
        <h1>Hello</h1><noscript><b id=plain>no scripts</b></noscript>\
        <script>document.body.insertAdjacentHTML('beforeend', '<i id=scripted>scripts</i>')</script>\
        <form method=post action=/there><input name=a><button>Send</button></form>";

    #[tokio::test]
    async fn browser_runs_scripts_submits_forms_and_reports_csp_violations() {
        if Need::Browser.is_missing() {
            return;
        }
        let policy = "content-security-policy: form-action 'self'; img-src 'none'\r\n";
        let html = format!("{HTML}<img src=/x.png>");
        let site = OtherOrigin::responding("200 OK", policy, &html);
        let chromium = Chromium::with(Display::DESKTOP).await;
        chromium.opens(&site.url).await;
        chromium.sees("#scripted").await;
        assert!(!chromium.overflows().await);
        chromium.types("input[name=a]", "b").await;
        chromium.presses("button").await;
        chromium.waits_for_url(&format!("{}/there", site.url)).await;
        assert_eq!(site.requests().last().unwrap().body, "a=b");
        let console = chromium.console().await.join("\n");
        assert!(console.contains("Content Security Policy"), "{console}");
    }

    #[tokio::test]
    async fn browser_without_scripts_on_a_dark_phone() {
        if Need::Browser.is_missing() {
            return;
        }
        let site = OtherOrigin::serving(&format!("{HTML}<div style='width:400px'>wide</div>"));
        let chromium = Chromium::with(Display::PHONE.dark().without_scripts()).await;
        chromium.opens(&site.url).await;
        chromium.sees("#plain").await;
        assert!(chromium.driver.find(By::Css("#scripted")).await.is_err());
        assert!(chromium.overflows().await, "400 pixels on a screen of 320");
        let body = chromium.sees("body").await;
        assert_eq!(body.css_value("background-color").await.unwrap(), "rgba(0, 0, 0, 1)");
        assert!(chromium.screenshot("harness-phone-dark").await.exists());
    }
}
