//! What all answers need: the shared content, threads for what takes time, and failures.

use std::sync::Arc;

use axum::{
    extract::rejection::QueryRejection,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::Content;

/// Requests that read the table or the history at a time. More wait.
const MAX_READERS: usize = 4;

/// What the routes share.
pub(super) type Shared = Arc<Site>;

/// Everything that is served.
pub(super) struct Site {
    content: Content,
    readers: Semaphore,
}

impl Site {
    pub(super) fn new(content: Content) -> Shared {
        Arc::new(Self { content, readers: Semaphore::new(MAX_READERS) })
    }
}

impl std::ops::Deref for Site {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.content
    }
}

/// Runs what takes time in a thread, a few at a time.
pub(super) async fn read<T: Send + 'static>(
    shared: &Shared,
    job: impl FnOnce(&Content) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let busy = || Failure::new("shutting-down", "the process ends");
    let _permit = shared.readers.acquire().await.map_err(|_| busy())?;
    let shared = Arc::clone(shared);
    spawn_blocking(move || job(&shared)).await.map_err(|_| busy())?
}

/// JSON, or what failed.
pub(super) fn json(answer: Result<String, Failure>) -> Response {
    match answer {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json + "\n").into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: &'static str,
    message: String,
    status: StatusCode,
}

impl Failure {
    /// By default the request was wrong.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: StatusCode::BAD_REQUEST }
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with(self, status: StatusCode) -> Response {
        self.status(status).into_response()
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new("bad-request", rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let json = serde_json::json!({"error": {"code": self.code, "message": self.message}});
        (self.status, [(CONTENT_TYPE, "application/json")], json.to_string() + "\n").into_response()
    }
}
