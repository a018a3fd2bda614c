//! `/device` and `/clusters` in Chromium. Writes pictures to target/screenshots.

use std::time::Duration;

use super::in_chromium::checks_page;
use crate::scenarios::login::device::{Device, world};
use crate::world::{ALICE, ALICE_PASSWORD, Chromium, Client, Display, Need, Server, World};

/// A device that polls sooner gets `slow_down` (RFC 8628 section 3.5).
const POLLING_INTERVAL: Duration = Duration::from_secs(6);

const CLUSTERS: &str = "clusters:\n- name: production\n  description: Frankfurt, for customers\n  \
    server: https://api.production.example.com:6443\n  clientID: kubernetes\n  groups: [admins]\n  namespace: apps\n\
    - name: staging-with-a-rather-long-name-that-somebody-chose\n  server: https://api.staging.example.com\n  \
    clientID: kubernetes";

async fn signs_in_at_a_device(server: &Server, alice: &Chromium, name: &str) {
    let picture = |page: &str| format!("device-{page}-{name}");
    let device = Device::requests(server, "openid email groups offline_access").await;
    alice.opens(server.url("/device")).await;
    checks_page(alice, &picture("form")).await;
    alice.types("#user_code", "wrong").await;
    alice.presses("#submit-user-code").await;
    alice.sees("#user-code-error").await;
    checks_page(alice, &picture("wrong")).await;
    let text = alice.text().await;
    assert!(text.contains("This code is not valid") && text.contains("Reference"), "{text}");
    // The link that a device shows as a QR code: the form contains the code, and is not submitted without the user.
    alice.opens(device.response["verification_uri_complete"].as_str().unwrap()).await;
    let field = alice.sees("#user_code").await;
    assert_eq!(field.prop("value").await.unwrap().as_deref(), Some(device.user_code.as_str()));
    assert_eq!(device.polls().await.error(), "authorization_pending");
    alice.presses("#submit-user-code").await;
    alice.sees("#confirm-device").await;
    checks_page(alice, &picture("confirm")).await;
    let text = alice.text().await;
    for shown in ["The cli", &device.user_code, "Go on only if you started this yourself"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    alice.presses("#confirm-device").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees("button[value=approve]").await;
    checks_page(alice, &picture("approval")).await;
    assert!(alice.text().await.contains("On this device"), "{}", alice.text().await);
    alice.approves().await;
    alice.waits_for_url(&server.url("/device/callback")).await;
    checks_page(alice, &picture("done")).await;
    assert_eq!(alice.text_of("h1").await, "The device is connected");
    server.advance(POLLING_INTERVAL);
    assert_eq!(device.polls().await.status, 200);
}

async fn tours(look: Display, name: &str) {
    if Need::Browser.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let world = world(World::with_clock()).client(Client::public("kubernetes")).with(CLUSTERS);
    let server = world.start().await;
    let alice = Chromium::with(look).await;
    signs_in_at_a_device(&server, &alice, name).await;
    alice.opens(server.url("/")).await;
    alice.presses("#clusters").await;
    alice.sees("#all-kubeconfigs").await;
    checks_page(&alice, &format!("clusters-{name}")).await;
    let text = alice.text().await;
    for shown in [
        &format!("kubectl countersign login {}", server.issuer()),
        "Frankfurt, for customers",
        "https://api.production.example.com:6443",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[tokio::test]
async fn browser_on_a_desktop_connects_a_device_and_shows_the_clusters() {
    tours(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_phone_connects_a_device_and_shows_the_clusters() {
    tours(Display::PHONE, "phone").await;
}

#[tokio::test]
async fn browser_in_the_dark_without_scripts_connects_a_device_and_shows_the_clusters() {
    tours(Display::PHONE.dark().without_scripts(), "phone-dark").await;
}
