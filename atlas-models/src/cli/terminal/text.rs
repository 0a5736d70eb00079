//! Numbers as people read them.

use std::borrow::Cow;
use std::time::Duration;

/// `1,234,567`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 molecule`, `1,000 molecules`.
pub fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// `93.1 %`. Only all is `100.0 %`, only none is `0.0 %`: what would be rounded to them is
/// `>99.9 %` and `<0.1 %`.
pub fn percent(share: f64) -> String {
    let thousandths = (share * 1000.0).round();
    if share < 1.0 && thousandths >= 1000.0 {
        ">99.9 %".to_owned()
    } else if share > 0.0 && thousandths < 1.0 {
        "<0.1 %".to_owned()
    } else {
        format!("{:.1} %", thousandths / 10.0)
    }
}

/// A text of unknown origin in a line of a terminal, which obeys some characters: those are written
/// by their numbers (`\u{1b}`).
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Whether a terminal obeys a character instead of showing it: control characters, and those that
/// change the direction of a text.
fn is_obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `18.4 MB`.
pub fn bytes(number: u64) -> String {
    let mut size = number as f64;
    let mut text = count(number as usize, "byte");
    for unit in ["kB", "MB", "GB", "TB"] {
        if size < 999.5 {
            break;
        }
        size /= 1000.0;
        text = format!("{size:.1} {unit}");
    }
    text
}

/// `3:05`, `1:02:03`.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A number of a loss: four digits that mean something.
pub fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{number:.2e}"),
        size if size < 1.0 => format!("{number:.4}"),
        size if size < 10.0 => format!("{number:.3}"),
        size if size < 1000.0 => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

/// The first paragraph of a doc comment, on one line.
pub fn first_paragraph(doc: &str) -> String {
    let lines: Vec<&str> = doc
        .trim()
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            (count(1, "row"), count(2, "row")),
            ("1 row".to_owned(), "2 rows".to_owned())
        );
    }

    #[test]
    fn shares_are_rounded_and_only_all_is_a_hundred_percent() {
        assert_eq!(
            [5.0 / 9.0, 0.29, 0.9994, 0.0006].map(percent),
            ["55.6 %", "29.0 %", "99.9 %", "0.1 %"]
        );
        assert_eq!(
            [0.0, 0.0004, 0.9996, 1.0].map(percent),
            ["0.0 %", "<0.1 %", ">99.9 %", "100.0 %"]
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_by_its_number() {
        assert_eq!(escaped("µ-aminoacid 名"), "µ-aminoacid 名");
        assert_eq!(
            escaped("a\x1b[2Jb\r\n\u{9b}1m\u{202e}"),
            "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9b}1m\\u{202e}"
        );
    }

    #[test]
    fn sizes_and_times_take_the_unit_that_fits() {
        assert_eq!(
            [1, 999, 1000, 18_400_000].map(bytes),
            ["1 byte", "999 bytes", "1.0 kB", "18.4 MB"]
        );
        assert_eq!(
            [5, 185, 3723].map(|seconds| clock(Duration::from_secs(seconds))),
            ["0:05", "3:05", "1:02:03"]
        );
    }

    #[test]
    fn losses_have_four_digits() {
        assert_eq!(
            [0.0, 0.0123, 1.5, 23.456, 12345.6].map(short),
            ["0", "0.0123", "1.500", "23.46", "12346"]
        );
        assert_eq!(short(1e-5), "1.00e-5");
    }
}
