//! Who sends: by a token, a signature, or a certificate.
//!
//! A signature is HMAC-SHA-256 over `TIMESTAMP.NONCE.BODY` in `X-Afterimage-Signature: sha256=HEX`, with the time in
//! seconds since 1970 in `X-Afterimage-Timestamp` and a nonce of 8 to 128 characters in `X-Afterimage-Nonce`. The body is
//! signed as it is sent, packed or not.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tracing::warn;

use super::nonces::{Nonces, Seen};
use crate::config::WebhookConfig;

/// Shortest secret.
const MIN_SECRET: usize = 16;
/// Longest file of secrets.
const MAX_FILE: usize = 1 << 20;
/// Lengths of a nonce.
const NONCE: std::ops::RangeInclusive<usize> = 8..=128;

/// A file of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("`{}` has no secret of at least {MIN_SECRET} bytes", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One of its secrets can be guessed.
    #[error("line {line} of `{}` is shorter than {MIN_SECRET} bytes", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Which.
        line: usize,
    },
}

/// What senders must know.
pub struct Secrets {
    /// Hashes of the tokens: compared in constant time whatever their lengths.
    tokens: Vec<[u8; 32]>,
    key: Option<Vec<u8>>,
    window: Duration,
    require_hmac: bool,
    unauthenticated: bool,
    certificates: bool,
}

/// What a request shows.
#[derive(Debug, Default)]
pub struct Presented {
    tokens: Vec<[u8; 32]>,
    /// Its signature, where it has one.
    pub signed: Option<Signed>,
    verified: bool,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    timestamp: String,
    nonce: String,
    mac: Vec<u8>,
}

/// What is to be done with a request before its body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may come in.
    Admitted,
    /// It may when its signature is right.
    Signature,
    /// It shows nothing.
    Nobody,
    /// What it shows is wrong.
    Wrong,
}

/// A signature is not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// Not of this body by this key.
    #[error("the signature is wrong")]
    Wrong,
    /// Too old or too new.
    #[error("the signature's time is too far off")]
    Stale,
    /// Seen before.
    #[error("the signature was used before")]
    Replayed,
    /// Too many to remember.
    #[error("too many signatures at a time")]
    Busy,
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The tokens in a file, one in each line that is no comment.
///
/// # Errors
/// [`SecretError`].
pub fn read_tokens(path: &Path) -> Result<Vec<String>, SecretError> {
    let mut tokens = Vec::new();
    for (number, line) in read(path)?.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if token.len() < MIN_SECRET {
            return Err(SecretError::Short { path: path.to_owned(), line: number + 1 });
        }
        tokens.push(token.to_owned());
    }
    if tokens.is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    Ok(tokens)
}

