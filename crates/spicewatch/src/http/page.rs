//! The page: one file, without anything from elsewhere.

use std::fmt::Write as _;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use rustix::rand::{GetRandomFlags, getrandom};

/// The page. `NONCE` is replaced in each answer.
const PAGE: &str = include_str!("page.html");

pub(super) async fn serve() -> Response {
    let mut random = [0; 16];
    if getrandom(&mut random, GetRandomFlags::empty()).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut nonce = String::new();
    for byte in random {
        let _ = write!(nonce, "{byte:02x}");
    }
    // The script may make no markup from text: Chromium then refuses innerHTML and its like.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE.replace("NONCE", &nonce)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
