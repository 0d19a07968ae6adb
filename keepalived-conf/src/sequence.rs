//! `~SEQ` and `~LST`: the rest of the line once for each value.

/// The values of one sequence that are still to come.
#[derive(Clone, Debug)]
pub(crate) enum Sequence {
    Numbers {
        name: String,
        next: Option<i64>,
        step: i64,
        end: i64,
        hexadecimal: bool,
    },
    Lists {
        names: Vec<String>,
        rows: std::vec::IntoIter<Vec<String>>,
    },
}

impl Sequence {
    /// Reads `~SEQ(…)`, `~SEQx(…)` or `~LST(…)`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix('~')?.split_once('(')?;
        let inner = rest.strip_suffix(')')?;
        match kind {
            "SEQ" => Self::numbers(inner, false),
            "SEQx" => Self::numbers(inner, true),
            "LST" => Self::lists(inner),
            _ => None,
        }
    }

    fn numbers(inner: &str, hexadecimal: bool) -> Option<Self> {
        let mut parts = inner.split(',').map(str::trim);
        let name = parts.next().filter(|name| is_name(name))?.to_owned();
        let numbers: Vec<i64> = parts
            .map(|part| number(part, hexadecimal))
            .collect::<Option<_>>()?;
        let direction = |start: i64, end: i64| if end < start { -1 } else { 1 };
        let (start, step, end) = match *numbers.as_slice() {
            [end] => (1, direction(1, end), end),
            [start, end] => (start, direction(start, end), end),
            [start, step, end] => (start, step, end),
            _ => return None,
        };
        (step != 0).then_some(Self::Numbers {
            name,
            next: Some(start),
            step,
            end,
            hexadecimal,
        })
    }

    fn lists(inner: &str) -> Option<Self> {
        let items = split(inner);
        let (first, rest) = items.split_first()?;
        let names = row(first);
        if !names.iter().all(|name| is_name(name)) {
            return None;
        }
        let rows: Vec<Vec<String>> = rest.iter().map(|item| row(item)).collect();
        rows.iter()
            .all(|row| row.len() == names.len())
            .then(|| Self::Lists {
                names,
                rows: rows.into_iter(),
            })
    }

    /// The next values, by name.
    pub(crate) fn next(&mut self) -> Option<Vec<(String, String)>> {
        match self {
            Self::Numbers {
                name,
                next,
                step,
                end,
                hexadecimal,
            } => {
                let value = (*next)?;
                if (*step > 0 && value > *end) || (*step < 0 && value < *end) {
                    return None;
                }
                *next = value.checked_add(*step);
                let text = match *hexadecimal {
                    true => format!("{value:x}"),
                    false => value.to_string(),
                };
                Some(vec![(name.clone(), text)])
            }
            Self::Lists { names, rows } => {
                let row = rows.next()?;
                Some(names.iter().cloned().zip(row).collect())
            }
        }
    }
}

/// Whether a line begins with a sequence. keepalived looks nowhere else in the line.
pub(crate) fn begins(line: &str) -> bool {
    ["~SEQ(", "~SEQx(", "~LST("]
        .iter()
        .any(|start| line.starts_with(start))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '_')
}

fn number(text: &str, hexadecimal: bool) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None if hexadecimal && text.parse::<i64>().is_err() => i64::from_str_radix(text, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Splits at commas outside braces.
fn split(inner: &str) -> Vec<String> {
    let mut depth = 0_u32;
    inner
        .split(|character| {
            match character {
                '{' => depth = depth.saturating_add(1),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            character == ',' && depth == 0
        })
        .map(|item| item.trim().to_owned())
        .collect()
}

/// `{a,b}` or a single item.
fn row(item: &str) -> Vec<String> {
    match item.strip_prefix('{').and_then(|item| item.strip_suffix('}')) {
        Some(inner) => inner.split(',').map(|each| each.trim().to_owned()).collect(),
        None => vec![item.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let mut sequence = Sequence::parse(text).unwrap();
        std::iter::from_fn(|| sequence.next())
            .take(100)
            .map(|row| {
                let shown: Vec<String> = row
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                shown.join(" ")
            })
            .collect()
    }

    #[test]
    fn numbers_count_up_down_and_in_steps() {
        assert_eq!(values("~SEQ(N, 3)"), ["N=1", "N=2", "N=3"]);
        assert_eq!(values("~SEQ(N,10,-3,1)"), ["N=10", "N=7", "N=4", "N=1"]);
        assert_eq!(values("~SEQ(N,9,7)"), ["N=9", "N=8", "N=7"]);
        assert_eq!(values("~SEQx(N,9,11)"), ["N=9", "N=a", "N=b"]);
        assert_eq!(values("~SEQ(N,5,1,4)"), Vec::<String>::new());
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trap() {
        assert_eq!(values("~SEQ(N,9223372036854775806,9223372036854775807)").len(), 2);
    }

    #[test]
    fn lists_bind_one_name_or_several() {
        assert_eq!(values("~LST(N, a, b)"), ["N=a", "N=b"]);
        assert_eq!(values("~LST({N,M},{1,2},{3,4})"), ["N=1 M=2", "N=3 M=4"]);
    }

    #[test]
    fn what_is_no_sequence_is_refused() {
        for text in [
            "~SEQ()",
            "~SEQ(N)",
            "~SEQ(N,x)",
            "~SEQ(N,1,0,5)",
            "~SEQ(N,1",
            "~LST({N,M},{1})",
            "~X(N,1)",
        ] {
            assert!(Sequence::parse(text).is_none(), "{text}");
        }
    }
}
