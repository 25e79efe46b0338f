//! A keyed table, range by range in key order: a page of the source, then the target's rows of the same range.
//!
//! Each is read in a short transaction of its own, so neither server keeps old rows for us. Of the source's page only
//! keys and digests are held. Nothing found here counts yet: whatever looks different is a suspect.

use super::layout::Layout;
use super::merge::Rows;
use super::passage::Progress;
use super::reader::Sides;
use super::row::{KeptRow, Key, row_digest};
use super::settle::Suspects;
use super::trouble::Trouble;
use std::collections::HashMap;

const ROWS_FIRST: usize = 2_000;
const ROWS_MIN: usize = 200;
const ROWS_MAX: usize = 20_000;
/// A page should have about so many bytes.
const BYTES_AIM: usize = 8 * 1024 * 1024;

#[derive(Default)]
struct Page {
    digests: HashMap<Key, [u8; 32]>,
    /// Of more than one row.
    twice: Vec<Key>,
    rows: usize,
    bytes: usize,
    last: Option<Key>,
}

/// # Errors
/// Those of reading and of settling suspects.
pub async fn walk<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    suspects: &mut Suspects<'_, '_, P>,
) -> Result<(), Trouble> {
    let (mut after, mut rows_max) = (None, ROWS_FIRST);
    loop {
        let page = read(layout, sides, after.as_ref(), rows_max).await?;
        suspects.tally.rows += page.rows as u64;
        suspects.tally.ranges += 1;
        let next_rows_max = page.next_rows_max();
        // Behind the source's last row the target's range has no end.
        let upto = page.last.clone().filter(|_| page.rows >= rows_max);
        compare(layout, sides, page, (after.as_ref(), upto.as_ref()), suspects).await?;
        match upto {
            Some(upto) => after = Some(upto),
            None => return suspects.settle().await,
        }
        rows_max = next_rows_max;
    }
}

async fn read(layout: &Layout, sides: &mut Sides, after: Option<&Key>, rows_max: usize) -> Result<Page, Trouble> {
    // One more: a second row of the last key would be behind no page.
    let mut rows = sides.source.stream(&layout.source.page(after, rows_max + 1)).await?;
    let (mut page, mut row) = (Page::default(), KeptRow::default());
    while rows.next(&mut row).await? {
        let key = row.key(&layout.key)?;
        if page.last.as_ref() == Some(&key) {
            page.twice.push(key.clone());
        } else if page.rows >= rows_max {
            continue;
        }
        page.rows += 1;
        page.bytes += row.bytes();
        page.last = Some(key.clone());
        page.digests.insert(key, row_digest(row.cells()));
    }
    Ok(page)
}

async fn compare<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    mut page: Page,
    (after, upto): (Option<&Key>, Option<&Key>),
    suspects: &mut Suspects<'_, '_, P>,
) -> Result<(), Trouble> {
    let (rows, mut row) = (sides.target.stream(&layout.target.range(after, upto)).await?, KeptRow::default());
    while rows.next(&mut row).await? {
        let key = row.key(&layout.key)?;
        if page.digests.remove(&key) != Some(row_digest(row.cells())) {
            suspects.add(key).await?;
        }
    }
    for key in page.digests.into_keys().chain(page.twice) {
        suspects.add(key).await?;
    }
    Ok(())
}

impl Page {
    fn next_rows_max(&self) -> usize {
        let row_bytes = self.bytes.checked_div(self.rows).unwrap_or_default().max(1);
        (BYTES_AIM / row_bytes).clamp(ROWS_MIN, ROWS_MAX)
    }
}
