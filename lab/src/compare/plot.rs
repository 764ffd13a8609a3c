//! A plot as SVG: one line for each way, a number of subscribers on the axis below.

use std::fmt::Write;

use super::Way;
use super::figures::Figures;

/// What is plotted against the number of subscribers.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) value: fn(&Figures) -> f64,
}

/// A line and the points on it: subscribers and value.
struct Line {
    way: Way,
    points: Vec<(u32, f64)>,
}

/// Where things are, in the units of the drawing.
struct Scale {
    numbers: Vec<u32>,
    top: f64,
}

impl Plot {
    /// The drawing.
    pub(super) fn svg(&self, all: &[Figures]) -> String {
        let lines = self.lines(all);
        let highest = lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
        let mut numbers: Vec<u32> = all.iter().map(|figures| figures.row.subscribers).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let scale = Scale { numbers, top: round_up(highest.fold(0.0, f64::max)) };
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} against subscribers\">\n",
            self.title
        );
        self.axes(&scale, &mut svg);
        for line in &lines {
            line.draw(&scale, self.unit, &mut svg);
        }
        label(&lines, &scale, &mut svg);
        svg + "</svg>\n"
    }

    fn lines(&self, all: &[Figures]) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for figures in all {
            let point = (figures.row.subscribers, (self.value)(figures));
            match lines.iter_mut().find(|line| line.way == figures.way) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { way: figures.way, points: vec![point] }),
            }
        }
        for line in &mut lines {
            line.points.sort_by_key(|point| point.0);
        }
        lines
    }

    fn axes(&self, scale: &Scale, svg: &mut String) {
        for step in 0..=4 {
            let value = scale.top * f64::from(step) / 4.0;
            let y = scale.y(value);
            write(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>"));
            write(
                svg,
                format_args!(
                    "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    LEFT - 8.0,
                    y + 4.0,
                    number(value)
                ),
            );
        }
        for subscribers in &scale.numbers {
            write(
                svg,
                format_args!(
                    "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{subscribers}</text>",
                    scale.x(*subscribers),
                    BOTTOM + 18.0
                ),
            );
        }
        write(
            svg,
            format_args!(
                "<text class=\"axis\" x=\"{LEFT}\" y=\"14\">{}</text>\
                 <text class=\"axis\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">subscribers</text>",
                self.unit,
                f64::midpoint(LEFT, RIGHT),
                BOTTOM + 36.0
            ),
        );
    }
}

impl Line {
    fn draw(&self, scale: &Scale, unit: &str, svg: &mut String) {
        let way = self.way.name();
        let at = |(number, value): &(u32, f64)| (scale.x(*number), scale.y(*value));
        let path: Vec<String> =
            self.points.iter().map(at).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        write(svg, format_args!("<path class=\"line {way}\" d=\"M{}\"/>", path.join("L")));
        for point in &self.points {
            let (x, y) = at(point);
            write(
                svg,
                format_args!(
                    "<g class=\"mark {way}\" transform=\"translate({x:.1} {y:.1})\">{}\
                     <title>{way} to {}: {} {unit}</title></g>",
                    mark(self.way),
                    point.0,
                    number(point.1)
                ),
            );
        }
    }
}

impl Scale {
    /// Numbers of subscribers double mostly: each takes the same step.
    fn x(&self, subscribers: u32) -> f64 {
        let steps = self.numbers.len().saturating_sub(1).max(1) as f64;
        let place = self.numbers.iter().position(|other| *other == subscribers).unwrap_or(0);
        LEFT + 14.0 + (RIGHT - LEFT - 28.0) * place as f64 / steps
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / self.top
    }
}

/// Names at the ends of the lines, moved apart where these meet.
fn label(lines: &[Line], scale: &Scale, svg: &mut String) {
    let mut ends: Vec<(f64, &'static str)> = lines
        .iter()
        .filter_map(|line| Some((scale.y(line.points.last()?.1), line.way.name())))
        .collect();
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let count = ends.len() as f64;
    let mut lowest = f64::NEG_INFINITY;
    for (place, (y, way)) in ends.into_iter().enumerate() {
        let room = BOTTOM - LABEL_STEP * (count - 1.0 - place as f64);
        let y = y.max(lowest + LABEL_STEP).min(room);
        lowest = y;
        write(
            svg,
            format_args!(
                "<text class=\"name {way}\" x=\"{}\" y=\"{:.1}\">{way}</text>",
                RIGHT + 8.0,
                y + 4.0
            ),
        );
    }
}

/// A shape of its own for each way, for those who cannot tell the colours apart.
fn mark(way: Way) -> &'static str {
    match way {
        Way::Multicast => "<circle r=\"4.5\"/>",
        Way::Broadcast => "<rect x=\"-4\" y=\"-4\" width=\"8\" height=\"8\"/>",
        Way::Unicast => "<path d=\"M0-5.5L5 4H-5Z\"/>",
        Way::Tcp => "<path d=\"M0-6L6 0L0 6L-6 0Z\"/>",
    }
}

/// The next number of 1, 2, 4, 5 or 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value < 0.1 {
        format!("{value:.3}")
    } else if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

fn write(svg: &mut String, what: std::fmt::Arguments<'_>) {
    let written = svg.write_fmt(what);
    debug_assert!(written.is_ok(), "writing into a string cannot fail");
    svg.push('\n');
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 376.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 250.0;
const LABEL_STEP: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_not_below() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (33.0, 40.0), (0.43, 0.5), (560.0, 800.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }
}
