//! What makes a block, an entry or an enumeration out of one table: its fields, its vocabulary, reading and printing.

/// Makes values of one row usable as statements.
macro_rules! settings {
    ($($type:ty),+ $(,)?) => {$(
        impl crate::field::Setting for $type {
            fn read(
                keyword: &'static crate::keyword::Keyword,
                statement: &crate::statement::Statement,
                reader: &mut crate::reader::Reader<'_>,
                _: Option<Self>,
            ) -> Option<Self> {
                crate::field::read_value(keyword, statement, reader)
            }

            fn write(&self, keyword: &str, printer: &mut crate::printer::Printer) {
                crate::field::write_value(self, keyword, printer);
            }

            fn prevails(&self) -> bool {
                crate::field::Value::prevails(self)
            }
        }
    )+};
}

/// An enumeration whose values are words.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = [$first:literal $(, $alias:literal)*],)+ }
        $(prevails $strongest:ident)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[expect(clippy::exhaustive_enums, reason = "whoever converts it must handle every word")]
        pub enum $name {
            $(
                $(#[doc = $doc])+
                #[cfg_attr(feature = "serde", serde(rename = $first $(, alias = $alias)*))]
                $variant,
            )+
        }

        impl $name {
            /// The words, as they are printed.
            pub(crate) const WORDS: &'static [&'static str] = &[$($first),+];

            /// The word, as it is printed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $first,)+
                }
            }

            pub(crate) fn from_word(word: &str) -> Option<Self> {
                $(
                    if [$first $(, $alias)*].contains(&word) {
                        return Some(Self::$variant);
                    }
                )+
                None
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl crate::field::Value for $name {
            fn take(
                words: &mut crate::lexer::Words<'_>,
                keyword: &crate::keyword::Keyword,
                reader: &mut crate::reader::Reader<'_>,
            ) -> Option<Self> {
                let Some(word) = words.take() else {
                    reader.no_value(keyword, words.last());
                    return None;
                };
                let found = Self::from_word(word.text);
                if found.is_none() {
                    let near = crate::keyword::nearest(word.text, Self::WORDS.iter().copied());
                    let advice = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("one of {}", Self::WORDS.join(", ")),
                    };
                    let message = format!("`{}` is not known as `{}`", word.text, keyword.name());
                    reader.bad_value(keyword, word.span, message, Some(advice));
                }
                found
            }

            fn put(&self, line: &mut Vec<String>) {
                line.push(self.as_str().to_owned());
            }

            $(
                fn prevails(&self) -> bool {
                    matches!(self, Self::$strongest)
                }
            )?
        }

        crate::macros::settings!($name);
    };
}

/// A block: its fields, its vocabulary, reading and printing, from one table.
macro_rules! block {
    (
        $(#[doc = $about:literal])+
        $name:ident $(($header:ident: $header_type:ty))? = $owner:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = [$first:literal $(, $alias:literal)*], $range:expr, $default:literal, $support:expr;
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(deny_unknown_fields)
        )]
        pub struct $name {
            $(
                /// What stands between the keyword and the block.
                pub $header: $header_type,
            )?
            $(
                $(#[doc = $doc])+
                #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "crate::field::is_unset"))]
                pub $field: $type,
            )*
            /// Where the block stood.
            #[cfg_attr(feature = "serde", serde(skip))]
            pub origin: crate::source::Origin,
        }

        impl $name {
            /// The vocabulary of the block.
            pub const KEYWORDS: &'static [crate::keyword::Keyword] = &[
                $(
                    crate::keyword::Keyword {
                        spellings: &[$first $(, $alias)*],
                        range: $range,
                        default: $default,
                        support: $support,
                        description: &[$($doc),+],
                    },
                )*
            ];

            /// A block in which nothing is said.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "most blocks have a name, and all are made alike")]
            pub fn new($($header: $header_type)?) -> Self {
                Self {
                    $($header,)?
                    $($field: Default::default(),)*
                    origin: crate::source::Origin(None),
                }
            }

            const INDEX: &'static crate::keyword::Index = &crate::keyword::Index::of(Self::KEYWORDS);

            /// How each keyword is read, in the order of the vocabulary.
            const FIELDS: &'static [crate::field::ReadField<Self>] = &[
                $(
                    |block, keyword, statement, reader| {
                        crate::field::Field::read(&mut block.$field, keyword, statement, reader);
                    },
                )*
            ];

            pub(crate) fn read_statement(
                &mut self,
                statement: &crate::statement::Statement,
                reader: &mut crate::reader::Reader<'_>,
            ) {
                reader.statement($owner, statement, Self::KEYWORDS, Self::INDEX, |number, keyword, reader| {
                    if let Some(read) = Self::FIELDS.get(number) {
                        read(self, keyword, statement, reader);
                    }
                });
            }

            pub(crate) fn read_body(
                &mut self,
                body: crate::statement::Block,
                reader: &mut crate::reader::Reader<'_>,
            ) {
                let outer = reader.enter(self.origin);
                while let Some(statement) = reader.next(body) {
                    self.read_statement(&statement, reader);
                }
                reader.enter(outer);
            }

            pub(crate) fn write_body(&self, printer: &mut crate::printer::Printer) {
                let mut vocabulary = Self::KEYWORDS.iter();
                $(
                    if let Some(keyword) = vocabulary.next() {
                        crate::field::Field::write(&self.$field, keyword, printer);
                    }
                )*
                let _ = vocabulary;
            }
        }

        impl crate::field::Setting for $name {
            fn read(
                keyword: &'static crate::keyword::Keyword,
                statement: &crate::statement::Statement,
                reader: &mut crate::reader::Reader<'_>,
                previous: Option<Self>,
            ) -> Option<Self> {
                #[allow(unused_mut, reason = "not every block has a name")]
                let mut words = statement.arguments();
                $(let $header = <$header_type as crate::field::Value>::take(&mut words, keyword, reader);)?
                if let Some(extra) = words.peek() {
                    reader.push(
                        crate::diagnostic::Diagnostic::error(
                            extra.span,
                            format!("`{}` is one word too many after `{}`", extra.text, keyword.name()),
                        )
                        .advice("a name of several words needs quotation marks"),
                    );
                }
                let Some(body) = statement.block else {
                    crate::field::needs_block(keyword, statement, reader);
                    return previous;
                };
                let mut block = match previous {
                    Some(previous) => previous,
                    None => Self::new($($header?)?),
                };
                block.origin = crate::source::Origin(Some(statement.span()));
                block.read_body(body, reader);
                Some(block)
            }

            fn write(&self, keyword: &str, printer: &mut crate::printer::Printer) {
                #[allow(unused_mut, reason = "not every block has a name")]
                let mut line = vec![keyword.to_owned()];
                $(crate::field::Value::put(&self.$header, &mut line);)?
                printer.open(&line);
                self.write_body(printer);
                printer.close();
            }
        }
    };
}

