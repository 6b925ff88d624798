//! TLS, and certificates that senders must have.

use std::{path::PathBuf, sync::Arc};

use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use crate::{
    config::WebhookConfig,
    http::pem::{self, Unusable},
};

/// TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] Unusable),
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
            let roots = Arc::new(pem::authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|error| Unusable::new(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| Unusable::new(key, &error))?;
    let server =
        builder.with_single_cert(pem::certificates(cert)?, private).map_err(|error| failed(&error))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}
