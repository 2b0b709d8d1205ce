use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512};

/// A content digest, `algorithm:encoded`, of bytes *as stored or sent*.
///
/// Parsing accepts exactly what can be verified: `sha256` with 64 and `sha512` with 128 lower-case hexadecimal digits.
///
/// Source: image-spec v1.1 descriptor.md "Digests".
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    encoded: Box<str>,
}

impl Digest {
    /// Computes the sha256 digest of `bytes`, the algorithm of everything that onlay writes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(bytes);
        digester.finish()
    }

    /// Tells which hash function made this digest.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Gives the lower-case hexadecimal part, without the algorithm.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Recomputes the digest of `bytes` and compares.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut digester = Digester::new(self.algorithm);
        digester.update(bytes);
        digester.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.encoded)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, encoded) = text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm {
            text: text.to_owned(),
        })?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => {
                return Err(DigestError::UnsupportedAlgorithm {
                    algorithm: algorithm.to_owned(),
                });
            }
        };
        let well_formed = encoded.len() == algorithm.encoded_len()
            && encoded
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(DigestError::Encoding {
                text: text.to_owned(),
                expected: algorithm.encoded_len(),
            });
        }
        Ok(Self {
            algorithm,
            encoded: encoded.into(),
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A hash function that image digests are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// The one everybody uses, and the only one that onlay writes.
    Sha256,
    /// Registered by the specification; verified when met.
    Sha512,
}

impl Algorithm {
    fn encoded_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        })
    }
}

/// Computes a [`Digest`] over bytes that arrive in pieces.
#[derive(Clone)]
pub struct Digester(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digester {
    /// Starts a digest of no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        use sha2::Digest as _;
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the digest.
    pub fn finish(self) -> Digest {
        use sha2::Digest as _;
        let (algorithm, encoded) = match self.0 {
            State::Sha256(hasher) => (Algorithm::Sha256, hexadecimal(&hasher.finalize())),
            State::Sha512(hasher) => (Algorithm::Sha512, hexadecimal(&hasher.finalize())),
        };
        Digest {
            algorithm,
            encoded: encoded.into(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

macro_rules! digest_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Takes a digest that is known to be of this kind.
            pub fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// Gives the digest itself.
            pub fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    };
}

digest_newtype! {
    /// The digest of a layer's *uncompressed* tar: what `rootfs.diff_ids` lists, base layer first.
    ///
    /// It names a layer whatever it was compressed with, so listings are kept by it.
    ///
    /// Source: image-spec v1.1 config.md "Layer DiffID".
    DiffId
}

digest_newtype! {
    /// The digest of a stack of layers, folded from their diff ids, base layer first.
    ///
    /// Source: image-spec v1.1 config.md "Layer ChainID".
    ChainId
}

digest_newtype! {
    /// The digest of an image's configuration blob.
    ///
    /// Source: image-spec v1.1 config.md "ImageID".
    ImageId
}

impl ChainId {
    /// Folds the diff ids of a stack, base layer first; an empty stack has none.
    pub fn of(diff_ids: &[DiffId]) -> Option<Self> {
        let (first, rest) = diff_ids.split_first()?;
        let chain = rest.iter().fold(first.0.clone(), |parent, diff_id| {
            Digest::of(format!("{parent} {diff_id}").as_bytes())
        });
        Some(Self(chain))
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no `algorithm:` before the encoded part.
    #[error("digest `{text}` names no algorithm, expected `sha256:` and 64 hexadecimal digits")]
    NoAlgorithm {
        /// The text.
        text: String,
    },
    /// The algorithm is not one that can be verified.
    #[error("digest algorithm `{algorithm}` is not supported, expected `sha256` or `sha512`")]
    UnsupportedAlgorithm {
        /// What stands before the colon.
        algorithm: String,
    },
    /// The encoded part has the wrong length or digits.
    #[error(
        "digest `{text}` is malformed, expected {expected} lower-case hexadecimal digits after the colon"
    )]
    Encoding {
        /// The text.
        text: String,
        /// How many digits the algorithm gives.
        expected: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_of_known_bytes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let mut digester = Digester::new(Algorithm::Sha512);
        digester.update(b"a");
        digester.update(b"bc");
        assert!(
            digester
                .finish()
                .to_string()
                .starts_with("sha512:ddaf35a193617aba")
        );
    }

    #[test]
    fn malformed_digests_are_refused() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for text in [
            "",
            "sha256",
            "sha256:",
            "sha256:abc",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            upper.as_str(),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn chain_id_folds_from_the_base() {
        let [a, b] = [Digest::of(b"a"), Digest::of(b"b")].map(DiffId::new);
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(
            ChainId::of(std::slice::from_ref(&a)).map(|chain| chain.0),
            Some(a.0.clone())
        );
        let both = ChainId::of(&[a.clone(), b.clone()]).map(|chain| chain.0);
        assert_eq!(both, Some(Digest::of(format!("{a} {b}").as_bytes())));
    }
}
