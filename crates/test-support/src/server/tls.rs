//! A certificate authority and a server certificate for one throwaway server.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The paths of the certificates that a server was given.
#[derive(Debug)]
pub(crate) struct TlsFiles {
    /// The authority that signed the server's certificate.
    pub(crate) ca: PathBuf,
    /// An authority that signed nothing, for tests of refusal.
    pub(crate) untrusted_ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes all four files in `folder`, for the names `localhost` and `127.0.0.1`.
pub(crate) fn write_files(folder: &Path) -> anyhow::Result<TlsFiles> {
    let files = TlsFiles {
        ca: folder.join("ca.pem"),
        untrusted_ca: folder.join("untrusted-ca.pem"),
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
    };
    let authority = new_authority("cellzero test CA")?;
    let server_key = KeyPair::generate().context("cannot make the server's key")?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names).context("cannot name the server")?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let signed = server
        .signed_by(&server_key, &authority.issuer)
        .context("cannot sign the server's certificate")?;
    write_private(&files.ca, &authority.pem)?;
    write_private(&files.untrusted_ca, &new_authority("cellzero untrusted CA")?.pem)?;
    write_private(&files.certificate, &signed.pem())?;
    write_private(&files.key, &server_key.serialize_pem())?;
    Ok(files)
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn new_authority(name: &str) -> anyhow::Result<Authority> {
    let key = KeyPair::generate().context("cannot make the authority's key")?;
    let mut params = CertificateParams::new(Vec::new()).context("cannot name the authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&key).context("cannot sign the authority's certificate")?.pem();
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

/// Writes a file that its owner alone may read, which PostgreSQL demands of a key.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