impl Secrets {
    /// Reads the files.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(config: &WebhookConfig) -> Result<Self, SecretError> {
        let mut tokens = Vec::new();
        if let Some(path) = &config.token_file {
            tokens.extend(read_tokens(path)?.iter().map(|token| digest(token.as_bytes())));
        }
        let mut key = None;
        if let Some(path) = &config.hmac_key_file {
            let text = read(path)?;
            let secret = text.trim_end().as_bytes().to_vec();
            if secret.len() < MIN_SECRET {
                return Err(SecretError::Empty { path: path.clone() });
            }
            key = Some(secret);
        }
        Ok(Self {
            tokens,
            key,
            window: config.hmac_window,
            require_hmac: config.require_hmac,
            unauthenticated: config.unauthenticated && config.listen.ip().is_loopback(),
            certificates: config.tls_client_ca.is_some(),
        })
    }

    /// Whether this is a token.
    pub fn knows(&self, token: &str) -> bool {
        let own = digest(token.as_bytes());
        self.tokens.iter().fold(Choice::from(0), |any, token| any | own.ct_eq(token)).into()
    }

    /// What to do with a request.
    pub fn admit(&self, presented: &Presented) -> Verdict {
        if self.key.is_some() && presented.signed.is_some() {
            return Verdict::Signature;
        }
        if self.require_hmac {
            return Verdict::Nobody;
        }
        // Every pair is compared, so that the time tells nothing of which was nearly right.
        let known = presented.tokens.iter().flat_map(|own| self.tokens.iter().map(|token| own.ct_eq(token)));
        let known: bool = known.fold(Choice::from(0), |any, one| any | one).into();
        if known || self.certificates && presented.verified || self.unauthenticated {
            Verdict::Admitted
        } else if presented.tokens.is_empty() {
            Verdict::Nobody
        } else {
            Verdict::Wrong
        }
    }

    /// Checks a signature of `body` at `now` (nanoseconds since 1970). A nonce counts as used when all else is right.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub fn check(&self, signed: &Signed, body: &[u8], now: i64, nonces: &mut Nonces) -> Result<(), Unsigned> {
        let key = self.key.as_ref().ok_or(Unsigned::Wrong)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Unsigned::Wrong)?;
        for part in [signed.timestamp.as_bytes(), b".", signed.nonce.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.verify_slice(&signed.mac).map_err(|_| Unsigned::Wrong)?;
        let seconds: i64 = signed.timestamp.parse().map_err(|_| Unsigned::Wrong)?;
        let now = now.div_euclid(1_000_000_000);
        if seconds.abs_diff(now) > self.window.as_secs() {
            return Err(Unsigned::Stale);
        }
        match nonces.use_up(&signed.nonce, seconds, now, self.window) {
            Seen::First => Ok(()),
            Seen::Before => Err(Unsigned::Replayed),
            Seen::Full => Err(Unsigned::Busy),
        }
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        warn!("`{}` can be read by others: chmod 600", path.display());
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    if text.len() > MAX_FILE {
        return Err(failed(std::io::Error::other("larger than 1 MiB")));
    }
    Ok(text)
}

impl Presented {
    /// What a request shows in its headers, its path, and its connection.
    pub fn of(headers: &HeaderMap, path: Option<&str>, verified: bool) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut tokens: Vec<[u8; 32]> = path.into_iter().map(|token| digest(token.as_bytes())).collect();
        tokens.extend(text("x-afterimage-token").map(|token| digest(token.trim().as_bytes())));
        if let Some((scheme, value)) = text(AUTHORIZATION.as_str()).and_then(|text| text.split_once(' ')) {
            let value = value.trim();
            if scheme.eq_ignore_ascii_case("bearer") {
                tokens.push(digest(value.as_bytes()));
            } else if scheme.eq_ignore_ascii_case("basic")
                && let Ok(decoded) = STANDARD.decode(value)
                && let Some(colon) = decoded.iter().position(|b| *b == b':')
            {
                // The password; the user says nothing.
                tokens.push(digest(&decoded[colon + 1..]));
            }
        }
        Self { tokens, signed: Signed::of(&text), verified }
    }
}

impl Signed {
    fn of<'a>(text: &dyn Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let mac = text("x-afterimage-signature")?.trim().strip_prefix("sha256=")?;
        let nonce = text("x-afterimage-nonce")?.trim();
        let digits: Option<Vec<u8>> = mac
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        NONCE.contains(&nonce.len()).then_some(())?;
        Some(Self {
            timestamp: text("x-afterimage-timestamp")?.trim().to_owned(),
            nonce: nonce.to_owned(),
            mac: digits?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    const TOKEN: &str = "0123456789abcdef-token";
    const KEY: &[u8] = b"0123456789abcdef-key";
    const NOW: i64 = 1_795_262_301;

    fn secrets(tokens: &str, key: Option<&[u8]>) -> Secrets {
        Secrets {
            tokens: tokens.split_whitespace().map(|token| digest(token.as_bytes())).collect(),
            key: key.map(<[u8]>::to_vec),
            window: Duration::from_secs(300),
            require_hmac: false,
            unauthenticated: false,
            certificates: false,
        }
    }

    fn presented(headers: &[(&str, &str)], path: Option<&str>) -> Presented {
        let map = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()))
            .collect();
        Presented::of(&map, path, false)
    }

