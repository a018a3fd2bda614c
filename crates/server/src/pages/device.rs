//! A readable name of a browser from its `User-Agent` (RFC 9110 section 10.1.5). The header can be forged, so the name
//! is only an aid for recognition.

use super::icon::Icon;
use super::messages::Messages;
use super::name::Name;

/// Longest name of an unknown program, in characters.
const LONGEST_PROGRAM: usize = 40;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    browser: Option<Name>,
    system: Option<&'static str>,
    in_hand: bool,
}

/// The first match is used: nearly every browser also claims to be Chrome, Safari and Mozilla.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("HeadlessChrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("MSIE ", "Internet Explorer"),
];

const SYSTEMS: [(&str, &str, bool); 9] = [
    ("iPhone", "iPhone", true),
    ("iPad", "iPad", true),
    ("Android", "Android", true),
    ("CrOS", "ChromeOS", false),
    ("Windows", "Windows", false),
    ("Macintosh", "macOS", false),
    ("FreeBSD", "FreeBSD", false),
    ("OpenBSD", "OpenBSD", false),
    ("Linux", "Linux", false),
];

impl Device {
    pub fn of(user_agent: &str) -> Self {
        let browser = BROWSERS.iter().find(|(mark, _)| user_agent.contains(mark));
        let system = SYSTEMS.iter().find(|(mark, ..)| user_agent.contains(mark));
        let program = || {
            let name = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            let known = !name.is_empty() && name != "Mozilla";
            known.then(|| Name::up_to(LONGEST_PROGRAM, name))
        };
        Self {
            browser: browser.map(|(_, name)| Name::new(name)).or_else(program),
            system: system.map(|(_, name, _)| *name),
            in_hand: system.is_some_and(|(.., in_hand)| *in_hand),
        }
    }

    /// `Firefox on Linux`
    pub fn label(&self, messages: &Messages) -> Name {
        let t = &messages.sessions;
        match (&self.browser, self.system) {
            (Some(browser), Some(system)) => {
                Name::new(&format!("{browser} {}", t.on.plain(&Name::new(system))))
            }
            (Some(browser), None) => browser.clone(),
            (None, Some(system)) => {
                Name::new(&format!("{} {}", t.unknown_device, t.on.plain(&Name::new(system))))
            }
            (None, None) => Name::new(t.unknown_device),
        }
    }

    pub(crate) fn icon(&self) -> Icon {
        if self.in_hand { Icon::Phone } else { Icon::Screen }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::ENGLISH;
    use super::Device;

    #[test]
    fn browsers_are_recognized_by_their_own_name_not_by_those_they_claim() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(), "Firefox on Linux"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0"), "Edge on Windows"),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} HeadlessChrome/139.0.0.0 Safari/537.36"), "Chrome on Linux"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/139.0.0.0 Mobile Safari/537.36"), "Chrome on Android"),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1".to_owned(), "Safari on iPhone"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15".to_owned(), "Safari on macOS"),
            ("curl/8.5.0".to_owned(), "curl"),
            ("Mozilla/5.0 (Windows NT 10.0)".to_owned(), "Unknown browser on Windows"),
            (String::new(), "Unknown browser"),
            ("<img src=x>\u{202e}".to_owned(), "<img"),
            ("x".repeat(5000), &format!("{}…", "x".repeat(39))),
        ] {
            assert_eq!(Device::of(&agent).label(&ENGLISH).as_str(), words, "{agent}");
        }
    }
}
