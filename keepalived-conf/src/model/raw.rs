//! Lines that are kept as they are.

use crate::field::Value;
use crate::keyword::Keyword;
use crate::lexer::Words;
use crate::reader::Reader;

/// The rest of a line, word by word, of a keyword that is kept and printed and not acted upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Raw(pub Vec<String>);

impl Value for Raw {
    fn take(words: &mut Words<'_>, _: &Keyword, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self(
            std::iter::from_fn(|| words.take())
                .map(|word| word.text.to_string())
                .collect(),
        ))
    }

    fn put(&self, line: &mut Vec<String>) {
        line.extend(self.0.iter().cloned());
    }
}

crate::macros::settings!(Raw);
