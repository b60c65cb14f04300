//! The routes, and what holds for all of them.

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};

use super::{
    Content,
    answer::{Failure, Site},
    events, metrics, page, sessions,
};

/// All routes. `is_tcp`: requests must name this machine as their host.
pub(super) fn router(content: Content, is_tcp: bool) -> Router {
    let shared = Site::new(content);
    let router = Router::new()
        .route("/", get(page::serve))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics::serve))
        .route("/v1/status", get(sessions::status))
        .route("/v1/sessions", get(sessions::serve))
        .route("/v1/sessions/{id}", get(sessions::one))
        .route("/v1/events", get(events::serve));
    #[cfg(feature = "history")]
    let router = router.route("/v1/history", get(super::history::serve));
    router
        .fallback(async || Failure::new("not-found", "there is nothing here").with(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || {
            Failure::new("method", "only GET is answered").with(StatusCode::METHOD_NOT_ALLOWED)
        })
        .with_state(shared)
        .layer(from_fn_with_state(is_tcp, check_host))
        .layer(from_fn(add_headers))
}

/// Refuses a request that names another host: a page of that host may have made a browser send it (DNS rebinding).
async fn check_host(State(is_tcp): State<bool>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if is_tcp && (hosts.next().is_some() || !host.is_some_and(is_this_machine)) {
        let message = "expected the host to be localhost or a loopback address, found another one";
        return Failure::new("wrong-host", message).with(StatusCode::MISDIRECTED_REQUEST);
    }
    next.run(request).await
}

/// Whether a Host header names this machine's loopback interface. The port may be that of a tunnel.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// Other sites can neither read nor frame what is served, and no browser takes it for anything else.
async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_this_machine_or_refused() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:9180", true),
            ("LOCALHOST:1", true),
            ("127.0.0.1:9180", true),
            ("127.9.9.9", true),
            ("[::1]:9180", true),
            ("[::1]", true),
            ("", false),
            ("localhost.evil.example", false),
            ("evil.example:9180", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
            ("::1", false),
            ("[::1", false),
            ("[::2]", false),
            ("localhost:", false),
            ("2130706433", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }
}
