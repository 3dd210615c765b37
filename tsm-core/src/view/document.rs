//! The document of `tsm list --json`, and of `status.json`.

use std::io::{self, BufWriter, Write};
use std::panic::resume_unwind;
use std::path::Path;

use super::ProcessView;
use crate::error::{IoContext as _, Result};
use crate::{json, store, sys};

/// So many views keep a core busy for longer than it takes to wake it.
const WORTH_A_THREAD: usize = 200;
const MOST_THREADS: usize = 8;

impl ProcessView {
    /// Writes several of them as one document of JSON, an array with an object for each, as `tsm list --json` prints it.
    /// Made on several cores where it is long.
    ///
    /// ```
    /// use tsm_core::view::ProcessView;
    ///
    /// let mut document = Vec::new();
    /// ProcessView::write_document(&[], &mut document)?;
    /// assert_eq!(document, b"[]\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_document(views: &[Self], to: &mut dyn Write) -> io::Result<()> {
        let threads = (views.len() / WORTH_A_THREAD).min(MOST_THREADS);
        let threads = if threads < 2 {
            1
        } else {
            threads.min(sys::cores())
        };
        let mut shares = views.chunks(views.len().div_ceil(threads).max(1));
        let own = shares.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = shares
                .map(|share| scope.spawn(|| json::document(share)))
                .collect();
            let mut document = json::document(own)?;
            for other in others {
                let more = other.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                // Two arrays that have something in them are one without the end of the first and the beginning of the second.
                document.truncate(document.len() - ARRAY_ENDS.len());
                to.write_all(&document)?;
                document = more;
                document[..ARRAY_BEGINS.len()].copy_from_slice(b",");
            }
            document.push(b'\n');
            to.write_all(&document)
        })
    }
}

/// Writes `status.json`: the document of `list --json`, as the supervisor knows it.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub fn write_status(path: &Path, views: impl Iterator<Item = ProcessView>) -> Result<()> {
    let spare = store::spare(path);
    // Written piece by piece: with many processes it is large, and the supervisor should stay
    // small.
    let write = || -> io::Result<()> {
        let file = store::open_spare(&spare)?;
        file.set_len(0)?;
        let mut file = BufWriter::new(file);
        let mut json = Vec::new();
        file.write_all(b"[")?;
        for (number, view) in views.enumerate() {
            file.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            json.clear();
            json::append(&view, &mut json)?;
            file.write_all(&json)?;
        }
        file.write_all(b"\n]\n")?;
        file.flush()?;
        // Closed first: the lease on it would keep a reader waiting.
        drop(file);
        sys::exchange(&spare, path)
    };
    write().at("write", path)
}

const ARRAY_BEGINS: &[u8] = b"[";
const ARRAY_ENDS: &[u8] = b"\n]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;

    #[test]
    fn shares_make_the_document_that_one_would_make() {
        for count in [0, 1, 2, 399, 400, 1001] {
            let views: Vec<ProcessView> = (0..count)
                .map(|id| {
                    let meta = Meta {
                        id,
                        ..Meta::default()
                    };
                    ProcessView::from_meta(&"a".parse().unwrap(), &meta, 0)
                })
                .collect();
            let mut whole = serde_json::to_vec_pretty(&views).unwrap();
            whole.push(b'\n');
            let mut document = Vec::new();
            ProcessView::write_document(&views, &mut document).unwrap();
            assert!(document == whole, "{count}");
        }
    }
}
