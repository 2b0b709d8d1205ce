//! The comparison as an SVG chart: a bar for each row, on a logarithmic scale.

use std::fmt::Write as _;
use std::time::Duration;

use crate::comparison::Outcome;
use onlay_benches::statistics::seconds;

const WIDTH: f64 = 960.0;
const HEADER: f64 = 64.0;
const ROW: f64 = 28.0;
const BAR: f64 = 18.0;
const FOOTER: f64 = 44.0;
/// Where the bars start: the names are left of it.
const LEFT: f64 = 400.0;
/// Where the longest bar may end: its label is right of it.
const RIGHT: f64 = WIDTH - 90.0;

/// Draws the medians, shortest first.
pub(crate) fn draw(outcomes: &[Outcome], machine: &str) -> String {
    let mut rows: Vec<(&Outcome, Duration)> = outcomes
        .iter()
        .map(|outcome| (outcome, outcome.wall.median()))
        .collect();
    rows.sort_by_key(|(_, wall)| *wall);
    let scale = Scale::over(rows.iter().map(|(_, wall)| wall.as_secs_f64()));
    let bottom = HEADER + ROW * rows.len() as f64;
    let mut svg = head(bottom + FOOTER);
    grid(&mut svg, &scale, bottom);
    for (number, (outcome, wall)) in rows.into_iter().enumerate() {
        bar(&mut svg, &scale, HEADER + ROW * number as f64, outcome, wall);
    }
    let footer = text(
        LEFT,
        bottom + FOOTER - 8.0,
        "middle",
        "note",
        &format!("logarithmic; {machine}"),
    );
    svg + &footer + "</svg>\n"
}

fn head(height: f64) -> String {
    let title = text(
        16.0,
        28.0,
        "start",
        "title",
        "The vault image, built and pushed: wall time, shorter is better",
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <style>text {{ font: 13px sans-serif; fill: #1f2328 }} .title {{ font-size: 16px; font-weight: bold }} \
         .note {{ font-size: 11px; fill: #59636e }}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{title}"
    )
}

fn grid(svg: &mut String, scale: &Scale, bottom: f64) {
    for exponent in scale.first..=scale.last {
        let value = 10_f64.powi(exponent);
        let x = scale.x(value);
        let top = HEADER - 8.0;
        _ = writeln!(svg, r##"<path d="M{x:.1} {top}V{bottom}" stroke="#d1d9e0"/>"##);
        let label = seconds_of_power(exponent);
        *svg += &text(x, bottom + 16.0, "middle", "note", &label);
    }
}

fn seconds_of_power(exponent: i32) -> String {
    let value = 10_f64.powi(exponent);
    if exponent < 0 {
        format!("{} ms", value * 1e3)
    } else {
        format!("{value} s")
    }
}

fn bar(svg: &mut String, scale: &Scale, top: f64, outcome: &Outcome, wall: Duration) {
    let colour = if outcome.role.is_onlay() {
        "#1a7f37"
    } else {
        "#8c959f"
    };
    let width = scale.x(wall.as_secs_f64()) - LEFT;
    let middle = top + BAR * 0.75;
    *svg += &text(LEFT - 8.0, middle, "end", "name", &outcome.name);
    _ = writeln!(
        svg,
        r#"<rect x="{LEFT}" y="{top}" width="{width:.1}" height="{BAR}" rx="2" fill="{colour}"/>"#
    );
    *svg += &text(LEFT + width + 6.0, middle, "start", "value", &seconds(wall));
}

fn text(x: f64, y: f64, anchor: &str, class: &str, content: &str) -> String {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{content}</text>\n")
}

/// Whole powers of ten around all values.
struct Scale {
    first: i32,
    last: i32,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let shortest = values.clone().fold(f64::INFINITY, f64::min);
        let longest = values.fold(0.0, f64::max);
        if longest <= 0.0 {
            return Self { first: -3, last: 0 };
        }
        let first = shortest.max(1e-9).log10().floor() as i32;
        let last = (longest.log10().ceil() as i32).max(first + 1);
        Self { first, last }
    }

    fn x(&self, value: f64) -> f64 {
        let span = f64::from(self.last - self.first);
        let place = (value.max(1e-9).log10() - f64::from(self.first)) / span;
        LEFT + (RIGHT - LEFT) * place.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_whole_powers_of_ten_around_all_values() {
        let scale = Scale::over([0.03, 4.2].into_iter());
        assert_eq!((scale.first, scale.last), (-2, 1));
        assert!((scale.x(0.01) - LEFT).abs() < 1e-9);
        assert!((scale.x(10.0) - RIGHT).abs() < 1e-9);
        assert_eq!(seconds_of_power(-2), "10 ms");
        assert_eq!(seconds_of_power(1), "10 s");
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        let svg = draw(&[], "a machine <of> ours");
        assert!(svg.ends_with("</svg>\n") && svg.contains("&lt;of>"), "{svg}");
    }
}
