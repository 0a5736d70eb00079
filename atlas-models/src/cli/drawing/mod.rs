//! Pictures as SVG: the [curves](curves) of a training run, a [map](map) of latents, and
//! [files](GridFile) of drawn molecules.

mod curves;
mod grid_file;
mod map;
mod principal_axes;

use std::fmt::Write;

use crate::svg::escape;

pub use curves::curves;
pub use grid_file::GridFile;
pub use map::{Points, map};
pub use principal_axes::PrincipalAxes;

/// What stays free beside the area of a chart, for its labels: left, top, right, bottom.
const BORDER: [f64; 4] = [62.0, 30.0, 16.0, 44.0];

/// The head of an SVG, which `</svg>` must end.
fn head(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, content: &str) {
    let content = escape(content);
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}

fn line(svg: &mut String, from: [f64; 2], to: [f64; 2], colour: &str) {
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\"/>",
        from[0], from[1], to[0], to[1]
    );
}

/// The values that an axis spans, and the pixels that they are at.
#[derive(Clone, Copy)]
struct Axis {
    values: [f64; 2],
    pixels: [f64; 2],
}

impl Axis {
    /// An axis that spans all `values` that are finite, and more where they are all the same.
    fn of(values: impl Iterator<Item = f64>, pixels: [f64; 2]) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let [mut low, mut high] = finite
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
                [low.min(value), high.max(value)]
            });
        if low > high {
            [low, high] = [0.0, 1.0];
        }
        let least = 1e-9 * low.abs().max(high.abs()).max(1e-9);
        if high - low < least {
            let more = low.abs().max(1.0) / 2.0;
            [low, high] = [low - more, high + more];
        }
        Self {
            values: [low, high],
            pixels,
        }
    }

    /// The axis with a little more at both ends, so that no point is on the border.
    fn padded(self) -> Self {
        let [low, high] = self.values;
        let more = 0.04 * (high - low);
        Self {
            values: [low - more, high + more],
            ..self
        }
    }

    fn at(&self, value: f64) -> f64 {
        let [low, high] = self.values;
        let [from, to] = self.pixels;
        from + (value - low) / (high - low) * (to - from)
    }

    /// Round numbers on the axis, with their texts.
    fn ticks(&self) -> Vec<(f64, String)> {
        let [low, high] = self.values;
        let rough = (high - low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps
            .into_iter()
            .find(|&step| step >= rough)
            .unwrap_or(rough);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let is_plain = decimals <= 6 && low.abs().max(high.abs()) < 1e7;
        let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
        let ticks = (first..=last).map(|number| {
            let value = number as f64 * step;
            let text = if is_plain {
                format!("{value:.decimals$}")
            } else {
                format!("{value:.1e}")
            };
            (value, text)
        });
        ticks.collect()
    }
}

/// The area of a chart with its axes.
struct Panel {
    x: Axis,
    y: Axis,
}

impl Panel {
    /// A panel in the `size` pixels from `corner` on, for points of which all finite ones are shown.
    fn of(
        points: impl Iterator<Item = [f64; 2]> + Clone,
        corner: [f64; 2],
        size: [f64; 2],
    ) -> Self {
        let [left, top, right, bottom] = BORDER;
        let x = [corner[0] + left, corner[0] + size[0] - right];
        let y = [corner[1] + size[1] - bottom, corner[1] + top];
        Self {
            x: Axis::of(points.clone().map(|[x, _]| x), x).padded(),
            y: Axis::of(points.map(|[_, y]| y), y).padded(),
        }
    }

    /// `None` where a coordinate is not finite.
    fn at(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        (x.is_finite() && y.is_finite()).then(|| [self.x.at(x), self.y.at(y)])
    }

