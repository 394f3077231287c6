//! Lists of numbers in an option's text: `0,3,8-11`.
//!
//! Pure; called when the option is checked and when an app starts.

/// More than any topic has, so that a slip of the hand does not fill the memory.
const MOST: usize = 100_000;

/// The numbers of a list, in order and each once; `None` when it is none.
pub(crate) fn parse(list: &str) -> Option<Vec<i32>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number(from)?, number(to)?);
        let more = usize::try_from(to - from).ok()?;
        if numbers.len().saturating_add(more) >= MOST {
            return None;
        }
        numbers.extend(from..=to);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn number(text: &str) -> Option<i32> {
    let text = text.trim();
    // A sign would be taken by the parser.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        for (list, expected) in [
            ("0", Some(vec![0])),
            ("3,1, 2", Some(vec![1, 2, 3])),
            ("0-2,2-4", Some(vec![0, 1, 2, 3, 4])),
            ("", None),
            ("1,", None),
            ("-1", None),
            ("+1", None),
            ("2-1", None),
            ("a", None),
            ("0-2147483647", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse(list), expected, "{list}");
        }
    }
}
