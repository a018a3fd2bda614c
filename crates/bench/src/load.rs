//! Two kinds of load. In the closed loop every worker waits for its response and sends the next request immediately,
//! which measures throughput. At the fixed rate requests are due at instants independent of the responses, and latency
//! is measured from the due instant: a stalled server does not reduce the arrival rate, so no slow response is missing
//! from the percentiles (no coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Error;

/// Resolution of Tokio's timer; the remaining time is spent yielding.
const TIMER_STEP: Duration = Duration::from_millis(2);

/// One worker's unit of work, repeated.
pub trait Task: Send + 'static {
    fn run(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The result of one operation under one load.
#[derive(Debug)]
pub struct LoadResult {
    pub elapsed: Duration,
    /// Latencies of all successful requests, unordered.
    pub latencies: Vec<Duration>,
}

impl LoadResult {
    pub fn per_second(&self) -> f64 {
        let count = f64::from(u32::try_from(self.latencies.len()).unwrap_or(u32::MAX));
        count / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Runs the closed loop. The first failure ends the measurement, because results with errors would be meaningless.
pub async fn closed_loop<T: Task>(
    workers: Vec<T>,
    duration: Duration,
) -> Result<LoadResult, Error> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begin.elapsed() < duration {
                let sent = Instant::now();
                worker.run().await?;
                latencies.push(sent.elapsed());
            }
            Ok(latencies)
        });
    }
    collect(tasks, begin).await
}

/// Sends `rate` requests per second. If all workers are busy a request waits for one, and the waiting time counts.
pub async fn fixed_rate<T: Task>(
    workers: Vec<T>,
    duration: Duration,
    rate: u32,
) -> Result<LoadResult, Error> {
    let begin = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let offset = due(next.fetch_add(1, Ordering::Relaxed), rate);
                if offset >= duration {
                    return Ok(latencies);
                }
                let due = begin + offset;
                wait_until(due).await;
                worker.run().await?;
                latencies.push(due.elapsed());
            }
        });
    }
    collect(tasks, begin).await
}

/// Runs the unit of work this many times in total.
pub async fn repeat<T: Task>(workers: Vec<T>, count: u32) -> Result<LoadResult, Error> {
    let begin = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let sent = Instant::now();
                worker.run().await?;
                latencies.push(sent.elapsed());
            }
            Ok(latencies)
        });
    }
    collect(tasks, begin).await
}

/// When the request with this number is due, relative to the beginning.
fn due(number: u32, rate: u32) -> Duration {
    Duration::from_nanos(u64::from(number) * 1_000_000_000 / u64::from(rate.max(1)))
}

async fn wait_until(instant: Instant) {
    if let Some(early) = instant.checked_sub(TIMER_STEP) {
        tokio::time::sleep_until(early.into()).await;
    }
    while Instant::now() < instant {
        tokio::task::yield_now().await;
    }
}

async fn collect(
    mut tasks: JoinSet<Result<Vec<Duration>, Error>>,
    begin: Instant,
) -> Result<LoadResult, Error> {
    let mut latencies = Vec::new();
    while let Some(worker) = tasks.join_next().await {
        latencies.extend(worker??);
    }
    Ok(LoadResult { elapsed: begin.elapsed(), latencies })
}

#[cfg(test)]
mod tests {
    use super::{Duration, Error, Instant, Task, due, fixed_rate, repeat};

    #[test]
    fn requests_are_due_at_even_distances() {
        assert_eq!(due(0, 400), Duration::ZERO);
        assert_eq!(due(3, 400), Duration::from_micros(7_500));
        assert_eq!(due(3_000_000_000, 100_000), Duration::from_mins(500));
    }

    /// Blocks for 40 ms at its first request.
    struct StallsOnce {
        stalled: bool,
    }

    impl Task for StallsOnce {
        async fn run(&mut self) -> Result<(), Error> {
            let begin = Instant::now();
            while !self.stalled && begin.elapsed() < Duration::from_millis(40) {
                tokio::task::yield_now().await;
            }
            self.stalled = true;
            Ok(())
        }
    }

    /// One worker stalls for 40 ms while a request is due every millisecond: the waiting time of those requests counts,
    /// so there are about 40 latencies that decrease from 40 ms. A closed loop would report one.
    #[tokio::test]
    async fn a_stall_shows_in_every_request_that_was_due_during_it() {
        let worker = StallsOnce { stalled: false };
        let result = fixed_rate(vec![worker], Duration::from_millis(100), 1000).await.unwrap();
        assert_eq!(result.latencies.len(), 100);
        let slow = result.latencies.iter().filter(|latency| latency.as_millis() >= 5).count();
        assert!(slow >= 30, "only {slow} requests were slow");
    }

    #[tokio::test]
    async fn all_workers_together_repeat_the_work_this_often() {
        let workers = (0..3).map(|_| StallsOnce { stalled: true }).collect();
        assert_eq!(repeat(workers, 10).await.unwrap().latencies.len(), 10);
    }
}
