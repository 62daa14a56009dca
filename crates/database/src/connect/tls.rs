//! Certificates to trust, and how an error of an encrypted connection is recognised.

use crate::error::{DatabaseError, ErrorKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::error::Error as StdError;
use std::path::Path;

/// The certificates to trust: those of the PEM file, or the system's.
pub(super) fn trusted(root: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, DatabaseError> {
    let Some(path) = root else {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            let message = "this system has no trusted certificates; give sslrootcert=/ca.pem";
            return Err(DatabaseError::new(ErrorKind::Tls, message));
        }
        return Ok(found.certs);
    };
    let unreadable = |reason: String| {
        let message = format!("sslrootcert {} cannot be used: {reason}", path.display());
        DatabaseError::new(ErrorKind::Tls, message)
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

#[cfg(feature = "postgres")]
/// A client that verifies certificate and name against these certificates.
pub(super) fn client_config(
    trusted: Vec<CertificateDer<'static>>,
) -> Result<rustls::ClientConfig, DatabaseError> {
    let tls_error = |error: rustls::Error| DatabaseError::because(ErrorKind::Tls, error);
    let mut roots = rustls::RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(trusted);
    if added == 0 {
        let message = "none of the trusted certificates can be read";
        return Err(DatabaseError::new(ErrorKind::Tls, message));
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_error)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(feature = "mysql")]
/// Sees to it that the process has a default provider of cryptography, which the MySQL driver
/// takes. One that the program has installed stays.
pub(super) fn ensure_default_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails only when another thread was faster, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Whether an error has one of encryption in its chain.
pub(super) fn is_tls_error(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` shows its inside here alone; its `source` skips one level.
        if let Some(inner) =
            error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && inner.is::<rustls::Error>()
        {
            return true;
        }
        next = error.source();
    }
    false
}
