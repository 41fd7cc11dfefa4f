//! Signatures of components: ed25519 over a fixed text and the component's SHA-256, in a small text file beside it.
//!
//! What is signed is [`DOMAIN`] followed by the 32 bytes of the hash, so that a signature made for anything else is none of
//! a component, nor the other way round. A signature says who vouches for these bytes; it does not say that they are the
//! newest, which only a pin does. The file has one line for each key, so that two keys can be in use while one replaces the
//! other. Nothing here reads a file or knows a configuration.
//!
//! ```text
//! cordboard signature 1
//! sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ed25519 4f0c2b7d11e0a9c3 SIGNATURE-IN-BASE64
//! ```

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

/// What every signed message begins with.
const DOMAIN: &[u8] = b"cordboard component signature 1\0";
/// First line of the file.
const FIRST: &str = "cordboard signature 1";
/// Largest signature file, in bytes.
pub const MAX_FILE: usize = 16 << 10;
/// Most signatures of one component.
const MOST: usize = 32;
/// What stands before the 32 bytes of a key in the form of RFC 8410, which `openssl pkey -pubout` prints.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The first 16 hexadecimal digits of its SHA-256: which key made a signature, not that it did.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0)[..8])
    }
}

impl PublicKey {
    /// Reads a PEM text: a public key as `openssl pkey -pubout` writes it, or a private key, for the public one of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        match SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
            Ok(der) => {
                let key = der.strip_prefix(&SPKI).and_then(|key| key.try_into().ok());
                key.map(Self).ok_or_else(|| "this is no ed25519 public key".to_owned())
            }
            Err(_) => PrivateKey::from_pem(text).map(|key| key.public()),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    /// Base64 of its 32 bytes, or of the form that `openssl pkey -pubout -outform DER` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| "is not base64")?;
        let key = bytes.strip_prefix(&SPKI).unwrap_or(&bytes);
        let key = key.try_into().map_err(|_| "is not the base64 of an ed25519 public key, which has 32 bytes")?;
        Ok(Self(key))
    }
}

/// A private key.
pub struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// A new one, and its PEM text (PKCS#8).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<(Self, String), String> {
        // Version 2 has the public key, too, and OpenSSL 3.0 cannot read it.
        let document =
            Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| "the system gives no randomness")?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_ref()).map_err(|error| error.to_string())?;
        let base64 = STANDARD.encode(document.as_ref());
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Ok((Self(key), pem))
    }

    /// Reads the PEM text (PKCS#8), of this program or of `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let wanted = "`cordboard plugin keygen` makes one, or `openssl genpkey -algorithm ed25519`";
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| format!("this is no private key in PEM (PKCS#8): {wanted}"))?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        key.map(Self).map_err(|error| format!("this is no ed25519 key ({error}): {wanted}"))
    }

    /// The public key of it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        // An ed25519 public key has 32 bytes.
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// Signs a component by its SHA-256.
    #[must_use]
    pub fn sign(&self, sha256: [u8; 32]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(&message(&sha256)).as_ref());
        Signature { key: self.public().id(), bytes }
    }
}

/// A key by its name, and by its id, where that is not the name.
fn called(name: &str, key: &PublicKey) -> String {
    let id = key.id();
    if name == id { id } else { format!("{name} ({id})") }
}

fn message(sha256: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, sha256].concat()
}

/// One key's signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key it claims to be of.
    key: String,
    bytes: [u8; 64],
}

impl Signature {
    /// Which key it claims to be of.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519 {} {}", self.key, STANDARD.encode(self.bytes))
    }
}

impl FromStr for Signature {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let [algorithm, key, bytes] = line.split_whitespace().collect::<Vec<_>>()[..] else { return Err(()) };
        let known = algorithm == "ed25519" && key.len() == 16 && key.bytes().all(|c| c.is_ascii_hexdigit());
        let bytes = STANDARD.decode(bytes).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(bytes) if known => Ok(Self { key: key.to_ascii_lowercase(), bytes }),
            _ => Err(()),
        }
    }
}

/// What a signature file says.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// Of which component.
    pub sha256: [u8; 32],
    /// By whom, at least one.
    pub signatures: Vec<Signature>,
}

