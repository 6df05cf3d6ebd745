//! What is made from this crate is fresh: the SDK's types and the published schema.

use std::fs;
use std::path::Path;

use roundtable_protocol::schema;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}; run `cargo xtask protocol`"))
}

#[test]
fn the_types_of_the_sdk_are_fresh() {
    let path = "web/sdk/src/protocol.ts";
    assert_eq!(read(path), schema::typescript(), "{path} is stale: run `cargo xtask protocol`");
}

#[test]
fn the_published_schema_is_fresh() {
    let path = "docs/protocol.schema.json";
    // As values: the order of keys depends on which features of serde_json the build has.
    let published: serde_json::Value = serde_json::from_str(&read(path)).unwrap();
    assert_eq!(published, schema::json_schema(), "{path} is stale: run `cargo xtask protocol`");
}
