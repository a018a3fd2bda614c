//! Storage types that only Dex supports: instructions for a file that names one.

use countersign_config::Section;

/// What was found, and the exact steps for importing its data, with the values of this file.
pub fn steps(kind: &str, config: Option<&Section<'_>>) -> String {
    let (export, file) = match kind {
        "mysql" => (mysqldump(config), "dex.sql"),
        "etcd" => (etcdctl(config), "dex.json"),
        _ => (KUBECTL.to_owned(), "dex.json"),
    };
    format!(
        "found {kind:?}, which is a storage of Dex that is not served from, only taken over. 1. Stop Dex and run \
         `{export} > {file}`. 2. Write instead of this block `storage: {{type: sqlite3, config: {{file: \
         /var/lib/countersign/countersign.db}}}}`, or `type: postgres` for several replicas. 3. Run `countersign \
         import dex --from {file} --config` with this file, then `countersign serve` with it: see \
         docs/moving-from-dex.md"
    )
}

const KUBECTL: &str = "kubectl get -n NAMESPACE_OF_DEX -o json \
     oauth2clients.dex.coreos.com,passwords.dex.coreos.com,connectors.dex.coreos.com,signingkeies.dex.coreos.com,\
     refreshtokens.dex.coreos.com,offlinesessionses.dex.coreos.com";

fn mysqldump(config: Option<&Section<'_>>) -> String {
    let text = |key| config.and_then(|config| config.text(key)).filter(|text| !text.is_empty());
    let option = |flag: &str, value: Option<String>| {
        value.map(|value| format!(" {flag} {value}")).unwrap_or_default()
    };
    let host = option("-h", text("host"));
    let port = config.and_then(|config| config.number("port", 1, 65_535));
    let port = option("-P", port.map(|port| port.to_string()));
    let user = option("-u", text("user"));
    let database = text("database").unwrap_or_else(|| "DATABASE".to_owned());
    format!("mysqldump --hex-blob --single-transaction{host}{port}{user} -p {database}")
}

fn etcdctl(config: Option<&Section<'_>>) -> String {
    let namespace = config.and_then(|config| config.text("namespace"));
    let namespace = namespace.filter(|text| !text.is_empty()).unwrap_or_else(|| "\"\"".to_owned());
    format!("etcdctl get --prefix {namespace} -w json")
}
