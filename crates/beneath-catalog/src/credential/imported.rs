//! [`Imported`]: password records that other programs made (htpasswd), to be verified once and then replaced.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::record::RecordError;

/// A record as Apache's htpasswd(1) and crypt(5) write it. Weaker than what is made here, all of them; replaced by
/// argon2id at the first login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Imported {
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt(Box<str>),
    /// `$5$` (SHA-256), `$6$` (SHA-512).
    ShaCrypt(Box<str>),
    /// `$apr1$`: Apache's variant of MD5-crypt.
    Apr1 { salt: Box<str>, hash: Box<str> },
    /// `{SHA}`: one unsalted SHA-1.
    Sha1([u8; 20]),
}

impl Imported {
    /// Refuses what would take longer to verify than a login may.
    pub(crate) fn parse(text: &str) -> Result<Self, RecordError> {
        let scheme = text.split('$').nth(1);
        match scheme {
            Some("2a" | "2b" | "2y") => parse_bcrypt(text),
            Some("5" | "6") => parse_sha_crypt(text),
            Some("apr1") => parse_apr1(text),
            Some(_) => Err(RecordError("is of a kind that is not supported")),
            None => parse_sha1(text),
        }
    }

    /// Whether this is the password. bcrypt reads 72 bytes at most and starts again after a NUL, so that other passwords
    /// would match: neither is taken. Nor is what makes each round of SHA-crypt cost a multiple.
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        let longest = match self {
            Self::Bcrypt(_) => 72,
            Self::ShaCrypt(_) => 256,
            Self::Apr1 { .. } | Self::Sha1(_) => usize::MAX,
        };
        let sound = !password.contains(&0) && password.len() <= longest;
        let password = &password[..password.len().min(longest)];
        let found = match self {
            Self::Bcrypt(record) => bcrypt::verify(password, record).unwrap_or(false),
            Self::ShaCrypt(record) => ShaCrypt::default().verify_password(password, &**record).is_ok(),
            Self::Apr1 { salt, hash } => bool::from(apr1(password, salt.as_bytes()).ct_eq(hash.as_bytes())),
            Self::Sha1(hash) => bool::from(Sha1::digest(password).as_slice().ct_eq(hash)),
        };
        sound && found
    }
}

fn parse_bcrypt(text: &str) -> Result<Imported, RecordError> {
    const INVALID: RecordError = RecordError("is not a bcrypt record");
    let parts: bcrypt::HashParts = text.parse().map_err(|_| INVALID)?;
    match parts.get_cost() {
        4..=14 => Ok(Imported::Bcrypt(text.into())),
        _ => Err(RecordError("has a bcrypt cost above 14")),
    }
}

fn parse_sha_crypt(text: &str) -> Result<Imported, RecordError> {
    let fields: Vec<&str> = text.split('$').collect();
    let (rounds, salt, hash) = match fields.as_slice() {
        ["", _, salt, hash] => ("5000", salt, hash),
        ["", _, rounds, salt, hash] => (rounds.strip_prefix("rounds=").unwrap_or_default(), salt, hash),
        _ => return Err(RecordError("is not a SHA-crypt record")),
    };
    // The last character has fewer bits than it could say.
    let (len, last) = if fields[1] == "5" { (43, 16) } else { (86, 4) };
    let ends = |hash: &str| {
        hash.bytes()
            .next_back()
            .is_some_and(|byte| ALPHABET[..last].contains(&byte))
    };
    let alphabet = |text: &str| text.bytes().all(|byte| ALPHABET.contains(&byte));
    match rounds.parse::<u32>() {
        // glibc takes other characters in a salt, what verifies here does not.
        Ok(1000..=1_000_000) if !alphabet(salt) => {
            Err(RecordError("has a salt of other characters than ./0-9A-Za-z"))
        }
        Ok(1000..=1_000_000)
            if (1..=16).contains(&salt.len()) && hash.len() == len && alphabet(hash) && ends(hash) =>
        {
            Ok(Imported::ShaCrypt(text.into()))
        }
        Ok(1_000_001..) => Err(RecordError("has more than 1,000,000 rounds of SHA-crypt")),
        _ => Err(RecordError("is not a SHA-crypt record")),
    }
}

fn parse_apr1(text: &str) -> Result<Imported, RecordError> {
    match text.split('$').collect::<Vec<_>>().as_slice() {
        ["", "apr1", salt, hash] if (1..=8).contains(&salt.len()) && hash.len() == 22 => Ok(Imported::Apr1 {
            salt: (*salt).into(),
            hash: (*hash).into(),
        }),
        _ => Err(RecordError("is not an apr1 record")),
    }
}

fn parse_sha1(text: &str) -> Result<Imported, RecordError> {
    let encoded = text
        .strip_prefix("{SHA}")
        .ok_or(RecordError("is plain text or DES crypt(3), which are not taken"))?;
    let decoded = STANDARD.decode(encoded).ok();
    let hash = decoded.and_then(|hash| hash.try_into().ok());
    hash.map(Imported::Sha1)
        .ok_or(RecordError("is not a {SHA} record"))
}

