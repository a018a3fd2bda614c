//! The command line: commands, their arguments and help texts.

pub mod completion;
mod get_token;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;

pub use get_token::GetTokenArguments;

use crate::cache::TokenCacheStorage;
use crate::profile::{DEFAULT_CLIENT_ID, LOGIN_SCOPES, LoginProfile, Transport};
use crate::sign_in::{self, GrantType};

/// The help heading for kubelogin's flags without effect.
const IGNORED: &str = "Flags of kubelogin without effect";

/// Sign in to Kubernetes clusters with OpenID Connect
#[derive(Parser)]
#[command(
    name = "kubectl-countersign",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Log level; nothing is logged
    #[arg(short = 'v', long = "v", global = true, value_name = "LEVEL", hide = true)]
    _verbosity: Option<String>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Sign in and add the clusters that you may use to the kubeconfig
    Login(LoginArguments),
    /// Show who is signed in, with which groups, until when, and what each cluster makes of it
    Status(StatusArguments),
    /// List the clusters that your groups may see
    Clusters(SelectArguments),
    /// Show the claims of the cached ID token, and what each means to an API server
    Token(TokenArguments),
    /// Revoke the refresh token at the issuer and delete the cached tokens
    Logout(SelectArguments),
    /// Print an exec credential for kubectl, signing in if necessary; takes the flags of kubelogin
    GetToken(Box<GetTokenArguments>),
    /// Delete all cached tokens without revoking them
    Clean(CleanArguments),
    /// Print a completion script: source <(kubectl countersign completion bash)
    Completion { shell: Shell },
}

#[derive(Args)]
pub struct LoginArguments {
    /// Issuer URL, exactly as in the issuer's discovery document
    pub issuer: Url,
    /// Write only this cluster, and make it the current context [default: all clusters]
    pub cluster: Option<String>,
    /// Client id of this program at the issuer
    #[arg(long, value_name = "ID", default_value = DEFAULT_CLIENT_ID)]
    pub client_id: String,
    /// File to write [default: the first of KUBECONFIG that exists, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How to sign in
    #[arg(long, value_enum, default_value_t = GrantType::Auto, value_name = "TYPE")]
    pub grant_type: GrantType,
    /// Print the URL to open instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Program that opens the URL, instead of the system's default browser
    #[arg(long, value_name = "PROGRAM")]
    pub browser_command: Option<PathBuf>,
    /// Seconds to wait for the login
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout: u64,
    /// PEM file with a certificate authority to trust; may be repeated
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Vec<PathBuf>,
    /// Sign in even if a login is still valid
    #[arg(long)]
    pub force: bool,
    /// Print text or JSON
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
    #[command(flatten)]
    pub cache: CacheArguments,
}

/// Which of the cached logins.
#[derive(Args)]
pub struct SelectArguments {
    /// Issuer URL [default: every issuer you are signed in at]
    pub issuer: Option<Url>,
    /// Print text or JSON
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
    #[command(flatten)]
    pub cache: CacheArguments,
}

#[derive(Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub select: SelectArguments,
    /// Do not ask the API servers who they take you for
    #[arg(long)]
    pub no_whoami: bool,
}

#[derive(Args)]
pub struct TokenArguments {
    #[command(flatten)]
    pub select: SelectArguments,
    /// Print the ID token itself on standard output: a credential until it expires
    #[arg(long)]
    pub raw: bool,
}

#[derive(Args)]
pub struct CleanArguments {
    #[command(flatten)]
    pub cache: CacheArguments,
}

#[derive(Args, Clone, Default)]
pub struct CacheArguments {
    /// Directory of cached tokens [default: ~/.kube/cache/countersign, or in KUBECACHEDIR]
    #[arg(long, value_name = "DIR", env = "KUBECTL_COUNTERSIGN_CACHE_DIR", hide_env_values = true, value_parser = get_token::path)]
    pub token_cache_dir: Option<PathBuf>,
    /// Where tokens are kept [default: the system's keyring, or disk if it cannot be used]
    #[arg(
        long,
        value_enum,
        value_name = "STORAGE",
        env = "KUBECTL_COUNTERSIGN_CACHE_STORAGE",
        hide_env_values = true
    )]
    pub token_cache_storage: Option<TokenCacheStorage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Text,
    Json,
}

