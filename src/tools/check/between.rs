//! What is wrong between files: gaps, and files that belong to somebody else.

use super::file::{FileReport, State};
use crate::wal::Error;
use crate::wal::recovery::is_within;
use crate::wal::xlog::{FileType, Meta};

/// What is wrong, a line each. What is wrong inside of a file is in its report.
pub(super) fn problems(files: &[FileReport]) -> Vec<String> {
    let mut problems = Vec::new();
    let of_type = |file_type| files.iter().filter(move |file| file.file_type == Some(file_type));
    let newest = of_type(FileType::Snap).rfind(|file| file.state == State::Closed);
    if newest.is_none() {
        problems.push("there is no whole snapshot".to_owned());
    }
    let expected = newest.and_then(FileReport::instance);
    for file in files {
        if let (Some(expected), Some(found)) = (expected, file.instance())
            && expected != found
        {
            problems.push(Error::Instance { path: file.path.clone(), expected, found }.to_string());
        }
        if file.disordered > 0 {
            let (path, count) = (file.path.display(), file.disordered);
            problems
                .push(format!("{path}: {count} rows have an LSN that is not above the one before"));
        }
    }
    let journals: Vec<(&FileReport, &Meta)> =
        of_type(FileType::Xlog).filter_map(|file| Some((file, file.meta.as_ref()?))).collect();
    for pair in journals.windows(2) {
        let [(before, before_meta), (after, meta)] = pair else { continue };
        let is_next = meta.prev_vclock.as_ref().is_none_or(|prev| *prev == before_meta.vclock);
        let ends = || Box::new([before.end_vclock.clone(), meta.vclock.clone()]);
        if !is_next {
            problems.push(Error::Gap { path: after.path.clone(), ends: ends() }.to_string());
        } else if let Some(offset) = before.rows_end()
            && !is_within(&meta.vclock, &before.end_vclock)
        {
            let (path, next) = (before.path.clone(), after.path.clone());
            problems.push(Error::RowsMissing { path, offset, next, ends: ends() }.to_string());
        }
    }
    if let (Some((first, meta)), Some(newest)) =
        (journals.first(), newest.and_then(|newest| newest.meta.as_ref()))
        && !journals.iter().any(|(_, meta)| is_within(&meta.vclock, &newest.vclock))
    {
        let ends = Box::new([newest.vclock.clone(), meta.vclock.clone()]);
        problems.push(Error::Gap { path: first.path.clone(), ends }.to_string());
    }
    problems
}
