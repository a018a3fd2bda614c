//! One run: start, idle memory, refreshes, logins.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;

use crate::Error;
use crate::load::{self, AT_ONCE};
use crate::server::Place;

const LASTING: Duration = Duration::from_secs(8);
const SETTLING: Duration = Duration::from_secs(2);

pub struct Measured {
    pub start_to_ready_ms: f64,
    pub idle_resident_mib: f64,
    pub refreshes_per_second: f64,
    pub logins_per_second: f64,
}

/// The first start makes the keys; the second, with keys present, is the one that is measured.
pub async fn once(binary: &Path) -> Result<Measured, Error> {
    let place = Place::new()?;
    drop(place.start(binary).await?);
    let server = place.start(binary).await?;
    tokio::time::sleep(SETTLING).await;
    let idle_resident_mib = server.resident_mib()?;
    let http = load::client()?;
    let mut refreshing = Vec::new();
    for _ in 0..AT_ONCE {
        refreshing.push((http.clone(), load::sign_in(&http).await?));
    }
    let refresh = |(http, token): (Client, String)| async move {
        let next = load::refresh(&http, &token).await?;
        Ok((http, next))
    };
    let refreshes_per_second = load::rate(LASTING, refreshing, refresh).await?;
    let people = vec![http; AT_ONCE];
    let sign_in = |http: Client| async move {
        load::sign_in(&http).await?;
        Ok(http)
    };
    let logins_per_second = load::rate(LASTING, people, sign_in).await?;
    Ok(Measured {
        start_to_ready_ms: server.start_to_ready.as_secs_f64() * 1000.0,
        idle_resident_mib,
        refreshes_per_second,
        logins_per_second,
    })
}

/// The middle of a few values, and how far apart they are.
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Self {
            median: at(sorted.len() / 2),
            least: at(0),
            most: at(sorted.len().saturating_sub(1)),
        }
    }
}
