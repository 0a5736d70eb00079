//! A map of latents: points in two dimensions, coloured by what they have.

use std::fmt::Write;

use super::{Axis, BORDER, Panel, head, line, text};

/// The size of the map, in pixels, and of the scale beside it.
const MAP: [f64; 2] = [720.0, 640.0];
const SCALE: f64 = 100.0;
/// The colour of points without a value.
const NO_VALUE: &str = "#bbbbbb";

/// matplotlib's viridis (van der Walt and Smith, 2015) at equal distances.
///
/// ```python
/// [tuple(round(255 * x) for x in matplotlib.colormaps["viridis"](i / 8)[:3]) for i in range(9)]
/// ```
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 45, 123],
    [59, 82, 139],
    [44, 114, 142],
    [33, 145, 140],
    [40, 174, 128],
    [94, 201, 98],
    [173, 220, 48],
    [253, 231, 37],
];

/// What is drawn on a map.
pub struct Points<'a> {
    /// Where each is.
    pub places: &'a [[f64; 2]],
    /// What each has, or NaN.
    pub values: &'a [f64],
    /// What that is.
    pub label: &'a str,
    /// What the map is of, and what its two axes are.
    pub title: &'a str,
    /// See `title`.
    pub axes: [&'a str; 2],
}

/// An SVG of points, with axes and a scale of colours.
pub fn map(points: &Points<'_>) -> String {
    let mut svg = head(MAP[0] + SCALE, MAP[1]);
    let panel = Panel::of(points.places.iter().copied(), [0.0; 2], MAP);
    panel.draw(&mut svg, points.title, points.axes[0], points.axes[1]);
    let scale = Axis::of(points.values.iter().copied(), [0.0, 1.0]);
    let radius = if points.places.len() > 2_000 {
        1.6
    } else {
        2.6
    };
    let _ = writeln!(svg, "<g fill-opacity=\"0.8\">");
    for (&place, &value) in points.places.iter().zip(points.values) {
        let Some([x, y]) = panel.at(place) else {
            continue;
        };
        let colour = colour(scale.at(value));
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(svg, "</g>");
    draw_scale(&mut svg, scale, points.label);
    svg + "</svg>\n"
}

/// Draws the scale of colours, with what it measures.
fn draw_scale(svg: &mut String, scale: Axis, label: &str) {
    let (x, top, bottom) = (MAP[0] + 8.0, BORDER[1], MAP[1] - BORDER[3]);
    let _ = writeln!(
        svg,
        "<linearGradient id=\"scale\" x1=\"0\" y1=\"1\" x2=\"0\" y2=\"0\">"
    );
    for (stop, rgb) in VIRIDIS.iter().enumerate() {
        let share = stop as f64 / (VIRIDIS.len() - 1) as f64;
        let _ = writeln!(
            svg,
            "<stop offset=\"{share}\" stop-color=\"{}\"/>",
            hex(*rgb)
        );
    }
    let _ = writeln!(
        svg,
        "</linearGradient>\n<rect x=\"{x}\" y=\"{top}\" width=\"16\" height=\"{}\" \
         fill=\"url(#scale)\"/>",
        bottom - top
    );
    let axis = Axis {
        pixels: [bottom, top],
        ..scale
    };
    for (value, label) in axis.ticks() {
        let y = axis.at(value);
        line(svg, [x + 16.0, y], [x + 20.0, y], "black");
        text(svg, [x + 24.0, y + 4.0], "start", &label);
    }
    text(svg, [x, top - 10.0], "start", label);
}

/// The colour of a share from 0 to 1.
fn colour(share: f64) -> String {
    if share.is_nan() {
        return NO_VALUE.to_owned();
    }
    let last = VIRIDIS.len() - 1;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (place as usize).min(last - 1);
    let part = place - below as f64;
    let blend = |channel: usize| {
        let [low, high] = [below, below + 1].map(|stop| f64::from(VIRIDIS[stop][channel]));
        (low + part * (high - low)).round() as u8
    };
    hex([0, 1, 2].map(blend))
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_viridis_and_between_its_stops_blends() {
        assert_eq!(colour(0.0), "#440154");
        assert_eq!(colour(0.5), "#21918c");
        assert_eq!(colour(1.0), "#fde725");
        assert_eq!(colour(1.0 / 16.0), "#461768");
        assert_eq!(colour(f64::NAN), NO_VALUE);
    }

    #[test]
    fn every_point_is_drawn_and_one_that_is_nowhere_is_not() {
        let svg = map(&Points {
            places: &[[0.0, 1.0], [2.0, 3.0], [f64::NAN, 1.0], [1.0, 1.0]],
            values: &[1.0, 3.0, 2.0, f64::NAN],
            label: "log P <octanol>",
            title: "latents",
            axes: ["first", "second"],
        });
        assert_eq!(svg.matches("<circle").count(), 3);
        for part in [
            "#440154\"/>",
            "#fde725\"/>",
            NO_VALUE,
            "log P &lt;octanol&gt;",
            ">first<",
        ] {
            assert!(svg.contains(part), "{part}");
        }
    }

    #[test]
    fn values_that_are_all_the_same_are_drawn() {
        let svg = map(&Points {
            places: &[[0.0, 0.0]; 3],
            values: &[5.0; 3],
            label: "",
            title: "",
            axes: [""; 2],
        });
        assert_eq!(svg.matches("fill=\"#21918c\"").count(), 3);
    }
}
