//! `HTTP_GET` and `SSL_GET`.

use crate::field::Value;
use crate::keyword::{BOOL, FLAG, Keyword, PATH, Range, WORD, YES, count, no, text};
use crate::lexer::Words;
use crate::macros::{block, words};
use crate::model::checker::check;
use crate::model::raw::Raw;
use crate::reader::Reader;
use crate::value::next;

check! {
    /// Pages are served. All pages are asked for at each turn, and all must be right.
    HttpCheck = "HTTP_GET", ["retry", "nb_get_retry"] {
        /// What is asked for.
        url: Vec<Url> = ["url"], Range::Block("a request"), "none: always up", YES;
        /// The version of the protocol; `1.0C` is 1.0 with `Connection: close`.
        http_protocol: Option<HttpProtocol> = ["http_protocol"], Range::OneOf(HttpProtocol::WORDS), "1.0", YES;
        /// Asks for all pages at once when it comes up, which is what is always done.
        fast_recovery: Option<bool> = ["fast_recovery"], BOOL, "off", YES;
        /// TLS: says the name of the host.
        enable_sni: bool = ["enable_sni"], FLAG, "off", YES;
        /// TLS: the name that is said.
        sni_name: Option<String> = ["sni_name"], WORD, "`virtualhost`", YES.new_in_keepalived();
        /// TLS: ends as the standard asks.
        tls_compliant: Option<bool> = ["tls_compliant"], BOOL, "off", no("a connection ends without waiting for the other side's farewell, as keepalived's does where this is off").new_in_keepalived();
        /// The name in requests.
        virtualhost: Option<String> = ["virtualhost"], WORD, "that of the real server", YES;
    }
}

block! {
    /// A request and what is to come of it.
    Url = "url" {
        /// What is asked for.
        path: Option<String> = ["path"], PATH, "required", YES;
        /// The MD5 of the answer.
        digest: Option<String> = ["digest"], text("32 hexadecimal digits"), "none", YES;
        /// The status of the answer.
        status_code: Option<StatusCodes> = ["status_code"], text("numbers and ranges, 100 to 999"), "200-299", YES;
        /// The name in the request.
        virtualhost: Option<String> = ["virtualhost"], WORD, "that of the check", YES;
        /// What the answer must contain.
        regex: Option<Raw> = ["regex"], text("regular expression"), "none", YES;
        /// What the answer must not contain.
        regex_no_match: bool = ["regex_no_match"], FLAG, "off", YES;
        /// How the expression is read.
        regex_options: Option<Raw> = ["regex_options"], text("names of PCRE2 options"), "none", YES;
        /// How much memory matching may use.
        regex_stack: Option<Raw> = ["regex_stack"], text("start and most, bytes"), "the library's", no("matching takes bounded memory by itself");
        /// What matches begins at this byte of the answer, or later.
        regex_min_offset: Option<u32> = ["regex_min_offset"], count(0, 4_294_967_295, "bytes"), "0", YES;
        /// What matches begins at this byte of the answer, or earlier.
        regex_max_offset: Option<u32> = ["regex_max_offset"], count(0, 4_294_967_295, "bytes"), "the end", YES;
        /// TLS: ends as the standard asks.
        tls_compliant: Option<bool> = ["tls_compliant"], BOOL, "off", no("a connection ends without waiting for the other side's farewell, as keepalived's does where this is off").new_in_keepalived();
    }
}

words! {
    /// A version of HTTP.
    HttpProtocol {
        /// 1.0.
        Http10 = ["1.0"],
        /// 1.0, and says that the connection ends.
        Http10Close = ["1.0C", "1.0c"],
        /// 1.1.
        Http11 = ["1.1"],
    }
}

/// Status codes that are right: `200-299 302`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct StatusCodes(pub Vec<(u16, u16)>);

impl Value for StatusCodes {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut ranges = Vec::new();
        let mut word = next(words, keyword, reader)?;
        loop {
            let (first, last) = word.text.split_once('-').unwrap_or((word.text, word.text));
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) if (100..=999).contains(&first) && (first..=999).contains(&last) => {
                    if last > 599 {
                        reader.keepalived_objects();
                    }
                    ranges.push((first, last));
                }
                _ => {
                    let message = format!("`{}` is no status code and no range of them", word.text);
                    reader.bad_value(keyword, word.span, message, None);
                }
            }
            match words.take() {
                Some(next) => word = next,
                None => break,
            }
        }
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    fn put(&self, line: &mut Vec<String>) {
        line.extend(self.0.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        }));
    }
}

crate::macros::settings!(StatusCodes);
