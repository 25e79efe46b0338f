//! A keyed table whose key has no common order with an index on both sides: both sorted by the key's text, in one
//! piece.
//!
//! Costs each server a sort and one long statement. Memory here is bounded all the same: two rows, and the suspects.

use super::layout::Layout;
use super::merge::{Found, Merge};
use super::passage::Progress;
use super::reader::Sides;
use super::settle::Suspects;
use super::trouble::Trouble;

/// # Errors
/// Those of reading and of settling suspects.
pub async fn walk<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    suspects: &mut Suspects<'_, '_, P>,
) -> Result<(), Trouble> {
    let mut source = sides.source.stream(&layout.source.sorted()).await?;
    let target = sides.target.stream(&layout.target.sorted()).await?;
    let mut merge = Merge::new(&mut source, target, &layout.key, layout.columns.len());
    while let Some(found) = merge.next().await? {
        let row = if found == Found::Extra { merge.target() } else { merge.source() };
        suspects.add(row.key(&layout.key)?).await?;
    }
    suspects.tally.rows = merge.rows;
    suspects.tally.ranges = 1;
    suspects.settle().await
}
