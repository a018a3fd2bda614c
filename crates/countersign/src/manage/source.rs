//! Whom a command asks: the database itself, or a server's API.

use std::sync::Arc;

use countersign_core::{ClientId, GrantId, SessionId};
use countersign_issuer::admin::Administrator;
use countersign_issuer::admin::asked::{
    BULK_FIELDS, BadField, EVENT_FIELDS, Fields, HOLDER_FIELDS, SESSION_FIELDS,
};
use countersign_issuer::admin::explain::Explanation;
use countersign_issuer::admin::looks::Page;
use countersign_issuer::admin::view::{
    EndView, EventPageView, HoldingPageView, KeyView, PreviewView, RotationView, SessionDetailView,
    SessionPageView,
};
use countersign_issuer::{Issuer, IssuerError};
use countersign_server::{App, Health};

use super::remote::Remote;
use super::{Pairs, Where};
use crate::config;
use crate::system_clock::SystemClock;
use crate::wiring;

pub enum Source {
    Database { app: Box<App>, who: Administrator },
    Api(Remote),
}

impl Source {
    pub async fn open(at: &Where) -> Result<Self, String> {
        if let Some(url) = &at.url {
            let authority = at.certificate_authority.as_deref();
            return Ok(Self::Api(Remote::open(url, authority).await?));
        }
        let file = at.config.as_ref().ok_or("say where: --config FILE or --url ISSUER")?;
        let env = |name: &str| std::env::var(name).ok();
        let loaded = config::load(file, &env, true);
        let report = loaded.to_string();
        let config = loaded.config.ok_or_else(|| report.trim_end().to_owned())?;
        let clock = Arc::new(SystemClock::default());
        let app = wiring::open(&config, clock.clone(), Health::default()).await?;
        // A database with a clock of its own is what every replica follows.
        if let Ok(Some(database)) = app.issuer.store.database_time().await {
            clock.follow(database);
        }
        let account = env("SUDO_USER").or_else(|| env("USER")).unwrap_or_else(|| "unknown".into());
        let account: String = account.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(Self::Database { app: Box::new(app), who: Administrator::at_the_machine(&account) })
    }

    pub async fn close(&self) {
        if let Self::Database { app, .. } = self {
            app.issuer.store.close().await;
        }
    }

    pub async fn sessions(&self, asked: &Pairs) -> Result<SessionPageView, String> {
        match self {
            Self::Api(api) => api.get("/sessions", asked).await,
            Self::Database { app, .. } => {
                let known: Vec<&str> =
                    SESSION_FIELDS.iter().copied().chain(["limit", "page"]).collect();
                let fields = fields(asked, &known, &app.issuer)?;
                let page = page(&fields)?;
                let filter = fields.sessions().map_err(said)?;
                settled(app.issuer.find_sessions(&filter, &page).await)
            }
        }
    }

    pub async fn session(&self, id: &str) -> Result<SessionDetailView, String> {
        match self {
            Self::Api(api) => api.get(&format!("/sessions/{}", segment(id)), &Pairs::new()).await,
            Self::Database { app, .. } => {
                let found = app.issuer.session_in_full(&SessionId::new(id)).await;
                found.map_err(told)?.ok_or_else(|| format!("there is no session {id}"))
            }
        }
    }

    pub async fn end_session(&self, id: &str) -> Result<EndView, String> {
        match self {
            Self::Api(api) => api.delete(&format!("/sessions/{}", segment(id))).await,
            Self::Database { app, who } => {
                let ended = app.issuer.end_session_as(who, &SessionId::new(id)).await;
                let ended = ended.map_err(told)?;
                let ended = ended.ok_or_else(|| format!("there is no live session {id}"))?;
                Ok(EndView::from(&ended))
            }
        }
    }

    pub async fn end_grant(&self, id: &str) -> Result<EndView, String> {
        match self {
            Self::Api(api) => api.delete(&format!("/grants/{}", segment(id))).await,
            Self::Database { app, who } => {
                let ended = app.issuer.end_grant_as(who, &GrantId::new(id)).await.map_err(told)?;
                let ended = ended.ok_or_else(|| format!("there is no live grant {id}"))?;
                Ok(EndView::from(&ended))
            }
        }
    }

