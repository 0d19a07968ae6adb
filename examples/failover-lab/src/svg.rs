//! The timeline of a round as a picture.

use std::fmt::Write;

use crate::story::{Round, Span};

/// Draws a round: a lane for each host, bars while it held the address, the client's gaps, and the moments below.
#[must_use]
pub fn draw(title: &str, round: &Round) -> String {
    let (from, to) = window(round);
    let x = |ms: f64| LEFT + (ms.clamp(from, to) - from) / (to - from) * WIDTH;
    let rows = round.moments.len();
    let height = LANES + 3.0 * LANE + 60.0 + rows as f64 * ROW + 30.0;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {height:.0}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{LEFT}" y="28" font-size="18" fill="#1b1f24">{}</text>"##,
        LEFT + WIDTH + 30.0,
        escape(title),
    );
    for (place, name) in ["A", "B", "client"].into_iter().enumerate() {
        let y = LANES + place as f64 * LANE;
        let _ = writeln!(
            svg,
            r##"<text x="16" y="{:.1}" fill="#1b1f24">{name}</text>
<line x1="{LEFT}" x2="{:.1}" y1="{:.1}" y2="{:.1}" stroke="#d0d7de"/>"##,
            y + 18.0,
            LEFT + WIDTH,
            y + 28.0,
            y + 28.0,
        );
    }
    for span in &round.held {
        let colour = if span.host == 0 { "#0969da" } else { "#1a7f37" };
        bar(&mut svg, span, colour, &x);
    }
    for span in &round.gaps {
        bar(&mut svg, span, "#cf222e", &x);
    }
    for step in 0..=10 {
        let ms = from + (to - from) * f64::from(step) / 10.0;
        let _ = writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" font-size="11" fill="#57606a">{ms:.0} ms</text>"##,
            x(ms),
            LANES + 3.0 * LANE + 18.0,
        );
    }
    for (place, moment) in round.moments.iter().enumerate() {
        let at = x(moment.at_ms);
        let _ = writeln!(
            svg,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{LANES}" y2="{:.1}" stroke="#57606a" stroke-dasharray="2 3"/>
<text x="{at:.1}" y="{:.1}" text-anchor="middle" font-size="10" fill="#1b1f24">{}</text>
<text x="16" y="{:.1}" fill="#1b1f24">{}  {:+.3} ms  {}</text>"##,
            LANES + 3.0 * LANE,
            LANES - 6.0 - (place % 3) as f64 * 11.0,
            place + 1,
            LANES + 3.0 * LANE + 48.0 + place as f64 * ROW,
            place + 1,
            moment.at_ms,
            escape(&moment.text),
        );
    }
    svg + "</svg>\n"
}

fn bar(svg: &mut String, span: &Span, colour: &str, x: &impl Fn(f64) -> f64) {
    let (from, to) = (x(span.from_ms), x(span.to_ms));
    let y = LANES + span.host as f64 * LANE + 4.0;
    let _ = writeln!(
        svg,
        r#"<rect x="{from:.1}" y="{y:.1}" width="{:.1}" height="22" rx="3" fill="{colour}"/>"#,
        (to - from).max(1.5),
    );
}

/// What to show: all moments, and a little around them.
fn window(round: &Round) -> (f64, f64) {
    let times = round.moments.iter().map(|moment| moment.at_ms);
    let first = times.clone().fold(0.0, f64::min);
    let last = times.fold(1.0, f64::max);
    let margin = (last - first) * 0.08;
    (first - margin, last + margin)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const LEFT: f64 = 70.0;
const WIDTH: f64 = 900.0;
const LANES: f64 = 84.0;
const LANE: f64 = 34.0;
const ROW: f64 = 18.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::Kind;
    use crate::story::Moment;

    #[test]
    fn a_picture_is_one_element_with_every_moment() {
        let round = Round {
            round: 1,
            active: Kind::Ours,
            taker: Kind::Ours,
            allowed_ms: 36.0,
            detection_ms: Some(36.0),
            last_detection_ms: None,
            takeover_ms: None,
            announced_ms: None,
            last_address_ms: None,
            gap_ms: 0.0,
            lost: 0,
            mend_gap_ms: None,
            both_active_ms: None,
            promotions: 1,
            moments: vec![
                Moment {
                    at_ms: 0.0,
                    text: "A <killed>".into(),
                },
                Moment {
                    at_ms: 36.0,
                    text: "B & company".into(),
                },
            ],
            held: vec![Span {
                host: 1,
                from_ms: 36.0,
                to_ms: 100.0,
            }],
            gaps: Vec::new(),
        };
        let svg = draw("kill", &round);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("A &lt;killed&gt;") && svg.contains("B &amp; company"));
        assert_eq!(svg.matches("<rect").count(), 2);
    }
}
