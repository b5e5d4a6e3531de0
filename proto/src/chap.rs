//! The greeting and the chap-sha1 scramble.
//!
//! ```text
//! greeting, 128 bytes:   0..63  "Tarantool 3.9.0 (Binary) UUID", padded with spaces, ending in \n
//!                       64..128 44 base64 characters of a 32-byte salt, padded with spaces, ending in \n
//! stored:   base64(h2), where h1 = SHA1(password), h2 = SHA1(h1)
//! scramble: h1 XOR SHA1(salt[0..20] || h2), 20 bytes
//! ```
//!
//! Source: protocol.md §1, §7; Tarantool `src/lib/core/scramble.c`, `src/box/auth_chap_sha1.c`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Bytes of a greeting.
pub const GREETING_BYTES: usize = 128;
/// Bytes of the salt in a greeting; a scramble uses the first [`HASH_BYTES`].
pub const SALT_BYTES: usize = 32;
/// Bytes of a SHA-1 hash and of a scramble.
pub const HASH_BYTES: usize = 20;

/// A SHA-1 hash or a scramble.
pub type Hash = [u8; HASH_BYTES];

/// Builds the greeting of a connection. `version` is `major.minor.patch`.
pub fn greeting(version: &str, instance: &Uuid, salt: &[u8; SALT_BYTES]) -> [u8; GREETING_BYTES] {
    let mut out = [b' '; GREETING_BYTES];
    let mut put = |at: usize, text: &str| out[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &format!("Tarantool {version} (Binary) {}", instance.hyphenated()));
    put(63, "\n");
    put(64, &STANDARD.encode(salt));
    put(127, "\n");
    out
}

/// The salt in a greeting. None if that is no greeting of a server.
pub fn salt(greeting: &[u8; GREETING_BYTES]) -> Option<[u8; SALT_BYTES]> {
    let is_ours = greeting.starts_with(b"Tarantool ") && greeting[63] == b'\n';
    let text = greeting[64..].trim_ascii_end();
    if is_ours { STANDARD.decode(text).ok()?.try_into().ok() } else { None }
}

fn sha1(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha1::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn xor(left: &Hash, right: &Hash) -> Hash {
    std::array::from_fn(|i| left[i] ^ right[i])
}

/// What `_user` stores for a password: base64 of SHA1(SHA1(password)), 28 characters.
pub fn password_data(password: &[u8]) -> String {
    STANDARD.encode(sha1(&[&sha1(&[password])]))
}

/// Decodes what `_user` stores. None if it is not the base64 of 20 bytes.
pub fn parse_data(data: &[u8]) -> Option<Hash> {
    STANDARD.decode(data).ok()?.try_into().ok()
}

/// The scramble that a client sends.
pub fn scramble(password: &[u8], salt: &[u8; SALT_BYTES]) -> Hash {
    let h1 = sha1(&[password]);
    let h2 = sha1(&[&h1]);
    xor(&h1, &sha1(&[&salt[..HASH_BYTES], &h2]))
}

/// Tells whether a scramble was made with the password whose stored hash is `h2`. Takes the same time for any scramble.
pub fn check_scramble(scramble: &Hash, salt: &[u8; SALT_BYTES], h2: &Hash) -> bool {
    let h1 = xor(scramble, &sha1(&[&salt[..HASH_BYTES], h2]));
    sha1(&[&h1]).ct_eq(h2).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of protocol.md §7.1.
    #[test]
    fn scramble_is_tarantools() {
        let salt: [u8; SALT_BYTES] = std::array::from_fn(|i| i as u8);
        let data = password_data(b"secret1");
        assert_eq!(data, "fGchjvdBDySHY9yZrtxwU2c5PEo=");
        let made = scramble(b"secret1", &salt);
        let hex: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "d46bf1e8758e6302e5ad033bb798af6e0d2437f8");
        let stored = parse_data(data.as_bytes()).expect("base64");
        assert!(check_scramble(&made, &salt, &stored));
        assert!(!check_scramble(&scramble(b"secret2", &salt), &salt, &stored));
        assert_eq!(password_data(b""), "vhvewKp0tNyweZQ+cFKAlsyphfg=");
    }

    #[test]
    fn greeting_has_its_parts_at_their_places() {
        let text = greeting("3.9.0", &Uuid::nil(), &[0; SALT_BYTES]);
        assert!(
            text.starts_with(b"Tarantool 3.9.0 (Binary) 00000000-0000-0000-0000-000000000000 ")
        );
        assert_eq!((text[63], text[127]), (b'\n', b'\n'));
        assert_eq!(&text[64..108], b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let salted = greeting("3.9.0", &Uuid::nil(), &[7; SALT_BYTES]);
        assert_eq!(salt(&salted), Some([7; SALT_BYTES]));
        assert_eq!(salt(&[b'a'; GREETING_BYTES]), None);
    }
}