/// Why a component is not taken for signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// The text is none.
    #[error("this is no signature: {0}")]
    Malformed(String),
    /// It is of other bytes.
    #[error("the signature is of a component that hashes to {signed}, and this one hashes to {found}")]
    Other {
        /// What was signed.
        signed: String,
        /// What is there.
        found: String,
    },
    /// Nobody who is trusted made it.
    #[error("it is signed with the key {found}, which is none of those that may sign it: {trusted}")]
    Unknown {
        /// Ids of the keys that made it.
        found: String,
        /// Names and ids of those that are trusted.
        trusted: String,
    },
    /// It names a trusted key, which did not make it.
    #[error("the signature that claims to be of the key `{0}` is wrong: these bytes were not signed with it")]
    Forged(String),
}

impl Signed {
    /// Checks that one of these keys signed a component of this hash; says which.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub fn verify<'k>(
        &self,
        sha256: &[u8; 32],
        keys: impl Iterator<Item = (&'k str, PublicKey)> + Clone,
    ) -> Result<&'k str, Unsigned> {
        if self.sha256 != *sha256 {
            return Err(Unsigned::Other { signed: hex(&self.sha256), found: hex(sha256) });
        }
        let mut forged = None;
        for (name, key) in keys.clone() {
            for signature in self.signatures.iter().filter(|signature| signature.key == key.id()) {
                match UnparsedPublicKey::new(&ED25519, key.0).verify(&message(sha256), &signature.bytes) {
                    Ok(()) => return Ok(name),
                    Err(_) => forged = Some(name.to_owned()),
                }
            }
        }
        Err(forged.map_or_else(
            || Unsigned::Unknown {
                found: self.signatures.iter().map(|signature| signature.key.as_str()).collect::<Vec<_>>().join(", "),
                trusted: keys.map(|(name, key)| called(name, &key)).collect::<Vec<_>>().join(", "),
            },
            Unsigned::Forged,
        ))
    }

    /// What an annotation of an artifact says, which stands beside the hash already: one or more signatures with commas
    /// between them.
    ///
    /// # Errors
    /// [`Unsigned::Malformed`].
    pub fn from_annotation(text: &str, sha256: [u8; 32]) -> Result<Self, Unsigned> {
        Self::of(sha256, text.split(','))
    }

    /// As an annotation has it.
    #[must_use]
    pub fn annotation(&self) -> String {
        self.signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn of<'t>(sha256: [u8; 32], lines: impl Iterator<Item = &'t str>) -> Result<Self, Unsigned> {
        let mut signatures = Vec::new();
        // A line of another kind may be of a later version; it vouches for nothing here.
        for line in lines.filter(|line| line.trim_start().starts_with("ed25519 ")).take(MOST) {
            let read = line.parse().map_err(|()| "a line is not `ed25519 KEY-ID BASE64`".to_owned());
            signatures.push(read.map_err(Unsigned::Malformed)?);
        }
        if signatures.is_empty() {
            return Err(Unsigned::Malformed("there is no line `ed25519 KEY-ID BASE64` in it".to_owned()));
        }
        Ok(Self { sha256, signatures })
    }
}

impl FromStr for Signed {
    type Err = Unsigned;

    fn from_str(text: &str) -> Result<Self, Unsigned> {
        let malformed = |why: &str| Unsigned::Malformed(why.to_owned());
        if text.len() > MAX_FILE {
            return Err(malformed("it is larger than 16 KiB"));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        if lines.next() != Some(FIRST) {
            return Err(malformed("it does not begin with `cordboard signature 1`"));
        }
        let hash = lines.next().and_then(|line| line.strip_prefix("sha256 ")).and_then(|hash| unhex(hash.trim()));
        Self::of(hash.ok_or_else(|| malformed("its second line is not `sha256 HASH`"))?, lines)
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FIRST}\nsha256 {}\n", hex(&self.sha256))?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// 64 hexadecimal digits as bytes.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap().0
    }

