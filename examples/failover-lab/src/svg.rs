//! The timeline of a round as a picture.

use std::fmt::Write;

use crate::story::Round;

/// Draws a round: a lane for each host, bars while it held the address, the client's answers and gaps, and the moments
/// below. Under the title stand what was set up, and the figures. Colours follow the reader's scheme.
#[must_use]
pub fn draw(title: &str, set_up: &str, round: &Round) -> String {
    let (from, to) = window(round);
    let x = |ms: f64| LEFT + (ms.clamp(from, to) - from) / (to - from) * WIDTH;
    let bottom = LANES + 3.0 * LANE;
    let height = bottom + 60.0 + round.moments.len() as f64 * ROW;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WHOLE} {height:.0}" role="img">
<title>{0}</title>
<style>{STYLE}</style>
<rect class="page" width="100%" height="100%" rx="10"/>
<text class="title" x="24" y="38">{0}</text>
<text class="soft" x="24" y="58">{1}</text>"#,
        escape(title),
        escape(&format!("{set_up}{}", figures(round))),
    );
    let step = step(to - from);
    // Adding nothing makes of -0 a 0.
    let mut tick = (from / step).ceil() * step + 0.0;
    while tick <= to {
        let _ = writeln!(
            svg,
            r#"<line class="line" x1="{0:.1}" x2="{0:.1}" y1="{LANES}" y2="{bottom}"/>
<text class="soft middle" x="{0:.1}" y="{1:.1}">{tick:.0} ms</text>"#,
            x(tick),
            bottom + 18.0,
        );
        tick += step;
    }
    for (place, name) in ["A", "B", "client"].into_iter().enumerate() {
        let y = LANES + place as f64 * LANE + 20.0;
        let _ = writeln!(svg, r#"<text x="24" y="{y:.1}">{name}</text>"#);
    }
    bar(&mut svg, 2, (from, to), "answered", "answered", &x);
    for span in &round.held {
        let class = if span.host == 0 { "first" } else { "second" };
        bar(
            &mut svg,
            span.host,
            (span.from_ms, span.to_ms),
            class,
            "has the address",
            &x,
        );
    }
    for span in &round.gaps {
        bar(
            &mut svg,
            span.host,
            (span.from_ms, span.to_ms),
            "gap",
            "no answer",
            &x,
        );
    }
    let marks = spread(round.moments.iter().map(|moment| x(moment.at_ms)));
    for (place, (moment, mark)) in round.moments.iter().zip(marks).enumerate() {
        let (at, number, y) = (x(moment.at_ms), place + 1, bottom + 52.0 + place as f64 * ROW);
        let _ = writeln!(
            svg,
            r#"<line class="moment" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{bottom}"/>
<circle class="mark" cx="{mark:.1}" cy="{:.1}" r="8"/><text class="number middle" x="{mark:.1}" y="{:.1}">{number}</text>
<circle class="mark" cx="32" cy="{:.1}" r="8"/><text class="number middle" x="32" y="{y:.1}">{number}</text>
<text class="end" x="144" y="{y:.1}">{:+.3} ms</text><text x="160" y="{y:.1}">{}</text>"#,
            LANES - 4.0,
            LANES - 12.0,
            LANES - 8.5,
            y - 4.0,
            moment.at_ms,
            escape(&moment.text),
        );
    }
    svg + "</svg>\n"
}

/// Where the marks of moments stand that lie here, in order: those that fall together stand beside each other, and none
/// outside.
fn spread(places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut marks: Vec<f64> = Vec::new();
    for at in places {
        let free = marks.last().map_or(LEFT, |last| last + MARK);
        marks.push(at.max(free));
    }
    let mut free = LEFT + WIDTH;
    for mark in marks.iter_mut().rev() {
        *mark = mark.min(free);
        free = *mark - MARK;
    }
    marks
}

