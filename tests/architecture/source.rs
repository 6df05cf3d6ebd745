//! Reads Rust sources as far as the rules need it: code without comments, literals and test items.

/// The code of a file with comments, literals and items under `#[cfg(test)]` blanked. Lines and
/// columns stay where they were.
pub(crate) fn code(text: &str) -> String {
    without_test_items(&without_literals(text))
}

/// The names of modules that a file declares for tests only: `#[cfg(test)] mod tests;`.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    let bare = without_literals(text);
    test_attributes(&bare)
        .filter_map(|(_, item)| {
            let declaration = bare.get(item..item_end(&bare, item))?.trim();
            let name =
                declaration.strip_prefix("pub ").unwrap_or(declaration).strip_prefix("mod ")?.strip_suffix(';')?;
            Some(name.trim().to_owned())
        })
        .collect()
}

/// The line of a byte position, from 1.
pub(crate) fn line_of(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|b| *b == b'\n').count()
}

/// Every position at which `word` stands by itself, not as a part of a longer name.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_name = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        let (first, last) = (word.as_bytes().first(), word.as_bytes().last());
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let continues = is_name(first) && is_name(before) || is_name(last) && is_name(bytes.get(at + word.len()));
        !continues
    })
}

/// The first names behind each `root::`, where groups count by member: `use crate::{a::b, c}` gives `a` and `c`.
pub(crate) fn heads(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, root) {
        let rest = &code[at + root.len()..];
        let Some(path) = rest.trim_start().strip_prefix("::") else { continue };
        let path = path.trim_start();
        match path.strip_prefix('{') {
            Some(group) => found.extend(members(group).into_iter().filter_map(leading_name).map(|name| (at, name))),
            None => found.extend(leading_name(path).map(|name| (at, name))),
        }
    }
    found
}

/// Every path that begins with `root`, name by name; groups give one for each member.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in words(code, root).filter(|&at| !code[..at].trim_end().ends_with("::")) {
        let mut paths = Vec::new();
        unfold(&[], &code[at..], &mut paths);
        found.extend(paths.into_iter().map(|path| (at, path)));
    }
    found
}

fn unfold(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim_start();
    if let Some(group) = tree.strip_prefix('{') {
        return members(group).into_iter().for_each(|member| unfold(before, member, found));
    }
    let Some(name) = leading_name(tree) else { return found.push(before.to_vec()) };
    let rest = tree[name.len()..].trim_start().strip_prefix("::");
    let path = [before, &[name]].concat();
    match rest {
        Some(rest) => unfold(&path, rest, found),
        None => found.push(path),
    }
}

/// The members of a group whose opening brace was taken.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(group[start..at].trim());
                return members;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}

fn leading_name(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn without_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        match literal_length(rest, at.checked_sub(1).and_then(|i| bytes.get(i))) {
            Some(length) => {
                blank(&rest[..length], &mut out);
                at += length;
            }
            None => {
                let c = rest.chars().next().unwrap_or(' ');
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}

/// Blanks a piece, byte by byte, so that positions stay the same.
fn blank(piece: &str, out: &mut String) {
    out.extend(piece.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
}

/// The length of the comment or literal at the start of `rest`, if there is one.
fn literal_length(rest: &str, before: Option<&u8>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(string_length(rest));
    }
    if rest.starts_with('\'') {
        return char_length(rest);
    }
    let in_name = before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let raw = ["r", "br", "cr"].into_iter().find_map(|p| rest.strip_prefix(p).filter(|r| r.starts_with(['"', '#'])));
    match raw {
        Some(raw) if !in_name => {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            let body = raw[hashes..].strip_prefix('"')?;
            let close = format!("\"{}", "#".repeat(hashes));
            let length = body.find(&close).map_or(body.len(), |end| end + close.len());
            Some(rest.len() - body.len() + length)
        }
        _ => None,
    }
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; a lifetime is none.
fn char_length(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if body.starts_with('\\') {
        // Behind the backslash and what it escapes, so that '\'' ends where it ends.
        let tail = body.get(2..)?;
        return tail.find('\'').map(|end| 3 + end + 1);
    }
    let c = body.chars().next()?;
    body[c.len_utf8()..].starts_with('\'').then(|| 2 + c.len_utf8())
}

fn without_test_items(bare: &str) -> String {
    let mut out = String::with_capacity(bare.len());
    let mut at = 0;
    for (attribute, item) in test_attributes(bare) {
        if attribute < at {
            continue; // Inside an item that is gone already.
        }
        let end = item_end(bare, item);
        out.push_str(&bare[at..attribute]);
        blank(&bare[attribute..end], &mut out);
        at = end;
    }
    out.push_str(&bare[at..]);
    out
}

/// Each `#[cfg(test)]` (also `all(test, …)`): its position and that of the item behind it and its other attributes.
fn test_attributes(bare: &str) -> impl Iterator<Item = (usize, usize)> {
    let starts = ["#[cfg(test)]", "#[cfg(all(test,"];
    let mut found: Vec<usize> = starts.iter().flat_map(|start| bare.match_indices(start)).map(|(at, _)| at).collect();
    found.sort_unstable();
    found.into_iter().map(|at| {
        let mut item = at;
        while bare[item..].trim_start().starts_with("#[") {
            item += bare[item..].find(']').map_or(bare.len() - item, |end| end + 1);
        }
        item += bare[item..].len() - bare[item..].trim_start().len();
        (at, item)
    })
}

/// Where the item that begins at `start` ends: at its closing brace, or at the semicolon before any.
fn item_end(bare: &str, start: usize) -> usize {
    let is_use = bare[start..].trim_start_matches("pub ").starts_with("use ");
    let (mut nested, mut braces) = (0_usize, 0_usize);
    for (at, c) in bare[start..].char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && !is_use {
                    return start + at + 1;
                }
            }
            ';' if nested == 0 && braces == 0 => return start + at + 1,
            _ => {}
        }
    }
    bare.len()
}
