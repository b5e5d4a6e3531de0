//! The header of a row of a journal or a snapshot.
