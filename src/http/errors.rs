//! `/errors/{area}/{word}`: what an error code means and what to do about it, the pages of `docs/errors`.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderName, HeaderValue, header};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// The pages. Debug builds read them from the disk at each request.
#[derive(RustEmbed)]
#[folder = "docs/errors"]
struct Pages;

const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

pub(super) async fn page(
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<([(HeaderName, HeaderValue); 2], Vec<u8>), Problem> {
    let Path((area, word)) = path.map_err(|_| Problem::not_found())?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let page = Pages::get(&format!("{area}/{word}.md")).filter(|_| plain(&area) && plain(&word));
    page.map(|page| (HEADERS, page.data.into_owned())).ok_or_else(Problem::not_found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use roundtable_protocol::ErrorCode;
    use schemars::schema_for;
    use serde_json::Value;

    use super::*;
    use crate::http::problem::HTTP_CODES;

    const TO_DO: &str = "## What to do";

    /// Every code with what it means, as the documentation of its type has it.
    fn codes() -> Vec<(String, String)> {
        let schema = schema_for!(ErrorCode).to_value();
        let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
        let ours: Vec<_> = schema["oneOf"].as_array().into_iter().flatten().collect();
        assert_eq!(ours.len(), ErrorCode::ALL.len(), "every code is documented");
        let ours = ours.into_iter().map(|code| (text(&code["const"]), text(&code["description"])));
        ours.chain(HTTP_CODES.iter().map(|(code, means)| ((*code).to_owned(), (*means).to_owned()))).collect()
    }

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/errors")
    }

    /// With ROUNDTABLE_WRITE_DOCS=1 it writes what it can: the sentence about what to do is left to somebody who knows.
    #[test]
    fn every_code_has_its_page() {
        let writes = std::env::var_os("ROUNDTABLE_WRITE_DOCS").is_some();
        for (code, means) in codes() {
            let path = folder().join(format!("{code}.md"));
            let found = fs::read_to_string(&path).unwrap_or_default();
            let advice = found.split_once(TO_DO).map(|(_, advice)| advice.trim()).unwrap_or_default();
            let expected = format!("# `{code}`\n\n{means}\n\n{TO_DO}\n\n{advice}\n");
            if writes {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, expected).unwrap();
            } else {
                assert!(found == expected, "{} is missing or stale: ROUNDTABLE_WRITE_DOCS=1", path.display());
            }
            assert!(advice.len() > 20, "{} does not say what to do", path.display());
        }
    }

    #[test]
    fn no_page_is_left_of_a_code_that_is_gone() {
        let known = codes();
        for page in Pages::iter().filter(|page| page.contains('/')) {
            let code = page.strip_suffix(".md").unwrap_or_default();
            assert!(known.iter().any(|(known, _)| known == code), "docs/errors/{page} has no code");
        }
    }

    #[test]
    fn every_word_of_http_is_listed() {
        let source = include_str!("problem.rs");
        let words = source.split("\"http/").skip(1).filter_map(|rest| rest.split('"').next());
        for word in words {
            assert!(HTTP_CODES.iter().any(|(code, _)| *code == format!("http/{word}")), "http/{word}");
        }
    }
}
