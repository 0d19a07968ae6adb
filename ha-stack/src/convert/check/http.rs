//! `HTTP_GET` and `SSL_GET`.

use std::time::Duration;

use healthcheck::{Check, Error, Expect, Http, HttpVersion, Pattern, Request, Tls};
use keepalived_conf::{HttpCheck, HttpProtocol, Url};

use crate::convert::Context;
use crate::convert::check::{Inherited, Made, own, shared};

/// `None` if there is nothing to ask for, which is always up, or after an error.
pub(super) fn check(
    context: &mut Context<'_>,
    inherited: &Inherited,
    check: &HttpCheck,
    encrypted: bool,
) -> Option<Made> {
    if check.url.is_empty() {
        return None;
    }
    let own = own!(check);
    let place = inherited.place(context, &own, check.origin)?;
    let host = check.virtualhost.as_ref().or(inherited.virtualhost.as_ref());
    let mut requests = Vec::new();
    for url in &check.url {
        match request(context, url, host) {
            Ok(request) if check.http_protocol == Some(HttpProtocol::Http10Close) => {
                requests.push(request.header("Connection", "close"));
            }
            Ok(request) => requests.push(request),
            Err(error) => {
                context.error(url.origin, format!("a request of a check: {error}"));
                return None;
            }
        }
    }
    let version = match check.http_protocol {
        None | Some(HttpProtocol::Http10 | HttpProtocol::Http10Close) => HttpVersion::Http10,
        Some(HttpProtocol::Http11) => HttpVersion::Http11,
    };
    let mut made = match Http::new(requests) {
        Ok(http) => Check::new(place, http.version(version)),
        Err(error) => {
            context.error(check.origin, format!("a check: {error}"));
            return None;
        }
    };
    if encrypted {
        let name = check.sni_name.as_ref().or(host).filter(|_| check.enable_sni);
        made = made.over(tls(context, check, name)?);
    }
    let mut policy = inherited.own_policy(&own, 1, RETRY_DELAY);
    // While it is down, a page that failed is asked for again after the longer of the two.
    policy.down = policy.retry_delay.map(|delay| delay.max(policy.interval));
    Some((made, shared(context, policy)))
}

fn request(context: &mut Context<'_>, url: &Url, host: Option<&String>) -> Result<Request, Error> {
    let mut request = Request::get(url.path.as_deref().unwrap_or("/"));
    if let Some(host) = url.virtualhost.as_ref().or(host) {
        request = request.host(host);
    }
    if let Some(codes) = &url.status_code {
        for (first, last) in &codes.0 {
            request = request.status(*first..=*last);
        }
    }
    if let Some(digest) = &url.digest {
        match digest_bytes(digest) {
            Some(bytes) => request = request.expect(Expect::Md5(bytes)),
            None => context.error(url.origin, format!("`{digest}` is no MD5: 32 hexadecimal digits")),
        }
    }
    if let Some(pattern) = &url.regex {
        let flags = flags(context, url);
        let pattern = Pattern::new(&format!("{flags}{}", pattern.0.join(" "))).inspect_err(|_| {
            context.warning(
                url.origin,
                "regular expressions are not those of PCRE2: look-around and references back are not understood",
            );
        })?;
        let offset = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let pattern = pattern.beginning_in(
            url.regex_min_offset.map_or(0, offset)..=url.regex_max_offset.map_or(usize::MAX, offset),
        );
        request = request.expect(match url.regex_no_match {
            true => Expect::Never(pattern),
            false => Expect::Matches(pattern),
        });
    }
    Ok(request)
}

/// Options of PCRE2 that mean the same here, as flags at the front of an expression.
fn flags(context: &mut Context<'_>, url: &Url) -> String {
    let mut flags = String::new();
    for word in url.regex_options.iter().flat_map(|options| &options.0) {
        match word.as_str() {
            "caseless" => flags.push('i'),
            "multiline" => flags.push('m'),
            "dotall" => flags.push('s'),
            "extended" => flags.push('x'),
            "ungreedy" => flags.push('U'),
            other => context.warning(
                url.origin,
                format!("`regex_options {other}` is not known here: the expression is read without it"),
            ),
        }
    }
    match flags.is_empty() {
        true => flags,
        false => format!("(?{flags})"),
    }
}

fn digest_bytes(text: &str) -> Option<[u8; 16]> {
    super::hexadecimal(text)?.try_into().ok()
}

/// As keepalived does, any certificate is taken, unless the `SSL` block names an authority to trust.
fn tls(context: &mut Context<'_>, check: &HttpCheck, name: Option<&String>) -> Option<Tls> {
    let configuration = context.configuration;
    let mut builder = Tls::builder().unverified();
    let mut read = |path: &str| match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            context.error(check.origin, format!("the SSL block: {path}: {error}"));
            None
        }
    };
    if let Some(ssl) = &configuration.ssl {
        if let Some(path) = &ssl.ca {
            builder = builder.roots_pem(read(path)?);
        }
        if let (Some(certificate), Some(key)) = (&ssl.certificate, &ssl.key) {
            builder = builder.client_pem(read(certificate)?, read(key)?);
        }
        if let Some(password) = &ssl.password {
            builder = builder.client_key_password(password.as_str());
        }
    }
    if let Some(name) = name {
        builder = builder.server_name(name);
    }
    match builder.build() {
        Ok(tls) => Some(tls),
        Err(error) => {
            context.error(check.origin, format!("SSL_GET: {error}"));
            None
        }
    }
}

/// keepalived's, of these checks.
const RETRY_DELAY: Duration = Duration::from_secs(3);
