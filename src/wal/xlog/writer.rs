//! Writing a file.
//!
//! ```text
//! create --> NAME.inprogress with its meta --publish--> NAME --append*--> ... --end, sync--> whole and durable
//! reopen --> NAME, cut to its last whole block -----------'
//! ```
//!
//! A journal is published right after its meta, a snapshot after its end.

use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::{Disk, File, Open, write_all_at};
use super::super::{Error, Result};
use super::{END_MARKER, Meta};

/// What the name of a file ends with until the file is published.
pub const INPROGRESS: &str = ".inprogress";

/// A file that blocks are appended to.
pub struct Writer {
    file: Box<dyn File>,
    /// Where the file is now.
    path: PathBuf,
    /// Where it will be, or is, when published.
    final_path: PathBuf,
    /// Bytes of the file up to the end of its last whole block.
    len: u64,
}

impl Writer {
    /// Creates `path` with `.inprogress` behind its name and writes the meta. Leaves nothing behind on failure.
    pub fn create(disk: &dyn Disk, path: &Path, meta: &Meta) -> Result<Self> {
        let mut inprogress = path.as_os_str().to_owned();
        inprogress.push(INPROGRESS);
        let inprogress = PathBuf::from(inprogress);
        let file = match disk.open(&inprogress, Open::CreateNew) {
            // The directory is ours, so this is what an attempt before has left.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&inprogress).and_then(|()| disk.open(&inprogress, Open::CreateNew))
            }
            other => other,
        };
        let file = file.map_err(Error::io("create", &inprogress))?;
        let mut writer = Self { file, path: inprogress, final_path: path.to_owned(), len: 0 };
        match writer.append(meta.text().as_bytes()) {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.discard(disk);
                Err(error)
            }
        }
    }

    /// Opens a published file to append after its first `len` bytes; what follows them is cut off.
    pub fn reopen(disk: &dyn Disk, path: &Path, len: u64) -> Result<Self> {
        let file = disk.open(path, Open::Write).map_err(Error::io("open", path))?;
        let writer = Self { file, path: path.to_owned(), final_path: path.to_owned(), len };
        writer.cut_back()?;
        Ok(writer)
    }

    /// Gives the file its final name, which must be free.
    pub fn publish(&mut self, disk: &dyn Disk) -> Result<()> {
        disk.rename(&self.path, &self.final_path).map_err(Error::io("rename", &self.path))?;
        self.path.clone_from(&self.final_path);
        Ok(())
    }

    /// Makes the file's name durable.
    pub fn sync_name(&self, disk: &dyn Disk) -> Result<()> {
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        disk.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    /// Removes the file.
    pub fn discard(self, disk: &dyn Disk) {
        if let Err(error) = disk.remove(&self.path) {
            tracing::warn!("{}: can't remove: {error}", self.path.display());
        }
    }

    /// Appends whole blocks. After a failure [`Writer::cut_back`] must be called before the next.
    pub fn append(&mut self, blocks: &[u8]) -> Result<()> {
        write_all_at(&*self.file, blocks, self.len).map_err(Error::io("write", &self.path))?;
        self.len += blocks.len() as u64;
        Ok(())
    }

    /// Cuts the file to its last whole block. True if there was something to cut off.
    pub fn cut_back(&self) -> Result<bool> {
        let is_longer = self.file.len().map_err(Error::io("read", &self.path))? > self.len;
        if is_longer {
            self.file.truncate(self.len).map_err(Error::io("truncate", &self.path))?;
        }
        Ok(is_longer)
    }

    /// Makes the content durable.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    /// Appends the end marker.
    pub fn end(&mut self) -> Result<()> {
        self.append(&END_MARKER)
    }

    /// Bytes of the file up to the end of its last whole block.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes; never, it has a meta.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the file is now.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