/// The figures of a round in a line.
fn figures(round: &Round) -> String {
    let mut text = String::new();
    if let Some(detection) = round.detection_ms {
        let _ = write!(
            text,
            " · detected after {detection:.1} ms, {:.1} ms allowed",
            round.allowed_ms
        );
    }
    if let Some(announced) = round.announced_ms {
        let _ = write!(text, " · announced {announced:.1} ms later");
    }
    let longest = round.mend_gap_ms.unwrap_or(0.0).max(round.gap_ms);
    let _ = write!(text, " · client without an answer for {longest:.1} ms at most");
    text
}

fn bar(svg: &mut String, lane: usize, span: (f64, f64), class: &str, words: &str, x: &impl Fn(f64) -> f64) {
    let (from, width) = (x(span.0), (x(span.1) - x(span.0)).max(1.5));
    let y = LANES + lane as f64 * LANE + 4.0;
    let _ = writeln!(
        svg,
        r#"<rect class="{class}" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="22" rx="4"/>"#,
    );
    if width > 110.0 {
        let (middle, y) = (from + width / 2.0, y + 15.5);
        let _ = writeln!(
            svg,
            r#"<text class="on middle" x="{middle:.1}" y="{y:.1}">{words}</text>"#
        );
    }
}

/// What to show: all moments, and a little around them.
fn window(round: &Round) -> (f64, f64) {
    let times = round.moments.iter().map(|moment| moment.at_ms);
    let first = times.clone().fold(0.0, f64::min);
    let last = times.fold(1.0, f64::max);
    let margin = (last - first) * 0.08;
    (first - margin, last + margin)
}

/// Between two ticks: 1, 2 or 5 times a power of ten, so that there are ten at most.
fn step(length: f64) -> f64 {
    let mut step = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if step * factor * 10.0 >= length {
                return step * factor;
            }
        }
        step *= 10.0;
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const WHOLE: f64 = 1000.0;
const LEFT: f64 = 80.0;
const WIDTH: f64 = 890.0;
const LANES: f64 = 108.0;
const LANE: f64 = 34.0;
const ROW: f64 = 22.0;
/// How far apart the marks of two moments must be.
const MARK: f64 = 18.0;

const STYLE: &str = "
text { font: 13px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #171b24; font-variant-numeric: tabular-nums }
.title { font-size: 18px; font-weight: 600 } .soft { fill: #59627a; font-size: 11px }
.middle { text-anchor: middle } .end { text-anchor: end } .on { fill: #fff; font-size: 12px } .number { fill: #fff; font-size: 10px }
.page { fill: #f4f5f8 } .line { stroke: #dfe3ea } .moment { stroke: #59627a; stroke-dasharray: 2 3 } .mark { fill: #59627a }
.first { fill: #2457c5 } .second { fill: #0b7a4b } .answered { fill: #8b93a7 } .gap { fill: #b3261e }
@media (prefers-color-scheme: dark) {
text { fill: #e9ecf3 } .soft { fill: #9aa4bb } .on, .number { fill: #0e1118 } .page { fill: #0e1118 } .line { stroke: #2a3040 }
.moment { stroke: #9aa4bb } .mark { fill: #9aa4bb } .first { fill: #86aaff } .second { fill: #46d39a } .answered { fill: #59627a } .gap { fill: #ff8a80 }
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;
    use crate::story::{Moment, Span};

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
            flaps: 0,
            longest_silence_ms: 0.0,
            late_ms: 0.0,
            locked_ms: 0.0,
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
        let svg = draw("kill", "1 virtual router", &round);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("A &lt;killed&gt;") && svg.contains("B &amp; company"));
        // The page, the client's lane, and the time that B held the address.
        assert_eq!(svg.matches("<rect").count(), 3);
    }

    #[test]
    fn marks_do_not_cover_each_other() {
        let end = LEFT + WIDTH;
        let marks = spread([200.0, 210.0, 230.0, 500.0, end - 5.0, end].into_iter());
        assert_eq!(marks, [200.0, 218.0, 236.0, 500.0, end - MARK, end]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (length, expected) in [
            (1.0, 1.0),
            (12.0, 2.0),
            (361.0, 50.0),
            (1_000.0, 100.0),
            (7_200.0, 1_000.0),
        ] {
            assert!((step(length) - expected).abs() < 1e-9, "{length}");
        }
    }
}
