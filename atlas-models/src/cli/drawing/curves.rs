//! The curves of a training run.

use serde_json::Value;

use super::{Panel, head, line, text};

/// The size of a panel, in pixels.
const PANEL: [f64; 2] = [440.0, 260.0];
const COLUMNS: usize = 2;
/// More steps than these are drawn as means of as many neighbours as it takes.
const POINTS: usize = 400;
const COLOURS: [&str; 2] = ["#4c78a8", "#e45756"];

/// Values with their steps.
type Series = Vec<[f64; 2]>;

/// A part of the loss, or a share of held-out molecules.
struct Curve {
    title: String,
    /// Of steps, drawn as a line, and of epochs, drawn as a line with dots.
    series: [Series; 2],
    names: [&'static str; 2],
}

impl Curve {
    fn new(title: String, names: [&'static str; 2]) -> Self {
        let series = [Vec::new(), Vec::new()];
        Self {
            title,
            series,
            names,
        }
    }
}

/// An SVG of the curves of a training run, from the lines of its `metrics.jsonl`: the loss and each of
/// its parts, of every step and of held-out molecules after every epoch; and the shares of held-out
/// molecules that come back and of those that are decoded to molecules.
///
/// Lines that are not of this form are left out, such as one that is being written.
pub fn curves(metrics: &str) -> String {
    let mut losses: Vec<Curve> = Vec::new();
    let mut shares = Curve::new("held-out molecules".to_owned(), ["valid", "exact"]);
    for line in metrics.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let Some(step) = entry["step"].as_f64() else {
            continue;
        };
        let (scores, place) = match entry["kind"].as_str() {
            Some("step") => (&entry, 0),
            Some("epoch") => (&entry["held_out"], 1),
            _ => continue,
        };
        let parts = scores["parts"].as_object().into_iter().flatten();
        let loss = ("loss".to_owned(), &scores["loss"]);
        let parts = parts.map(|(name, part)| (format!("loss: {name}"), part));
        for (title, value) in std::iter::once(loss).chain(parts) {
            // What was not finite is `null`, and leaves a gap.
            let point = [step, value.as_f64().unwrap_or(f64::NAN)];
            let index = losses.iter().position(|curve| curve.title == title);
            let index = index.unwrap_or_else(|| {
                losses.push(Curve::new(title, ["training", "held out"]));
                losses.len() - 1
            });
            losses[index].series[place].push(point);
        }
        if place == 1 {
            for (series, name) in shares.series.iter_mut().zip(shares.names) {
                series.extend(
                    scores[format!("{name}_share")]
                        .as_f64()
                        .map(|share| [step, share]),
                );
            }
        }
    }
    // An epoch without held-out molecules.
    for curve in &mut losses {
        curve.series[1].retain(|[_, value]| value.is_finite());
    }
    losses.push(shares);
    draw(&losses)
}

fn draw(curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let mut svg = head(COLUMNS as f64 * PANEL[0], rows as f64 * PANEL[1]);
    for (number, curve) in curves.iter().enumerate() {
        let corner = [
            (number % COLUMNS) as f64 * PANEL[0],
            (number / COLUMNS) as f64 * PANEL[1],
        ];
        let series = curve.series.each_ref().map(|series| thinned(series));
        let all = series.iter().flatten().copied();
        let panel = Panel::of(all, corner, PANEL);
        panel.draw(&mut svg, &curve.title, "step", "");
        for (index, (points, colour)) in series.iter().zip(COLOURS).enumerate() {
            panel.curve(&mut svg, points.iter().copied(), colour);
            if points.len() < POINTS / 4 {
                panel.dots(&mut svg, points.iter().copied(), colour);
            }
            let x = panel.x.pixels[1] - 80.0 * (2 - index) as f64;
            let y = panel.y.pixels[1] - 10.0;
            line(&mut svg, [x, y - 4.0], [x + 20.0, y - 4.0], colour);
            text(&mut svg, [x + 26.0, y], "start", curve.names[index]);
        }
    }
    svg + "</svg>\n"
}

/// Means of neighbours, where there are many.
fn thinned(series: &[[f64; 2]]) -> Series {
    let together = series.len().div_ceil(POINTS).max(1);
    let means = series.chunks(together).map(|points| {
        [0, 1].map(|axis| {
            let sum: f64 = points.iter().map(|point| point[axis]).sum();
            sum / points.len() as f64
        })
    });
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> String {
        let mut metrics = String::new();
        for step in 1..=1_000 {
            let loss = 40.0 / f64::from(step).sqrt();
            metrics += &format!(
                "{{\"kind\":\"step\",\"step\":{step},\"loss\":{loss},\
                 \"parts\":{{\"reconstruction\":{},\"kl\":{}}}}}\n",
                loss * 0.9,
                loss * 0.1
            );
            if step % 250 == 0 {
                metrics += &format!(
                    "{{\"kind\":\"epoch\",\"step\":{step},\"loss\":1,\"parts\":{{}},\"held_out\":\
                     {{\"exact_share\":0.25,\"valid_share\":0.5,\"loss\":{loss},\
                     \"parts\":{{\"reconstruction\":1,\"kl\":2}}}}}}\n"
                );
            }
        }
        metrics
    }

    #[test]
    fn every_part_of_the_loss_has_a_panel_and_the_shares_have_one() {
        let svg = curves(&run());
        for title in [
            "loss",
            "loss: reconstruction",
            "loss: kl",
            "held-out molecules",
        ] {
            assert!(svg.contains(&format!(">{title}</text>")), "{title}");
        }
        // Four panels of two lines; epochs have dots, and the shares' two lines are of epochs.
        assert_eq!(svg.matches("fill=\"none\"").count(), 8);
        assert_eq!(svg.matches("<circle").count(), 5 * 4);
    }

    #[test]
    fn many_steps_are_few_points() {
        assert_eq!(thinned(&vec![[1.0, 2.0]; 100_000]).len(), POINTS);
        assert_eq!(thinned(&[[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]);
        assert!(curves(&run()).len() < 50_000);
    }

    #[test]
    fn a_run_without_held_out_molecules_and_an_empty_or_damaged_file_are_drawn() {
        let without = "{\"kind\":\"step\",\"step\":1,\"loss\":null}\n\
                       {\"kind\":\"epoch\",\"step\":1,\"loss\":2,\"held_out\":null}\n{\"kind\"";
        for metrics in ["", "nonsense\n[]\n3", without] {
            let svg = curves(metrics);
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
