//! The field `Authorization` of the scheme Basic (RFC 7617).

use base64ct::{Base64, Encoding};

/// The longest field that is looked at, in bytes; users and passwords together are far shorter.
const FIELD_BYTES_MAX: usize = 2 << 10;

pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl Credentials {
    /// None if the field is not of this scheme, or not as the scheme has it.
    pub fn parse(field: &[u8]) -> Option<Credentials> {
        if field.len() > FIELD_BYTES_MAX {
            return None;
        }
        let (scheme, token) = str::from_utf8(field).ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = Base64::decode_vec(token.trim_matches(' ')).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        // RFC 7617, section 2: neither has control characters. A zero byte would end the password,
        // to bcrypt.
        if text.contains(char::is_control) {
            return None;
        }
        let (user, password) = text.split_once(':')?;
        Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}
