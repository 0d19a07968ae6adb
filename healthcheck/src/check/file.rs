//! A number in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Outcome, Weight};

/// A number that somebody writes into a file, as keepalived's `FILE_CHECK` reads it. The file is watched, so a change
/// is seen at once; the interval is only a safety net.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct File {
    plan: Arc<FilePlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FilePlan {
    path: PathBuf,
    weight: i64,
    missing: Option<i64>,
}

impl File {
    /// Up as long as the number is zero.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let plan = FilePlan {
            path: path.into(),
            weight: 0,
            missing: None,
        };
        Self { plan: Arc::new(plan) }
    }

    /// The number times this is added to the weight (negative: keepalived's `reverse`), and a product of −2³¹ or less is
    /// down. With zero the number itself decides.
    #[must_use]
    pub fn weight(mut self, weight: i64) -> Self {
        Arc::make_mut(&mut self.plan).weight = weight;
        self
    }

    /// A file that is not there counts as this number. Otherwise it is a failure.
    #[must_use]
    pub fn missing_is(mut self, number: i64) -> Self {
        Arc::make_mut(&mut self.plan).missing = Some(number);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.plan.path
    }

    /// What a content says; `None` is a file that is not there.
    pub(crate) fn judge(&self, content: Option<&[u8]>) -> (Outcome, Option<Weight>) {
        let number = match content {
            None => self.plan.missing,
            Some(content) => core::str::from_utf8(content.trim_ascii())
                .ok()
                .and_then(|text| text.parse().ok()),
        };
        let Some(number) = number else {
            let failure = Failure::new(Stage::Run, FailKind::File).with_excerpt(content.unwrap_or_default());
            return (Outcome::Fail(failure), None);
        };
        let down = || {
            Outcome::Fail(
                Failure::new(Stage::Content, FailKind::Reported)
                    .with_code(i32::try_from(number).unwrap_or(i32::MAX)),
            )
        };
        if self.plan.weight == 0 {
            return (if number == 0 { Outcome::Pass } else { down() }, None);
        }
        let change = number.saturating_mul(self.plan.weight);
        if change <= i64::from(i32::MIN) {
            (down(), None)
        } else {
            (Outcome::Pass, Some(Weight::Add(change)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_judged_as_keepalived_does() {
        let plain = File::new("/x");
        let passes = |file: &File, content: &str| file.judge(Some(content.as_bytes())).0 == Outcome::Pass;
        assert!(passes(&plain, "0\n") && !passes(&plain, "1\n") && !passes(&plain, "-1"));
        for bad in ["", "x", "1 2", "99999999999999999999"] {
            let Outcome::Fail(failure) = plain.judge(Some(bad.as_bytes())).0 else {
                panic!("{bad} passed")
            };
            assert_eq!(failure.kind, FailKind::File);
        }
        let weighted = File::new("/x").weight(-2);
        assert_eq!(
            weighted.judge(Some(b" 5 ")),
            (Outcome::Pass, Some(Weight::Add(-10)))
        );
        assert!(!passes(&weighted, "1073741824"), "the fault value");
        assert!(passes(&weighted, "1073741823"));
        assert!(matches!(plain.judge(None).0, Outcome::Fail(_)));
        assert_eq!(plain.missing_is(0).judge(None).0, Outcome::Pass);
    }
}
