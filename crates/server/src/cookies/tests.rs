use super::{CookieNames, Cookies, SetCookies};
use axum::http::{HeaderMap, HeaderValue, header};
use countersign_issuer::settings::IssuerUrl;

fn names(issuer: &str) -> CookieNames {
    CookieNames::of(&IssuerUrl::new(issuer).unwrap())
}

/// A browser's cookie store that ignores paths.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn store(&mut self, set: SetCookies) {
        let mut headers = HeaderMap::new();
        set.apply(&mut headers);
        for value in headers.get_all(header::SET_COOKIE) {
            let (name, rest) = value.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.0.retain(|(other, _)| other != name);
            if !rest.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn cookies(&self) -> Cookies {
        let list: Vec<String> = self.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&list.join("; ")).unwrap());
        Cookies::of(&headers)
    }
}

fn state(n: usize) -> String {
    format!("{n:016}")
}

#[test]
fn on_https_a_sibling_domain_cannot_plant_a_cookie() {
    let names = names("https://id.example.com/dex");
    let mut set = SetCookies::default();
    set.session(&names, "value", 60);
    let cookie = &set.0[0];
    assert!(cookie.starts_with("__Host-cs-"), "{cookie}");
    for attribute in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
}

#[test]
fn two_issuers_on_one_host_do_not_share_cookies() {
    assert_ne!(names("https://example.com/a").host, names("https://example.com/b").host);
}

#[test]
fn an_upstream_login_comes_back_whole_and_only_once() {
    let names = names("http://127.0.0.1:5556/dex");
    let (mut jar, sealed) = (Jar::default(), "x".repeat(5_000));
    let mut set = SetCookies::default();
    set.keep_upstream_login(&names, &jar.cookies(), &state(1), &sealed);
    jar.store(set);
    assert_eq!(jar.cookies().upstream_login(&names, &state(1)), Some(sealed));
    let mut set = SetCookies::default();
    set.remove_upstream_login(&names, &jar.cookies(), &state(1));
    jar.store(set);
    assert_eq!(jar.cookies().upstream_login(&names, &state(1)), None);
    assert!(jar.0.is_empty(), "{:?}", jar.0);
}

#[test]
fn twenty_tabs_keep_under_six_kilobytes_and_lose_the_oldest() {
    let names = names("https://id.example.com/dex");
    let mut jar = Jar::default();
    for n in 0..20 {
        let mut set = SetCookies::default();
        set.keep_upstream_login(&names, &jar.cookies(), &state(n), &"y".repeat(1_000));
        jar.store(set);
    }
    let size: usize = jar.0.iter().filter(|(n, _)| n.contains("-cb-")).map(|(_, v)| v.len()).sum();
    assert!(size <= 6 * 1024, "{size}");
    assert_eq!(jar.cookies().upstream_login(&names, &state(0)), None);
    assert!(jar.cookies().upstream_login(&names, &state(19)).is_some());
}

#[test]
fn a_hostile_state_names_no_cookie() {
    let names = names("http://127.0.0.1/dex");
    for hostile in ["", "../session", "a=b; Path=/", &"é".repeat(8), &"x".repeat(17)] {
        let mut set = SetCookies::default();
        set.remove_upstream_login(&names, &Cookies::default(), hostile);
        assert!(set.0.iter().all(|cookie| !cookie.contains("-cb-")), "{:?}", set.0);
        assert_eq!(Cookies::default().upstream_login(&names, hostile), None);
    }
}
