//! The charts, which show how a cost grows. Both axes are logarithmic.

use std::fs::create_dir_all;
use std::path::Path;

use plotters::prelude::*;

use crate::common::{Result, WORKSPACE};
use crate::measure::{Curve, Summary};
use crate::report::si;

/// Red, blue, green, grey.
const COLORS: [RGBColor; 4] = [
    RGBColor(214, 39, 40),
    RGBColor(31, 119, 180),
    RGBColor(44, 160, 44),
    RGBColor(127, 127, 127),
];

pub fn draw(curve: &Curve, points: &[Vec<Option<Summary>>]) -> Result<()> {
    let folder = Path::new(WORKSPACE).join("bench/charts");
    create_dir_all(&folder)?;
    let path = folder.join(curve.stem).with_extension("svg");
    let root = SVGBackend::new(&path, (760, 440)).into_drawing_area();
    root.fill(&WHITE)?;

    let sizes: Vec<f64> = curve.sizes.iter().map(|&size| size as f64).collect();
    let costs = || points.iter().flatten().flatten().map(|cost| cost.median);
    let lowest = costs().fold(f64::MAX, f64::min);
    let highest = costs().fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(curve.work.name, ("sans-serif", 18))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (sizes[0]..sizes[sizes.len() - 1])
                .log_scale()
                .base(sizes[1] / sizes[0]),
            (decade(lowest)..100.0 * decade(highest)).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(curve.of)
        .x_label_formatter(&|size| short(si(*size, "")))
        .y_label_formatter(&|cost| short(curve.work.unit.show(*cost)))
        .draw()?;
    for (i, contender) in curve.work.contenders.iter().enumerate() {
        let color = COLORS[i];
        let line = sizes.iter().zip(points);
        let line = line.filter_map(|(&size, point)| Some((size, point[i]?.median)));
        let line: Vec<(f64, f64)> = line.collect();
        chart
            .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
            .label(contender.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        let dots = line
            .into_iter()
            .map(|at| Circle::new(at, 3, color.filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(root.present()?)
}

/// Returns the largest power of ten that is not above `value`.
fn decade(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

fn short(label: String) -> String {
    label
        .replace(".00", "")
        .replace(".0", "")
        .trim_end()
        .to_string()
}
