//! The aims of the project for one core, each beside what was measured.

use std::fmt::Write as _;

use crate::report::{Group, Run};
use crate::setup::{Algorithm, Operation, Setup, Storage};
use crate::statistics::Spread;

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Aim {
    what: &'static str,
    bound: Bound,
    digits: usize,
    measured: Option<Spread>,
}

/// A table of the aims whose values were measured; empty if there are none.
pub fn table(groups: &[Group<'_>]) -> String {
    let mut rows = String::new();
    for aim in aims(groups) {
        let Some(Spread { median, minimum, maximum }) = aim.measured else { continue };
        let (sign, limit, is_reached) = match aim.bound {
            Bound::AtLeast(limit) => ("≥", limit, median >= limit),
            Bound::AtMost(limit) => ("≤", limit, median <= limit),
        };
        let (what, digits, ratio) = (aim.what, aim.digits, median / limit);
        let reached = if is_reached { "reached" } else { "missed" };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            rows,
            "| {what} | {sign} {limit} | {median:.digits$} ({minimum:.digits$} – {maximum:.digits$}) \
             | {ratio:.2} | {reached} |"
        );
    }
    match rows.is_empty() {
        true => rows,
        false => format!(
            "| aim, on one core | | median (minimum – maximum) | measured ÷ aim | |\n\
             |---|---|---|---|---|\n{rows}"
        ),
    }
}

