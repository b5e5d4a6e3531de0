//! Collations: orders of strings other than by their bytes.
//!
//! The order of a locale is that of Unicode and CLDR, from the `icu_collator` crate, whose data is part of the program. A
//! collator is made once, with its row of `_collation`, and shared by the index parts that name it. Text that is not valid
//! UTF-8 compares as if each maximal wrong sequence were U+FFFD.
//!
//! A sort key is the bytes that compare as the texts do; it is never kept: its first eight are the hint of an index entry,
//! and its hash stands for the text in a HASH index, so that equal texts hash alike.
//!
//! Source: types-and-indexes.md §5; Tarantool `src/lib/coll/coll.c`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use icu_collator::{CollationKeySink, CollatorBorrowed, CollatorPreferences};
use icu_locale_core::Locale;

use super::compare::KeyHash;

/// The id of the collation `none`: a field or a part that names it names none, and it is never dropped.
pub const NONE: u32 = 0;

/// The collations of a database by id.
pub type Collations = HashMap<u32, Arc<Collation>>;

/// What a row of `_collation` of the type ICU asks for; None is the locale's own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IcuOptions {
    /// The locale as ICU writes it: `de_DE_u_co_phonebk`; empty for the root.
    pub locale: Box<str>,
    /// Accents compare from the end of the text.
    pub is_french: Option<bool>,
    /// Spaces and punctuation are ignored but for the fourth level.
    pub is_shifted: Option<bool>,
    /// What comes first among letters that differ by case only.
    pub case_first: Option<CaseFirst>,
    /// Case has a level of its own, even when the strength leaves it out.
    pub has_case_level: Option<bool>,
    /// How many levels count.
    pub strength: Option<Levels>,
    /// Digits compare as numbers.
    pub is_numeric: Option<bool>,
}

/// What comes first among letters that differ by case only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaseFirst {
    /// Neither: case is a difference among others of its level.
    Off,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

/// The levels of a comparison, each with those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Levels {
    /// Letters.
    Primary,
    /// Accents.
    Secondary,
    /// Case and variants.
    Tertiary,
    /// Punctuation, if it was left out before.
    Quaternary,
    /// Code points.
    Identical,
}

/// A collation.
pub struct Collation {
    /// The id in `_collation`.
    pub id: u32,
    /// Uid of the owner.
    pub owner: u32,
    /// The name.
    pub name: Box<str>,
    /// What the collator was made from; None compares bytes.
    icu: Option<(IcuOptions, CollatorBorrowed<'static>)>,
}

impl Collation {
    /// A collation with the order of a locale, or of bytes without `icu`.
    ///
    /// # Panics
    /// Never: the data of every locale, and of the root in the place of those that are unknown, is compiled in.
    pub fn new(id: u32, owner: u32, name: &str, icu: Option<IcuOptions>) -> Self {
        let icu = icu.map(|options| {
            let collator = options.collator();
            (options, collator)
        });
        Self { id, owner, name: name.into(), icu }
    }

    /// True if it compares bytes.
    pub fn is_binary(&self) -> bool {
        self.icu.is_none()
    }

    /// Compares two texts.
    pub fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        match &self.icu {
            Some((_, collator)) => collator.compare_utf8(left, right),
            None => left.cmp(right),
        }
    }

    /// The first eight bytes of the sort key, big-endian, zeros where there are fewer.
    pub fn hint(&self, text: &[u8]) -> u64 {
        let mut prefix = Prefix { bytes: [0; 8], len: 0 };
        match &self.icu {
            // An error means that the prefix is full.
            Some((_, collator)) => drop(collator.write_sort_key_utf8_to(text, &mut prefix)),
            None => drop(prefix.write(&mut (), text)),
        }
        u64::from_be_bytes(prefix.bytes)
    }

    /// Adds a text to a hash.
    pub fn hash(&self, text: &[u8], hash: &mut KeyHash) {
        match &self.icu {
            Some((_, collator)) => {
                let Ok(()) = collator.write_sort_key_utf8_to(text, &mut HashSink(hash));
            }
            None => hash.bytes(text),
        }
    }
}

