//! Key pairs: the public half, which a user has imported, and its fingerprint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDateTime;
use md5::{Digest, Md5};

use crate::text::InvalidField;

/// A key pair of a user; of the two halves only the public one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The row id.
    pub id: i32,
    /// Its name, which no other of the user has.
    pub name: String,
    /// The user.
    pub user_id: String,
    /// `ssh`.
    pub key_type: String,
    /// The MD5 of the key, in hexadecimal pairs with colons.
    pub fingerprint: String,
    /// The line that goes into `authorized_keys`.
    pub public_key: String,
    /// When it was imported, UTC.
    pub created_at: Option<NaiveDateTime>,
}

/// The fingerprint of an SSH public key, as clients show it.
///
/// ```
/// let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me";
/// let fingerprint = cellzero_types::key_pair::fingerprint(key)?;
/// assert_eq!(fingerprint, "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba");
/// # Ok::<(), cellzero_types::InvalidField>(())
/// ```
///
/// # Errors
/// [`InvalidField`] naming `public_key` where it is no such key.
pub fn fingerprint(public_key: &str) -> Result<String, InvalidField> {
    let expected = "an SSH public key: its type, a blank, and the key in base64";
    let refuse = || InvalidField::new("public_key", public_key, expected);
    let mut words = public_key.split_ascii_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else { return Err(refuse()) };
    let key = STANDARD.decode(data).map_err(|_| refuse())?;
    if first_text(&key) != Some(kind.as_bytes()) {
        return Err(refuse());
    }
    let pairs: Vec<String> = Md5::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(pairs.join(":"))
}

/// The first field of a key: its type again, with its length before it.
fn first_text(key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty("")]
    #[case::no_key("ssh-ed25519")]
    #[case::no_base64("ssh-ed25519 ???")]
    #[case::of_no_type("ssh-ed25519 AAAA")]
    #[case::of_another_type(
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    )]
    fn what_is_no_public_key_is_refused(#[case] text: &str) {
        assert_eq!(fingerprint(text).unwrap_err().field, "public_key");
    }
}
