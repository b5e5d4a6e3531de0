//! The options of an index: the map of a row of `_index`.
//!
//! Source: schema.md §5 `_index`; Tarantool `src/box/index_def.c` index_opts_reg, `alter.cc` index_opts_validate.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::msgpack::{self, Token};

use super::index_def::{Distance, RtreeOptions};
use super::unexpected_option;

/// The options of an index, those aside that are of vinyl.
pub(super) struct Options {
    /// `unique`.
    pub(super) is_unique: bool,
    /// `dimension` as it came, in range or not.
    pub(super) dimension: i64,
    /// `distance`.
    pub(super) distance: Distance,
    /// `hint`: comparison hints are asked for.
    pub(super) has_hint: bool,
    /// `func`, the id of a function; 0 = none.
    pub(super) func_id: u32,
    /// `covers` names fields.
    pub(super) has_covers: bool,
    /// `layout` is not empty.
    has_layout: bool,
    /// `aggregates` is not empty.
    has_aggregates: bool,
}

/// Options that are read only to be checked; Tarantool checks them when it has read them all.
struct Vinyl {
    page_size: i64,
    range_size: i64,
    run_count_per_level: i64,
    run_size_ratio: f64,
    bloom_fpr: f64,
}

/// What a value that is an option may be wrong about.
type Parsed<T> = std::result::Result<T, Arg>;

impl Options {
    /// Parses and checks the map.
    ///
    /// # Errors
    /// WRONG_INDEX_OPTIONS.
    pub(super) fn parse(map: &[u8]) -> Result<Self> {
        let RtreeOptions { dimension, distance } = RtreeOptions::default();
        let mut options = Self {
            is_unique: true,
            dimension,
            distance,
            has_hint: false,
            func_id: 0,
            has_covers: false,
            has_layout: false,
            has_aggregates: false,
        };
        let mut vinyl = Vinyl {
            page_size: 8192,
            range_size: 0,
            run_count_per_level: 2,
            run_size_ratio: 3.5,
            bloom_fpr: 0.05,
        };
        let wrong = |details: Arg| err!(WRONG_INDEX_OPTIONS, details);
        let mut covered = Vec::new();
        let mut is_distance_known = true;
        for (key, value) in msgpack::pairs(map) {
            let Token::Str(key) = read(key) else {
                return Err(wrong("key must be a string".into()));
            };
            if key == b"distance" {
                let parsed = parse_distance(value).map_err(wrong)?;
                is_distance_known = parsed.is_some();
                options.distance = parsed.unwrap_or(distance);
                continue;
            }
            options.set(key, value, &mut vinyl, &mut covered).map_err(wrong)?;
        }
        if !is_distance_known {
            return Err(wrong("distance must be either 'euclid' or 'manhattan'".into()));
        }
        vinyl.check().map_err(|details| wrong(details.into()))?;
        options.has_covers = !covered.is_empty();
        covered.sort_unstable();
        if covered.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong("'covers' has duplicates".into()));
        }
        Ok(options)
    }

    fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        vinyl: &mut Vinyl,
        covered: &mut Vec<u64>,
    ) -> Parsed<()> {
        let token = read(value);
        let must_be = |what: &str| Arg::sent_between("'", key, &format!("' must be {what}"));
        let boolean = || if let Token::Bool(value) = token { Some(value) } else { None };
        let integer = || integer(&token).ok_or_else(|| must_be("integer"));
        let float = || msgpack::read_f64(&mut { value }).map_err(|_| must_be("float"));
        match key {
            b"unique" => self.is_unique = boolean().ok_or_else(|| must_be("boolean"))?,
            b"hint" => self.has_hint = boolean().ok_or_else(|| must_be("boolean"))?,
            b"dimension" => self.dimension = integer()?,
            b"lsn" => {
                integer()?;
            }
            b"page_size" => vinyl.page_size = integer()?,
            b"range_size" => vinyl.range_size = integer()?,
            b"run_count_per_level" => vinyl.run_count_per_level = integer()?,
            b"run_size_ratio" => vinyl.run_size_ratio = float()?,
            b"bloom_fpr" => vinyl.bloom_fpr = float()?,
            b"func" => match token {
                Token::Uint(id) if id <= u32::MAX.into() => self.func_id = id as u32,
                _ => return Err(must_be("unsigned")),
            },
            b"sql" => {}
            b"covers" => *covered = parse_covers(value)?,
            b"layout" => match token {
                Token::Str(text) => self.has_layout = !text.is_empty(),
                _ => return Err(must_be("string")),
            },
            b"aggregates" => {
                if !matches!(token, Token::Array(_)) {
                    return Err(must_be("array"));
                }
                if msgpack::items(value).any(|item| !matches!(read(item), Token::Map(_))) {
                    return Err("'aggregates' elements must be map".into());
                }
                self.has_aggregates = !matches!(token, Token::Array(0));
            }
            _ => return Err(unexpected_option(key)),
        }
        Ok(())
    }

    /// Refuses the options that memtx does not have.
    ///
    /// # Errors
    /// UNSUPPORTED.
    /// Source: Tarantool `src/box/memtx_space.c` memtx_space_check_index_def.
    pub(super) fn check_support(&self) -> Result<()> {
        let refuse = |feature: &str| Err(err!(UNSUPPORTED, "memtx", feature));
        match self {
            Self { has_covers: true, .. } => refuse("covering index"),
            Self { has_layout: true, .. } => refuse("'layout' option"),
            Self { has_aggregates: true, .. } => refuse("'aggregates' option"),
            _ => Ok(()),
        }
    }
}

