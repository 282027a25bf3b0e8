//! What the admin plane answers: pages, probes, metrics, and the profile as JSON.
//!
//! Not how reports are made (`commands::profile`, `observe::report`) nor who may ask (`access`).
//!
//! Invariants: (1) handlers run on the admin thread and wait for nothing but [`report`], which has it made on the thread that
//! makes those of clients, too, and gives up after [`REPORT_TIMEOUT`]; at most [`WAITING_MAX`] connections wait for one, so
//! that places are left for others; (2) every refusal says why and what to do; (3) nothing is
//! to be kept by caches.
//!
//! Thread safety: handlers share [`State`].

use super::access::{self, parameter, token_of_query};
use super::{figures, page};
use crate::sockets::Sockets;
use axum::Router;
use axum::extract::{Path, Request, State as Shared};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use commands::profile::{COUNT_DEFAULT, COUNT_MAX, Evidence, command_of, made};
use engine::Instance;
use engine::state::reporter::Length;
use observe::report::metrics::{Exposition, Format, observed};
use observe::report::{Asked, reports};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Requests that wait for a report: a quarter of the places. Further ones are told to come again.
const WAITING_MAX: usize = 64;
/// How long a report may take, those that are made before it included.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What handlers share.
pub struct State {
    instance: Arc<Instance>,
    token: Option<String>,
    sockets: Arc<Sockets>,
    /// Room for requests that wait for a report.
    waiting: Semaphore,
}

/// All routes.
pub fn router(instance: Arc<Instance>, sockets: Arc<Sockets>) -> Router {
    let token = Some(instance.settings.text("admin-token")).filter(|token| !token.is_empty());
    let state = Arc::new(State { instance, token, sockets, waiting: Semaphore::new(WAITING_MAX) });
    let guarded = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/api/profile/{report}", get(profile))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), guard));
    Router::new()
        .route("/healthz", get(async || plain(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
        .merge(guarded)
        .fallback(nothing_here)
        .method_not_allowed_fallback(async || {
            plain(StatusCode::METHOD_NOT_ALLOWED, "The admin port only tells: use GET or HEAD.\n")
        })
        .layer(middleware::map_response(with_safe_headers))
        .with_state(state)
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text.into()).into_response()
}

async fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The token may stand in the address.
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn guard(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match access::check(state.token.as_deref(), request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err((status, reason)) => {
            let mut response = plain(status, format!("{reason}\n"));
            if status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    if state.instance.stopping.load(Relaxed) {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    plain(StatusCode::OK, "ready\n")
}

async fn nothing_here(uri: Uri) -> Response {
    let reports: Vec<&str> = reports::by_place().map(|report| report.name).collect();
    let text = format!(
        "Nothing is at {}. There are:\n  /\n  /metrics\n  /healthz\n  /readyz\n  /api/profile/{{{}}}\n",
        uri.path(),
        reports.join(",")
    );
    plain(StatusCode::NOT_FOUND, text)
}

async fn index(Shared(state): Shared<Arc<State>>, uri: Uri) -> Response {
    let token = token_of_query(uri.query().unwrap_or_default());
    let data_port = state.sockets.port();
    let made = report(&state, move |instance| page::index(instance, data_port, token.as_deref()));
    match made.await {
        Ok(html) => ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(refusal) => refusal,
    }
}

async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::of_accept(accept);
    match report(&state, move |instance| exposition(instance, format)).await {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(refusal) => refusal,
    }
}

fn exposition(instance: &Instance, format: Format) -> String {
    let evidence = Evidence::as_counted(instance, instance.snapshot());
    let mut out = Exposition::new(format);
    figures::write(&mut out, instance, &figures::ServerFigures::of(instance));
    observed::write_counts(&mut out, &evidence.input());
    observed::write_verdict(&mut out, &evidence.since_reset(instance).input());
    out.finish()
}

/// What stands behind a report's name in the address, `?count=20&command=get&format=text`; and whether text is wanted.
fn parse(query: &str) -> Result<(Asked, bool), String> {
    let text = |name: &str| parameter(query, name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let count = match text("count") {
        None => COUNT_DEFAULT,
        Some(count) => count
            .parse()
            .ok()
            .filter(|count| (1..=COUNT_MAX).contains(count))
            .ok_or_else(|| format!("count must be between 1 and {COUNT_MAX}"))?,
    };
    let command = text("command").map(|name| command_of(commands::registry(), name.as_bytes())).transpose();
    let command = command
        .map_err(|error| String::from_utf8_lossy(error.text()).trim_start_matches("ERR ").to_owned())?;
    let is_text = match text("format").as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return Err("format is json or text".to_owned()),
    };
    Ok((Asked { count, command }, is_text))
}

async fn profile(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, uri: Uri) -> Response {
    let Some(asked_for) = reports::by_place().find(|report| report.name == name) else {
        return nothing_here(uri).await;
    };
    let (asked, is_text) = match parse(uri.query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(reason) => return plain(StatusCode::BAD_REQUEST, format!("{reason}\n")),
    };
    let made = report(&state, move |instance| {
        let node = made(instance, asked_for, &asked);
        if is_text { node.to_text() } else { format!("{:#}\n", node.to_json()) }
    });
    match made.await {
        Ok(text) if is_text => plain(StatusCode::OK, text),
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(refusal) => refusal,
    }
}

/// Has a report made, and waits for it. Nothing is made for a client that has gone meanwhile.
async fn report(
    state: &State,
    make: impl FnOnce(&Instance) -> String + Send + 'static,
) -> Result<String, Response> {
    let Ok(_place) = state.waiting.try_acquire() else { return Err(come_again()) };
    let (tell, told) = oneshot::channel();
    let job = move |instance: &Instance| {
        if !tell.is_closed() {
            // Whoever has gone while it was made is not told.
            let _ = tell.send(make(instance));
        }
    };
    state.instance.reporter.ask(Length::Long, Box::new(job)).map_err(|_| come_again())?;
    match tokio::time::timeout(REPORT_TIMEOUT, told).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(_)) => {
            Err(plain(StatusCode::INTERNAL_SERVER_ERROR, "The report failed; the log says more.\n"))
        }
        Err(_) => Err(come_again()),
    }
}

fn come_again() -> Response {
    let text = "Too many reports are asked for at once. Come again in a second.\n";
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_s_options_are_read_from_the_query() {
        let (asked, is_text) = parse("count=7&command=config%7Cget&format=text").expect("valid");
        assert_eq!((asked.count, is_text), (7, true));
        assert_eq!(asked.command, command_of(commands::registry(), b"config|get").ok());
        for wrong in ["count=0", "count=1001", "count=x", "command=nosuch", "format=xml"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let (plain, is_text) = parse("token=x").expect("valid");
        assert_eq!((plain.count, plain.command, is_text), (COUNT_DEFAULT, None, false));
    }
}