    pub async fn preview(&self, asked: &Pairs) -> Result<PreviewView, String> {
        match self {
            Self::Api(api) => api.post("/sessions/preview", asked).await,
            Self::Database { app, .. } => {
                let filter = bulk(asked, &app.issuer)?;
                let as_of = app.issuer.now();
                let found = app.issuer.preview_end(&filter).await.map_err(told)?;
                Ok(PreviewView::of(&found, as_of))
            }
        }
    }

    pub async fn end_many(&self, asked: &Pairs) -> Result<EndView, String> {
        match self {
            Self::Api(api) => api.post("/sessions/end", asked).await,
            Self::Database { app, who } => {
                let filter = bulk(asked, &app.issuer)?;
                let ended = app.issuer.end_matching(who, filter).await.map_err(told)?;
                Ok(EndView::from(&ended))
            }
        }
    }

    pub async fn events(&self, asked: &Pairs) -> Result<EventPageView, String> {
        match self {
            Self::Api(api) => api.get("/events", asked).await,
            Self::Database { app, .. } => {
                let query = fields(asked, &EVENT_FIELDS, &app.issuer)?.events().map_err(said)?;
                settled(app.issuer.find_events(query).await)
            }
        }
    }

    pub async fn holders(&self, asked: &Pairs) -> Result<HoldingPageView, String> {
        match self {
            Self::Api(api) => api.get("/memberships", asked).await,
            Self::Database { app, .. } => {
                let fields = fields(asked, &HOLDER_FIELDS, &app.issuer)?;
                let holders = fields.memberships().map_err(said)?.ok_or("group: is missing")?;
                settled(app.issuer.memberships(&holders, &page(&fields)?).await)
            }
        }
    }

    pub async fn keys(&self) -> Result<Vec<KeyView>, String> {
        #[derive(serde::Deserialize)]
        struct Keys {
            keys: Vec<KeyView>,
        }
        match self {
            Self::Api(api) => api.get::<Keys>("/keys", &Pairs::new()).await.map(|all| all.keys),
            Self::Database { app, .. } => app.issuer.signing_keys().await.map_err(told),
        }
    }

    pub async fn rotate_keys(&self) -> Result<RotationView, String> {
        match self {
            Self::Api(api) => api.post("/keys/rotate", &Pairs::new()).await,
            Self::Database { app, who } => app.issuer.rotate_keys(who).await.map_err(told),
        }
    }

    pub async fn explain(&self, user: &str, client: Option<&str>) -> Result<Explanation, String> {
        match self {
            Self::Api(api) => {
                let mut asked = vec![("user".to_owned(), user.to_owned())];
                asked.extend(client.map(|client| ("client".to_owned(), client.to_owned())));
                api.get("/explain", &asked).await
            }
            Self::Database { app, .. } => {
                let known = client.map(|id| app.issuer.clients.get(&ClientId::new(id)));
                if known.is_some_and(|found| found.is_none()) {
                    return Err(format!("{} is no client of this file", client.unwrap_or("it")));
                }
                app.issuer.explain(user, known.flatten()).await.map_err(told)
            }
        }
    }
}

fn fields<'a>(asked: &'a Pairs, known: &[&str], issuer: &Issuer) -> Result<Fields<'a>, String> {
    Fields::new(asked, known, issuer.now()).map_err(said)
}

fn page(fields: &Fields<'_>) -> Result<Page, String> {
    let limit = fields.number("limit", 50, 500).map_err(said)?;
    Ok(Page { after: fields.text("page").map(str::to_owned), limit })
}

fn bulk(asked: &Pairs, issuer: &Issuer) -> Result<countersign_core::SessionFilter, String> {
    let known: Vec<&str> = BULK_FIELDS.iter().copied().chain(["everything"]).collect();
    fields(asked, &known, issuer)?.bulk().map_err(said)
}

fn settled<T>(found: Result<Result<T, BadField>, IssuerError>) -> Result<T, String> {
    found.map_err(told)?.map_err(said)
}

fn said(bad: BadField) -> String {
    bad.to_string()
}

fn told(failure: IssuerError) -> String {
    failure.to_string()
}

/// One segment of a path.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
