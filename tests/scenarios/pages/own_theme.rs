//! `frontend.dir` and `logoURL`: one's own stylesheet, logo and favicon, as with Dex, and never a broken image.

use std::path::Path;

use crate::world::{Page, Server, World};

/// Stands for a picture: files are served as they are.
const PICTURE: &str = "a picture";
const STYLES: &str = ":root { --act: #123456; }";

/// A folder as Dex's, with a theme of one's own.
fn write_theme(dir: &Path) {
    let theme = dir.join("web/themes/company");
    std::fs::create_dir_all(&theme).unwrap();
    std::fs::write(theme.join("styles.css"), STYLES).unwrap();
    std::fs::write(theme.join("logo.png"), PICTURE).unwrap();
    std::fs::write(theme.join("favicon.png"), PICTURE).unwrap();
}

/// The sign-in page, and each image, icon and stylesheet of it as it is served.
async fn login_page_with_its_files(server: &Server) -> (Page, Vec<(String, Page)>) {
    let mut alice = server.browser();
    let page = alice.opens(server.relying_party("example-app").auth_request("openid").url).await;
    let page = page.clone();
    let mut files = Vec::new();
    for (selector, name) in [("img", "src"), ("link", "href")] {
        for path in page.attributes(selector, name) {
            let file = alice.get(format!("{}{path}", server.origin())).await;
            assert_eq!(file.status, 200, "{path} is broken");
            files.push((path, file));
        }
    }
    (page, files)
}

#[tokio::test]
async fn the_theme_of_a_folder_as_dexs_is_used() {
    let world = World::new();
    write_theme(world.dir());
    let dir = world.dir().join("web");
    let server = world
        .with(&format!("frontend:\n  dir: {}\n  theme: company\n  issuer: Example", dir.display()))
        .start()
        .await;
    let (page, files) = login_page_with_its_files(&server).await;
    assert_eq!(page.attributes("img", "src"), ["/dex/theme/logo.png"]);
    assert_eq!(page.attributes("img", "alt"), ["Example"]);
    let file = |path: &str| &files.iter().find(|(known, _)| known == path).expect(path).1;
    let logo = file("/dex/theme/logo.png");
    assert_eq!((logo.body.as_str(), logo.header("content-type")), (PICTURE, Some("image/png")));
    assert_eq!(logo.header("content-security-policy"), Some("default-src 'none'"));
    assert_eq!(file("/dex/theme/favicon.png").header("content-type"), Some("image/png"));
    let styles = file("/dex/theme/styles.css");
    assert_eq!(
        (styles.body.as_str(), styles.header("x-content-type-options")),
        (STYLES, Some("nosniff"))
    );
    let last = page.attributes("link[rel=stylesheet]", "href").pop();
    assert_eq!(last.as_deref(), Some("/dex/theme/styles.css"), "after ours, which it changes");
    // Nothing else of the folder is served.
    for path in ["/theme/../web/themes/company/styles.css", "/theme/company/logo.png", "/theme/"] {
        assert_eq!(server.browser().get(server.url(path)).await.status, 404, "{path}");
    }
}

/// A relative `logoURL` is below the issuer, as with Dex, whatever the path of the page is.
#[tokio::test]
async fn a_relative_logo_is_below_the_issuer() {
    let world = World::new();
    write_theme(world.dir());
    let dir = world.dir().join("web");
    let yaml =
        format!("frontend:\n  dir: {}\n  theme: company\n  logoURL: theme/logo.png", dir.display());
    let server = world.with(&yaml).start().await;
    let (page, _) = login_page_with_its_files(&server).await;
    assert_eq!(page.attributes("img", "src"), ["/dex/theme/logo.png"]);
}

/// Files published for Dex name its own logo, which is not here; others name what nobody serves.
#[tokio::test]
async fn a_logo_that_is_not_served_is_not_a_broken_image() {
    for logo in ["theme/logo.png", "static/logo.svg"] {
        let server = World::new().with(&format!("frontend:\n  logoURL: {logo}")).start().await;
        let (page, _) = login_page_with_its_files(&server).await;
        let shown = page.attributes("img", "src").concat();
        assert!(shown.starts_with("/dex/static/mark."), "{logo}: {shown}");
    }
}
