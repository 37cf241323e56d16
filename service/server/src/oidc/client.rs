//! Requests to the identity provider: short answers, soon, and from whom the certificate says.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// For one request, to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;

/// Sends requests.
#[derive(Clone)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
}

/// What is sent beside the address.
pub(super) struct Form<'a> {
    pub(super) body: String,
    pub(super) authorization: Option<&'a str>,
}

impl Client {
    /// A client that trusts the system's certificate authorities, and those of `more`, a text in PEM.
    pub(super) fn new(more: Option<&[u8]>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = more {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let read = read.map_err(|_| "it holds no certificate in PEM".to_owned())?;
            if read.is_empty() || roots.add_parsable_certificates(read).0 == 0 {
                return Err("it holds no certificate in PEM".to_owned());
            }
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls) })
    }

    /// The answer to a GET, or to a POST of a form.
    pub(super) async fn send(&self, url: &str, form: Option<Form<'_>>) -> Result<(StatusCode, Bytes), String> {
        match tokio::time::timeout(TIMEOUT, self.exchange(url, form)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, url: &str, form: Option<Form<'_>>) -> Result<(StatusCode, Bytes), String> {
        let url: hyper::Uri = url.parse().map_err(|_| format!("`{url}` is no address"))?;
        let https = url.scheme_str() == Some("https");
        let authority = url.authority().ok_or("the address has no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder()
            .method(if form.is_some() { Method::POST } else { Method::GET })
            .uri(target)
            .header(header::HOST, authority.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("Rolecall/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        if let Some(form) = &form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(value) = form.authorization {
                let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
        }
        let body = Full::new(Bytes::from(form.map(|form| form.body).unwrap_or_default()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| format!("no connection to {host}:{port}: {error}"))?;
        if !https {
            return answer(stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| "its host is no name".to_owned())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        answer(stream.map_err(|error| format!("TLS: {error}"))?, request).await
    }
}

async fn answer<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Ends with the answer, which is the only one of its connection.
    let driving = tokio::spawn(connection);
    let read = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    let read = read.await;
    driving.abort();
    read
}
