//! Bars per operation, one per report, on a logarithmic axis: two servers may differ by a factor of six, two operations
//! by a factor of a hundred.

use plotters::prelude::*;

use crate::Error;
use crate::arguments::{PlotArguments, Quantity};
use crate::report::{Group, OperationResult, Report};

const SIZE: (u32, u32) = (1000, 480);
/// Readable on light and dark backgrounds, and distinguishable in greyscale.
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 111, 235), RGBColor(230, 126, 34), RGBColor(46, 160, 67), RGBColor(130, 80, 223)];

/// The medians of one report, by operation.
struct Series {
    name: String,
    medians: Vec<(String, f64)>,
}

impl Series {
    /// Of the report's first setup.
    fn new(name: &str, report: &Report, quantity: Quantity) -> Self {
        let groups = report.groups();
        let first = groups.first();
        let median = |operation: &str| {
            let spread = first?.spread(|run| quantity.of(run.operation(operation)?))?;
            Some((operation.to_owned(), spread.median))
        };
        let operations = first.map(Group::operations).unwrap_or_default();
        let medians = operations.into_iter().filter_map(median).collect();
        Self { name: name.to_owned(), medians }
    }

    fn median(&self, operation: &str) -> Option<f64> {
        self.medians.iter().find(|(name, _)| name == operation).map(|(_, median)| *median)
    }
}

impl Quantity {
    fn of(self, result: &OperationResult) -> Option<f64> {
        match self {
            Self::Cpu => result.cpu_us,
            Self::Throughput => Some(result.per_second),
            Self::P99 => Some(result.latency.p99),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Cpu => "processor time of the server for each operation, µs",
            Self::Throughput => "operations per second, closed loop",
            Self::P99 => "p99 of latency, closed loop, ms",
        }
    }
}

/// Reads the reports and writes the picture.
pub fn draw(arguments: &PlotArguments) -> Result<(), Error> {
    let mut all = Vec::new();
    for (name, file) in &arguments.reports {
        all.push(Series::new(name, &Report::read(file)?, arguments.quantity));
    }
    std::fs::write(&arguments.output, svg(&all, arguments.quantity)?)?;
    Ok(())
}

fn svg(all: &[Series], quantity: Quantity) -> Result<String, Error> {
    let mut operations: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flat_map(|series| &series.medians) {
        if !operations.contains(&name.as_str()) {
            operations.push(name);
        }
    }
    let values = || all.iter().flat_map(|series| &series.medians).map(|(_, median)| *median);
    let largest = values().fold(1.0, f64::max);
    let smallest = values().filter(|value| *value > 0.0).fold(largest, f64::min) / 2.0;
    if operations.is_empty() {
        return Err("the reports have no value to draw".into());
    }
    let width = as_float(operations.len())?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(quantity.title(), ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..width, (smallest..largest * 1.5).log_scale())?;
        let label = |at: &f64| label_at(&operations, *at);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(operations.len() * 2 + 1)
            .x_label_formatter(&label)
            .draw()?;
        for (number, series) in all.iter().enumerate() {
            let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(BLACK);
            let bars = bars(&operations, series, number, all.len(), smallest)?;
            chart
                .draw_series(bars.into_iter().map(|bar| Rectangle::new(bar, colour.filled())))?
                .label(&series.name)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
                });
        }
        // Above the operations that cost least, so that it covers no bar.
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE).border_style(BLACK);
        labels.draw()?;
        area.present()?;
    }
    Ok(text)
}

type Bar = [(f64, f64); 2];

/// The bars side by side within the operation's unit of width, with a tenth left free on either side.
fn bars(
    operations: &[&str],
    series: &Series,
    number: usize,
    of: usize,
    bottom: f64,
) -> Result<Vec<Bar>, Error> {
    let width = 0.8 / as_float(of)?;
    let mut bars = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        if let Some(median) = series.median(operation) {
            let left = as_float(place)? + 0.1 + width * as_float(number)?;
            bars.push([(left, bottom), (left + width * 0.95, median)]);
        }
    }
    Ok(bars)
}

/// The operation whose centre is at `at`, if any.
fn label_at(operations: &[&str], at: f64) -> String {
    let named = operations
        .iter()
        .enumerate()
        .find(|(place, _)| as_float(*place).is_ok_and(|place| (place + 0.5 - at).abs() < 0.01));
    named.map(|(_, name)| (*name).to_owned()).unwrap_or_default()
}

fn as_float(count: usize) -> Result<f64, Error> {
    Ok(f64::from(u32::try_from(count)?))
}

#[cfg(test)]
mod tests {
    use super::{Quantity, Series, svg};

    #[test]
    fn each_operation_of_each_report_has_a_bar_and_each_report_a_name() {
        let series = |name: &str, factor: f64| Series {
            name: name.to_owned(),
            medians: vec![
                ("login".to_owned(), 2280.0 * factor),
                ("keys".to_owned(), 31.0 * factor),
            ],
        };
        let picture = svg(&[series("ours", 1.0), series("Dex", 5.0)], Quantity::Cpu).unwrap();
        for text in ["ours", "Dex", "login", "keys"] {
            assert!(picture.contains(text), "{text} is missing: {picture}");
        }
        let bars = |colour: &str| picture.matches(colour).count();
        // Two bars, and the sample in the legend.
        assert_eq!((bars("#1F6FEB"), bars("#E67E22")), (3, 3), "{picture}");
        assert!(svg(&[], Quantity::Cpu).is_err());
    }
}