/// An entry of a list: what it is about, and options after it.
macro_rules! entry {
    (
        $(#[doc = $about:literal])+
        $name:ident $(($header:ident: $header_type:ty))? {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = [$first:literal $(, $alias:literal)*], $range:expr, $default:literal, $support:expr;
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(deny_unknown_fields)
        )]
        pub struct $name {
            $(
                /// What the entry is about.
                pub $header: $header_type,
            )?
            $(
                $(#[doc = $doc])+
                #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "crate::field::is_default"))]
                pub $field: $type,
            )*
            /// Where the entry stood.
            #[cfg_attr(feature = "serde", serde(skip))]
            pub origin: crate::source::Origin,
        }

        impl $name {
            /// The options of the entry.
            pub const KEYWORDS: &'static [crate::keyword::Keyword] = &[
                $(
                    crate::keyword::Keyword {
                        spellings: &[$first $(, $alias)*],
                        range: $range,
                        default: $default,
                        support: $support,
                        description: &[$($doc),+],
                    },
                )*
            ];

            /// An entry without options.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "most entries are about something, and all are made alike")]
            pub fn new($($header: $header_type)?) -> Self {
                Self {
                    $($header,)?
                    $($field: Default::default(),)*
                    origin: crate::source::Origin(None),
                }
            }

            const INDEX: &'static crate::keyword::Index = &crate::keyword::Index::of(Self::KEYWORDS);

            /// How each option is read, in the order of the vocabulary.
            const PARTS: &'static [crate::field::TakePart<Self>] = &[
                $(
                    |entry, words, keyword, reader| {
                        crate::field::Part::take(&mut entry.$field, words, keyword, reader);
                    },
                )*
            ];

            /// Takes one option; false where the next word is none.
            fn take_option(
                &mut self,
                words: &mut crate::lexer::Words<'_>,
                reader: &mut crate::reader::Reader<'_>,
            ) -> bool {
                let Some(word) = words.peek() else { return false };
                let Some((number, keyword)) = Self::INDEX.find(Self::KEYWORDS, word.text) else {
                    return false;
                };
                words.take();
                reader.met(keyword, word.span);
                if let Some(take) = Self::PARTS.get(number) {
                    take(self, words, keyword, reader);
                }
                true
            }
        }

        impl crate::field::Entry for $name {
            const EACH_WORD: bool = false;

            fn read_entry(
                words: &mut crate::lexer::Words<'_>,
                keyword: &'static crate::keyword::Keyword,
                reader: &mut crate::reader::Reader<'_>,
            ) -> Option<Self> {
                let origin = crate::source::Origin(words.peek().map(|word| word.span));
                $(let $header = <$header_type as crate::field::Value>::take(words, keyword, reader)?;)?
                let mut entry = Self::new($($header)?);
                entry.origin = origin;
                while let Some(word) = words.peek() {
                    if !entry.take_option(words, reader) {
                        crate::field::unknown_option::<Self>(word, keyword, Self::KEYWORDS, reader);
                        words.take();
                    }
                }
                Some(entry)
            }

            fn write_entry(&self, line: &mut Vec<String>) {
                $(crate::field::Value::put(&self.$header, line);)?
                let mut vocabulary = Self::KEYWORDS.iter();
                $(
                    if let Some(keyword) = vocabulary.next() {
                        crate::field::Part::put(&self.$field, keyword, line);
                    }
                )*
                let _ = vocabulary;
            }
        }
    };
}

pub(crate) use {block, entry, settings, words};
