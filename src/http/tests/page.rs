//! The page, at the root and under a prefix.

use super::*;

#[tokio::test]
async fn the_page_is_served_for_every_room() {
    let site = Site::start().await;
    let mut tags = vec![];
    for path in ["/", "/r/daily", "/r/not%20an%20id"] {
        let answer = site.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let policy = answer.header("content-security-policy").unwrap();
        for rule in ["default-src 'self'", "connect-src 'self' ws: wss:", "frame-ancestors 'none'", "style-src 'self'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(answer.header("permissions-policy").unwrap().contains("camera=(self)"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        tags.push(answer.header("etag").unwrap().to_owned());
        assert!(answer.text().await.starts_with("<!doctype html>"), "{path}");
    }
    assert_eq!(tags[0], tags[1]);
    let again = site.request("GET", "/", &format!("If-None-Match: \"x\", W/{}\r\n", tags[0])).await;
    assert_eq!((again.status, again.header("etag")), (304, Some(tags[0].as_str())));
    let head = site.request("HEAD", "/", "").await;
    assert_eq!((head.status, head.text().await.as_str()), (200, ""));
}

#[tokio::test]
async fn a_file_outside_of_the_page_is_not_found() {
    let site = Site::start().await;
    for path in
        ["/assets/", "/assets/none.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/%2e%2e/%2e%2e/package.json"]
    {
        site.get(path).await.problem(404, "http/not-found").await;
    }
}

async fn works_under_a_prefix(site: &Site, homes: &[&str]) {
    for path in homes.iter().chain(&["/meet/r/daily"]) {
        let answer = site.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
    }
    assert_eq!(site.get("/meet/api/v1/rooms").await.status, 200);
    assert_eq!(site.get("/livez").await.text().await, "theirs");
    assert_eq!(site.get("/meet/livez").await.text().await, "live\n");
    for nothing in ["/meet/nothing", "/meet/api/v1/rooms/none", "/meet/errors/no/such"] {
        let code = if nothing.contains("rooms") { "room/unknown" } else { "http/not-found" };
        site.get(nothing).await.problem_under("/meet", 404, code).await;
        let explained = site.get(&format!("/meet/errors/{code}")).await;
        assert_eq!(explained.status, 200, "a problem links to where its code is explained");
    }
    let (_socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/meet/ws?room=r", site.address)).await.unwrap();
}

fn theirs() -> Router {
    Router::new().route("/livez", get(|| async { "theirs" }))
}

#[tokio::test]
async fn everything_works_nested() {
    let mount = |router| theirs().nest("/meet", router);
    let site = Site::mounted(HubConfig::default(), HttpConfig::default(), mount).await;
    works_under_a_prefix(&site, &["/meet"]).await;
}

#[tokio::test]
async fn everything_works_nested_as_a_service() {
    let mount = |router: Router| theirs().nest_service("/meet", router);
    let site = Site::mounted(HubConfig::default(), HttpConfig::default(), mount).await;
    works_under_a_prefix(&site, &["/meet", "/meet/", "/meet/?x=1"]).await;
}

#[tokio::test]
async fn what_could_be_taken_for_another_host_is_no_prefix() {
    let mount = |router: Router| Router::new().nest_service("//evil.example", router);
    let site = Site::mounted(HubConfig::default(), HttpConfig::default(), mount).await;
    site.get("//evil.example/nothing").await.problem_under("", 404, "http/not-found").await;
}
