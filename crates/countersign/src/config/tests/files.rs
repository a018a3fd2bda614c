//! The files whose changes cause a reload.

use std::path::Path;

use super::{config, lines, read, with};

/// Whatever reads it, and whether the file or the environment names it.
#[test]
fn every_file_that_is_read_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["ca.example.com".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (saml, oidc) = (file("idp.pem", &pem), file("op-ca.pem", &pem));
    let (vault, token) = (file("vault-ca.pem", &pem), file("vault-token", "hvs.token\n"));
    let root_key = file("root.key", "a-root-key-of-the-tests-000000000\n");
    let (cert, tls_key) = (file("tls.crt", &pem), file("tls.key", &key.serialize_pem()));
    let block = format!(
        "rootKeyFile: {root_key}
web: {{https: 127.0.0.1:5556, tlsCert: {cert}, tlsKey: {tls_key}}}
signer: {{type: vault, config: {{addr: 'https://v.example.com', keyName: dex, tokenFile: {token}}}}}
connectors: [{{type: saml, id: saml, name: S, config: {{ssoURL: 'https://idp.example.com/sso', ca: {saml}, usernameAttr: name, emailAttr: email}}}}, {{type: oidc, id: op, name: OP, config: {{issuer: 'https://op.example.com', clientID: c, clientSecret: s, redirectURI: 'https://login.example.com/dex/callback', rootCAs: [{oidc}]}}}}]
"
    );
    let env = |name: &str| (name == "VAULT_CACERT").then(|| vault.clone());
    let loaded = read(&with(&block), Path::new("config.yaml"), &env, false);
    let found = lines(&loaded);
    let blocks = loaded.config.unwrap_or_else(|| panic!("{found:?}")).blocks;
    for path in [&saml, &oidc, &vault, &token, &root_key, &cert, &tls_key] {
        assert!(
            blocks.files.iter().any(|file| file == Path::new(path)),
            "{path}: {:?}",
            blocks.files
        );
    }
    assert_eq!(blocks.files.len(), 7, "each once: {:?}", blocks.files);
}

#[test]
fn a_missing_frontend_dir_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let later = dir.path().join("later");
    let block = format!("frontend: {{dir: {}, theme: acme}}", later.display());
    let files = config(&block).blocks.optional_files;
    for name in ["themes/acme/styles.css", "themes/acme/logo.png", "texts.yaml"] {
        assert!(files.contains(&later.join(name)), "{name}: {files:?}");
    }
}
