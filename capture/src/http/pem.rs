//! Certificates in PEM files.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio_rustls::rustls::RootCertStore;

/// A file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`: {why}", path.display())]
pub struct Unusable {
    path: PathBuf,
    why: String,
}

impl Unusable {
    /// A file, and why.
    pub fn new(path: &Path, why: &dyn std::fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

/// The certificates in a file.
///
/// # Errors
/// [`Unusable`]: it cannot be read, or there is none in it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let unusable = |error: rustls_pki_types::pem::Error| Unusable::new(path, &error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unusable)?.collect();
    let found = found.map_err(unusable)?;
    if found.is_empty() {
        return Err(Unusable::new(path, &"there is no certificate in it"));
    }
    Ok(found)
}

/// The authorities in a file, to be trusted.
///
/// # Errors
/// [`Unusable`].
pub fn authorities(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|error| Unusable::new(path, &error))?;
    }
    Ok(roots)
}
