//! Writers that race over HTTP, each with what it has just read.

use std::net::SocketAddr;

use serde_json::json;

use super::http::send;

const WRITERS: usize = 8;
const CHANGES_OF_EACH: usize = 125;
/// Changes in all.
pub(crate) const CHANGES: usize = WRITERS * CHANGES_OF_EACH;

/// Has writers count in the `metadata` of what lies at `path`, [`CHANGES`] steps in all, where `code` refuses a change of what
/// is not as it was read. Returns the versions that were given, in order.
pub(crate) async fn count_in_metadata(address: SocketAddr, path: &str, code: &'static str) -> Vec<u64> {
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write(address, path.to_owned(), code))).collect();
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.expect("it does not panic"));
    }
    all.sort_unstable();
    all
}

async fn write(address: SocketAddr, path: String, code: &'static str) -> Vec<u64> {
    let mut versions = Vec::new();
    while versions.len() < CHANGES_OF_EACH {
        let seen = send(address, "GET", &path, "", None).await;
        let tag = seen.header("etag").expect("a tag").to_owned();
        let count: u32 = seen.body["metadata"].as_str().map_or(0, |text| text.parse().expect("a number"));
        let next = json!({"metadata": (count + 1).to_string()});
        let answer = send(address, "PATCH", &path, &format!("If-Match: {tag}\r\n"), Some(&next)).await;
        match answer.status {
            200 => versions.push(answer.body["version"].as_u64().expect("a number")),
            412 => assert_eq!(answer.body["code"], code),
            _ => panic!("{answer:?}"),
        }
    }
    assert!(versions.is_sorted_by(|one, next| one < next));
    versions
}
