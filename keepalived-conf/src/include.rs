//! Which files an include line means.

/// With this every include keyword begins.
pub(crate) const START: &str = "include";

/// What makes an include line an error, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checks(u8);

impl Checks {
    /// A file that cannot be read.
    pub(crate) const READ: Self = Self(1);
    /// A file without a pattern in its name that is not there.
    pub(crate) const MATCH: Self = Self(2);
    /// A pattern that matches nothing.
    pub(crate) const WILDCARD: Self = Self(4);
    /// One of several in braces that is not there.
    pub(crate) const BRACE: Self = Self(8);
    const ALL: Self = Self(15);

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// After `include_check` with these words: all of them without any; `+` adds to what held before, `-` takes away.
    /// The second is the first word that is not known.
    pub(crate) fn changed<'a>(self, words: impl Iterator<Item = &'a str>) -> (Self, Option<&'a str>) {
        let mut checks = None;
        let mut unknown = None;
        for word in words {
            let known = match word.trim_start_matches(['+', '-']) {
                // As the manual has it.
                "read" | "readable" => Self::READ,
                "match" => Self::MATCH,
                "wildcard_match" => Self::WILDCARD,
                "brace_match" => Self::BRACE,
                _ => {
                    unknown = unknown.or(Some(word));
                    continue;
                }
            };
            checks = Some(match word.chars().next() {
                Some('+') => checks.unwrap_or(self).union(known),
                Some('-') => Self(checks.unwrap_or(self).0 & !known.0),
                _ => checks.unwrap_or_default().union(known),
            });
        }
        let unchanged = if unknown.is_some() { self } else { Self::ALL };
        (checks.unwrap_or(unchanged), unknown)
    }
}

/// Whether a word is an include keyword, and what is an error with it in any case.
pub(crate) fn keyword(word: &str) -> Option<Checks> {
    Some(match word {
        "include" => Checks::default(),
        "includer" => Checks::READ,
        "includem" => Checks::MATCH,
        "includew" => Checks::MATCH.union(Checks::WILDCARD),
        "includeb" => Checks::BRACE,
        "includea" => Checks::ALL,
        _ => return None,
    })
}

pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Writes out `{a,b}`: `x{a,b}y` is `xay` and `xby`. What is not closed stands for itself. At most 1,024 come out.
pub(crate) fn braces(pattern: &str) -> Vec<String> {
    let mut waiting = vec![pattern.to_owned()];
    let mut out = Vec::new();
    while let Some(next) = waiting.pop() {
        if out.len().saturating_add(waiting.len()) >= MOST_PATHS {
            break;
        }
        match first_group(&next) {
            Some((before, inner, after)) => {
                let choices = alternatives(inner);
                waiting.extend(choices.iter().rev().map(|each| format!("{before}{each}{after}")));
            }
            None => out.push(next),
        }
    }
    out
}

/// The first balanced `{…}`: what is before it, in it and after it.
fn first_group(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let mut depth = 0_u32;
    for (at, character) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match character {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            let inner = text.get(open.saturating_add(1)..at)?;
            return Some((text.get(..open)?, inner, text.get(at.saturating_add(1)..)?));
        }
    }
    None
}

/// Splits at the commas that stand in no inner group.
fn alternatives(inner: &str) -> Vec<&str> {
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
        .collect()
}

const MOST_PATHS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_set_added_and_taken_away() {
        let after = |words: &str| Checks::MATCH.changed(words.split_whitespace()).0;
        assert_eq!(after(""), Checks::ALL);
        assert_eq!(after("read"), Checks::READ);
        assert_eq!(after("+read"), Checks::MATCH.union(Checks::READ));
        assert_eq!(after("-match"), Checks::default());
        assert_eq!(after("read brace_match"), Checks::READ.union(Checks::BRACE));
        assert_eq!(
            Checks::MATCH.changed(["elephant"].into_iter()),
            (Checks::MATCH, Some("elephant"))
        );
    }

    #[test]
    fn braces_multiply() {
        assert_eq!(braces("a.conf"), ["a.conf"]);
        assert_eq!(braces("x{a,b}y{1,2}"), ["xay1", "xay2", "xby1", "xby2"]);
        assert_eq!(braces("{a,b{c,d}}"), ["a", "bc", "bd"]);
        assert_eq!(braces("a{b"), ["a{b"]);
        assert!(braces(&"{a,b}".repeat(40)).len() <= MOST_PATHS);
    }
}
