//! `/api/v1/webhooks`: the receivers, what they did not get, and sending that again.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::Operator;
use super::problem::Problem;
use crate::webhook::{DeadLetterList, WebhookList};

pub(super) async fn list(State(state): State<HttpState>, operator: Operator) -> Result<Fresh<WebhookList>, Problem> {
    operator.of_all()?;
    Ok(fresh(state.webhooks.list()))
}

pub(super) async fn dead_letters(
    State(state): State<HttpState>,
    operator: Operator,
) -> Result<Fresh<DeadLetterList>, Problem> {
    operator.of_all()?;
    Ok(fresh(state.webhooks.dead_letters()))
}

/// Sends one that was given up again, behind what waits.
pub(super) async fn retry(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    operator.of_all()?;
    let id = path.ok().and_then(|Path(text)| text.parse().ok());
    let is_there = id.is_some_and(|id| state.webhooks.retry(id));
    if is_there { Ok(StatusCode::ACCEPTED) } else { Err(Problem::letter_unknown()) }
}
