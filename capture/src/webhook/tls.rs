//! TLS, and certificates that senders must have.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use crate::config::WebhookConfig;

/// TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error("cannot use `{}`: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Certificate and key do not go together, or neither can be used.
    #[error("cannot serve TLS with `{}`: {why}", path.display())]
    Config {
        /// The certificate.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// As configured; `None` where there is no TLS.
///
/// # Errors
/// [`TlsError`].
pub fn acceptor(config: &WebhookConfig) -> Result<Option<TlsAcceptor>, TlsError> {
    let Some((cert, key)) = &config.tls else { return Ok(None) };
    let failed = |why: &dyn std::fmt::Display| TlsError::Config { path: cert.clone(), why: why.to_string() };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = match &config.tls_client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| unusable(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let server = builder.with_single_cert(certificates(cert)?, private).map_err(|error| failed(&error))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: why.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?.collect();
    let found = found.map_err(|error| unusable(path, &error))?;
    if found.is_empty() {
        return Err(unusable(path, &"there is no certificate in it"));
    }
    Ok(found)
}
