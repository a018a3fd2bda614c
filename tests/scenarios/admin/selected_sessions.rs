//! The list of sessions: several are selected and ended at once, the preview names whose they are, and where nothing was
//! found there is nothing to end.

use crate::scenarios::admin::command_line::{signs_in, world};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Person, Server};

const CAROL: (&str, &str) = ("carol@example.com", "carol-likes-5-boats");

async fn alice_at(server: &Server, path: &str) -> Browser {
    let mut alice = server.browser();
    alice.opens(server.url(path)).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice
}

#[tokio::test]
async fn two_of_three_selected_sessions_end_and_the_third_stays() {
    let server = world().person(Person::new(CAROL.0, CAROL.1)).start().await;
    let app = server.relying_party("example-app");
    let (bobs, carols) =
        (signs_in(&server, (BOB, BOB_PASSWORD)).await, signs_in(&server, CAROL).await);
    let bobs_other = signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, "/admin?text=%40example.com").await;
    let page = alice.page().clone();
    assert_eq!(page.all("#count"), ["4 sessions"], "{}", page.text());
    // By keyboard the content is one step away, before the links of the navigation.
    assert_eq!(page.attributes("a", "href")[0], "#content");

    // Bob's newest session and Carol's.
    let boxes = page.attributes("th input[type=checkbox]", "value");
    let labels = page.all("th label");
    assert_eq!(labels.len(), 4, "{labels:?}");
    let of = |name: &str| labels.iter().position(|label| label.contains(name)).unwrap();
    let (bobs_box, carols_box) = (&boxes[of("bob")], &boxes[of("carol")]);
    let preview = format!("/admin/end?id={bobs_box}&id={carols_box}");
    let page = alice.opens(server.url(&preview)).await.clone();
    let mut who = page.all("#who li");
    who.sort();
    assert_eq!(who, ["bob bob@example.com Email", "carol carol@example.com Email"], "{who:?}");
    assert_eq!(page.all(".sums dd"), ["2", "2", "2"], "{}", page.text());
    let form = page.forms().into_iter().find(|form| form.is_post).expect("a form");
    let second_click = form.clone();
    let page = alice.submits(form).await.clone();
    assert!(page.text().contains("2 sessions have ended"), "{}", page.text());
    // Of what ended before nothing is known there (issue 9, items 8 and 11).
    let page = alice.submits(second_click).await.clone();
    assert!(page.text().contains("No live session matches"), "{}", page.text());
    assert!(!page.text().contains("0 sessions") && !page.text().contains("is still valid"));

    assert_eq!(app.refreshes(&bobs_other).await.error(), "invalid_grant");
    assert_eq!(app.refreshes(&carols).await.error(), "invalid_grant");
    assert_eq!(app.refreshes(&bobs).await.status, 200, "it was not selected");
}

#[tokio::test]
async fn an_empty_list_offers_nothing_to_end() {
    let server = world().start().await;
    signs_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, "/admin?text=nobody-at-all").await;
    let page = alice.page().clone();
    assert!(page.all("table").is_empty(), "{}", page.text());
    assert!(page.all("#end-selected, #end-these").is_empty(), "{}", page.text());
    // Nor does the preview of such a filter.
    let page = alice.opens(server.url("/admin/end?text=nobody-at-all")).await;
    assert!(page.all("#end-now").is_empty(), "{}", page.text());
    let page = alice.opens(server.url("/admin?text=bob")).await;
    assert_eq!(page.all("#end-selected, #end-these").len(), 2, "{}", page.text());
}
