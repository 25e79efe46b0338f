//! TLS with certificate and host name checked, and the certificate's hash for SCRAM's channel binding.
//!
//! Never falls back to an unchecked certificate. Surprise: the binding's hash follows the certificate's own signature
//! algorithm (RFC 5929, "tls-server-end-point"); where that names no hash (Ed25519, RSA-PSS), there is no binding and
//! plain SCRAM is used, which the checked certificate still protects.

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Shakes hands on `stream`. `ca_file`: PEM; without one, the system's roots.
///
/// # Errors
/// An unreadable CA file, a name that cannot be in a certificate, a failed handshake or an untrusted certificate.
pub async fn shake_hands<S>(stream: S, host: &str, ca_file: Option<&Path>) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable = |cause| io::Error::other(format!("CA file {}: {cause}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))? {
                let certificate = certificate.map_err(|e| unreadable(e.to_string()))?;
                roots.add(certificate).map_err(|e| unreadable(e.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() { Err(io::Error::other("no CA certificate to trust")) } else { Ok(roots) }
}

/// The hash that binds SCRAM to this connection's certificate.
pub fn channel_binding<S>(stream: &TlsStream<S>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let algorithm = signature_digest(certificate)?;
    Some(ring::digest::digest(algorithm, certificate).as_ref().to_vec())
}

const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
const ECDSA_SHA2: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03];
const ECDSA_SHA1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x01];

/// MD5 and SHA-1 count as SHA-256 (RFC 5929, section 4.1).
fn signature_digest(certificate: &[u8]) -> Option<&'static ring::digest::Algorithm> {
    let oid = signature_oid(certificate)?;
    if oid == ECDSA_SHA1 {
        return Some(&ring::digest::SHA256);
    }
    let (last, family) = oid.split_last()?;
    match (family, last) {
        (RSA, 0x04 | 0x05 | 0x0B) | (ECDSA_SHA2, 0x02) => Some(&ring::digest::SHA256),
        (RSA, 0x0C) | (ECDSA_SHA2, 0x03) => Some(&ring::digest::SHA384),
        (RSA, 0x0D) | (ECDSA_SHA2, 0x04) => Some(&ring::digest::SHA512),
        _ => None,
    }
}

const DER_SEQUENCE: u8 = 0x30;
const DER_OID: u8 = 0x06;

/// Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, signature }.
fn signature_oid(certificate: &[u8]) -> Option<&[u8]> {
    let (fields, _) = der_element(certificate, DER_SEQUENCE)?;
    let (_, rest) = der_element(fields, DER_SEQUENCE)?;
    let (algorithm, _) = der_element(rest, DER_SEQUENCE)?;
    Some(der_element(algorithm, DER_OID)?.0)
}

/// The content of the first element, which must have this tag, and what follows it.
fn der_element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
    if length.len() > size_of::<u32>() {
        return None;
    }
    let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_signature_names_the_hash_and_broken_ones_name_none() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let der = made.cert.der();
        assert_eq!(signature_digest(der), Some(&ring::digest::SHA256), "rcgen signs with ECDSA and SHA-256");
        for end in 0..64 {
            assert!(signature_digest(&der[..end]).is_none());
        }
        assert!(signature_digest(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]).is_none());
    }
}
