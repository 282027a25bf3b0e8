//! Globs over directive names, for CONFIG GET: case-insensitive, which globs over keys are not.
//!
//! Thread safety: pure functions.

/// Glob over directive names, whatever the case: `*`, `?`, `[a-z]`, `[^a]` and `\` before a literal. Names are short
/// and one `*` is retried at a time, so the work is at most pattern times name.
pub(crate) fn glob_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        if let Some(width) = one_matches(pattern.get(p..).unwrap_or_default(), name[n]) {
            (p, n) = (p + width, n + 1);
            continue;
        }
        match &mut retry {
            Some((star, from)) => {
                *from += 1;
                (p, n) = (*star, *from);
            }
            None => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// How many bytes of `pattern` match the single byte, if its first element does.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    let same = |literal: &u8| literal.eq_ignore_ascii_case(&byte);
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => same(literal).then_some(2),
        [b'[', rest @ ..] => class_matches(rest, byte).map(|width| width + 1),
        [literal, ..] => same(literal).then_some(1),
    }
}

/// The width of the class after `[`, closing bracket included (an unclosed one ends with the pattern), if it matches.
fn class_matches(class: &[u8], byte: u8) -> Option<usize> {
    let byte = byte.to_ascii_lowercase();
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => return (found != negated).then_some(at),
            [b']', ..] => return (found != negated).then_some(at + 1),
            [b'\\', literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (low.to_ascii_lowercase(), high.to_ascii_lowercase());
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let matching =
            [("*", ""), ("a*c", "abbc"), ("A?C", "abc"), ("[^x]bc", "abc"), ("[c-a]*", "b"), ("\\*", "*")];
        for (pattern, name) in matching {
            assert!(glob_matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        let other =
            [("", "a"), ("a", ""), ("?", ""), ("a*c", "abcd"), ("[^a]bc", "abc"), ("\\*", "a"), ("[", "a")];
        for (pattern, name) in other {
            assert!(!glob_matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_bounded_work() {
        let pattern = b"*a".repeat(5000);
        assert!(!glob_matches(&pattern, &b"a".repeat(60)));
        assert!(glob_matches(&b"*a".repeat(60), &b"a".repeat(60)));
    }
}
