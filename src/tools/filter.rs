//! Which rows are wanted.
//!
//! Source: Tarantool `extra/dist/tarantoolctl.in`, filter_xlog; `tt cat`, option `--timestamp`.

use std::collections::HashMap;

use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{Token, items, pairs, read, read_str, read_uint};
use uuid::Uuid;

use super::error::{Error, Result};
use crate::db::Database;
use crate::db::schema::{bootstrap, space_id};
use crate::wal::xlog::Row;

/// The field of `_space` that holds the name.
const NAME_FIELD: usize = 2;

/// The options that choose rows.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct FilterArgs {
    /// Only rows of this space, by id or by name; may be given more than once. Names are found in the rows of _space of
    /// the same files.
    #[arg(long, value_name = "ID|NAME", value_delimiter = ',')]
    space: Vec<String>,
    /// Only rows with this LSN or a greater one.
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// Only rows with an LSN below this one.
    #[arg(long, value_name = "LSN", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Only rows written before this time, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<f64>,
    /// Only rows of the instance with this replica id; may be given more than once.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    replica: Vec<u32>,
    /// Rows of system spaces too. They are left out otherwise, unless --space names them.
    #[arg(long)]
    show_system: bool,
}

impl FilterArgs {
    /// Every row but those of system spaces.
    #[cfg(test)]
    pub(super) fn all() -> Self {
        Self { to: u64::MAX, ..Self::default() }
    }
}

/// A space that is wanted.
struct Wanted {
    /// What was given.
    text: String,
    /// The id, if that was given.
    id: Option<u32>,
    /// Whether a space of this name has been seen; ids count as seen.
    is_known: bool,
}

/// Decides about rows, in the order of the files.
pub(super) struct Filter {
    args: FilterArgs,
    spaces: Vec<Wanted>,
    /// Names of spaces as the rows so far have them; none are kept unless a name is wanted.
    names: HashMap<u32, String>,
}

impl Filter {
    pub(super) fn new(args: FilterArgs) -> Self {
        let wanted = |text: &String| {
            let id = text.parse().ok();
            Wanted { text: text.clone(), id, is_known: id.is_some() }
        };
        let spaces: Vec<Wanted> = args.space.iter().map(wanted).collect();
        let mut filter = Self { args, spaces, names: HashMap::new() };
        if filter.has_names() {
            for (id, name) in system_spaces() {
                filter.learn(id, name);
            }
        }
        filter
    }

    /// True if the row is wanted. To be asked for every row, since names of spaces are learned from them.
    pub(super) fn takes(&mut self, row: &Row<'_>) -> bool {
        let space_id = space_of(row);
        if space_id == Some(space_id::SPACE) && self.has_names() {
            self.learn_from(row);
        }
        let header = &row.header;
        let is_space = match (self.spaces.is_empty(), space_id) {
            (false, None) => false,
            (false, Some(id)) => self.wants(id),
            (true, None) => true,
            (true, Some(id)) => self.args.show_system || id >= space_id::USER_FIRST,
        };
        is_space
            && (self.args.from..self.args.to).contains(&header.lsn)
            && self.args.timestamp.is_none_or(|until| header.timestamp < until)
            && (self.args.replica.is_empty() || self.args.replica.contains(&header.replica_id))
    }

    /// To be called after the last row.
    ///
    /// Errors: [`Error::UnknownSpaces`] for names that no row has had.
    pub(super) fn finish(self) -> Result<()> {
        let unknown = self.spaces.into_iter().filter(|wanted| !wanted.is_known);
        let unknown: Vec<String> = unknown.map(|wanted| wanted.text).collect();
        if unknown.is_empty() { Ok(()) } else { Err(Error::UnknownSpaces(unknown)) }
    }

    fn has_names(&self) -> bool {
        self.spaces.iter().any(|wanted| wanted.id.is_none())
    }

    fn wants(&self, id: u32) -> bool {
        let name = self.names.get(&id);
        self.spaces.iter().any(|wanted| match wanted.id {
            Some(wanted) => wanted == id,
            None => name == Some(&wanted.text),
        })
    }

    fn learn(&mut self, id: u32, name: String) {
        for wanted in self.spaces.iter_mut().filter(|wanted| wanted.text == name) {
            wanted.is_known = true;
        }
        self.names.insert(id, name);
    }

    /// Takes the name of a space from a row of `_space`.
    fn learn_from(&mut self, row: &Row<'_>) {
        let text = |mut value: &[u8]| {
            read_str(&mut value).ok().map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let id = |mut value: &[u8]| read_uint(&mut value).ok().and_then(|id| id.try_into().ok());
        let field = |key| value_of(row, key);
        let found = match row.header.row_type {
            request_type::INSERT | request_type::REPLACE => (|| {
                let mut fields = items(field(key::TUPLE)?);
                Some((id(fields.next()?)?, text(fields.nth(NAME_FIELD - 1)?)?))
            })(),
            request_type::UPDATE => (|| {
                let base = field(key::INDEX_BASE).and_then(|mut base| read_uint(&mut base).ok());
                let field_no = NAME_FIELD as u64 + base.unwrap_or(0);
                let id = id(items(field(key::KEY)?).next()?)?;
                let name = items(field(key::TUPLE)?).find_map(|operation| {
                    let mut parts = items(operation);
                    let (mut name, mut place) = (parts.next()?, parts.next()?);
                    let is_set = matches!(read_str(&mut name), Ok(b"="))
                        && read(&mut place) == Ok(Token::Uint(field_no));
                    if is_set { text(parts.next()?) } else { None }
                })?;
                Some((id, name))
            })(),
            _ => None,
        };
        if let Some((id, name)) = found {
            self.learn(id, name);
        }
    }
}

/// The value of a key in the row's body, as bytes.
pub(super) fn value_of<'a>(row: &Row<'a>, key: u64) -> Option<&'a [u8]> {
    pairs(row.body)
        .find(|(name, _)| matches!(read(&mut { *name }), Ok(Token::Uint(name)) if name == key))
        .map(|(_, value)| value)
}

/// The space that a row is of.
pub(super) fn space_of(row: &Row<'_>) -> Option<u32> {
    let id = read_uint(&mut value_of(row, key::SPACE_ID)?).ok()?;
    u32::try_from(id).ok()
}

/// Ids and names of the spaces that every database has.
fn system_spaces() -> Vec<(u32, String)> {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::max(), Uuid::max()).expect("a fresh database takes its own rows");
    db.spaces().map(|space| (space.def.id, space.def.name.to_string())).collect()
}

#[cfg(test)]
mod tests;
