//! The data of the sample pages: ordinary names, or hostile ones of great length.

use super::super::*;

pub const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}txt.exe\u{202c}{{7*7}}";

/// The data of one set of sample pages.
pub struct World {
    pub layout: Layout,
    pub app: ClientInfo,
    pub user: SignedInUser,
    pub groups: Vec<Name>,
    pub connectors: Vec<(String, Name, &'static str)>,
    pub text: String,
    pub req: String,
}

impl World {
    pub fn everyday() -> Self {
        Self {
            layout: Layout::new("/dex", "Example Inc"),
            app: ClientInfo {
                name: "Grafana".into(),
                host: Some("grafana.example.com".into()),
                logo: None,
            },
            user: SignedInUser {
                name: "Jane Doe".into(),
                email: Some("jane.doe@example.com".into()),
                connector_name: "Example LDAP".into(),
            },
            groups: ["platform", "on-call", "kubernetes-admins"].map(Name::new).into(),
            connectors: [
                ("ldap", "Example LDAP", "ldap"),
                ("github", "GitHub", "github"),
                ("google", "Google Workspace", "google"),
                ("local", "Password", "local"),
                ("mock", "Mock", "mockCallback"),
            ]
            .map(|(id, name, kind)| (id.to_owned(), name.into(), kind))
            .into(),
            text: "jane".to_owned(),
            req: "Zm9vYmFy".repeat(80),
        }
    }

    pub fn hostile() -> Self {
        let long = format!("{HOSTILE} {}", "Überlange-Bezeichnung".repeat(14));
        let group = |n| {
            Name::new(&format!(
                "CN=team-{n:02},OU=Kubernetes Administrators,OU=Groups,DC=corp,DC=example,DC=com {HOSTILE}"
            ))
        };
        let connector = |n| {
            (format!("{n}\"><script>alert(1)</script>"), Name::new(&format!("{n} {long}")), "oidc")
        };
        Self {
            layout: Layout::new("/dex", long.as_str()),
            app: ClientInfo {
                name: long.as_str().into(),
                host: Some(format!("{}.example.com", "sub".repeat(60)).into()),
                logo: None,
            },
            user: SignedInUser {
                name: long.as_str().into(),
                email: Some(format!("{}@example.com", "very.long".repeat(20)).into()),
                connector_name: long.as_str().into(),
            },
            groups: (0..60).map(group).collect(),
            connectors: (0..12).map(connector).collect(),
            text: HOSTILE.to_owned(),
            req: "Zm9vYmFy".repeat(640),
        }
    }
}
