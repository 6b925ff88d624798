//! TLS towards others: who they must be is proven by a certificate of an authority that is known here.

use std::{path::Path, sync::Arc};

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use super::pem;

/// Connects to addresses whose certificates are of authorities that are trusted.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// Trusts the authorities in a PEM file, or the system's where none is given.
    ///
    /// # Errors
    /// In words: the file cannot be read, or there is no authority.
    pub fn new(authorities: Option<&Path>) -> Result<Self, String> {
        let roots = match authorities {
            Some(path) => pem::authorities(path).map_err(|error| error.to_string())?,
            None => systems()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with `name` over a connection.
    ///
    /// # Errors
    /// The name is none, or the other side is not who it should be.
    pub(super) async fn connect(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

/// The authorities that this system trusts.
fn systems() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // The system has some that nobody understands.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("this system has no certificates of authorities{why}"));
    }
    Ok(roots)
}
