//! What a disk in memory holds, and what of it would be there after the power has failed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The number of a file; a file stays when its name goes.
pub(super) type FileNo = usize;

/// Files, the names that lead to them, and what of both is durable.
#[derive(Clone, Default)]
pub(super) struct Files {
    contents: Vec<Content>,
    pub(super) names: BTreeMap<PathBuf, FileNo>,
    durable_names: BTreeMap<PathBuf, FileNo>,
    /// Changes of names that are not durable, oldest first.
    namings: Vec<Naming>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// What leads from `durable` to `bytes`.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

/// What one operation does to the names of a directory: a rename takes one and gives one.
type Naming = Vec<(PathBuf, Option<FileNo>)>;

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut { len } => bytes.resize(*len, 0),
        Change::Write { offset, bytes: written } => {
            let end = offset + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(written);
        }
    }
}

fn give(names: &mut BTreeMap<PathBuf, FileNo>, path: &Path, file: Option<FileNo>) {
    match file {
        Some(file) => names.insert(path.to_owned(), file),
        None => names.remove(path),
    };
}

impl Content {
    fn change(&mut self, change: Change) {
        apply(&mut self.bytes, &change);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        self.changes.drain(..).for_each(|change| apply(&mut self.durable, &change));
    }

    /// Keeps the first so many changes, and of the one after them so many bytes.
    fn lose(&mut self, choice: &mut dyn FnMut(usize) -> usize) {
        if self.changes.is_empty() {
            return;
        }
        let kept = choice(self.changes.len() + 1);
        let torn = match self.changes.get_mut(kept) {
            Some(Change::Write { bytes, .. }) => {
                bytes.truncate(choice(bytes.len().max(1)));
                usize::from(!bytes.is_empty())
            }
            _ => 0,
        };
        self.changes.truncate(kept + torn);
        self.sync();
        self.bytes.clone_from(&self.durable);
    }
}

impl Files {
    pub(super) fn find(&self, path: &Path) -> io::Result<FileNo> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn bytes(&self, file: FileNo) -> &[u8] {
        &self.contents[file].bytes
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|file| self.contents[*file].bytes.len() as u64).sum()
    }

    pub(super) fn write(&mut self, file: FileNo, bytes: &[u8], offset: u64) {
        let change = Change::Write { offset: offset as usize, bytes: bytes.to_vec() };
        self.contents[file].change(change);
    }

    pub(super) fn cut(&mut self, file: FileNo, len: u64) {
        self.contents[file].change(Change::Cut { len: len as usize });
    }

    pub(super) fn sync(&mut self, file: FileNo) {
        self.contents[file].sync();
    }

    /// Makes a file of that name, empty.
    pub(super) fn create(&mut self, path: &Path) -> FileNo {
        self.contents.push(Content::default());
        let file = self.contents.len() - 1;
        self.name(vec![(path.to_owned(), Some(file))]);
        file
    }

    /// Changes names.
    pub(super) fn name(&mut self, naming: Naming) {
        for (path, file) in &naming {
            give(&mut self.names, path, *file);
        }
        self.namings.push(naming);
    }

    /// Makes the names in `dir` durable.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        for naming in &mut self.namings {
            naming.retain(|(path, file)| {
                let is_elsewhere = path.parent() != Some(dir);
                if !is_elsewhere {
                    give(&mut self.durable_names, path, *file);
                }
                is_elsewhere
            });
        }
        self.namings.retain(|naming| !naming.is_empty());
    }

    /// Puts a durable file there, in place of one that is there.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.contents.push(Content { durable: bytes.clone(), bytes, changes: Vec::new() });
        let file = Some(self.contents.len() - 1);
        give(&mut self.names, path, file);
        give(&mut self.durable_names, path, file);
    }

    /// The power fails. What is durable stays, of the rest what `choice` says, which names a number below the one it gets:
    /// 0 loses, the greatest keeps. Writes to a file are kept from the first on, the last of them perhaps torn; so are
    /// changes of names, or else each name is kept or lost on its own.
    pub(super) fn lose(&mut self, choice: &mut dyn FnMut(usize) -> usize) {
        self.contents.iter_mut().for_each(|content| content.lose(choice));
        let namings = std::mem::take(&mut self.namings);
        if !namings.is_empty() {
            let is_in_order = choice(2) == 0;
            let kept = if is_in_order { choice(namings.len() + 1) } else { namings.len() };
            for (path, file) in namings.into_iter().take(kept).flatten() {
                if is_in_order || choice(2) == 1 {
                    give(&mut self.durable_names, &path, file);
                }
            }
        }
        self.names.clone_from(&self.durable_names);
    }
}
