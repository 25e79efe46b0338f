//! The multi-byte character sets of East Asia, by what the server itself makes of every sequence of their bytes.

use std::collections::HashMap;

/// Sequences of one to four bytes and what they stand for. No sequence begins another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multibyte {
    single: Vec<Option<char>>,
    pairs: Vec<Option<char>>,
    /// Three bytes, and the four-byte ones that follow no rule.
    longer: HashMap<Vec<u8>, char>,
}

impl Default for Multibyte {
    fn default() -> Self {
        Self { single: vec![None; 1 << 8], pairs: vec![None; 1 << 16], longer: HashMap::new() }
    }
}

impl Multibyte {
    pub fn learn(&mut self, sequence: &[u8], character: char) {
        let slot = match sequence {
            [one] => self.single.get_mut(usize::from(*one)),
            [lead, trail] => self.pairs.get_mut(pair(*lead, *trail)),
            _ => {
                self.longer.insert(sequence.to_vec(), character);
                return;
            }
        };
        if let Some(slot) = slot {
            *slot = Some(character);
        }
    }

    /// The first character of `text`, and how many bytes it has; `None` when it begins with none.
    pub fn first(&self, text: &[u8]) -> Option<(char, usize)> {
        let lead = *text.first()?;
        if let Some(character) = self.single.get(usize::from(lead)).copied().flatten() {
            return Some((character, 1));
        }
        let trail = *text.get(1)?;
        if let Some(character) = self.pairs.get(pair(lead, trail)).copied().flatten() {
            return Some((character, 2));
        }
        for bytes in [3, 4] {
            if let Some(character) = text.get(..bytes).and_then(|sequence| self.longer.get(sequence)) {
                return Some((*character, bytes));
            }
        }
        Some((beyond_the_plane(text.first_chunk()?)?, 4))
    }
}

fn pair(lead: u8, trail: u8) -> usize {
    usize::from(lead) << 8 | usize::from(trail)
}

/// GB 18030 counts the characters from U+10000 on through, from 90 30 81 30.
fn beyond_the_plane([a, b, c, d]: &[u8; 4]) -> Option<char> {
    let digit = |byte: &u8| byte.checked_sub(b'0').filter(|digit| *digit < 10).map(u32::from);
    let (lead, third) = (u32::from(a.checked_sub(0x90)?), u32::from(c.checked_sub(0x81)?));
    if third > 125 {
        return None;
    }
    let append = |number: u32, base: u32, digit: u32| number.checked_mul(base)?.checked_add(digit);
    let linear = append(append(append(lead, 10, digit(b)?)?, 126, third)?, 10, digit(d)?)?;
    char::from_u32(linear.checked_add(0x1_0000)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_every_length_are_read_and_others_are_none() {
        let mut set = Multibyte::default();
        set.learn(b"A", 'A');
        set.learn(&[0x81, 0x40], '丂');
        set.learn(&[0x8F, 0xB0, 0xA1], '丂');
        assert_eq!(set.first(b"AB"), Some(('A', 1)));
        assert_eq!(set.first(&[0x81, 0x40, 0x41]), Some(('丂', 2)));
        assert_eq!(set.first(&[0x8F, 0xB0, 0xA1]), Some(('丂', 3)));
        assert_eq!(set.first(&[0x90, 0x30, 0x81, 0x30]), Some(('\u{10000}', 4)));
        assert_eq!(set.first(&[0x94, 0x39, 0xDA, 0x33]), Some(('💩', 4)));
        for none in [&[0x81][..], &[0x81, 0x41], &[0xFF, 0x30, 0x81, 0x30], &[]] {
            assert_eq!(set.first(none), None, "{none:?}");
        }
    }
}
