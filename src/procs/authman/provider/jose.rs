//! Signatures of JSON Web Tokens, by the library that TLS uses too.
//!
//! The crate that reads tokens leaves cryptography to who uses it. Here are the algorithms that go with public keys, and
//! none that shares a secret: a token signed with a provider's public key as if it were a secret has nobody to verify it.
//!
//! Source: RFC 7518 section 3, RFC 8037.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{self as by, EcdsaKeyPair, RsaParameters, VerificationAlgorithm};
use signature::{Error, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes the algorithms known to the crate that reads tokens. To be called before it is asked for anything.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        PROVIDER.install_default().expect("nobody else installs one");
    });
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if (*algorithm, key.family()) != (Algorithm::ES256, AlgorithmFamily::Ec) {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let random = SystemRandom::new();
    let kind = &by::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(kind, key.as_bytes(), &random);
    let pair = pair.map_err(|_| ErrorKind::InvalidEcdsaKey)?;
    Ok(Box::new(Es256 { pair, random }))
}

/// Signs what the application says of itself.
struct Es256 {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer<Vec<u8>> for Es256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let signed = self.pair.sign(&self.random, message).map_err(|_| Error::new())?;
        Ok(signed.as_ref().to_vec())
    }
}

impl JwtSigner for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let (algorithm, key) = (*algorithm, key.clone());
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let way = match algorithm {
        Algorithm::RS256 => Way::Rsa(&by::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Way::Rsa(&by::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Way::Rsa(&by::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Way::Rsa(&by::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Way::Rsa(&by::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Way::Rsa(&by::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Way::Point(&by::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Way::Point(&by::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Way::Point(&by::ED25519),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(Public { algorithm, key, way }))
}

/// How a signature is verified.
enum Way {
    /// By modulus and exponent.
    Rsa(&'static RsaParameters),
    /// By a point of a curve.
    Point(&'static dyn VerificationAlgorithm),
}

/// Verifies with a public key.
struct Public {
    algorithm: Algorithm,
    key: DecodingKey,
    way: Way,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (&self.way, self.key.kind()) {
            (Way::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                by::RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (Way::Point(kind), DecodingKeyKind::SecretOrDer(point)) => {
                by::UnparsedPublicKey::new(*kind, point).verify(message, signed)
            }
            _ => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