impl PartialEq for Collation {
    /// The same order, whatever the name.
    fn eq(&self, other: &Self) -> bool {
        let options = |collation: &Self| collation.icu.as_ref().map(|(options, _)| options.clone());
        options(self) == options(other)
    }
}

impl std::fmt::Debug for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl IcuOptions {
    fn collator(&self) -> CollatorBorrowed<'static> {
        let locale = self.parsed_locale();
        let mut preferences = CollatorPreferences::from(&locale);
        if let Some(case_first) = self.case_first {
            preferences.case_first = Some(match case_first {
                CaseFirst::Off => CollationCaseFirst::False,
                CaseFirst::Upper => CollationCaseFirst::Upper,
                CaseFirst::Lower => CollationCaseFirst::Lower,
            });
        }
        if let Some(is_numeric) = self.is_numeric {
            preferences.numeric_ordering = Some(match is_numeric {
                true => CollationNumericOrdering::True,
                false => CollationNumericOrdering::False,
            });
        }
        let mut options = CollatorOptions::default();
        options.strength = Some(match self.strength.unwrap_or(Levels::Tertiary) {
            Levels::Primary => Strength::Primary,
            Levels::Secondary => Strength::Secondary,
            Levels::Tertiary => Strength::Tertiary,
            Levels::Quaternary => Strength::Quaternary,
            Levels::Identical => Strength::Identical,
        });
        options.alternate_handling = self.is_shifted.map(|is_shifted| match is_shifted {
            true => AlternateHandling::Shifted,
            false => AlternateHandling::NonIgnorable,
        });
        options.case_level = self.has_case_level.map(|has_case_level| match has_case_level {
            true => CaseLevel::On,
            false => CaseLevel::Off,
        });
        CollatorBorrowed::try_new(preferences, options)
            .expect("the data of the root is compiled in, and is the fallback of every locale")
    }

    /// The locale; the root for what is none. ICU's keywords after `@` are left out.
    ///
    /// Accents from the end are a property of Canadian French, whose order is the root's otherwise: that is how the root
    /// and French have them turned on, and Canadian French off.
    fn parsed_locale(&self) -> Locale {
        let name = self.locale.split('@').next().unwrap_or_default().replace('_', "-");
        let locale: Locale = name.parse().unwrap_or(Locale::UNKNOWN);
        let is_plain = matches!(locale.id.language.as_str(), "und" | "fr" | "en");
        let is_canadian = locale.id.language.as_str() == "fr"
            && locale.id.region.is_some_and(|region| region.as_str() == "CA");
        match self.is_french {
            Some(true) if is_plain => "fr-CA".parse().unwrap_or(locale),
            Some(false) if is_canadian => "fr".parse().unwrap_or(locale),
            _ => locale,
        }
    }
}

/// Takes the first bytes of a sort key and no more.
struct Prefix {
    bytes: [u8; 8],
    len: usize,
}

/// The prefix is complete.
struct Full;

impl CollationKeySink for Prefix {
    type Error = Full;
    type State = ();
    type Output = ();

    fn write(&mut self, (): &mut (), bytes: &[u8]) -> Result<(), Full> {
        let taken = bytes.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        if self.len == self.bytes.len() { Err(Full) } else { Ok(()) }
    }

    fn finish(&mut self, (): ()) -> Result<(), Full> {
        Ok(())
    }
}

/// Adds a sort key to a hash, in words of eight bytes wherever the pieces end.
struct HashSink<'a>(&'a mut KeyHash);

/// Bytes of a word that is not complete.
#[derive(Default)]
struct Word {
    word: u64,
    len: u64,
}

impl CollationKeySink for HashSink<'_> {
    type Error = std::convert::Infallible;
    type State = Word;
    type Output = ();

    fn write(&mut self, state: &mut Word, bytes: &[u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            state.word = (state.word << 8) | u64::from(*byte);
            state.len += 1;
            if state.len.is_multiple_of(8) {
                self.0.word(std::mem::take(&mut state.word));
            }
        }
        Ok(())
    }

    fn finish(&mut self, state: Word) -> Result<(), Self::Error> {
        self.0.word(state.word);
        self.0.word(state.len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
