//! `track_file`.

use crate::field::Value;
use crate::keyword::{Keyword, PATH, VITAL, YES, int, text};
use crate::lexer::Words;
use crate::macros::block;
use crate::model::track::Weight;
use crate::reader::Reader;
use crate::value::ignored;

block! {
    /// A file with a number in it, on which virtual routers or real servers act.
    TrackedFile(name: String) = "track_file" {
        /// The file. A missing one reads as 0.
        file: Option<String> = ["file"], PATH, "required", VITAL;
        /// By what the number is multiplied before it is added to a priority. Zero: any number but 0 is a fault.
        weight: Option<Weight> = ["weight"], int(-254, 254), "1", VITAL;
        /// What is written into the file at the start.
        init_file: Option<InitFile> = ["init_file"], text("[number] [overwrite]"), "the file is left alone", YES;
    }
}

/// What is written into a tracked file at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct InitFile {
    /// The number; without it 0.
    pub value: Option<i64>,
    /// Even when the file is there already.
    pub overwrite: bool,
}

impl Value for InitFile {
    fn take(words: &mut Words<'_>, _: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut found = Self::default();
        while let Some(word) = words.take() {
            match (word.text, word.text.parse()) {
                ("overwrite", _) => found.overwrite = true,
                (_, Ok(value)) => found.value = Some(value),
                (_, Err(_)) => ignored(word, "is neither a number nor `overwrite`", reader),
            }
        }
        Some(found)
    }

    fn put(&self, line: &mut Vec<String>) {
        line.extend(self.value.map(|value| value.to_string()));
        if self.overwrite {
            line.push(String::from("overwrite"));
        }
    }
}

crate::macros::settings!(InitFile);
