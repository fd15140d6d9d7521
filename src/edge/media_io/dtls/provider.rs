//! What DTLS calculates with: ring, and no other library.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use dimpl::crypto::{
    Aad, ActiveKeyExchange, Buf, Cipher, CryptoProvider, Dtls12CipherSuite, Dtls13CipherSuite,
    HashAlgorithm, HashContext, HashProvider, HmacProvider, KeyProvider, NamedGroup, Nonce,
    SecureRandom, SignatureAlgorithm, SignatureVerifier, SigningKey, SupportedDtls12CipherSuite,
    SupportedDtls13CipherSuite, SupportedKxGroup, TmpBuf, check_verify_scheme,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ring::{aead, agreement, digest, hmac};
use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;
use webpki::ring as signatures;

/// Everything that a handshake of version 1.2 needs. The best suite comes first.
pub(super) const fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: &[&Group::X25519, &Group::P256, &Group::P384],
        signature_verification: &Verifier,
        key_provider: &Keys,
        secure_random: &Random,
        hash_provider: &Hashes,
        hmac_provider: &Macs,
        cipher_suites: &[&Suite::Aes128, &Suite::Aes256, &Suite::ChaCha20],
        // The library takes none without one of these, though we speak version 1.2.
        dtls13_cipher_suites: &[&Suite13::Aes128, &Suite13::Aes256],
    }
}

const fn failed(operation: CryptoOperation) -> CryptoError {
    CryptoError::OperationFailed(operation)
}

#[derive(Debug, Clone, Copy)]
enum Suite {
    Aes128,
    Aes256,
    ChaCha20,
}

impl Suite {
    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128 => &aead::AES_128_GCM,
            Self::Aes256 => &aead::AES_256_GCM,
            Self::ChaCha20 => &aead::CHACHA20_POLY1305,
        }
    }
}

impl SupportedDtls12CipherSuite for Suite {
    fn suite(&self) -> Dtls12CipherSuite {
        match self {
            Self::Aes128 => Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
            Self::Aes256 => Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
            Self::ChaCha20 => Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
        }
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        match self {
            Self::Aes256 => HashAlgorithm::SHA384,
            Self::Aes128 | Self::ChaCha20 => HashAlgorithm::SHA256,
        }
    }

    /// Of the MAC, the key, and the part of the nonce that is agreed on (RFC 5288 §3, RFC 7905 §2).
    fn key_lengths(&self) -> (usize, usize, usize) {
        match self {
            Self::Aes128 => (0, 16, 4),
            Self::Aes256 => (0, 32, 4),
            Self::ChaCha20 => (0, 32, 12),
        }
    }

    fn explicit_nonce_len(&self) -> usize {
        match self {
            Self::Aes128 | Self::Aes256 => 8,
            Self::ChaCha20 => 0,
        }
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        let key = aead::UnboundKey::new(self.algorithm(), key);
        let key = key.map_err(|_| failed(CryptoOperation::CreateCipher))?;
        Ok(Box::new(Sealer(aead::LessSafeKey::new(key))))
    }
}

#[derive(Debug, Clone, Copy)]
enum Suite13 {
    Aes128,
    Aes256,
}

impl Suite13 {
    const fn as_12(self) -> Suite {
        match self {
            Self::Aes128 => Suite::Aes128,
            Self::Aes256 => Suite::Aes256,
        }
    }
}

impl SupportedDtls13CipherSuite for Suite13 {
    fn suite(&self) -> Dtls13CipherSuite {
        match self {
            Self::Aes128 => Dtls13CipherSuite::AES_128_GCM_SHA256,
            Self::Aes256 => Dtls13CipherSuite::AES_256_GCM_SHA384,
        }
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.as_12().hash_algorithm()
    }

    fn key_len(&self) -> usize {
        self.as_12().key_lengths().1
    }

    fn iv_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        self.as_12().create_cipher(key)
    }

    /// One block of AES (RFC 9147 §4.2.3).
    fn encrypt_sn(&self, key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let mut block = Block::from(*sample);
        if let Ok(aes) = Aes128::new_from_slice(key) {
            aes.encrypt_block(&mut block);
        } else if let Ok(aes) = Aes256::new_from_slice(key) {
            aes.encrypt_block(&mut block);
        }
        block.into()
    }
}

#[derive(Debug)]
struct Sealer(aead::LessSafeKey);

