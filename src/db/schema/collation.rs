//! `_collation`: rows as collations, what creates and drops one.
//!
//! Source: types-and-indexes.md §5; Tarantool `src/box/alter.cc` on_replace_dd_collation, coll_id_def_new_from_tuple.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::alter::check_object;
use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, check_identifier};
use super::{Change, unexpected_option};
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::collation::{CaseFirst, Collation, IcuOptions, Levels, NONE};
use crate::db::database::Database;
use crate::db::tuple::Tuple;
use crate::db::txn::Txn;

/// The longest locale, bytes.
const LOCALE_BYTES_MAX: usize = 30;

/// The trigger of `_collation`.
pub(super) fn on_collation(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => {
            let collation = parse(&new)?;
            check_object(txn, &object(&collation), Privilege::CREATE)?;
        }
        (Some(old), None) => check_drop(txn, old.uint32(0)?)?,
        (Some(_), Some(_)) => return Err(err!(UNSUPPORTED, "collation", "alter")),
        (None, None) => {}
    }
    set_from_row(txn.db_mut(), change.new.map(|row| row.0), change.old.map(|row| row.0));
    Ok(())
}

/// Makes the collation of a row known, or forgets that of a row that is gone; rollback calls it the other way round.
pub(in crate::db) fn set_from_row(db: &mut Database, row: Option<&Tuple>, without: Option<&Tuple>) {
    if let Some(Ok(id)) = without.map(|tuple| Row(tuple).uint32(0)) {
        db.collations.remove(&id);
    }
    if let Some(Ok(collation)) = row.map(|tuple| parse(&Row(tuple))) {
        db.collations.insert(collation.id, Arc::new(collation));
    }
}

fn object(collation: &Collation) -> Object<'_> {
    Object {
        object_type: ObjectType::Collation,
        id: collation.id,
        owner: collation.owner,
        name: &collation.name,
    }
}

fn check_drop(txn: &Txn<'_>, id: u32) -> Result<()> {
    if id == NONE {
        return Err(err!(DROP_COLLATION, "none", "system collation"));
    }
    let db = txn.db();
    let Some(collation) = db.collations.get(&id) else { return Ok(()) };
    check_object(txn, &object(collation), Privilege::DROP)?;
    let holders = db.spaces.values().filter_map(|space| {
        let mut parts = space.indexes().iter().flat_map(|index| index.def.key_def.parts());
        if space.def.fields.iter().any(|field| field.collation == Some(id)) {
            Some((space.def.id, "space format"))
        } else {
            parts.any(|part| part.collation == Some(id)).then_some((space.def.id, "index"))
        }
    });
    match holders.min() {
        Some((_, holder)) => {
            let details = format!("collation is referenced by {holder}");
            Err(err!(DROP_COLLATION, &*collation.name, details))
        }
        None => Ok(()),
    }
}

fn parse(row: &Row<'_>) -> Result<Collation> {
    let id = row.uint32(0)?;
    let name = row.bytes(1);
    let refuse = |details: &str| Err(err!(CANT_CREATE_COLLATION, details));
    if name.len() > NAME_BYTES_MAX {
        return refuse("collation name is too long");
    }
    let name = check_identifier(name)?;
    let owner = row.uint32(2)?;
    let is_icu = match row.str(3).to_ascii_uppercase().as_str() {
        "ICU" => true,
        "BINARY" => false,
        _ => return refuse("unknown collation type"),
    };
    let locale = row.bytes(4);
    if locale.len() > LOCALE_BYTES_MAX {
        return refuse("collation locale is too long");
    }
    let locale = if locale.is_empty() { "" } else { check_identifier(locale)? };
    let options = IcuOptions { locale: locale.into(), ..parse_options(row.raw(5))? };
    Ok(Collation::new(id, owner, name, is_icu.then_some(options)))
}

/// Words of an option with what they mean.
type Words<T> = [(&'static str, T)];

const ON_OFF: &Words<bool> = &[("ON", true), ("OFF", false)];
const ALTERNATE_HANDLING: &Words<bool> = &[("NON_IGNORABLE", false), ("SHIFTED", true)];
const CASE_FIRST: &Words<CaseFirst> = &[
    ("OFF", CaseFirst::Off),
    ("UPPER_FIRST", CaseFirst::Upper),
    ("LOWER_FIRST", CaseFirst::Lower),
];
const STRENGTH: &Words<Levels> = &[
    ("PRIMARY", Levels::Primary),
    ("SECONDARY", Levels::Secondary),
    ("TERTIARY", Levels::Tertiary),
    ("QUATERNARY", Levels::Quaternary),
    ("IDENTICAL", Levels::Identical),
];

/// The options map; the locale is not in it.
fn parse_options(map: &[u8]) -> Result<IcuOptions> {
    let mut options = IcuOptions::default();
    let mut words = Vec::new();
    for (key, value) in msgpack::pairs(map) {
        let Ok(Token::Str(key)) = msgpack::read(&mut { key }) else {
            return Err(err!(WRONG_COLLATION_OPTIONS, "key must be a string"));
        };
        let Some(key) = OPTIONS.iter().find(|known| known.as_bytes() == key) else {
            return Err(err!(WRONG_COLLATION_OPTIONS, unexpected_option(key)));
        };
        let Ok(Token::Str(word)) = msgpack::read(&mut { value }) else {
            return Err(err!(WRONG_COLLATION_OPTIONS, format!("'{key}' must be enum")));
        };
        words.push((key, word));
    }
    // Shapes are wrong before words are, whatever the order in the map.
    for (key, word) in words {
        match *key {
            "french_collation" => options.is_french = Some(one_of(key, word, ON_OFF)?),
            "alternate_handling" => {
                options.is_shifted = Some(one_of(key, word, ALTERNATE_HANDLING)?);
            }
            "case_first" => options.case_first = Some(one_of(key, word, CASE_FIRST)?),
            "case_level" => options.has_case_level = Some(one_of(key, word, ON_OFF)?),
            // Text is always compared as if it were normalized.
            "normalization_mode" => drop(one_of(key, word, ON_OFF)?),
            "strength" => options.strength = Some(one_of(key, word, STRENGTH)?),
            _ => options.is_numeric = Some(one_of(key, word, ON_OFF)?),
        }
    }
    Ok(options)
}

/// The options that there are.
const OPTIONS: &[&str] = &[
    "french_collation",
    "alternate_handling",
    "case_first",
    "case_level",
    "normalization_mode",
    "strength",
    "numeric_collation",
];

fn one_of<T: Copy>(key: &str, word: &[u8], words: &Words<T>) -> Result<T> {
    let found = words.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
        let details = format!("ICU wrong {key} option setting, expected {}", known.join(" | "));
        err!(CANT_CREATE_COLLATION, details)
    })
}
