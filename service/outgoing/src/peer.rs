//! A connection to a host that others chose: which address, and TLS over it.
//!
//! The name is resolved here, its addresses are checked, and the connection is made to an address that was checked:
//! a name that leads elsewhere a moment later changes nothing. Refuses to know what is said over the connection.

use crate::address::{Cidr, refusal};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No certificate to trust: nothing could be verified.
    #[error("no certificate authority of the system could be read")]
    NoRoots,
    /// A file of certificates.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// What the TLS library says.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Whom to trust, and which addresses may be connected to.
#[derive(Clone)]
pub(crate) struct Peers {
    tls: Arc<ClientConfig>,
    allowed: Vec<Cidr>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Peers {
    /// Trusts the system's certificate authorities, and those of `more`, a text in PEM.
    pub(crate) fn new(allowed: &[Cidr], more: Option<&[u8]>) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if let Some(pem) = more {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let read = read.map_err(|_| ClientError::NoCertificate)?;
            if read.is_empty() || roots.add_parsable_certificates(read).0 == 0 {
                return Err(ClientError::NoCertificate);
            }
        }
        if roots.is_empty() {
            return Err(ClientError::NoRoots);
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), allowed: allowed.to_vec() })
    }

    /// A connection to one of the addresses that the name has and that may be sent to.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| format!("its name cannot be resolved: {error}"))?
                .collect(),
        };
        let mut why = "its name has no address".to_owned();
        for address in addresses {
            if let Some(refusal) = refusal(address.ip(), &self.allowed) {
                why = format!("its address is {refusal} ({}), and not in outgoing.allow_cidrs", address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("no connection: {error}"),
            }
        }
        Err(why)
    }

    /// TLS over a connection, with a host that proves its name.
    pub(crate) async fn secured(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "its host is no name".to_owned())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        stream.map_err(|error| format!("TLS: {error}"))
    }
}