/// MD5-crypt with the magic word of Apache. Source: apr_md5.c of the Apache Portable Runtime.
fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new()
        .chain_update(password)
        .chain_update("$apr1$")
        .chain_update(salt);
    let mut rest = password.len();
    while rest > 0 {
        outer.update(&inner[..rest.min(16)]);
        rest = rest.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        let byte = if bits & 1 == 1 { 0 } else { password[0] };
        outer.update([byte]);
        bits >>= 1;
    }
    let mut hash = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round % 2 == 1 { password } else { &hash[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round % 2 == 1 { &hash[..] } else { password });
        hash = next.finalize();
    }
    encode(&hash)
}

/// Three bytes give four characters, in the order that crypt(3) once chose.
fn encode(hash: &[u8]) -> Vec<u8> {
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = Vec::with_capacity(22);
    for [high, middle, low] in ORDER {
        let bits = u32::from(hash[high]) << 16 | u32::from(hash[middle]) << 8 | u32::from(hash[low]);
        text.extend((0..4).map(|place| ALPHABET[(bits >> (6 * place)) as usize & 63]));
    }
    text.extend((0..2).map(|place| ALPHABET[usize::from(hash[11]) >> (6 * place) & 63]));
    text
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Apache (the first, from its documentation) and by `openssl passwd`.
    const RECORDS: [(&str, &str); 6] = [
        (
            "myPassword",
            "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
        ),
        ("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),
        (
            "a passphrase of more than sixteen bytes",
            "$apr1$xyz$Ty2xyCjTpYw5opgxWHkCW1",
        ),
        (
            "myPassword",
            "$5$saltstring$MkP5qKcKBbjj8bsVcXLwsVnoyIfhVxvKRnDs04znYE3",
        ),
        (
            "pässword",
            "$6$saltstring$CSTM8ggie.dU5m6eoS07/LZ2D/r4hrX.jxMSo1fYZexnehwOFJu1o2u1p.BZSnrxIhERrHnuxI8ONbt/kSPvF0",
        ),
        ("myPassword", "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="),
    ];

    #[test]
    fn records_of_other_programs_match_their_passwords_and_no_others() {
        for (password, record) in RECORDS {
            let imported = Imported::parse(record).unwrap();
            assert!(imported.matches(password.as_bytes()), "{record}");
            for wrong in [
                "",
                "x",
                "mypassword",
                &format!("{password}\0"),
                &format!("{password}\0{password}"),
            ] {
                assert!(!imported.matches(wrong.as_bytes()), "{record} {wrong:?}");
            }
        }
    }

    #[test]
    fn what_bcrypt_does_not_read_is_not_ignored() {
        let record = bcrypt::hash("x".repeat(72), 4).unwrap();
        let imported = Imported::parse(&record).unwrap();
        assert!(imported.matches("x".repeat(72).as_bytes()));
        assert!(
            bcrypt::verify("x".repeat(73), &record).unwrap(),
            "bcrypt itself ignores it"
        );
        assert!(!imported.matches("x".repeat(73).as_bytes()));
    }

    #[test]
    fn what_makes_sha_crypt_cost_a_multiple_is_not_taken() {
        let longest = "x".repeat(256);
        let openssl = std::process::Command::new("openssl")
            .args(["passwd", "-6", "-salt", "salt", &longest])
            .output()
            .unwrap();
        let record = String::from_utf8(openssl.stdout).unwrap();
        let imported = Imported::parse(record.trim()).unwrap();
        assert!(imported.matches(longest.as_bytes()));
        assert!(!imported.matches(format!("{longest}x").as_bytes()));
    }

    #[test]
    fn what_cannot_be_verified_in_bounded_time_or_at_all_is_not_taken() {
        for record in [
            "",
            "secret",
            "rl1lr4fQcwNE2",
            "$1$abc$abcdefghijklmnopqrstuv",
            "$2y$31$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "$2y$05$c4WoMPo3",
            "$5$rounds=99999999$abc$abc",
            "$6$abc$short",
            "$5$saltstring$MkP5qKcKBbjj8bsVcXLwsVnoyIfhVxvKRnDs04znYEz",
            "$6$saltstring$CSTM8ggie.dU5m6eoS07/LZ2D/r4hrX.jxMSo1fYZexnehwOFJu1o2u1p.BZSnrxIhERrHnuxI8ONbt/kSPvFz",
            "$6$abc-d_e$CSTM8ggie.dU5m6eoS07/LZ2D/r4hrX.jxMSo1fYZexnehwOFJu1o2u1p.BZSnrxIhERrHnuxI8ONbt/kSPvF0",
            "$apr1$abc$short",
            "$apr1$123456789$HqJZimcKQFAMYayBlzkrA/",
            "{SHA}VBPuJHI7",
            "{PLAIN}secret",
        ] {
            assert!(Imported::parse(record).is_err(), "{record}");
        }
    }
}
