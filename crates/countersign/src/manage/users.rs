//! `countersign users block|unblock|list`.

use clap::{Args, Subcommand};
use countersign_issuer::admin::blocked_users::{
    BLOCK_FIELDS, BlockPreviewView, BlockView, BlockedUserPageView, BlockedUserView, PERSON_FIELDS,
};
use serde::{Deserialize, Serialize};

use super::CommandError;
use super::api_client::RequestFields;
use super::arguments::fields;
use super::backend::{Backend, checked, page};
use super::output::{OutputArguments, Terminal, confirm};
use super::sessions::end::render_end;
use super::table::{Cell, Column, facts, fold, next_page, table};

const COLUMNS: [Column; 6] = [
    Column::new("USER", 0).cut_to(12),
    Column::new("USER ID", 0).cut_to(12),
    Column::new("CONNECTOR", 1).cut_to(8),
    Column::new("UNTIL", 0),
    Column::new("REASON", 1).cut_to(12),
    Column::new("BLOCKED BY", 2).cut_to(10),
];
const NOTHING_BLOCKED: &str = "nobody was blocked";

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Block a user: no sign-in, no refresh of tokens, no access to clusters. Also ends their sessions
    Block(BlockArguments),
    /// Lift a block
    Unblock {
        #[command(flatten)]
        person: PersonArguments,
    },
    /// List the blocked users
    List {
        /// Users per page, 1 to 500 [default: 50]
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: Option<u16>,
        /// The page to show, as printed at the end of the page before
        #[arg(long, value_name = "PAGE")]
        page: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct PersonArguments {
    /// The user id at the connector, as `sessions show` prints it
    #[arg(value_name = "USER_ID")]
    user_id: String,
    /// Id of the connector
    #[arg(long, value_name = "ID")]
    connector: String,
}

#[derive(Debug, Args)]
pub struct BlockArguments {
    #[command(flatten)]
    person: PersonArguments,
    /// Why, for the other administrators and the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until this instant of RFC 3339, or for how long, such as 8h [default: until it is lifted]
    #[arg(long, value_name = "END")]
    until: Option<String>,
    /// Do not end their sessions: they are refused while the block lasts and work again afterwards
    #[arg(long)]
    keep_sessions: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct UnblockView {
    unblocked: bool,
}

impl PersonArguments {
    fn fields(&self) -> RequestFields {
        fields([("connector", Some(&self.connector)), ("user_id", Some(&self.user_id))])
    }
}

impl BlockArguments {
    fn fields(&self) -> RequestFields {
        let rest = fields([
            ("reason", Some(self.reason.as_str())),
            ("until", self.until.as_deref()),
            ("keep_sessions", self.keep_sessions.then_some("true")),
        ]);
        self.person.fields().into_iter().chain(rest).collect()
    }
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    command: &UserCommand,
) -> Result<(), CommandError> {
    let outcome = match command {
        UserCommand::Block(arguments) => block(backend, output, arguments).await,
        UserCommand::Unblock { person } => {
            let lifted = backend.unblock(&person.fields()).await;
            lifted.and_then(|lifted| {
                output.print(&lifted, |_, _| "The block is lifted.\n".to_owned())
            })
        }
        UserCommand::List { limit, page } => {
            let limit = limit.map(|limit| limit.to_string());
            let request = fields([("limit", limit.as_deref()), ("page", page.as_deref())]);
            let found = backend.blocked_users(&request).await;
            found.and_then(|found| output.print(&found, render_list))
        }
    };
    outcome.map_err(|error| error.with_option_names(&[("user_id", "USER_ID")]))
}

async fn block(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &BlockArguments,
) -> Result<(), CommandError> {
    let preview = backend.preview_block(&arguments.person.fields()).await?;
    if !arguments.yes {
        eprint!("{}", render_preview(&preview, arguments.keep_sessions));
        confirm("Block this user?", NOTHING_BLOCKED)?;
    }
    let blocked = backend.block(&arguments.fields()).await?;
    output.print(&blocked, |blocked, terminal| {
        let user = &blocked.blocked_user;
        let until = user.expires_at.as_deref().map(|at| terminal.instant_in_full(at));
        let until = until
            .map_or_else(|| "until the block is lifted".to_owned(), |at| format!("until {at}"));
        let text = format!("Blocked {} at {} {until}.", name(user), user.connector);
        fold(&text, terminal.width, 0, str::to_owned)
            + render_end(&blocked.ended, terminal).as_str()
    })
}

impl Backend {
    async fn preview_block(
        &self,
        request: &RequestFields,
    ) -> Result<BlockPreviewView, CommandError> {
        match self {
            Self::Api(api) => api.post("/blocked-users/preview", request).await,
            Self::Database { app, administrator } => {
                let person = checked(request, &PERSON_FIELDS, &app.issuer)?.person()?;
                Ok(app.issuer.preview_block(administrator, &person).await?)
            }
        }
    }

    async fn block(&self, request: &RequestFields) -> Result<BlockView, CommandError> {
        match self {
            Self::Api(api) => api.post("/blocked-users", request).await,
            Self::Database { app, administrator } => {
                let request = checked(request, &BLOCK_FIELDS, &app.issuer)?.block()?;
                Ok(app.issuer.block_user(administrator, request).await?)
            }
        }
    }

    async fn unblock(&self, request: &RequestFields) -> Result<UnblockView, CommandError> {
        match self {
            Self::Api(api) => api.post("/blocked-users/unblock", request).await,
            Self::Database { app, administrator } => {
                let person = checked(request, &PERSON_FIELDS, &app.issuer)?.person()?;
                match app.issuer.unblock_user(administrator, &person).await? {
                    true => Ok(UnblockView { unblocked: true }),
                    false => Err(CommandError::other("this user is not blocked")),
                }
            }
        }
    }

    async fn blocked_users(
        &self,
        request: &RequestFields,
    ) -> Result<BlockedUserPageView, CommandError> {
        match self {
            Self::Api(api) => api.get("/blocked-users", request).await,
            Self::Database { app, .. } => {
                let page = page(&checked(request, &["limit", "page"], &app.issuer)?)?;
                Ok(app.issuer.blocked_users(&page).await?)
            }
        }
    }
}

fn name(user: &BlockedUserView) -> &str {
    user.name.as_deref().unwrap_or(&user.user_id)
}

/// The preview, for standard error.
fn render_preview(preview: &BlockPreviewView, keeps_sessions: bool) -> String {
    let unknown = || "unknown: no session of this user is stored; is the user id right?".to_owned();
    let suggestions: Vec<String> = preview
        .suggestions
        .iter()
        .map(|one| format!("{} (user id {})", one.name, one.user_id))
        .collect();
    let sessions = match keeps_sessions {
        true => format!("{}, kept but refused", preview.sessions),
        false => format!("{}, which end", preview.sessions),
    };
    let blocked = preview.blocked.as_ref();
    let blocked = blocked
        .map(|block| format!("already, by {}: {}", block.blocked_by_display(), block.reason));
    facts(
        &Terminal::of_stderr(),
        &[
            ("name", preview.name.clone().unwrap_or_else(unknown)),
            ("did you mean", suggestions.join(", ")),
            ("connector", preview.connector.clone()),
            ("user id", preview.user_id.clone()),
            ("blocked", blocked.unwrap_or_default()),
            ("sessions", sessions),
            ("grants", preview.grants.to_string()),
            ("last token until", preview.tokens_until.clone().unwrap_or_else(|| "none".to_owned())),
        ],
    )
}

fn render_list(page: &BlockedUserPageView, terminal: &Terminal) -> String {
    if page.blocked_users.is_empty() {
        return "Nobody is blocked.\n".to_owned();
    }
    let row = |user: &BlockedUserView| {
        let until = user.expires_at.as_deref().map(|at| terminal.instant(at));
        vec![
            Cell::from(name(user)),
            Cell::from(&user.user_id),
            Cell::from(&user.connector),
            Cell::from(until.unwrap_or_else(|| "lifted".to_owned())),
            Cell::from(&user.reason),
            Cell::from(user.blocked_by_display()),
        ]
    };
    let rows: Vec<Vec<Cell>> = page.blocked_users.iter().map(row).collect();
    table(terminal, &COLUMNS, &rows) + next_page(page.next.as_deref(), terminal).as_str()
}
