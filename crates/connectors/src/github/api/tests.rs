use reqwest::header::{HeaderMap, HeaderValue, LINK};

use super::{ApiReply, is_login};

#[test]
fn the_next_page_is_found_among_the_links() {
    let next = "https://api.github.com/user/teams?per_page=100&page=2";
    for (link, expected) in [
        (format!("<{next}>; rel=\"next\", <https://x/?page=9>; rel=\"last\""), Some(next)),
        (format!("<https://x/?page=1>; rel=\"prev\", <{next}>; rel=\"next\""), Some(next)),
        (format!("<https://x/?a=1,2>; rel=\"prev\",<{next}>;rel=\"next\""), Some(next)),
        (format!("<{next}>; title=\"y\"; rel=next"), Some(next)),
        ("<https://x/?page=1>; rel=\"first\"".to_owned(), None),
        ("<https://x/?page=1; rel=\"next\"".to_owned(), None),
        ("nonsense".to_owned(), None),
        ("<<<>>>".to_owned(), None),
        (String::new(), None),
    ] {
        let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_str(&link).unwrap())]);
        let reply = ApiReply { endpoint: "x", status: 200, headers, body: Vec::new() };
        assert_eq!(reply.next().as_deref(), expected, "{link}");
    }
}

#[test]
fn a_login_stays_in_its_place_in_a_path() {
    for (name, expected) in [
        ("jane", true),
        ("jane-doe", true),
        ("jane_acme", true),
        ("", false),
        ("..", false),
        ("a/b", false),
        ("a?b", false),
        ("a%2fb", false),
        ("jané", false),
    ] {
        assert_eq!(is_login(name), expected, "{name}");
    }
}
