//! Which files an include line means.

/// With this every include keyword begins.
pub(crate) const START: &str = "include";

/// Whether a word is an include keyword, and whether finding nothing is always an error with it.
pub(crate) fn keyword(word: &str) -> Option<bool> {
    match word {
        "include" => Some(false),
        "includer" | "includem" | "includew" | "includeb" | "includea" => Some(true),
        _ => None,
    }
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
    fn braces_multiply() {
        assert_eq!(braces("a.conf"), ["a.conf"]);
        assert_eq!(braces("x{a,b}y{1,2}"), ["xay1", "xay2", "xby1", "xby2"]);
        assert_eq!(braces("{a,b{c,d}}"), ["a", "bc", "bd"]);
        assert_eq!(braces("a{b"), ["a{b"]);
        assert!(braces(&"{a,b}".repeat(40)).len() <= MOST_PATHS);
    }
}
