//! The name of a call as a path through Lua's tables.
//!
//! ```text
//! path    := name ( '.' name | '[' key ']' )* ( ':' method )?
//! name    := anything up to the next '.', ':' or '['          method := anything
//! key     := a number | '"' anything up to the next '"' '"' | the same with single quotes
//! ```
//!
//! Source: protocol.md §9.1; Tarantool `src/box/lua/call.c` box_lua_find.

use arrayvec::ArrayVec;

/// The most segments that a path of ours has: `space.NAME.index.INDEX.member`.
const SEGMENTS_MAX: usize = 5;

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Segment<'a> {
    /// A member with this name.
    Name(&'a str),
    /// A member with this number.
    Number(u32),
}

/// A path.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Path<'a> {
    segments: ArrayVec<Segment<'a>, SEGMENTS_MAX>,
    /// What follows the colon; None without one.
    pub(super) method: Option<&'a str>,
}

impl<'a> Path<'a> {
    /// Cuts a name. None if it is no path, or longer than any of ours.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let mut path = Self { segments: ArrayVec::new(), method: None };
        let mut rest = path.push_name(name)?;
        loop {
            rest = match rest.as_bytes().first() {
                None => return Some(path),
                Some(b':') => {
                    path.method = Some(&rest[1..]);
                    return Some(path);
                }
                Some(b'.') => path.push_name(&rest[1..])?,
                Some(_) => path.push_key(rest.strip_prefix('[')?)?,
            };
        }
    }

    /// The segments in order.
    pub(super) fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// Takes a name off the front; gives the rest.
    fn push_name(&mut self, text: &'a str) -> Option<&'a str> {
        let end = text.find(['.', ':', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        self.segments.try_push(Segment::Name(name)).ok()?;
        (!name.is_empty()).then_some(rest)
    }

    /// Takes a key and its closing bracket off the front; gives the rest.
    fn push_key(&mut self, text: &'a str) -> Option<&'a str> {
        let (key, rest) = match text.as_bytes().first()? {
            quote @ (b'"' | b'\'') => {
                let (name, rest) = text[1..].split_once(char::from(*quote))?;
                (Segment::Name(name), rest)
            }
            _ => {
                let (number, _) = text.split_once(']')?;
                (Segment::Number(number.parse().ok()?), &text[number.len()..])
            }
        };
        self.segments.try_push(key).ok()?;
        rest.strip_prefix(']')
    }
}

#[cfg(test)]
mod tests {
    use super::Segment::{Name, Number};
    use super::*;

    #[test]
    fn names_are_cut_as_lua_paths() {
        let check = |name: &str, segments: &[Segment<'_>], method: Option<&str>| {
            let path = Path::parse(name).expect(name);
            assert_eq!((path.segments(), path.method), (segments, method), "{name}");
        };
        check("space.t:get", &[Name("space"), Name("t")], Some("get"));
        check("space", &[Name("space")], None);
        check("space.a b:get", &[Name("space"), Name("a b")], Some("get"));
        check("space.t:get:x.y[1]", &[Name("space"), Name("t")], Some("get:x.y[1]"));
        check("space.t:", &[Name("space"), Name("t")], Some(""));
        check("space[512]:get", &[Name("space"), Number(512)], Some("get"));
        check("space.512:get", &[Name("space"), Name("512")], Some("get"));
        check(r#"space["a.b:c"]['d"]']"#, &[Name("space"), Name("a.b:c"), Name("d\"]")], None);
        check(
            "space.t.index[0].get",
            &[Name("space"), Name("t"), Name("index"), Number(0), Name("get")],
            None,
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for name in [
            "",
            ".",
            "space.",
            "space..t",
            "space.:get",
            ":get",
            "space[",
            "space[1",
            "space[]",
            "space[x]",
            "space[-1]",
            "space[\"x]",
            "space[\"x\"",
            "space[1]t",
            "space[\"x\"y]",
            "space[1.5]",
            "a.b.c.d.e.f",
        ] {
            assert_eq!(Path::parse(name), None, "{name}");
        }
    }
}