    /// Draws the axes, with what they measure.
    fn draw(&self, svg: &mut String, title: &str, x_label: &str, y_label: &str) {
        let ([left, right], [bottom, top]) = (self.x.pixels, self.y.pixels);
        for (value, label) in self.x.ticks() {
            let x = self.x.at(value);
            line(svg, [x, bottom], [x, top], "#e8e8e8");
            text(svg, [x, bottom + 15.0], "middle", &label);
        }
        for (value, label) in self.y.ticks() {
            let y = self.y.at(value);
            line(svg, [left, y], [right, y], "#e8e8e8");
            text(svg, [left - 6.0, y + 4.0], "end", &label);
        }
        line(svg, [left, bottom], [right, bottom], "black");
        line(svg, [left, bottom], [left, top], "black");
        let middle = (left + right) / 2.0;
        let _ = write!(svg, "<g font-weight=\"bold\">");
        text(svg, [left, top - 10.0], "start", title);
        let _ = writeln!(svg, "</g>");
        text(svg, [middle, bottom + 32.0], "middle", x_label);
        if !y_label.is_empty() {
            let (x, y) = (left - 46.0, (top + bottom) / 2.0);
            let _ = write!(svg, "<g transform=\"rotate(-90 {x:.1} {y:.1})\">");
            text(svg, [x, y], "middle", y_label);
            let _ = writeln!(svg, "</g>");
        }
    }

    /// Draws a line through points. Where one is not finite, the line has a gap.
    fn curve(&self, svg: &mut String, points: impl Iterator<Item = [f64; 2]>, colour: &str) {
        let mut path = String::new();
        let mut is_down = false;
        for point in points {
            let place = self.at(point);
            if let Some([x, y]) = place {
                let step = if is_down { 'L' } else { 'M' };
                let _ = write!(path, "{step}{x:.1} {y:.1}");
            }
            is_down = place.is_some();
        }
        if !path.is_empty() {
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            );
        }
    }

    /// Draws a dot for each point that is finite.
    fn dots(&self, svg: &mut String, points: impl Iterator<Item = [f64; 2]>, colour: &str) {
        for [x, y] in points.filter_map(|point| self.at(point)) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        let ticks = |low, high| {
            let axis = Axis::of([low, high].into_iter(), [0.0, 100.0]);
            let ticks = axis.ticks();
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(ticks(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(-3.0, 12.0), ["0", "5", "10"]);
        assert_eq!(
            ticks(0.0123, 0.0125),
            ["0.01230", "0.01235", "0.01240", "0.01245", "0.01250"]
        );
        assert_eq!(
            ticks(0.0, 4e8),
            ["0.0e0", "1.0e8", "2.0e8", "3.0e8", "4.0e8"]
        );
    }

    #[test]
    fn an_axis_of_one_value_or_of_none_has_a_width() {
        for values in [
            vec![],
            vec![3.0, 3.0],
            vec![f64::NAN],
            vec![0.0],
            vec![-1e300],
        ] {
            let axis = Axis::of(values.iter().copied(), [0.0, 100.0]).padded();
            assert!(axis.values[0] < axis.values[1], "{values:?}");
            assert!(!axis.ticks().is_empty(), "{values:?}");
        }
    }

    #[test]
    fn values_are_between_the_ends_of_the_axis() {
        let axis = Axis::of([2.0, f64::INFINITY, 4.0].into_iter(), [100.0, 0.0]);
        assert_eq!(
            [2.0, 3.0, 4.0].map(|value| axis.at(value)),
            [100.0, 50.0, 0.0]
        );
    }

    #[test]
    fn a_curve_has_a_gap_where_it_is_not_finite() {
        let points = [[0.0, 0.0], [1.0, f64::NAN], [2.0, 1.0], [3.0, 0.0]];
        let panel = Panel::of(points.into_iter(), [0.0, 0.0], [200.0, 200.0]);
        let mut svg = String::new();
        panel.curve(&mut svg, points.into_iter(), "black");
        assert_eq!(svg.matches('M').count(), 2);
        assert_eq!(svg.matches('L').count(), 1);
        assert!(!svg.contains("NaN"));
    }
}
