//! What may stand for a person: the rule of names, the same for a hello and for a token.

use crate::limit::MAX_NAME_CHARS;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadName {
    /// Nothing, or nothing but spaces.
    #[error("the name is empty")]
    Empty,
    /// More characters than a name may have.
    #[error("the name is longer than {MAX_NAME_CHARS} characters")]
    TooLong,
    /// Control characters, line breaks, or those that turn the direction of the text around them.
    #[error("the name holds control characters")]
    Character,
}

/// Takes the spaces around a name away and checks the rest.
///
/// # Errors
/// [`BadName`] says which rule was broken.
pub fn check_name(name: &str) -> Result<&str, BadName> {
    let name = name.trim();
    if name.is_empty() {
        Err(BadName::Empty)
    } else if name.chars().count() > MAX_NAME_CHARS {
        Err(BadName::TooLong)
    } else if name.chars().any(is_forbidden) {
        Err(BadName::Character)
    } else {
        Ok(name)
    }
}

fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_does_not_disturb_the_text_around_it() {
        assert_eq!(check_name("  Ann "), Ok("Ann"));
        assert_eq!(check_name(&"ä".repeat(64)), Ok(&*"ä".repeat(64)));
        for (name, bad) in [
            ("", BadName::Empty),
            (" \t ", BadName::Empty),
            (&*"x".repeat(65), BadName::TooLong),
            ("a\nb", BadName::Character),
            ("a\u{202e}b", BadName::Character),
        ] {
            assert_eq!(check_name(name), Err(bad), "{name:?}");
        }
    }
}
