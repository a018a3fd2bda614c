//! Microsoft Graph with a user's token: the profile and all groups. Graph is always queried, because the ID token omits
//! the groups of users with many.

use countersign_core::{Secret, Trace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::oauth::{ApiRequest, Http, UpstreamError, below};

const ENDPOINT: &str = "Microsoft Graph";
/// The maximum that Graph accepts in one request.
const BATCH: usize = 1000;
const MAX_GROUPS: usize = 10_000;
const MAX_CALLS: usize = 100;

pub(super) struct Graph<'a> {
    pub http: &'a Http,
    pub base: &'a Url,
    pub token: &'a Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub id: String,
    pub display_name: Option<String>,
    pub user_principal_name: Option<String>,
    pub mail_nickname: Option<String>,
    pub on_premises_sam_account_name: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "displayName")]
    name: Option<String>,
}

impl Graph<'_> {
    pub async fn me(&self, trace: &mut Trace) -> Result<User, UpstreamError> {
        let mut url = below(self.base, "v1.0/me");
        let fields = "id,displayName,userPrincipalName,mailNickname,onPremisesSamAccountName";
        url.set_query(Some(&format!("$select={fields}")));
        let request = ApiRequest::get(ENDPOINT, &url).bearer(self.token);
        let user: User = self.http.send(request, trace).await?.success()?.json()?;
        match user.id.is_empty() {
            true => Err(UpstreamError::Lacks { endpoint: ENDPOINT, what: "id" }),
            false => Ok(user),
        }
    }

    /// Ids of all groups, including nested ones.
    pub async fn group_ids(
        &self,
        only_security: bool,
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let body = json!({ "securityEnabledOnly": only_security });
        self.all("v1.0/me/getMemberGroups", &body, trace).await
    }

    /// Display names, in Graph's order; groups without a name are omitted.
    pub async fn group_names(
        &self,
        ids: &[String],
        trace: &mut Trace,
    ) -> Result<Vec<String>, UpstreamError> {
        let mut names = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let body = json!({ "ids": batch, "types": ["group"] });
            let found: Vec<Named> =
                self.all("v1.0/directoryObjects/getByIds", &body, trace).await?;
            names.extend(found.into_iter().filter_map(|group| group.name));
        }
        if names.len() < ids.len() {
            let lost = ids.len() - names.len();
            trace.excluded(&format!("{lost} groups"), "Graph returns no name for them");
        }
        Ok(names)
    }

    /// All pages of the response to a POST.
    async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        trace: &mut Trace,
    ) -> Result<Vec<T>, UpstreamError> {
        let mut url = below(self.base, path);
        let mut all = Vec::new();
        for _ in 0..MAX_CALLS {
            let request = ApiRequest::json(ENDPOINT, &url, body).bearer(self.token);
            let response = self.http.send(request, trace).await?;
            let page: Page<T> = response.success().map_err(|f| without_consent(f, path))?.json()?;
            all.extend(page.value);
            if all.len() > MAX_GROUPS {
                return Err(UpstreamError::Person(format!(
                    "{ENDPOINT} names over {MAX_GROUPS} groups"
                )));
            }
            match page.next.filter(|next| !next.is_empty()) {
                None => return Ok(all),
                Some(next) => url = self.next(&next)?,
            }
        }
        let reason = "too many requests for one login";
        Err(UpstreamError::NotSent { endpoint: ENDPOINT, reason })
    }

    /// The next page must have Graph's origin, because the token is sent with the request.
    fn next(&self, link: &str) -> Result<Url, UpstreamError> {
        Url::parse(link).ok().filter(|url| url.origin() == self.base.origin()).ok_or(
            UpstreamError::NotSent {
                endpoint: ENDPOINT,
                reason: "its next page is at another host",
            },
        )
    }
}

fn without_consent(failure: UpstreamError, path: &str) -> UpstreamError {
    match failure.status() {
        Some(403) => UpstreamError::Configuration(format!(
            "{failure} for {path}: the application lacks a permission an administrator consents to (Directory.Read.All)"
        )),
        _ => failure,
    }
}