impl LoginArguments {
    pub fn sign_in_options(&self) -> sign_in::Options {
        sign_in::Options {
            grant_type: self.grant_type,
            opens_browser: !self.no_browser,
            browser_command: self.browser_command.clone(),
            timeout: Duration::from_secs(self.timeout),
            ..sign_in::Options::default()
        }
    }

    /// The login profile, which `get-token` finds again by the flags that `login` writes into the kubeconfig.
    pub fn profile(&self) -> LoginProfile {
        let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let transport = Transport {
            certificate_authority: self.certificate_authority.iter().map(absolute).collect(),
            ..Transport::default()
        };
        LoginProfile::new(
            &self.issuer,
            &self.client_id,
            &LOGIN_SCOPES.map(str::to_owned),
            transport,
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};
    use crate::sign_in::GrantType;

    /// An entry as in kubelogin's documentation, with every kind of flag.
    #[test]
    fn the_flags_of_kubelogin_are_accepted() {
        let flags = "get-token --oidc-issuer-url=https://id.example --oidc-client-id=k \
            --oidc-client-secret=s --oidc-extra-scope=email,groups --oidc-extra-scope profile \
            --oidc-use-pkce --oidc-pkce-method=S256 --insecure-skip-tls-verify=false \
            --token-cache-dir=~/x --token-cache-storage=disk --grant-type=authcode-keyboard \
            --listen-address=localhost:8000 --listen-address=127.0.0.1:18000 --force-refresh=true \
            --tls-renegotiation-once --oidc-request-header=X-A=b --authentication-timeout-sec=5 \
            --oidc-auth-request-extra-params=connector_id=ldap,prompt=login -v=1";
        let arguments = ["kubectl-oidc_login"].into_iter().chain(flags.split_whitespace());
        let Command::GetToken(parsed) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("another command")
        };
        let profile = parsed.profile();
        assert_eq!(profile.scope(), "openid email groups profile");
        assert_eq!(profile.issuer, "https://id.example");
        assert_eq!(profile.extra_parameters.len(), 2);
        assert_eq!(parsed.grant_type, GrantType::AuthcodeKeyboard);
        assert!(parsed.force_refresh && !parsed.insecure_skip_tls_verify);
        assert!(parsed.listen_address.iter().all(|address| address.ip().is_loopback()));
        assert!(!parsed.cache.token_cache_dir.unwrap().starts_with("~"));
    }

    /// Threat 147: other machines must not reach the listener.
    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for (address, is_accepted) in [
            ("127.0.0.1:8000", true),
            ("[::1]:0", true),
            ("localhost:8000", true),
            ("0.0.0.0:8000", false),
            ("[::]:8000", false),
            ("192.0.2.1:8000", false),
            (":8000", false),
        ] {
            let line = format!(
                "kubectl-countersign get-token --oidc-issuer-url=https://id.example \
                 --oidc-client-id=k --listen-address={address}"
            );
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert_eq!(parsed.is_ok(), is_accepted, "{address}");
        }
    }

    #[test]
    fn every_option_has_a_help_text() {
        fn undocumented(command: &clap::Command) -> Vec<String> {
            let own = command.get_arguments().filter(|argument| argument.get_help().is_none());
            let own = own.map(|argument| format!("{} {}", command.get_name(), argument.get_id()));
            let below = command.get_subcommands().flat_map(undocumented);
            own.filter(|name| name != "completion shell").chain(below).collect()
        }
        let mut command = Cli::command();
        command.build();
        assert_eq!(undocumented(&command), [""; 0]);
    }
}
