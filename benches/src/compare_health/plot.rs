//! How the cost grows, as a picture: share of one core over the number of targets that are checked every second.

use std::fmt::Write as _;

/// What one program took: targets, and percent of a core.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A picture of at most two series; the second is dashed, so that it needs no colours.
pub(crate) fn svg(series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let most = points().map(|(targets, _)| *targets).fold(1.0, f64::max);
    let highest = points().map(|(_, share)| *share).fold(100.0, f64::max);
    let place = |(targets, share): (f64, f64)| {
        let x = LEFT + targets / most * (WIDTH - LEFT - 20.0);
        (x, HEIGHT - BELOW - share / highest * (HEIGHT - BELOW - 20.0))
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for step in 0..=5 {
        let part = f64::from(step) / 5.0;
        let ((x, bottom), (right, y)) = (place((most * part, 0.0)), place((most, highest * part)));
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0}</text>",
            LEFT - 6.0,
            y + 4.0,
            highest * part,
            bottom + 18.0,
            most * part
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">targets, each checked by TCP every second; share of one core</text>",
        WIDTH / 2.0,
        HEIGHT - 8.0
    );
    for (number, Series { name, points }) in series.iter().enumerate() {
        let dash = if number == 0 {
            ""
        } else {
            " stroke-dasharray=\"6 4\""
        };
        let places: Vec<_> = points.iter().map(|point| place(*point)).collect();
        let line: String = places.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#124\" stroke-width=\"2\"{dash}/>",
            line.trim_end()
        );
        for (x, y) in &places {
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#124\"/>"
            );
        }
        if let Some((x, y)) = places.last() {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                x - 8.0,
                y - 8.0
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const BELOW: f64 = 56.0;
