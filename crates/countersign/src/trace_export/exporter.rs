//! The fields that a request's span has for the log, under the names that collectors know.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

#[derive(Debug)]
pub struct RenamingExporter<E>(pub E);

impl<E: SpanExporter> SpanExporter for RenamingExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.retain_mut(rename);
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// `false`: the attribute is left out.
fn rename(attribute: &mut KeyValue) -> bool {
    let name = match attribute.key.as_str() {
        "request_id" => "countersign.request_id",
        "client_remote_addr" => "client.address",
        // A span has it anyway.
        "trace_id" => return false,
        _ => return true,
    };
    attribute.key = Key::from_static_str(name);
    true
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::rename;

    #[test]
    fn the_fields_of_the_log_get_the_names_of_the_conventions() {
        let names = ["request_id", "trace_id", "client_remote_addr", "http.route"];
        let mut attributes: Vec<_> = names.map(|name| KeyValue::new(name, "x")).into();
        attributes.retain_mut(rename);
        let names: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names, ["countersign.request_id", "client.address", "http.route"]);
    }
}