impl Vinyl {
    fn check(&self) -> std::result::Result<(), &'static str> {
        if self.page_size <= 0 || (self.range_size > 0 && self.page_size > self.range_size) {
            return Err("page_size must be greater than 0 and less than or equal to range_size");
        }
        if self.run_count_per_level <= 0 {
            return Err("run_count_per_level must be greater than 0");
        }
        if self.run_size_ratio <= 1.0 {
            return Err("run_size_ratio must be greater than 1");
        }
        if self.bloom_fpr <= 0.0 || self.bloom_fpr > 1.0 {
            return Err("bloom_fpr must be greater than 0 and less than or equal to 1");
        }
        Ok(())
    }
}

fn read(value: &[u8]) -> Token<'_> {
    msgpack::read(&mut { value }).unwrap_or(Token::Nil)
}

fn integer(token: &Token<'_>) -> Option<i64> {
    match *token {
        Token::Uint(value) => i64::try_from(value).ok(),
        Token::Int(value) => Some(value),
        _ => None,
    }
}

/// None for a name that no distance has.
fn parse_distance(value: &[u8]) -> Parsed<Option<Distance>> {
    let Token::Str(name) = read(value) else { return Err("'distance' must be enum".into()) };
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"euclid" => Some(Distance::Euclid),
        b"manhattan" => Some(Distance::Manhattan),
        _ => None,
    })
}

/// The fields of the option `covers`.
fn parse_covers(value: &[u8]) -> Parsed<Vec<u64>> {
    if !matches!(read(value), Token::Array(_)) {
        return Err("'covers' must be array".into());
    }
    let parse = |item| match read(item) {
        Token::Uint(field_no) if field_no < u32::MAX.into() => Ok(field_no),
        Token::Uint(_) => Err("'covers' elements must be unsigned".into()),
        Token::Map(_) => parse_covered_field(item).map_err(Arg::from),
        _ => Err("'covers' elements must be unsigned or map".into()),
    };
    msgpack::items(value).map(parse).collect()
}

fn parse_covered_field(map: &[u8]) -> std::result::Result<u64, &'static str> {
    let mut field_no = None;
    for (key, value) in msgpack::pairs(map) {
        match (read(key), read(value)) {
            (Token::Str(b"field"), Token::Uint(no)) if no < u32::MAX.into() => field_no = Some(no),
            (Token::Str(b"field"), _) => {
                return Err("'covers' element 'field' value must be unsigned");
            }
            (Token::Str(b"layout"), Token::Str(_)) => {}
            (Token::Str(b"layout"), _) => {
                return Err("'covers' element 'layout' value must be string");
            }
            (Token::Str(_), _) => return Err("unexpected 'covers' element map key"),
            _ => return Err("'covers' element map key must be string"),
        }
    }
    field_no.ok_or("'covers' element must contain at least a 'field' key")
}
