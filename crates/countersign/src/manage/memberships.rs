//! `countersign events --had-group`: the members of a group between two instants.

use countersign_issuer::admin::fields::HOLDER_FIELDS;
use countersign_issuer::admin::view::{MembershipPageView, MembershipView};

use super::CommandError;
use super::api_client::RequestFields;
use super::backend::{Backend, checked, page};
use super::output::OutputArguments;
use super::table::{Cell, Column, next_page, table};
use super::terminal::{Colour, Terminal};

const MEMBERSHIP_COLUMNS: [Column; 5] = [
    Column::new("USER", 0).cut_to(12),
    Column::new("USER ID", 2).cut_to(12),
    Column::new("CONNECTOR", 1).cut_to(8),
    Column::new("SINCE", 0),
    Column::new("UNTIL", 0),
];

pub async fn list_memberships(
    backend: &Backend,
    output: &OutputArguments,
    request: &RequestFields,
) -> Result<(), CommandError> {
    let page = backend.memberships(request).await?;
    output.print(&page, |page, terminal| match page.memberships.is_empty() {
        true => format!("Nobody had the group {:?} then.\n", page.group),
        false => render_memberships(page, terminal),
    })
}

impl Backend {
    async fn memberships(
        &self,
        request: &RequestFields,
    ) -> Result<MembershipPageView, CommandError> {
        match self {
            Self::Api(api) => api.get("/memberships", request).await,
            Self::Database { app, .. } => {
                let fields = checked(request, &HOLDER_FIELDS, &app.issuer)?;
                let query = fields.memberships()?;
                let query = query.ok_or_else(|| CommandError::other("--had-group: is empty"))?;
                Ok(app.issuer.memberships(&query, &page(&fields)?).await?)
            }
        }
    }
}

fn render_memberships(page: &MembershipPageView, terminal: &Terminal) -> String {
    let row = |membership: &MembershipView| {
        vec![
            Cell::from(&membership.person),
            Cell::from(&membership.user_id),
            Cell::from(&membership.connector),
            Cell::from(terminal.instant(&membership.since)),
            match &membership.until {
                Some(until) => Cell::from(terminal.instant(until)),
                None => Cell::coloured(Colour::Green, "now"),
            },
        ]
    };
    let rows: Vec<Vec<Cell>> = page.memberships.iter().map(row).collect();
    table(terminal, &MEMBERSHIP_COLUMNS, &rows) + next_page(page.next.as_deref(), terminal).as_str()
}