    fn sign(timestamp: i64, nonce: &str, body: &[u8]) -> Presented {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{timestamp}.{nonce}.").as_bytes());
        mac.update(body);
        let hex = afterimage_model::artifacts::hex(&mac.finalize().into_bytes());
        presented(
            &[
                ("X-Afterimage-Signature", &format!("sha256={hex}")),
                ("X-Afterimage-Timestamp", &timestamp.to_string()),
                ("X-Afterimage-Nonce", nonce),
            ],
            None,
        )
    }

    #[test]
    fn a_token_is_taken_wherever_a_sender_can_put_it() {
        let secrets = secrets(&format!("another-token-of-16 {TOKEN}"), None);
        let basic = format!("Basic {}", STANDARD.encode(format!("falco:{TOKEN}")));
        for (headers, path) in [
            (vec![("Authorization", format!("Bearer {TOKEN}"))], None),
            (vec![("authorization", format!("bearer  {TOKEN} "))], None),
            (vec![("Authorization", basic)], None),
            (vec![("X-Afterimage-Token", TOKEN.to_owned())], None),
            (vec![], Some(TOKEN)),
        ] {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!(secrets.admit(&presented(&headers, path)), Verdict::Admitted, "{headers:?} {path:?}");
        }
        assert_eq!(secrets.admit(&presented(&[], None)), Verdict::Nobody);
        assert_eq!(secrets.admit(&presented(&[], Some("wrong"))), Verdict::Wrong);
        assert_eq!(secrets.admit(&presented(&[], Some(""))), Verdict::Wrong);
        assert_eq!(secrets.admit(&presented(&[("Authorization", "Basic %%%")], None)), Verdict::Nobody);
    }

    #[test]
    fn a_signature_is_of_this_body_now_and_once() {
        let secrets = secrets("", Some(KEY));
        let mut nonces = Nonces::default();
        let mut check = |presented: &Presented, body: &[u8]| {
            assert_eq!(secrets.admit(presented), Verdict::Signature);
            secrets.check(presented.signed.as_ref().unwrap(), body, NOW * 1_000_000_000, &mut nonces)
        };
        let good = sign(NOW - 299, "nonce-one", b"{}");
        assert_eq!(check(&good, b"{ }"), Err(Unsigned::Wrong), "another body uses no nonce up");
        assert_eq!(check(&good, b"{}"), Ok(()));
        assert_eq!(check(&good, b"{}"), Err(Unsigned::Replayed));
        assert_eq!(check(&sign(NOW, "nonce-two", b"{}"), b"{}"), Ok(()));
        assert_eq!(check(&sign(NOW - 301, "nonce-three", b"{}"), b"{}"), Err(Unsigned::Stale));
        assert_eq!(check(&sign(NOW + 301, "nonce-four", b"{}"), b"{}"), Err(Unsigned::Stale));
        assert!(sign(NOW, "short", b"{}").signed.is_none());
        assert_eq!(secrets.admit(&presented(&[], Some(TOKEN))), Verdict::Wrong);
    }

    #[test]
    fn where_signatures_are_required_a_token_is_not_enough() {
        let secrets = Secrets { require_hmac: true, ..secrets(TOKEN, Some(KEY)) };
        assert_eq!(secrets.admit(&presented(&[], Some(TOKEN))), Verdict::Nobody);
        assert_eq!(secrets.admit(&sign(NOW, "nonce-one", b"{}")), Verdict::Signature);
    }

    #[test]
    fn files_of_secrets_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            let set = vec![
                ("webhook.enabled", "true".to_owned()),
                ("webhook.token_file", path.display().to_string()),
            ];
            let flags = set.into_iter().map(|(k, v)| (k.to_owned(), "--set".to_owned(), v)).collect();
            let sources = crate::config::Sources { flags, ..Default::default() };
            Secrets::read(&crate::config::Config::load(&sources).unwrap().0.webhook)
        };
        assert_eq!(read(&format!("# who\n\n {TOKEN} \n")).unwrap().tokens, [digest(TOKEN.as_bytes())]);
        assert!(matches!(read("# nobody\n"), Err(SecretError::Empty { .. })));
        assert!(matches!(read("\nshort\n"), Err(SecretError::Short { line: 2, .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(read(""), Err(SecretError::Empty { .. })));
    }
}
