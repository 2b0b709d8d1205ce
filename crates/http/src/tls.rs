//! Whom TLS trusts, and what it shows of itself.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Certificates of authorities, trusted beside the public ones that are built in.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// What a client shows to a server that asks for it.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// How one host is spoken to, beside what holds for all.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Authorities that are trusted for this host only.
    pub authorities: Authorities,
    /// What is shown to it.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether its certificate is checked.
    pub verification: Verification,
}

/// Whether a server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It must be valid for the name, by an authority that is trusted.
    #[default]
    Full,
    /// Any will do: nobody knows who answers.
    Skipped,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file has none.
    #[error("`{name}` has no certificate in PEM form")]
    NoCertificate {
        /// The file.
        name: String,
    },
    /// The file is damaged.
    #[error("`{name}` is not in PEM form")]
    Malformed {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// One certificate cannot be an authority's.
    #[error("`{name}` has a certificate that cannot be an authority's")]
    Unusable {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

impl Authorities {
    /// Reads certificates in PEM form.
    ///
    /// # Errors
    /// There is none, or one cannot be an authority's; `name` is what the error calls the text.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, CertificateError> {
        let certificates = certificates(name, text)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store
                .add(certificate.clone())
                .map_err(|source| CertificateError::Unusable {
                    name: name.to_owned(),
                    source,
                })?;
        }
        Ok(Self(certificates))
    }

    /// Reads what is usable of a text that somebody else has put together, such as a system's bundle, where old oddities
    /// are no reason to stop.
    pub fn parse_lenient(text: &[u8]) -> Self {
        Self(
            CertificateDer::pem_slice_iter(text)
                .filter_map(Result::ok)
                .collect(),
        )
    }

    /// Trusts others as well.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl ClientCertificate {
    /// Reads a certificate, with those that vouch for it, and its key, both in PEM form.
    ///
    /// # Errors
    /// One of them is missing; the names are what the error calls the texts.
    pub fn parse(certificate: (&str, &[u8]), key: (&str, &[u8])) -> Result<Self, CertificateError> {
        let chain = certificates(certificate.0, certificate.1)?;
        let key = PrivateKeyDer::from_pem_slice(key.1).map_err(|source| CertificateError::Malformed {
            name: key.0.to_owned(),
            source,
        })?;
        Ok(Self {
            chain,
            key: Arc::new(key),
        })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn certificates(name: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = read.map_err(|source| CertificateError::Malformed {
        name: name.to_owned(),
        source,
    })?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate {
            name: name.to_owned(),
        });
    }
    Ok(certificates)
}

/// rustls with ring: one TLS implementation for all of onlay, and the public roots embedded, so that it works where no
/// certificates are installed.
pub(crate) fn configuration(
    general: &Authorities,
    host: &HostOptions,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    roots.add_parsable_certificates(general.0.iter().chain(&host.authorities.0).cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match host.verification {
        Verification::Full => builder.with_root_certificates(roots),
        Verification::Skipped => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    let mut configuration = match &host.client_certificate {
        Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Tells whether an error is that of a handshake that would fail the same way again: a certificate that is not accepted,
/// here or there, or no TLS at all.
pub(crate) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::AlertReceived(_)
                | rustls::Error::PeerIncompatible(_)
                | rustls::Error::InvalidMessage(_)
        )
    )
}

/// Takes every certificate, if the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_certificates() {
        let none = Authorities::parse("ca.pem", b"nothing").unwrap_err();
        assert_eq!(none.to_string(), "`ca.pem` has no certificate in PEM form");
        let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let unusable = Authorities::parse("ca.pem", damaged).unwrap_err();
        assert!(
            matches!(unusable, CertificateError::Unusable { .. }),
            "{unusable}"
        );
        let parsed = ClientCertificate::parse(("c.cert", damaged), ("c.key", b""));
        assert_eq!(parsed.unwrap_err().to_string(), "`c.key` is not in PEM form");
    }
}
