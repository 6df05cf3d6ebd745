//! The table, the router, the published document and the errors agree.

use std::path::Path;

use super::*;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const PUBLISHED: &str = "docs/openapi.json";

/// What stands before the parenthesis that closes the one before it.
fn inside(text: &str) -> &str {
    let mut open = 1;
    let end = text.char_indices().find(|(_, c)| {
        open += i32::from(*c == '(') - i32::from(*c == ')');
        open == 0
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// The routes that a source gives to axum: each `.route("path", get(…).post(…))`.
fn routes_of(source: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for call in source.split(".route(").skip(1) {
        let Some((path, rest)) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
            panic!("a path that is no literal: {}", call.lines().next().unwrap_or_default());
        };
        let handlers = inside(rest);
        let named = METHODS.iter().filter(|method| {
            handlers
                .match_indices(&format!("{method}("))
                .any(|(at, _)| !handlers[..at].ends_with(char::is_alphanumeric))
        });
        let named: Vec<_> = named.collect();
        assert!(!named.is_empty(), "{path}: the methods stand beside the path");
        found.extend(named.into_iter().map(|method| (path.to_owned(), (*method).to_owned())));
    }
    found
}

/// All sources of the folder but tests.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn every_route_of_the_router_is_in_the_table_and_the_other_way_round() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let routed: BTreeSet<_> = sources(&folder).iter().flat_map(|source| routes_of(source)).collect();
    let told: BTreeSet<_> = routes().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
    assert_eq!(routed, told, "left: the router, right: src/http/openapi/routes");
    assert_eq!(told.len(), routes().count(), "each of them once");
}

#[test]
fn the_published_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PUBLISHED);
    if std::env::var_os("ROUNDTABLE_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{:#}\n", describe())).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    // As values: the order of keys depends on which features of serde_json the build has.
    let published: Value = serde_json::from_str(&published).unwrap_or_default();
    assert!(
        published == describe(),
        "{PUBLISHED} is stale: ROUNDTABLE_WRITE_DOCS=1 cargo test -p roundtable --lib openapi"
    );
}

#[test]
fn every_code_in_the_table_is_one_and_every_variable_is_told() {
    for Route { path, problems, .. } in routes() {
        for code in problems.iter().flat_map(|(_, codes)| *codes) {
            assert!(codes().contains(code), "{path}: {code}");
        }
        for variable in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            assert!(PATH_VARIABLES.iter().any(|(name, _)| *name == variable), "{path}: {variable}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    found.push(to.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (describe(), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("all in one document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_reader_of_routes_reads_them() {
    let source = "x.route(\"/a\", get(f).post(super::post(g)))\n.route(\n\"/b/{c}\",\ndelete(widget(g)),\n);put(h)";
    let expected = [("/a", "get"), ("/a", "post"), ("/b/{c}", "delete")];
    let expected = expected.map(|(path, method)| (path.to_owned(), method.to_owned()));
    assert_eq!(routes_of(source), BTreeSet::from(expected));
}
