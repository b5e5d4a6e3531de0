//! JSON paths: `a.b`, `a["b"]`, `[1].c`. Indexes are one-based in the text.
//!
//! Source: protocol.md §18.1; Tarantool `src/lib/json/json.c`.

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step<'a> {
    /// An item of an array, zero-based.
    Index(u64),
    /// A key of a map.
    Key(&'a [u8]),
}

/// Cuts a path into steps; an error is the one-based place of the symbol that is wrong.
pub(super) struct Lexer<'a> {
    path: &'a [u8],
    /// Bytes read.
    at: usize,
    failed: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(path: &'a [u8]) -> Self {
        Self { path, at: 0, failed: false }
    }

    /// The one-based place in symbols (not bytes) of byte `at`.
    fn place_of(&self, at: usize) -> usize {
        String::from_utf8_lossy(&self.path[..at.min(self.path.len())]).chars().count() + 1
    }

    fn byte(&self) -> Option<u8> {
        self.path.get(self.at).copied()
    }

    fn bracket(&mut self) -> Result<Step<'a>, usize> {
        self.at += 1;
        let step = match self.byte() {
            Some(quote @ (b'"' | b'\'')) => {
                let start = self.at + 1;
                let len = self.path[start..].iter().position(|byte| *byte == quote);
                let len = len.ok_or_else(|| self.place_of(self.path.len()))?;
                if len == 0 {
                    return Err(self.place_of(start));
                }
                self.at = start + len + 1;
                Step::Key(&self.path[start..start + len])
            }
            Some(b'0'..=b'9') => {
                let start = self.at;
                let mut number = 0u64;
                while let Some(digit @ b'0'..=b'9') = self.byte() {
                    number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                    self.at += 1;
                }
                Step::Index(number.checked_sub(1).ok_or_else(|| self.place_of(start))?)
            }
            _ => return Err(self.place_of(self.at)),
        };
        if self.byte() != Some(b']') {
            return Err(self.place_of(self.at));
        }
        self.at += 1;
        Ok(step)
    }

    fn identifier(&mut self) -> Result<Step<'a>, usize> {
        let start = self.at;
        let Ok(text) = std::str::from_utf8(&self.path[start..]) else {
            return Err(self.place_of(start));
        };
        let is_in_name = |c: char| c.is_alphanumeric() || c == '_';
        let len = text.find(|c| !is_in_name(c)).unwrap_or(text.len());
        if len == 0 || text.starts_with(|c: char| c.is_numeric()) {
            return Err(self.place_of(start));
        }
        self.at = start + len;
        Ok(Step::Key(&self.path[start..self.at]))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Step<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let is_first = self.at == 0;
        let step = match self.byte()? {
            b'[' => self.bracket(),
            b'.' => {
                self.at += 1;
                self.identifier()
            }
            _ if is_first => self.identifier(),
            _ => Err(self.place_of(self.at)),
        };
        self.failed = step.is_err();
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, wanted: &Result<Vec<Step<'_>>, usize>) {
        assert_eq!(Lexer::new(path.as_bytes()).collect::<Result<Vec<_>, _>>(), *wanted, "{path}");
    }

    #[test]
    fn paths_are_cut_into_steps() {
        let key = |text: &'static str| Step::Key(text.as_bytes());
        check("a.b", &Ok(vec![key("a"), key("b")]));
        check("[2].x['y z'][10]", &Ok(vec![Step::Index(1), key("x"), key("y z"), Step::Index(9)]));
        check(".a", &Ok(vec![key("a")]));
        check("", &Ok(vec![]));
        check("поле.b", &Ok(vec![key("поле"), key("b")]));
    }

    #[test]
    fn a_fault_names_its_place() {
        check("a.", &Err(3));
        check("a[*]", &Err(3));
        check("a[0]", &Err(3));
        check("a[1", &Err(4));
        check("a.1", &Err(3));
        check("a b", &Err(2));
    }
}