    fn signed(keys: &[&PrivateKey], sha256: [u8; 32]) -> Signed {
        Signed { sha256, signatures: keys.iter().map(|key| key.sign(sha256)).collect() }
    }

    #[test]
    fn a_signature_is_of_these_bytes_by_this_key_and_of_no_other() {
        let (ours, theirs) = (key(), key());
        let file = signed(&[&ours], [7; 32]).to_string();
        let read: Signed = file.parse().unwrap();
        let trust = [("release", ours.public())];
        assert_eq!(read.verify(&[7; 32], trust.into_iter()), Ok("release"));
        assert!(matches!(read.verify(&[8; 32], trust.into_iter()), Err(Unsigned::Other { .. })));
        let others = [("other", theirs.public())];
        assert!(matches!(read.verify(&[7; 32], others.into_iter()), Err(Unsigned::Unknown { .. })));
        // What was signed for other bytes does not become one of these by what the file says.
        let mut moved = signed(&[&ours], [8; 32]);
        moved.sha256 = [7; 32];
        assert_eq!(moved.verify(&[7; 32], trust.into_iter()), Err(Unsigned::Forged("release".to_owned())));
    }

    #[test]
    fn what_is_signed_is_more_than_the_hash() {
        let key = key();
        let bare = key.0.sign(&[7; 32]);
        let mut file = signed(&[&key], [7; 32]);
        file.signatures[0].bytes.copy_from_slice(bare.as_ref());
        assert!(matches!(file.verify(&[7; 32], [("a", key.public())].into_iter()), Err(Unsigned::Forged(_))));
    }

    #[test]
    fn one_of_two_signatures_is_enough_and_annotations_say_the_same() {
        let (old, new) = (key(), key());
        let both = signed(&[&old, &new], [7; 32]);
        for trusted in [&old, &new] {
            let trust = [("it", trusted.public())];
            assert_eq!(both.verify(&[7; 32], trust.into_iter()), Ok("it"));
        }
        let read = Signed::from_annotation(&both.annotation(), [7; 32]).unwrap();
        assert!(read == both);
    }

    #[test]
    fn what_is_no_signature_is_said_to_be_none() {
        let good = signed(&[&key()], [7; 32]).to_string();
        for (text, why) in [
            (String::new(), "begin with"),
            ("hello\n".to_owned(), "begin with"),
            (good.replace("signature 1", "signature 2"), "begin with"),
            (good.replace("sha256 ", "sha256 x"), "second line"),
            (good.replace("ed25519 ", "ed448 "), "there is no line"),
            (good.replace("ed25519 ", "ed25519 x"), "a line is not"),
            ("x".repeat(MAX_FILE + 1), "larger"),
        ] {
            let Err(Unsigned::Malformed(said)) = text.parse::<Signed>() else { panic!("{text}") };
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn keys_are_read_as_this_program_and_openssl_write_them() {
        let (key, pem) = PrivateKey::generate().unwrap();
        assert_eq!(PrivateKey::from_pem(&pem).unwrap().public(), key.public());
        assert_eq!(PublicKey::from_pem(&pem), Ok(key.public()));
        // The first version of PKCS#8, without the public key.
        assert_eq!(PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_pkcs8_der().len(), 48);
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        let spki = STANDARD.encode([&SPKI[..], &key.public().0].concat());
        assert_eq!(spki.parse(), Ok(key.public()));
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        assert_eq!(PublicKey::from_pem(&pem), Ok(key.public()));
        // Made with `openssl genpkey -algorithm ed25519`, and its public key with `openssl pkey -pubout`.
        let openssl = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHbRj7SkIVlSStAIhwKxnfVGFJwlnRlEUBngShWYU4bT\n-----END PRIVATE KEY-----\n";
        let public = "MCowBQYDK2VwAyEAjuxXa1Sa9Tsj7061SrMmpmKNP/fJ0Fxx4oRVOutE2I8=";
        assert_eq!(PrivateKey::from_pem(openssl).unwrap().public(), public.parse().unwrap());
        assert!("AAAA".parse::<PublicKey>().is_err() && "?".parse::<PublicKey>().is_err());
        assert!(PrivateKey::from_pem("hello").is_err());
    }
}
