//! PostgreSQL's array text: `{1,NULL,"a \"b\""}`, nested for more dimensions, `[0:1]={…}` for other lower bounds.
//!
//! Source: array_out in src/backend/utils/adt/arrayfuncs.c (15). Elements are quoted when they are empty, look like NULL,
//! or hold a brace, a quote, a backslash, the delimiter or white space; inside quotes a backslash takes the next byte as is.

/// PostgreSQL's MAXDIM.
const DIMENSIONS_MAX: usize = 6;

/// The shape of a parsed array. No length: the empty array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Elements in each dimension, outermost first.
    pub lengths: Vec<u32>,
    /// Empty when all are 1.
    pub lower_bounds: Vec<i32>,
    /// Row-major indexes of the null elements.
    pub nulls: Vec<u32>,
}

/// Parses `text`, giving each element in row-major order, unescaped, to `element`; `None` is a null. `element` says `None`
/// to give up.
pub fn parse(text: &[u8], mut element: impl FnMut(Option<&[u8]>) -> Option<()>) -> Option<Shape> {
    let (lower_bounds, body) = bounds(text)?;
    let mut parser = Parser { rest: body, shape: Shape::default(), deepest: None, count: 0, scratch: Vec::new() };
    if body != b"{}" {
        parser.level(0, &mut element)?;
    } else {
        parser.rest = &[];
    }
    let complete =
        parser.rest.is_empty() && (lower_bounds.is_empty() || lower_bounds.len() == parser.shape.lengths.len());
    complete.then_some(Shape { lower_bounds, ..parser.shape })
}

/// Splits off `[1:2][0:3]=`. Only written when a lower bound is not 1.
fn bounds(text: &[u8]) -> Option<(Vec<i32>, &[u8])> {
    if text.first() != Some(&b'[') {
        return Some((Vec::new(), text));
    }
    let at = text.iter().position(|byte| *byte == b'=')?;
    let (prefix, body) = text.split_at_checked(at)?;
    let prefix = std::str::from_utf8(prefix).ok()?.strip_prefix('[')?.strip_suffix(']')?;
    let lower = prefix.split("][").map(|bound| bound.split_once(':')?.0.parse().ok()).collect::<Option<Vec<i32>>>()?;
    (lower.len() <= DIMENSIONS_MAX).then_some((lower, body.get(1..)?))
}

struct Parser<'a> {
    rest: &'a [u8],
    shape: Shape,
    /// Where the first element stood.
    deepest: Option<usize>,
    count: u32,
    scratch: Vec<u8>,
}

impl<'a> Parser<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// One `{…}`; every one of the same depth has the same length.
    fn level(&mut self, depth: usize, element: &mut impl FnMut(Option<&[u8]>) -> Option<()>) -> Option<()> {
        if depth >= DIMENSIONS_MAX || self.byte()? != b'{' {
            return None;
        }
        let mut length = 0_u32;
        loop {
            match self.rest.first()? {
                b'{' => self.level(depth.saturating_add(1), element)?,
                _ => self.element(depth, element)?,
            }
            length = length.checked_add(1)?;
            match self.byte()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.record_length(depth, length)
    }

    fn record_length(&mut self, depth: usize, length: u32) -> Option<()> {
        match self.shape.lengths.get_mut(depth) {
            None => {
                self.shape.lengths.resize(depth, 0);
                self.shape.lengths.push(length);
            }
            Some(known @ 0) => *known = length,
            Some(known) if *known != length => return None,
            Some(_) => {}
        }
        Some(())
    }

    /// Elements are only at the deepest level.
    fn element(&mut self, depth: usize, element: &mut impl FnMut(Option<&[u8]>) -> Option<()>) -> Option<()> {
        if *self.deepest.get_or_insert(depth) != depth {
            return None;
        }
        if self.rest.first() == Some(&b'"') {
            self.quoted()?;
            element(Some(&self.scratch))?;
        } else {
            let text = self.plain()?;
            if text == b"NULL" {
                self.shape.nulls.push(self.count);
                element(None)?;
            } else {
                element(Some(text))?;
            }
        }
        self.count = self.count.checked_add(1)?;
        Some(())
    }

    fn quoted(&mut self) -> Option<()> {
        self.scratch.clear();
        self.byte()?;
        loop {
            match self.byte()? {
                b'"' => return Some(()),
                b'\\' => {
                    let escaped = self.byte()?;
                    self.scratch.push(escaped);
                }
                byte => self.scratch.push(byte),
            }
        }
    }

    fn plain(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let allowed = !text.is_empty() && !text.iter().any(|byte| matches!(byte, b'{' | b'"' | b'\\'));
        allowed.then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(Shape, Vec<Option<String>>)> {
        let mut elements = Vec::new();
        let shape = parse(text.as_bytes(), |element| {
            elements.push(element.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
            Some(())
        })?;
        Some((shape, elements))
    }

    #[test]
    fn nulls_quotes_and_escapes_are_told_apart() {
        let (shape, elements) = read(r#"{1,NULL,"NULL","a\"b\\c","","x,}y"}"#).unwrap();
        assert_eq!(shape, Shape { lengths: vec![6], lower_bounds: vec![], nulls: vec![1] });
        let texts: Vec<_> = elements.iter().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("1"), None, Some("NULL"), Some(r#"a"b\c"#), Some(""), Some("x,}y")]);
    }

    #[test]
    fn dimensions_and_lower_bounds_are_kept() {
        let (shape, elements) = read("[0:1][-1:1]={{1,2,3},{4,NULL,6}}").unwrap();
        assert_eq!(shape, Shape { lengths: vec![2, 3], lower_bounds: vec![0, -1], nulls: vec![4] });
        assert_eq!(elements.len(), 6);
        assert_eq!(read("{}").unwrap(), (Shape::default(), vec![]));
        assert_eq!(read("{{{1}},{{2}}}").unwrap().0.lengths, [2, 1, 1]);
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for bad in [
            "",
            "{",
            "}",
            "{1",
            "{1,}",
            "{,}",
            "{1}x",
            "{{1},{2,3}}",
            "{{1},2}",
            "{1,{2}}",
            "[0:1]={{1}}",
            "[a:1]={1}",
            "1",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in r#"[\[\]{}=:,"\\NUL0-9a-z-]{0,40}"#) {
            let _ = read(&text);
        }
    }
}
