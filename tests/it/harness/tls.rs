//! A certificate authority for one test, and a server certificate from it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// PEM texts.
pub struct Certificates {
    pub authority: String,
    pub server: String,
    pub server_key: String,
}

/// A server certificate for `localhost` and 127.0.0.1.
pub fn certificates() -> Certificates {
    let authority_key = KeyPair::generate().expect("a key pair");
    let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(params, authority_key);

    let server_key = KeyPair::generate().expect("a key pair");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server =
        CertificateParams::new(names).expect("valid names").signed_by(&server_key, &issuer).expect("a certificate");
    Certificates { authority: authority.pem(), server: server.pem(), server_key: server_key.serialize_pem() }
}