impl Cipher for Sealer {
    fn encrypt(&mut self, text: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let tag = self.0.seal_in_place_separate_tag(nonce, aead::Aad::from(&aad[..]), text);
        let tag = tag.map_err(|_| failed(CryptoOperation::Encrypt))?;
        text.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn decrypt(&mut self, text: &mut TmpBuf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let opened = self.0.open_in_place(nonce, aead::Aad::from(&aad[..]), text.as_mut());
        let length = opened.map_err(|_| failed(CryptoOperation::Decrypt))?.len();
        text.truncate(length);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Group {
    X25519,
    P256,
    P384,
}

impl Group {
    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::X25519 => &agreement::X25519,
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
        }
    }
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        match self {
            Self::X25519 => NamedGroup::X25519,
            Self::P256 => NamedGroup::Secp256r1,
            Self::P384 => NamedGroup::Secp384r1,
        }
    }

    fn start_exchange(&self, _: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let private =
            agreement::EphemeralPrivateKey::generate(self.algorithm(), &SystemRandom::new());
        let private = private.map_err(|_| failed(CryptoOperation::GenerateEphemeralKey))?;
        let public = private.compute_public_key();
        let public = public.map_err(|_| failed(CryptoOperation::ComputePublicKey))?;
        Ok(Box::new(Exchange { group: *self, private, public }))
    }
}

struct Exchange {
    group: Group,
    private: agreement::EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({:?})", self.group)
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let peer = agreement::UnparsedPublicKey::new(self.group.algorithm(), peer);
        // ring refuses points that are not on the curve, and a result of zeros.
        let agreed = agreement::agree_ephemeral(self.private, &peer, |secret| {
            out.clear();
            out.extend_from_slice(secret);
        });
        agreed.map_err(|_| CryptoError::InvalidPublicKey(self.group.name()))
    }

    fn group(&self) -> NamedGroup {
        self.group.name()
    }
}

#[derive(Debug)]
struct Verifier;

impl SignatureVerifier for Verifier {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        let certificate = CertificateDer::from(certificate);
        let certificate = EndEntityCert::try_from(&certificate)
            .map_err(|_| CryptoError::CertificateParseFailed)?;
        // Which of the two is right is in the certificate, and only it is tried there.
        let (p256, p384) = match hash {
            HashAlgorithm::SHA256 => (signatures::ECDSA_P256_SHA256, signatures::ECDSA_P384_SHA256),
            HashAlgorithm::SHA384 => (signatures::ECDSA_P256_SHA384, signatures::ECDSA_P384_SHA384),
            _ => return Err(CryptoError::UnsupportedSignatureAlgorithm(algorithm)),
        };
        for (group, scheme) in [(NamedGroup::Secp256r1, p256), (NamedGroup::Secp384r1, p384)] {
            if certificate.verify_signature(scheme, data, signature).is_ok() {
                return check_verify_scheme(algorithm, hash, group);
            }
        }
        Err(failed(CryptoOperation::VerifySignature))
    }
}

#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random);
        Ok(Box::new(Signer(pair.map_err(|_| CryptoError::InvalidPrivateKey)?)))
    }
}

#[derive(Debug)]
struct Signer(EcdsaKeyPair);

impl SigningKey for Signer {
    fn sign(&mut self, data: &[u8], _: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        let signature = self.0.sign(&SystemRandom::new(), data);
        let signature = signature.map_err(|_| failed(CryptoOperation::Sign))?;
        out.clear();
        out.extend_from_slice(signature.as_ref());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), CryptoError> {
        let filled = ring::rand::SecureRandom::fill(&SystemRandom::new(), buffer);
        filled.map_err(|_| failed(CryptoOperation::FillRandom))
    }
}

#[derive(Debug)]
struct Hashes;

impl HashProvider for Hashes {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        // Only those of the suites above are asked for.
        let is_long = algorithm == HashAlgorithm::SHA384;
        let algorithm = if is_long { &digest::SHA384 } else { &digest::SHA256 };
        Box::new(Hash(digest::Context::new(algorithm)))
    }
}

struct Hash(digest::Context);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        out.clear();
        out.extend_from_slice(self.0.clone().finish().as_ref());
    }
}

#[derive(Debug)]
struct Macs;

impl HmacProvider for Macs {
    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::SHA256 => hmac::HMAC_SHA256,
            HashAlgorithm::SHA384 => hmac::HMAC_SHA384,
            _ => return Err(CryptoError::UnsupportedHmacHash(hash)),
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), data);
        let length = tag.as_ref().len();
        let room = out.get_mut(..length).ok_or(failed(CryptoOperation::ComputeHmac))?;
        room.copy_from_slice(tag.as_ref());
        Ok(length)
    }
}
