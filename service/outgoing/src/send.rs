//! One request to an endpoint, and what its answer means.
//!
//! Redirects are not followed, since they would lead past the check of addresses. Refuses to know what is sent and when
//! it is sent again.

use crate::address::Cidr;
use crate::peer::{ClientError, Peers};
use crate::sign::{SigningSecret, signature};
use crate::url::HttpsUrl;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// For one attempt, from the look-up of the name to the answer's head.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// What sends requests to one endpoint.
#[derive(Debug, Clone)]
pub struct Client {
    peers: Peers,
}

/// An answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How long the endpoint wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken: a status from 200 to 299.
    Taken(Answer),
    /// The endpoint wants no more messages: 410.
    Gone(Answer),
    /// Any other status, redirects among them.
    Refused(Answer),
    /// There was no answer; why, in words that hold nothing of the address's path.
    NoAnswer(String),
}

impl Client {
    /// A client that trusts the system's certificate authorities, and those of `more`, a text in PEM. `allowed` are
    /// blocks of addresses that are no part of the internet, and may be sent to.
    ///
    /// # Errors
    /// Where there is nobody to trust.
    pub fn new(allowed: &[Cidr], more: Option<&[u8]>) -> Result<Self, ClientError> {
        Ok(Self { peers: Peers::new(allowed, more)? })
    }

    /// Sends a JSON text, signed as Standard Webhooks says with every secret given; without one it has no headers of
    /// that standard. `id` is the message's, the same in every attempt.
    pub async fn post(
        &self,
        url: &HttpsUrl,
        secrets: &[SigningSecret],
        id: &str,
        now: DateTime<Utc>,
        body: &str,
    ) -> Outcome {
        let sent = tokio::time::timeout(TIMEOUT, self.exchange(url, secrets, id, now, body)).await;
        let answer = match sent {
            Ok(Ok((status, headers))) => (status, Answer { status: status.as_u16(), retry_after: wait(&headers, now) }),
            Ok(Err(why)) => return Outcome::NoAnswer(why),
            Err(_) => return Outcome::NoAnswer(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        match answer {
            (status, answer) if status.is_success() => Outcome::Taken(answer),
            (StatusCode::GONE, answer) => Outcome::Gone(answer),
            (_, answer) => Outcome::Refused(answer),
        }
    }

    async fn exchange(
        &self,
        url: &HttpsUrl,
        secrets: &[SigningSecret],
        id: &str,
        now: DateTime<Utc>,
        body: &str,
    ) -> Result<(StatusCode, HeaderMap), String> {
        let stream = self.peers.connect(url.host(), url.port()).await?;
        let stream = self.peers.secured(url.host(), stream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url.target())
            .header(header::HOST, url.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("Rolecall/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        if !secrets.is_empty() {
            let timestamp = now.timestamp();
            request = request
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp)
                .header("webhook-signature", signature(secrets, id, timestamp, body.as_bytes()));
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|error| error.to_string())?;
        // The answer's body is of no use, and may be of any length: it is not read.
        let answer = sender.send_request(request);
        tokio::pin!(answer, connection);
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // Whoever answers and hangs up has answered.
            _ended = &mut connection => answer.await,
        };
        let answer = answer.map_err(|error| format!("HTTP: {error}"))?;
        Ok((answer.status(), answer.headers().clone()))
    }
}

/// `Retry-After`: seconds, or a date.
fn wait(headers: &HeaderMap<HeaderValue>, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    until.signed_duration_since(now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Mon, 30 Nov 2026 12:05:00 GMT", Some(300)),
            ("Mon, 30 Nov 2026 11:00:00 GMT", None),
            ("-5", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(wait(&headers, now).map(|wait| wait.as_secs()), seconds, "{text}");
        }
        assert_eq!(wait(&HeaderMap::new(), now), None);
    }
}
