//! Who may ask the admin plane: the token, and the name it is called by.
//!
//! Not encryption: beyond this machine put a TLS proxy in front, or the token travels in the clear.
//!
//! Invariants: (1) the token is compared in a time that tells nothing about how much of it is right; (2) without a token
//! the plane answers only to a name that means this machine, or a web page could reach it through a name of its own that
//! resolves to 127.0.0.1 (DNS rebinding).
//!
//! Thread safety: pure functions.

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Why a request is refused: the status and a reason for people.
pub type Refusal = (StatusCode, &'static str);

/// Whether a request may see figures. `wanted` is the setting `admin-token`.
pub fn check(wanted: Option<&str>, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    let Some(wanted) = wanted else { return check_host(headers) };
    let Some(given) = bearer(headers).or_else(|| token_of_query(uri.query().unwrap_or_default())) else {
        return Err((
            StatusCode::UNAUTHORIZED,
            "This port asks for a token: send 'Authorization: Bearer <admin-token>', or append ?token=<admin-token>.",
        ));
    };
    if bool::from(wanted.as_bytes().ct_eq(&given)) {
        return Ok(());
    }
    Err((StatusCode::UNAUTHORIZED, "The token is not the one that admin-token sets."))
}

fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    if is_this_machine(host) {
        return Ok(());
    }
    Err((
        StatusCode::FORBIDDEN,
        "Without admin-token this port answers only to 'localhost' and to addresses. Call it by its address, or set \
         admin-token.",
    ))
}

/// `localhost`, an address, each with or without a port.
fn is_this_machine(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn bearer(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().to_vec())
}

/// The value of `token` in a query string, decoded.
pub fn token_of_query(query: &str) -> Option<Vec<u8>> {
    parameter(query, "token")
}

/// The value of a parameter in a query string, decoded.
pub fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name));
    value.map(|(_, value)| decoded(value))
}

/// Without percent encoding; what is not validly encoded stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| (digit as char).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                rest = after;
            }
        }
    }
    bytes
}

/// Percent-encoded, for a link.
pub fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte as char);
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn status(wanted: Option<&str>, headers: &[(&'static str, &str)], uri: &str) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        check(wanted, &map, &uri.parse().expect("a uri")).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_token_is_taken_from_the_header_or_the_query() {
        let token = Some("s3 cret+/&");
        assert_eq!(status(token, &[], "/metrics"), 401);
        assert_eq!(status(token, &[("authorization", "Bearer s3 cret+/&")], "/metrics"), 200);
        assert_eq!(status(token, &[("authorization", "bearer s3 cret+/&")], "/metrics"), 200);
        assert_eq!(status(token, &[("authorization", "Bearer s3 cret")], "/metrics"), 401);
        assert_eq!(status(token, &[("authorization", "Basic s3")], "/metrics"), 401);
        assert_eq!(status(token, &[("authorization", "B")], "/metrics"), 401);
        assert_eq!(status(token, &[], "/?a=b&token=s3%20cret%2B%2F%26"), 200);
        assert_eq!(status(token, &[], "/?token=s3+cret%2b%2F%26"), 200);
        assert_eq!(status(token, &[], "/?token="), 401);
        assert_eq!(status(token, &[], "/?token=%"), 401);
        assert_eq!(status(token, &[("host", "example.com")], "/?token=s3+cret%2b/%26"), 200);
    }

    #[test]
    fn without_a_token_only_this_machine_s_names_are_answered() {
        for (host, expected) in [
            ("localhost:8080", 200),
            ("LOCALHOST", 200),
            ("127.0.0.1:8080", 200),
            ("[::1]:8080", 200),
            ("evil.example:8080", 403),
            ("localhost.evil.example", 403),
            ("[evil]", 403),
        ] {
            assert_eq!(status(None, &[("host", host)], "/"), expected, "{host}");
        }
        assert_eq!(status(None, &[], "/"), 200);
    }

    #[test]
    fn encoding_goes_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)), all);
        assert_eq!(decoded("%4"), b"%4");
        assert_eq!(decoded("%zz%41"), b"%zzA");
    }
}
