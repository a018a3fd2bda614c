//! Converts OpenMetrics text to the older Prometheus text format (version 0.0.4), for scrapers that request it.

/// In the older format a counter's descriptor has the name of its sample, units have no line, and there is no end
/// marker.
pub fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let descriptor = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = descriptor.and_then(|rest| rest.split(' ').next());
        match name.filter(|name| counters.contains(name)) {
            Some(name) => text.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn counters_are_named_like_their_samples() {
        let openmetrics = "# HELP http_requests HTTP requests.\n# TYPE http_requests counter\n\
                           http_requests_total{code=\"200\"} 3\n# HELP up Up.\n# TYPE up gauge\nup 1\n# EOF\n";
        let expected = "# HELP http_requests_total HTTP requests.\n# TYPE http_requests_total counter\n\
                        http_requests_total{code=\"200\"} 3\n# HELP up Up.\n# TYPE up gauge\nup 1\n";
        assert_eq!(super::prometheus(openmetrics), expected);
    }
}
