//! `auth_hmac`: keys, and who has to sign.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use keepalived_conf::{AuthHmac, VrrpInstance};
use vrrp_fsm::{Signing, SigningMode};
use vrrp_proto::HmacKey;

use crate::convert::Context;

/// How a virtual router signs, and a number that is another when a secret is another.
pub(super) fn signing(
    context: &mut Context<'_>,
    instance: &VrrpInstance,
    hmac: &AuthHmac,
) -> Option<(Signing, u64)> {
    let name = &instance.name;
    let mut keys = Vec::new();
    let mut secrets = DefaultHasher::new();
    for words in &hmac.key {
        match key(context, &words.0) {
            Ok((key, secret)) => {
                secret.hash(&mut secrets);
                keys.push(key);
            }
            Err(error) => {
                context.error(hmac.origin, format!("`{name}`: an auth_hmac key {error}"));
                return None;
            }
        }
    }
    let Some(first) = keys.first().map(HmacKey::id) else {
        context.error(hmac.origin, format!("`{name}`: auth_hmac without a key"));
        return None;
    };
    let mode = match hmac.mode.as_deref() {
        Some("permissive") => SigningMode::Permissive,
        Some("receive-only") => SigningMode::ReceiveOnly,
        _ => SigningMode::Enforce,
    };
    if mode != SigningMode::Enforce && instance.is_strict(context.configuration) {
        context.error(
            hmac.origin,
            format!("`{name}`: strict mode wants `mode enforce` of auth_hmac"),
        );
        return None;
    }
    let interval = instance.effective_interval(context.configuration).as_micros();
    let usual = u32::try_from((3 * interval).div_ceil(1_000_000))
        .unwrap_or(300)
        .clamp(5, 300);
    let window = match hmac.anti_replay.as_deref() {
        Some("monotonic") => None,
        _ => Some(hmac.time_window.unwrap_or(usual)),
    };
    match Signing::new(keys, hmac.active_key.unwrap_or(first)) {
        Ok(signing) => Some((signing.mode(mode).time_window(window), secrets.finish())),
        Err(error) => {
            context.error(hmac.origin, format!("`{name}`: auth_hmac: {error}"));
            None
        }
    }
}

/// A key from its words: its number, then `hex:` and digits, `file:` and a path, or the secret itself.
fn key(context: &Context<'_>, words: &[String]) -> Result<(HmacKey, Vec<u8>), String> {
    let [id, secret] = words else {
        return Err("wants a number and a secret".to_owned());
    };
    let id: u8 = id
        .parse()
        .map_err(|_| format!("has the number `{id}`, which is not 1 to 255"))?;
    let secret = if let Some(digits) = secret.strip_prefix("hex:") {
        hexadecimal(digits).ok_or("is not hexadecimal")?
    } else if let Some(path) = secret.strip_prefix("file:") {
        let read = context.environment.read(Path::new(path), LONGEST_FILE);
        let mut bytes = read.map_err(|error| format!("cannot be read from {path}: {error}"))?;
        // The end of the line is the editor's.
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        bytes
    } else {
        secret.as_bytes().to_vec()
    };
    let key = HmacKey::new(id, &secret).map_err(|error| format!("is not accepted: {error}"))?;
    Ok((key, secret))
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |character: u8| char::from(character).to_digit(16);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

/// More than any key.
const LONGEST_FILE: u64 = 4096;
