//! How long a list takes over how many cells, as a picture.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use cellzero_test_support::Engine;
use plotters::prelude::*;

use crate::lists::list_name;
use crate::measure::Measured;

const SIZE: (u32, u32) = (900, 420);

/// The times of one engine, by the number of cells: ours and the floor's, in milliseconds.
struct Line {
    engine: Engine,
    points: Vec<(f64, f64, f64)>,
}

/// Draws the lists with details; nothing where none was measured.
pub(crate) fn draw(
    path: &Path,
    all: &[(Engine, Vec<Measured>)],
    widths: &[usize],
) -> anyhow::Result<()> {
    let lines: Vec<Line> = all.iter().map(|(engine, of)| line(*engine, of, widths)).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = points().map(|(_, ours, floor)| ours.max(*floor)).fold(1.0, f64::max);
    let widest = points().map(|(cells, ..)| *cells).fold(1.0, f64::max);
    try_draw(path, &lines, (widest, highest * 1.05))
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("cannot draw {}", path.display()))
}

fn line(engine: Engine, measured: &[Measured], widths: &[usize]) -> Line {
    let points = widths.iter().filter_map(|cells| {
        let name = list_name(*cells);
        let list = measured.iter().find(|measured| measured.operation == name)?;
        Some((*cells as f64, list.ours().p50 / 1e3, list.floor()?.p50 / 1e3))
    });
    Line { engine, points: points.collect() }
}

fn try_draw(
    path: &Path,
    lines: &[Line],
    (widest, highest): (f64, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("List of the first 1,000 with details", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..widest, 0.0..highest)?;
    chart.configure_mesh().x_desc("cells").y_desc("p50 in ms").draw()?;
    for (number, Line { engine, points }) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let ours = points.iter().map(|(cells, ours, _)| (*cells, *ours));
        chart
            .draw_series(LineSeries::new(ours, color.stroke_width(2)))?
            .label(format!("{}, ours", engine.name()))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], color.stroke_width(2)));
        let floor = points.iter().map(|(cells, _, floor)| (*cells, *floor));
        chart
            .draw_series(DashedLineSeries::new(floor, 4, 4, color.stroke_width(1)))?
            .label(format!("{}, floor", engine.name()))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], color.stroke_width(1)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
