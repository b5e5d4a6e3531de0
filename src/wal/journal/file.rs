//! The file that the journal is writing, and the change from one to the next.
//!
//! ```text
//! Closed ----first batch--+--> Open --too long, rotate--> Closed
//! Reusable --first batch--'
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use super::super::disk::Disk;
use super::super::process::{Join, Process};
use super::super::recovery::{Position, Reusable};
use super::super::xlog::{Blocks, FileType, Meta, Writer, file_name};
use super::super::{Error, Result};
use super::{Mode, Options};
use crate::db::journal::Vclock;

/// Where the journal's rows go.
pub(super) struct JournalFile {
    disk: Arc<dyn Disk>,
    options: Options,
    current: Current,
    /// The vclock after the last row that was written.
    vclock: Vclock,
    /// The vclock of the newest file in the directory; None if there is none.
    newest: Option<Vclock>,
    /// Makes the file before the current one durable, in mode write.
    closing: Option<Join>,
    process: Arc<dyn Process>,
}

enum Current {
    /// There is no file that takes rows.
    Closed,
    /// A file from before the start that has no rows yet.
    Reusable(Reusable),
    /// The file that takes rows.
    Open(Writer),
}

impl JournalFile {
    pub(super) fn new(
        process: Arc<dyn Process>,
        disk: Arc<dyn Disk>,
        options: Options,
        position: Position,
    ) -> Self {
        let Position { vclock, newest_xlog, reusable } = position;
        let current = reusable.map_or(Current::Closed, Current::Reusable);
        Self { disk, options, current, vclock, newest: newest_xlog, closing: None, process }
    }

    /// Writes a batch that leads to `vclock`. After a failure [`JournalFile::repair`] must be called.
    pub(super) fn write(&mut self, blocks: &mut Blocks, vclock: &Vclock) -> Result<()> {
        if !blocks.is_empty() {
            if matches!(&self.current, Current::Open(file) if file.len() >= self.options.max_bytes)
            {
                self.close()?;
            }
            let must_sync = self.options.mode == Mode::Fsync;
            let file = self.open()?;
            file.append(blocks.seal())?;
            if must_sync {
                let synced = file.sync();
                self.trust(synced)?;
            }
        }
        self.vclock.clone_from(vclock);
        Ok(())
    }

    /// Cuts off what a failed write has left behind, durably: a power failure must not bring back what was refused.
    pub(super) fn repair(&self) -> Result<()> {
        let Current::Open(file) = &self.current else { return Ok(()) };
        if !file.cut_back()? {
            return Ok(());
        }
        let synced = file.sync();
        match self.options.mode {
            Mode::Fsync => self.trust(synced)?,
            // A full disk may say so here too, and mode write promises nothing that needs power.
            Mode::None | Mode::Write => {
                if let Err(error) = synced {
                    tracing::warn!("what was cut off is not durable: {error}");
                }
            }
        }
        Ok(())
    }

    /// Closes the current file if it has rows. Gives the vclock after the last row.
    pub(super) fn rotate(&mut self) -> Result<Vclock> {
        self.close()?;
        Ok(self.vclock.clone())
    }

    /// Closes the current file and leaves an empty, closed one that names the vclock.
    pub(super) fn shutdown(&mut self) -> Result<()> {
        self.close()?;
        self.join();
        if self.options.mode == Mode::None || self.vclock.signature() == 0 {
            return self.end();
        }
        if matches!(&self.current, Current::Reusable(file) if file.is_closed) {
            return Ok(());
        }
        self.open()?;
        self.end()?;
        self.join();
        Ok(())
    }

    /// The file that takes rows: the current one, or the next.
    fn open(&mut self) -> Result<&mut Writer> {
        let file = match std::mem::replace(&mut self.current, Current::Closed) {
            Current::Open(file) => file,
            Current::Closed => self.create()?,
            Current::Reusable(reusable) => {
                match Writer::reopen(&*self.disk, &reusable.path, reusable.len) {
                    Ok(file) => file,
                    Err(error) => {
                        self.current = Current::Reusable(reusable);
                        return Err(error);
                    }
                }
            }
        };
        self.current = Current::Open(file);
        match &mut self.current {
            Current::Open(file) => Ok(file),
            Current::Closed | Current::Reusable(_) => unreachable!("it was opened just now"),
        }
    }

    fn create(&mut self) -> Result<Writer> {
        let mut meta = Meta::new(FileType::Xlog, self.options.instance, self.vclock.clone());
        meta.prev_vclock.clone_from(&self.newest);
        let path: PathBuf = self.options.dir.join(file_name(&self.vclock, FileType::Xlog));
        let mut file = Writer::create(&*self.disk, &path, &meta)?;
        if self.options.mode == Mode::Fsync {
            // A name that is durable must not lead to a file without a meta.
            self.trust(file.sync())?;
        }
        if let Err(error) = file.publish(&*self.disk) {
            file.discard(&*self.disk);
            return Err(error);
        }
        if self.options.mode == Mode::Fsync {
            self.trust(file.sync_name(&*self.disk))?;
        }
        self.newest = Some(meta.vclock);
        Ok(file)
    }

    /// Ends the current file if it has rows. One whose first row was refused has the name that the next would have.
    fn close(&mut self) -> Result<()> {
        if self.newest.as_ref() == Some(&self.vclock) { Ok(()) } else { self.end() }
    }

    /// Ends the current file. It stays current, and can be tried again, if its marker cannot be written.
    fn end(&mut self) -> Result<()> {
        let Current::Open(file) = &mut self.current else { return Ok(()) };
        file.end()?;
        if let Current::Open(file) = std::mem::replace(&mut self.current, Current::Closed) {
            self.sync_in_background(file);
        }
        Ok(())
    }

    /// Makes a closed file durable. Writers need not wait for that unless they waited for each row.
    fn sync_in_background(&mut self, file: Writer) {
        let (disk, process) = (self.disk.clone(), self.process.clone());
        let sync = move || match file.sync().and_then(|()| file.sync_name(&*disk)) {
            Ok(()) => {}
            // Whoever removed the directory has removed the file: nothing of it is left to be trusted.
            Err(error) if error.is_not_found() => {
                tracing::error!("a closed journal is gone: {error}");
            }
            Err(error) => fail(&error, &*process),
        };
        self.join();
        if self.options.mode == Mode::Fsync {
            return sync();
        }
        match self.process.spawn("wal-close", Box::new(sync)) {
            Ok(thread) => self.closing = Some(thread),
            Err(error) => tracing::warn!("a closed journal was not made durable: {error}"),
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.closing.take()
            && !thread()
        {
            tracing::error!("the thread that closes a journal has panicked");
            self.process.abort();
        }
    }

    /// Aborts if something that had to become durable may not have.
    fn trust(&self, result: Result<()>) -> Result<()> {
        result.inspect_err(|error| fail(error, &*self.process))
    }
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        self.join();
    }
}

fn fail(error: &Error, process: &dyn Process) {
    tracing::error!("the journal can no longer be trusted: {error}");
    process.abort();
}