fn aims(groups: &[Group<'_>]) -> Vec<Aim> {
    [speed(groups), processor_time(groups), resources(groups)].into_iter().flatten().collect()
}

fn speed(groups: &[Group<'_>]) -> Vec<Aim> {
    let sqlite = Setup::default();
    let postgres = Setup { storage: Storage::Postgres, ..sqlite };
    let es256 = Setup { algorithm: Algorithm::Es256, ..sqlite };
    let refresh = Operation::Refresh.name();
    let ratio = |setup| spread(groups, setup, |run| run.ratio_to_openssl(&refresh));
    let per_processor_second = |run: &Run| Some(1e6 / run.cpu_us(Operation::Refresh)?);
    vec![
        Aim {
            what: "refresh, SQLite: signatures ÷ OpenSSL's",
            bound: Bound::AtLeast(0.85),
            digits: 2,
            measured: ratio(sqlite),
        },
        Aim {
            what: "refresh, PostgreSQL: signatures ÷ OpenSSL's",
            bound: Bound::AtLeast(0.85),
            digits: 2,
            measured: ratio(postgres),
        },
        Aim {
            what: "refresh with ES256, per second of the server's processor time",
            bound: Bound::AtLeast(5000.0),
            digits: 0,
            measured: spread(groups, es256, per_processor_second),
        },
        Aim {
            what: "`/keys`: requests per processor time ÷ a bare handler's",
            bound: Bound::AtLeast(0.8),
            digits: 2,
            measured: spread(groups, sqlite, |run| {
                Some(run.cpu_us(Operation::BareKeys)? / run.cpu_us(Operation::Keys)?)
            }),
        },
        Aim {
            what: "discovery: requests per processor time ÷ a bare handler's",
            bound: Bound::AtLeast(0.8),
            digits: 2,
            measured: spread(groups, sqlite, |run| {
                Some(run.cpu_us(Operation::BareDiscovery)? / run.cpu_us(Operation::Discovery)?)
            }),
        },
        Aim {
            what: "refresh with the most sessions ÷ with the fewest, processor time",
            bound: Bound::AtMost(1.1),
            digits: 2,
            measured: growth(groups),
        },
    ]
}

fn processor_time(groups: &[Group<'_>]) -> Vec<Aim> {
    let of = |operation| spread(groups, Setup::default(), |run| run.cpu_us(operation));
    let at_most =
        |what, limit, measured| Aim { what, bound: Bound::AtMost(limit), digits: 0, measured };
    let beyond = spread(groups, Setup::default(), |run| {
        Some(run.cpu_us(Operation::Refresh)? - 2.0 * run.signature_us()?)
    });
    vec![
        at_most("refresh beyond two signatures of OpenSSL, µs", 120.0, beyond),
        at_most("login, two signatures included, µs", 1300.0, of(Operation::Login)),
        at_most("userinfo, µs", 60.0, of(Operation::Userinfo)),
        at_most("introspection, µs", 60.0, of(Operation::Introspection)),
    ]
}

fn resources(groups: &[Group<'_>]) -> Vec<Aim> {
    let peak = |run: &Run| {
        let real = run.operations.iter().filter(|one| !one.operation.starts_with("bare-"));
        real.filter_map(|one| one.peak_resident_mib).reduce(f64::max)
    };
    let at_most = |what, limit, value: fn(&Run) -> Option<f64>| Aim {
        what,
        bound: Bound::AtMost(limit),
        digits: 1,
        measured: spread(groups, Setup::default(), value),
    };
    vec![
        at_most("resident when idle, MiB", 20.0, |run| run.resident_idle_mib),
        at_most("resident after 10 000 logins, MiB", 30.0, |run| run.resident_after_logins_mib),
        Aim {
            what: "resident under full load, MiB",
            bound: Bound::AtMost(64.0),
            digits: 1,
            measured: spread(groups, Setup::default(), peak),
        },
        at_most("start to ready, keys present, ms", 15.0, |run| run.start_to_ready_ms),
        at_most("first start to ready, ms", 60.0, |run| run.first_start_ms),
        at_most("binary, MiB", 25.0, |run| run.binary_mib),
    ]
}

fn spread(
    groups: &[Group<'_>],
    setup: Setup,
    value: impl Fn(&Run) -> Option<f64>,
) -> Option<Spread> {
    groups.iter().find(|group| group.setup == Some(setup))?.spread(value)
}

/// The ratio of the medians.
fn growth(groups: &[Group<'_>]) -> Option<Spread> {
    let refresh = |group: &Group<'_>| {
        let setup = group.setup.filter(|setup| setup.sessions > 0)?;
        let median = group.spread(|run| run.cpu_us(Operation::Refresh))?.median;
        Some((setup.sessions, median))
    };
    let measured: Vec<(u32, f64)> = groups.iter().filter_map(refresh).collect();
    let fewest = measured.iter().min_by_key(|(sessions, _)| *sessions)?;
    let most = measured.iter().max_by_key(|(sessions, _)| *sessions)?;
    if fewest.0 == most.0 {
        return None;
    }
    Spread::of(&[most.1 / fewest.1])
}

#[cfg(test)]
mod tests {
    use crate::report::{OperationResult, Report, Run};
    use crate::setup::Setup;

    fn run(sessions: u32, results: &[(&str, f64)]) -> Run {
        let result = |(operation, cpu_us): &(&str, f64)| OperationResult {
            operation: (*operation).to_owned(),
            cpu_us: Some(*cpu_us),
            peak_resident_mib: Some(*cpu_us),
            ..OperationResult::default()
        };
        Run {
            setup: Some(Setup { sessions, ..Setup::default() }),
            operations: results.iter().map(result).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn an_aim_is_shown_as_a_ratio_once_it_was_measured() {
        let keys = [("bare-keys", 30.0), ("keys", 40.0), ("userinfo", 90.0)];
        let mut first = run(0, &keys);
        first.start_to_ready_ms = Some(12.0);
        let runs = vec![first, run(1000, &[("refresh", 100.0)]), run(5000, &[("refresh", 120.0)])];
        let table = super::table(&Report { runs, ..Report::default() }.groups());
        for row in [
            "bare handler's | ≥ 0.8 | 0.75 (0.75 – 0.75) | 0.94 | missed |\n",
            "| userinfo, µs | ≤ 60 | 90 (90 – 90) | 1.50 | missed |\n",
            "| start to ready, keys present, ms | ≤ 15 | 12.0 (12.0 – 12.0) | 0.80 | reached |\n",
            "the fewest, processor time | ≤ 1.1 | 1.20 (1.20 – 1.20) | 1.09 | missed |\n",
            "| resident under full load, MiB | ≤ 64 | 90.0 ",
        ] {
            assert!(table.contains(row), "{row} is missing: {table}");
        }
        assert!(!table.contains("introspection") && !table.contains("PostgreSQL"), "{table}");
    }

    #[test]
    fn a_report_without_a_known_setup_has_no_aims() {
        let runs = vec![Run { setup: None, ..run(0, &[("userinfo", 90.0)]) }];
        assert_eq!(super::table(&Report { runs, ..Report::default() }.groups()), "");
    }
}
