//! What the API says of webhooks.

use super::*;

#[tokio::test]
async fn receivers_and_dead_letters_are_shown() {
    let site = Site::start().await;
    let list = site.get("/api/v1/webhooks").await.json().await;
    let expected = serde_json::json!({
        "endpoints": [], "types": [], "deadLetters": 0, "forgottenDeadLetters": 0, "missed": 0
    });
    assert_eq!(list, expected);
    let dead = site.get("/api/v1/webhooks/dead-letters").await.json().await;
    assert_eq!(dead, serde_json::json!({ "deadLetters": [] }));
    for id in ["1", "x", "-1", "18446744073709551616"] {
        let path = format!("/api/v1/webhooks/dead-letters/{id}/retry");
        site.request("POST", &path, "").await.problem(404, "http/not-found").await;
    }
    let foreign = "Origin: https://evil.example\r\n";
    let answer = site.request("POST", "/api/v1/webhooks/dead-letters/1/retry", foreign).await;
    answer.problem(403, "http/origin").await;
}
