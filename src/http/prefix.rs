//! Under which path an embedding application nested the routes.

/// What stands before the route in the path that the client asked for. What could mean anything inside of an attribute's
/// quotes is no prefix: the page fails to load its files rather than somebody else's.
pub(super) fn prefix<'a>(original: &'a str, inner: &str) -> &'a str {
    let prefix = original.strip_suffix(inner).or_else(|| original.strip_suffix('/').filter(|_| inner == "/"));
    let prefix = prefix.or(Some(original).filter(|_| inner == "/")).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~%".contains(c);
    if prefix.chars().all(plain) && !prefix.starts_with("//") { prefix } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_stands_before_the_route() {
        // (what the client asked for, what the route saw, the prefix)
        let table = [
            ("/", "/", ""),
            ("/r/daily", "/r/daily", ""),
            ("/meet", "/", "/meet"),
            ("/meet/", "/", "/meet"),
            ("/meet/r/daily", "/r/daily", "/meet"),
            ("/a/b-1.x~%20/r/daily", "/r/daily", "/a/b-1.x~%20"),
            ("/\"><script>/r/daily", "/r/daily", ""),
            ("/'/r/daily", "/r/daily", ""),
            ("//evil.example/r/daily", "/r/daily", ""),
            ("/other", "/r/daily", ""),
        ];
        for (original, inner, expected) in table {
            assert_eq!(prefix(original, inner), expected, "{original} as {inner}");
        }
    }
}
