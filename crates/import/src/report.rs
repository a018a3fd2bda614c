//! The report printed before and after an import.

use std::fmt::Write as _;

use countersign_store::ImportSummary;

use crate::plan::Plan;

/// What an import would do. Contains ids and addresses, but no secret.
pub fn describe(plan: &Plan) -> String {
    let mut text = format!("Found {}:", plan.source);
    let found = plan.found.iter().map(|(kind, count)| format!(" {count} {kind}"));
    text.push_str(&found.collect::<Vec<_>>().join(","));
    text.push_str(".\n\nTo take over:\n");
    text.push_str(&lines(&plan.summary()));
    for session in &plan.sessions {
        let session_of = &session.session;
        let clients: Vec<&str> = session.grants.iter().map(|g| g.grant.client.as_str()).collect();
        let (user, connector) = (session_of.identity.display_name(), &session_of.connector);
        let _written = writeln!(text, "    {user} at {connector}: {}", clients.join(", "));
    }
    section(&mut text, "To note:", plan.warnings.iter().cloned());
    let skipped =
        plan.skipped.iter().map(|skipped| format!("{}: {}", skipped.what, skipped.reason));
    section(&mut text, "Not taken over:", skipped);
    let left = plan.left_behind.iter().map(|(kind, count)| format!("{count} {kind}"));
    section(&mut text, "Left behind, because it is over within minutes or not supported:", left);
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _written = writeln!(text, "\n{title}");
        }
        let _written = writeln!(text, "  {line}");
    }
}

/// A line per kind with a non-zero count.
pub fn lines(summary: &ImportSummary) -> String {
    let counts = [
        (summary.signing_keys, "signing key, which signs on until its next rotation"),
        (summary.keys, "keys that verify tokens issued by Dex"),
        (summary.objects, "clients, passwords and connectors"),
        (summary.sessions, "people with refresh tokens"),
        (summary.grants, "refresh tokens"),
        (summary.consents, "consents"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let text: String = counts.map(|(count, what)| format!("  {count} {what}\n")).collect();
    if text.is_empty() { "  nothing\n".to_owned() } else { text }
}
