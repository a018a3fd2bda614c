//! Reads the `config` of a `saml` connector: Dex's keys.

use countersign_config::Section;
use url::Url;

use crate::certificates::{CertificateKey, certificates_of_pem, decode_base64, read_pem};
use crate::oauth::{url_of, warn_of_http};

pub(super) struct Config {
    /// Our entity id, which is also the expected audience.
    pub entity_issuer: Option<String>,
    /// The identity provider's entity id.
    pub sso_issuer: Option<String>,
    pub sso_url: Url,
    /// Not empty.
    pub keys: Vec<CertificateKey>,
    /// `None`: our callback URL.
    pub redirect_uri: Option<Url>,
    pub name_id_format: String,
    pub username_attribute: String,
    pub email_attribute: String,
    pub groups: Groups,
}

pub(super) struct Groups {
    /// Empty: groups are not read.
    pub attribute: String,
    /// Empty: each value is one group.
    pub delimiter: String,
    /// If not empty, membership in at least one is required.
    pub allowed: Vec<String>,
    /// Only groups of `allowed` are returned.
    pub only_allowed: bool,
}

const NAME_ID_FORMATS: [&str; 9] = [
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:entity",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
];

/// `None` with problems recorded. Every key is read before anything is given up.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let text = |key: &'static str| section.text(key).filter(|text| !text.is_empty());
    let (entity_issuer, sso_issuer) = (text("entityIssuer"), text("ssoIssuer"));
    let sso_url = read_sso_url(&section);
    let keys = read_keys(&section);
    if section.flag("insecureSkipSignatureValidation") == Some(true) {
        let reason = "would let anybody sign in as anybody: remove it and give the identity provider's certificate as ca";
        section.error("insecureSkipSignatureValidation", reason);
    }
    let redirect_uri = url_of(&section, "redirectURI");
    let name_id_format = read_format(&section);
    let username_attribute = section.required_text("usernameAttr");
    let email_attribute = section.required_text("emailAttr");
    let groups = read_groups(&section);
    section.finish();
    Some(Config {
        entity_issuer,
        sso_issuer,
        sso_url: sso_url?,
        keys: keys?,
        redirect_uri: redirect_uri?,
        name_id_format: name_id_format?,
        username_attribute: username_attribute?,
        email_attribute: email_attribute?,
        groups: groups?,
    })
}

fn read_sso_url(section: &Section<'_>) -> Option<Url> {
    section.required_text("ssoURL")?;
    let url = url_of(section, "ssoURL")??;
    warn_of_http(section, "ssoURL", &url);
    Some(url)
}

/// `ca` (a path, PEM, or base64 of PEM) and `caData` (base64 of PEM): the certificates that sign responses.
fn read_keys(section: &Section<'_>) -> Option<Vec<CertificateKey>> {
    let mut keys = Vec::new();
    let mut is_valid = true;
    for key in ["ca", "caData"] {
        let Some(text) = section.text(key).filter(|text| !text.is_empty()) else { continue };
        let pem = match key {
            "ca" => read_pem(&text, section.files()),
            _ => decode_base64(&text).ok_or_else(|| "is not base64".to_owned()),
        };
        let read = pem.and_then(|pem| certificates_of_pem(&pem)).and_then(|certificates| {
            let keys = certificates.iter().map(|certificate| CertificateKey::read(certificate));
            keys.collect::<Option<Vec<_>>>().ok_or_else(|| "holds no X.509 certificate".to_owned())
        });
        match read {
            Ok(mut list) => keys.append(&mut list),
            Err(reason) => {
                section.error(key, reason);
                is_valid = false;
            }
        }
    }
    if keys.is_empty() && is_valid {
        section.error(
            "ca",
            "is missing: it or caData holds the certificate that the identity provider signs with",
        );
        return None;
    }
    is_valid.then_some(keys)
}

/// A short name such as `persistent`, or the complete URN.
fn read_format(section: &Section<'_>) -> Option<String> {
    let configured = section.text("nameIDPolicyFormat").filter(|text| !text.is_empty());
    let configured = configured.unwrap_or_else(|| "persistent".to_owned());
    let short = |format: &str| format.rsplit(':').next().unwrap_or_default().to_owned();
    let found = NAME_ID_FORMATS
        .into_iter()
        .find(|format| *format == configured || short(format).eq_ignore_ascii_case(&configured));
    if found.is_none() {
        let names: Vec<String> = NAME_ID_FORMATS.into_iter().map(short).collect();
        section.error(
            "nameIDPolicyFormat",
            format!("found {configured:?}, expected one of {} or its URN", names.join(", ")),
        );
    }
    found.map(str::to_owned)
}

fn read_groups(section: &Section<'_>) -> Option<Groups> {
    let attribute = section.text("groupsAttr").unwrap_or_default();
    let delimiter = section.text("groupsDelim").unwrap_or_default();
    let allowed = section.texts("allowedGroups");
    let only_allowed = section.flag("filterGroups").unwrap_or(false);
    if !allowed.is_empty() && attribute.is_empty() {
        section.error("allowedGroups", "needs groupsAttr: without it nobody is in any group");
        return None;
    }
    if only_allowed && allowed.is_empty() {
        section.warning("filterGroups", "does nothing without allowedGroups");
    }
    Some(Groups { attribute, delimiter, allowed, only_allowed })
}
