//! One sample of every page, with ordinary or hostile data.

use super::super::*;
use super::support::{HOSTILE, World};
use super::{admin, own};

/// Every page with this data, and a file name for it.
pub fn pages(world: &World) -> Vec<(String, String)> {
    let mut pages = sign_in(world);
    pages.extend(approvals(world));
    pages.extend(device_flow(world));
    pages.extend(clusters(world));
    pages.extend(errors(world));
    pages.extend(home_and_logout(world));
    pages.extend(own::pages(world));
    pages.extend(admin::pages(world));
    pages.extend(responses(world));
    pages
}

fn sign_in(w: &World) -> Vec<(String, String)> {
    let entry = |(at, (id, name, kind)): (usize, &(String, Name, &str))| ConnectorEntry {
        id: id.clone(),
        name: name.clone(),
        kind: ConnectorKind::of(kind),
        // A connector's link contains the pending login, which is usually under a kilobyte.
        href: format!("/dex/auth/connector?req={}", w.req.get(..640).unwrap_or(&w.req)),
        last_used: at == 0,
        down: at == 2,
    };
    let choose = ChooseConnector {
        layout: &w.layout,
        app: w.app.clone(),
        entries: w.connectors.iter().enumerate().map(entry).collect(),
    };
    let none = ChooseConnector { layout: &w.layout, app: w.app.clone(), entries: Vec::new() };
    let password = |login, error| Password {
        layout: &w.layout,
        app: w.app.clone(),
        connector_name: w.user.connector_name.clone(),
        prompt: "Email Address".into(),
        login_kind: LoginKind::Email,
        login,
        req: &w.req,
        action: "/dex/auth/ldap/login",
        back: Some("/dex/auth?req=abc"),
        error,
        is_local: login.is_empty(),
        reference: "0123456789abcdef",
    };
    let wait = LoginError::TooMany { retry_after_seconds: 30 };
    [
        ("choose", choose.render()),
        ("choose-none", none.render()),
        ("password", password("", None).render()),
        ("password-wrong", password(&w.text, Some(LoginError::Wrong)).render()),
        ("password-wait", password(&w.text, Some(wait)).render()),
        ("password-down", password(&w.text, Some(LoginError::Down)).render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn approvals(w: &World) -> Vec<(String, String)> {
    let approval = |groups: &[Name], app| Approval {
        layout: &w.layout,
        app,
        user: w.user.clone(),
        scopes: [
            "openid",
            "profile",
            "email",
            "groups",
            "offline_access",
            "audience:server:client_id:kubernetes",
        ]
        .map(Scope::of)
        .into_iter()
        .chain([Scope::of(&w.text)])
        .take(if w.text == "jane" { 5 } else { 9 })
        .collect(),
        groups: groups.to_vec(),
        device: None,
        req: &w.req,
        action: "/dex/approval",
    };
    let of_device = Approval {
        device: Some(device_info(w)),
        ..approval(&w.groups, ClientInfo { host: None, ..w.app.clone() })
    };
    let desktop = ClientInfo {
        name: "kubelogin".into(),
        host: None,
        logo: Some("/dex/static/logo.png".to_owned()),
    };
    [
        ("approval", approval(&w.groups, w.app.clone()).render()),
        ("approval-no-groups", approval(&[], desktop).render()),
        ("approval-device", of_device.render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn device_info(w: &World) -> DeviceInfo {
    let now = 1_763_900_000_000;
    DeviceInfo {
        user_code: "WDJB-MJHT".to_owned(),
        address: "2001:db8:4711:1:202:b3ff:fe1e:8329".into(),
        program: Name::new(if w.text == "jane" { "kubelogin" } else { HOSTILE }),
        requested: DisplayTime::new(now - 60_000, now, w.layout.messages),
    }
}

fn clusters(w: &World) -> Vec<(String, String)> {
    let card = |name: &str| ClusterCard {
        name: name.into(),
        description: Some(w.user.connector_name.clone()),
        server: "https://api.production.example.com:6443".into(),
        login: format!("kubectl countersign login https://id.example.com/dex {name}"),
        kubeconfig: format!("/dex/clusters/{name}/kubeconfig"),
    };
    let list = |cards| Clusters {
        layout: &w.layout,
        user: w.user.clone(),
        cards,
        login: "kubectl countersign login https://id.example.com/dex".to_owned(),
        all: Some("/dex/clusters/kubeconfig".to_owned()),
    };
    [
        ("clusters", list(vec![card("production"), card("staging")]).render()),
        ("clusters-none", list(Vec::new()).render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn device_flow(w: &World) -> Vec<(String, String)> {
    let form = |user_code, error| DeviceForm {
        layout: &w.layout,
        action: "/dex/device",
        user_code,
        error,
        reference: "0123456789abcdef",
    };
    let wait = UserCodeError::TooMany { retry_after_seconds: 30 };
    let confirm = DeviceConfirm {
        layout: &w.layout,
        app: ClientInfo { host: None, ..w.app.clone() },
        device: device_info(w),
        go_on: "/dex/continue?req=abc",
        cancel: "/dex/device",
    };
    let done =
        |approved| DeviceDone { layout: &w.layout, client_name: w.app.name.clone(), approved };
    [
        ("device", form("", None).render()),
        ("device-wrong", form(&w.text, Some(UserCodeError::Wrong)).render()),
        ("device-wait", form(&w.text, Some(wait)).render()),
        ("device-confirm", confirm.render()),
        ("device-approved", done(true).render()),
        ("device-denied", done(false).render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn errors(w: &World) -> Vec<(String, String)> {
    let page = |problem: PageErrorKind| {
        let page = ErrorPage::new(&w.layout, problem, "7f3k-92qx-mw4c");
        let page = match problem {
            PageErrorKind::MissingGroups => page.items(w.groups.clone()),
            PageErrorKind::UpstreamDown => page.items(vec![w.user.connector_name.clone()]),
            PageErrorKind::UnregisteredRedirectUri => {
                page.detail(&format!("https://grafana.example.com/login/{}", w.text))
            }
            _ => page,
        };
        let page = match problem {
            PageErrorKind::LoginExpired => page.link(PageLink::BackToClient(
                "https://grafana.example.com/".to_owned(),
                w.app.name.clone(),
            )),
            PageErrorKind::UpstreamDown => {
                page.link(PageLink::OtherConnectors("/dex/auth?req=abc".to_owned()))
            }
            PageErrorKind::Refused => page.link(PageLink::TryAgain("/dex/auth?req=abc".to_owned())),
            PageErrorKind::NotFound => page.link(PageLink::Home("/dex/".to_owned())),
            // A link to a client's URI that would execute as script is replaced by `#`.
            PageErrorKind::UnknownClient => page
                .link(PageLink::BackToClient("javascript:alert(1)".to_owned(), w.app.name.clone())),
            _ => page,
        };
        (format!("error-{problem:?}"), page.render())
    };
    PageErrorKind::ALL.map(page).into()
}

fn home_and_logout(w: &World) -> Vec<(String, String)> {
    let now = 1_763_900_000_000;
    let messages = w.layout.messages;
    let home = HomeSignedIn {
        layout: &w.layout,
        user: w.user.clone(),
        flash: Some(own::flash(w)),
        cards: own::cards(w),
        sign_ins: 50,
        all_sign_ins: "/dex/sessions",
        end: "/dex/sessions",
        all_groups: "/dex/groups",
        since: DisplayTime::new(now - 7_800_000, now, messages),
        until: DisplayTime::new(now + 79_200_000, now, messages),
        groups: own::held(w, 3 * 1024),
        consents: "/dex/consents",
        logout: "/dex/logout",
        csrf: &w.text,
        offers_tools: true,
        discovery: "/dex/.well-known/openid-configuration",
        clusters: Some("/dex/clusters".to_owned()),
        admin: Some("/dex/admin".to_owned()),
    };
    let signed_out = HomeSignedOut {
        layout: &w.layout,
        sign_in: "/dex/sign-in?to=%2F",
        flash: None,
        discovery: "/dex/.well-known/openid-configuration",
    };
    let confirm = LogoutConfirm {
        layout: &w.layout,
        user: w.user.clone(),
        action: "/dex/logout",
        csrf: &w.text,
        fields: vec![("state", &w.text)],
        offers_tools: true,
    };
    let done = SignedOut {
        layout: &w.layout,
        tools: OfflineGrants::Kept,
        notified: vec![w.app.name.clone(), "Argo CD".into()],
        unregistered: Some((w.app.name.clone(), "grafana".into())),
        hint_refused: true,
        link: Some(PageLink::BackToClient(
            "https://grafana.example.com/".to_owned(),
            w.app.name.clone(),
        )),
        upstream: Some(PageLink::UpstreamLogout(
            "https://id.example.net/logout".to_owned(),
            w.user.connector_name.clone(),
        )),
    };
    [
        ("home", home.render()),
        ("home-signed-out", signed_out.render()),
        ("logout", confirm.render()),
        ("signed-out", done.render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn responses(w: &World) -> Vec<(String, String)> {
    let form_post = FormPost {
        layout: &w.layout,
        client_name: w.app.name.clone(),
        action: "https://grafana.example.com/login/generic_oauth",
        fields: vec![
            ("code", "mzx3kq7y5l2vbn4w"),
            ("state", &w.text),
            ("iss", "https://id.example.com/dex"),
        ],
    };
    let oob = OutOfBand {
        layout: &w.layout,
        client_name: w.app.name.clone(),
        code: "mzx3kq7y5l2vbn4wq6r8t0pa",
    };
    [("form-post", form_post.render()), ("out-of-band", oob.render())]
        .map(|(name, html)| (name.to_owned(), html))
        .into()
}
