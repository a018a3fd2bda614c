//! The environment variables of OpenTelemetry (its specification: Environment Variable Specification, and OTLP
//! Exporter). The library reads most of them itself, silently ignoring what it does not understand; this module says so.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];
/// Numbers that the library reads.
const NUMBERS: [&str; 4] = [
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
];
const NOT_SUPPORTED: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
];

/// Returns a variable; an empty one counts as unset, as the specification says.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

#[derive(Debug)]
pub struct Settings {
    /// The URL to which spans are posted.
    pub endpoint: String,
    /// Its host and port, for the log: the URL may contain a secret.
    pub host: String,
    /// Time limit of one request to the collector.
    pub timeout: Duration,
    /// A PEM file with certificate authorities for the collector, in addition to the system's.
    pub certificate: Option<PathBuf>,
    /// Whether the `traceparent` of a request is continued.
    pub continues_traces: bool,
    /// Variables that are not understood, one sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// `None`: no endpoint is given, or the export is switched off. `Err`: why it is not possible.
    pub fn read(variables: Variables<'_>) -> Result<Option<Self>, String> {
        let is_off = variables("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
            || variables("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
        let Some(endpoint) = endpoint(variables).filter(|_| !is_off) else { return Ok(None) };
        let url = Url::parse(&endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(host) = url.as_ref().and_then(host) else {
            return Err(format!("{ENDPOINT} is not an http or https URL"));
        };
        if let Some(exporter) = variables("OTEL_TRACES_EXPORTER").filter(|name| name != "otlp") {
            return Err(format!("OTEL_TRACES_EXPORTER is {exporter:?}: only otlp is built in"));
        }
        let protocol = of_traces_or_all(variables, "PROTOCOL");
        if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol:?}: only http/protobuf is built in (port 4318 of most collectors)"
            ));
        }
        let mut warnings = warnings(variables);
        let propagators = variables("OTEL_PROPAGATORS");
        Ok(Some(Self {
            endpoint,
            host,
            timeout: timeout(variables, &mut warnings),
            certificate: of_traces_or_all(variables, "CERTIFICATE").map(PathBuf::from),
            continues_traces: propagators
                .is_none_or(|list| list.split(',').any(|name| name.trim() == "tracecontext")),
            warnings,
        }))
    }
}

/// The endpoint of traces is used as it is; to the one of all signals the path is added.
fn endpoint(variables: Variables<'_>) -> Option<String> {
    variables(TRACES_ENDPOINT).or_else(|| {
        variables(ENDPOINT).map(|base| format!("{}/v1/traces", base.trim_end_matches('/')))
    })
}

fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn of_traces_or_all(variables: Variables<'_>, name: &str) -> Option<String> {
    variables(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
        .or_else(|| variables(&format!("OTEL_EXPORTER_OTLP_{name}")))
}

fn timeout(variables: Variables<'_>, warnings: &mut Vec<String>) -> Duration {
    let Some(text) = of_traces_or_all(variables, "TIMEOUT") else { return DEFAULT_TIMEOUT };
    match text.parse::<u64>().ok().filter(|millis| *millis > 0) {
        Some(millis) => Duration::from_millis(millis),
        None => {
            warnings.push(not_a_number("OTEL_EXPORTER_OTLP_TIMEOUT", &text));
            DEFAULT_TIMEOUT
        }
    }
}

fn warnings(variables: Variables<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let sampler = variables("OTEL_TRACES_SAMPLER");
    if let Some(sampler) = &sampler
        && !SAMPLERS.contains(&sampler.as_str())
    {
        warnings.push(format!(
            "OTEL_TRACES_SAMPLER is {sampler:?}, which is not known: it counts as parentbased_always_on"
        ));
    }
    if sampler.is_some_and(|sampler| sampler.ends_with("traceidratio")) {
        let ratio = variables("OTEL_TRACES_SAMPLER_ARG").unwrap_or_default();
        if !ratio.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)) {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER_ARG is {ratio:?}, and not a number from 0 to 1: every trace is sampled"
            ));
        }
    }
    for name in NUMBERS {
        let text = variables(name).filter(|text| text.parse::<u64>().is_err());
        warnings.extend(text.map(|text| not_a_number(name, &text)));
    }
    let without_effect = NOT_SUPPORTED.iter().filter(|name| variables(name).is_some());
    warnings
        .extend(without_effect.map(|name| format!("{name} is not supported and has no effect")));
    warnings
}

fn not_a_number(name: &str, text: &str) -> String {
    format!("{name} is {text:?}, and not a number: the default is used")
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_TIMEOUT, Settings};

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(&|name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn settings(variables: &[(&str, &str)]) -> Settings {
        read(variables).unwrap().unwrap()
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint_or_when_switched_off() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "idp")]).unwrap().is_none());
        assert!(read(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
        assert!(read(&[endpoint, ("OTEL_SDK_DISABLED", "false")]).unwrap().is_some());
    }

    /// OTLP Exporter, Endpoint URLs for OTLP/HTTP.
    #[test]
    fn the_path_is_added_to_the_endpoint_of_all_signals_only() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otlp/");
        assert_eq!(settings(&[all]).endpoint, "http://collector:4318/otlp/v1/traces");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://me:secret@traces/as-it-is");
        let settings = settings(&[all, traces]);
        assert_eq!(settings.endpoint, "https://me:secret@traces/as-it-is");
        assert_eq!(settings.host, "traces");
    }

    #[test]
    fn what_is_not_built_in_is_refused() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            let refusal = read(&[endpoint, (name, value)]).unwrap_err();
            assert!(refusal.contains(value), "{refusal}");
        }
        assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).is_err());
    }

    #[test]
    fn what_is_not_understood_is_a_warning() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let understood = settings(&[
            endpoint,
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ]);
        assert_eq!(understood.warnings, Vec::<String>::new());
        assert_eq!(understood.timeout.as_millis(), 2500);
        let not_understood = settings(&[
            endpoint,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "25%"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ]);
        assert_eq!(not_understood.warnings.len(), 4, "{:?}", not_understood.warnings);
        assert_eq!(not_understood.timeout, DEFAULT_TIMEOUT);
        assert_eq!(settings(&[endpoint, ("OTEL_TRACES_SAMPLER", "xray")]).warnings.len(), 1);
    }

    #[test]
    fn traces_of_callers_are_continued_unless_the_propagators_lack_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let continues = |list| settings(&[endpoint, ("OTEL_PROPAGATORS", list)]).continues_traces;
        assert!(settings(&[endpoint]).continues_traces);
        assert!(continues("baggage, tracecontext"));
        assert!(!continues("none") && !continues("b3"));
    }
}
