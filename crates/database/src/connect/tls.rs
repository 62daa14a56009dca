//! Certificates to trust, and how an error of an encrypted connection is recognised.

use super::server::chain_text;
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
    find(error).is_some()
}

/// The error of encryption in the chain of an error.
fn find<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` shows its inside here alone; its `source` skips one level.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error of this kind, with words for a person where it is one of encryption.
pub(super) fn explained(
    kind: ErrorKind,
    error: impl StdError + Send + Sync + 'static,
) -> DatabaseError {
    let words = (kind == ErrorKind::Tls).then(|| explanation(&error));
    let failure = DatabaseError::because(kind, error);
    match words {
        Some(words) => failure.with_message(words),
        None => failure,
    }
}

/// The drivers' own words for a server that knows no encryption.
const NOT_OFFERED: [&str; 2] =
    ["server does not support TLS", "server does not have this capability"];

/// What happened and what would be right.
fn explanation(error: &(dyn StdError + 'static)) -> &'static str {
    use rustls::{CertificateError as Certificate, Error};
    let not_offered = || {
        let words = chain_text(error);
        NOT_OFFERED.iter().any(|part| words.contains(part))
    };
    match find(error) {
        Some(Error::InvalidCertificate(Certificate::UnknownIssuer)) => {
            "the database's certificate is signed by no authority that is trusted here; give the \
             file of its authority as sslrootcert="
        }
        Some(Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        )) => "the database's certificate is for another host than the URL names",
        Some(Error::InvalidCertificate(_)) => "the database's certificate is not valid",
        None if not_offered() => {
            "the database offers no encrypted connections; turn them on there, or give \
             sslmode=disable where nobody can listen"
        }
        Some(_) | None => "the encrypted connection to the database failed",
    }
}
