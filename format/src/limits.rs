//! What a reader accepts at most. A file that says more is damaged or hostile; each limit has a test.

/// Bytes of one block, header included, except the footer.
pub(crate) const BLOCK_BYTES: usize = 16 << 20;
/// Bytes of a footer, header included.
pub(crate) const FOOTER_BYTES: usize = 64 << 20;
/// Rows of one block.
pub(crate) const BLOCK_ROWS: usize = 65_536;
/// Columns of one block.
pub(crate) const COLUMNS: usize = 64;
/// Bytes of one column after decompression.
pub(crate) const COLUMN_BYTES: usize = 16 << 20;
/// Bytes of all columns of a block after decompression.
pub(crate) const BLOCK_RAW_BYTES: usize = 64 << 20;
/// Numbers (arguments) of all rows of a block.
pub(crate) const BLOCK_ARGS: usize = 1 << 20;
/// Byte fields of all rows of a block.
pub(crate) const BLOCK_FIELDS: usize = 1 << 19;
/// Bytes of one metadata record.
pub(crate) const RECORD_BYTES: usize = 1 << 20;
/// Bytes of a container's state.
pub(crate) const STATE_BYTES: usize = 8 << 20;
/// Blocks of one segment.
pub(crate) const SEGMENT_BLOCKS: usize = 1 << 18;
/// Bytes of one batch of the stage after decompression.
pub(crate) const BATCH_BYTES: usize = 16 << 20;
/// Bytes of a stage file: the writer begins another one long before.
pub(crate) const STAGE_BYTES: usize = 64 << 20;
/// Bytes of all stage files of a store: those of a writer that died while it went from one to the next, twice over.
pub(crate) const ALL_STAGES_BYTES: usize = 96 << 20;
/// Bytes of all rows of a stage that are in no block yet, encoded again by a reader.
pub(crate) const STAGED_BYTES: usize = 64 << 20;
/// Bytes of all distinct metadata records of a recording, with what each takes in memory beside its bytes.
pub(crate) const ALL_RECORDS_BYTES: usize = 32 << 20;
/// Defects of a file that are told one by one; by then it is known to be of no use.
pub(crate) const DEFECTS: usize = 1000;

/// Rows at which the writer cuts a block.
pub(crate) const CUT_ROWS: usize = 16_384;
/// Raw bytes at which the writer cuts a block.
pub(crate) const CUT_BYTES: usize = 4 << 20;
/// Bytes of all fields of one event: a block can always hold one event.
pub(crate) const EVENT_BYTES: usize = 8 << 20;

/// Bytes of a catalog.
pub(crate) const CATALOG_BYTES: usize = 64 << 20;
/// Bytes of one column of a catalog after decompression.
pub(crate) const CATALOG_COLUMN_BYTES: usize = 64 << 20;
/// Files that a catalog lists.
pub(crate) const CATALOG_FILES: usize = 1 << 16;
/// Blocks that a catalog lists: 50 GB of full ones.
pub(crate) const CATALOG_BLOCKS: usize = 1 << 19;
