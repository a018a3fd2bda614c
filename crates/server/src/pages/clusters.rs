//! The page with the clusters that a user may see.

use askama::Template;

use super::icon::Icon;
use super::layout::Layout;
use super::name::Name;
use super::name::SignedInUser;

#[derive(Template)]
#[template(path = "pages/clusters.html")]
pub struct Clusters<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub cards: Vec<ClusterCard>,
    /// The command that configures all of them.
    pub login: String,
    /// Link to a kubeconfig with all of them, if there are several.
    pub all: Option<String>,
}

/// One cluster.
pub struct ClusterCard {
    pub name: Name,
    pub description: Option<Name>,
    pub server: Name,
    /// The command that signs in and writes the kubeconfig.
    pub login: String,
    pub kubeconfig: String,
}

impl Clusters<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.clusters.heading
    }
}

impl ClusterCard {
    fn check(&self) -> String {
        format!("kubectl --context {} auth whoami", self.name)
    }
}
