//! Several statements and looks as one closure, as procedures make them.

use super::*;

impl Driver {
    fn closure<T>(&mut self, id: TxnId, body: impl FnOnce(&mut Txn<'_>) -> Result<T>) -> Result<T> {
        self.db.run_interactive(id, ADMIN, 0.0, body)
    }
}

fn count(txn: &Txn<'_>, key: u8) -> Result<u32> {
    let (iterator, key) = (Kind::Eq as u32, array(&[key]));
    let select = Select { space_id: 512, index_id: 0, iterator, offset: 0, limit: 9, key: &key };
    txn.db().select(ADMIN, &select, |_| {})
}

#[test]
fn a_closure_is_part_of_its_transaction() {
    let mut driver = Driver::new();
    driver.replace([1, 1, 1]);
    let id = driver.begin();
    let done = driver.closure(id, |txn| {
        txn.insert(512, &array(&[2, 2, 2]))?;
        txn.update(512, 0, &array(&[1]), &[0x91, 0x93, 0xa1, b'=', 2, 9], 0)?;
        txn.insert(513, &array(&[5, 5, 5]))?;
        let before = txn.savepoint();
        txn.delete(512, 0, &array(&[1]))?;
        assert_eq!(count(txn, 1)?, 0);
        txn.roll_back_to_savepoint(before);
        Ok((count(txn, 1)?, count(txn, 2)?, txn.db().space(513)?.len()))
    });
    assert_eq!(done.expect("nothing is in the way"), (1, 1, 1));
    assert_eq!(driver.live(0), [[1, 1, 1]]);
    assert_eq!(driver.get(id, 1).expect("its own"), [[1, 1, 9]]);
    driver.commit(id).expect("alone");
    assert_eq!(driver.live(0), [[1, 1, 9], [2, 2, 2]]);
    assert_eq!(driver.db.space(513).expect("there").len(), 1);
}

#[test]
fn a_closure_that_fails_is_undone_whole() {
    let mut driver = Driver::new();
    driver.replace([1, 1, 1]);
    let id = driver.begin();
    driver.replace_in(id, [3, 3, 3]).expect("free");
    let failed = driver.closure(id, |txn| {
        txn.insert(512, &array(&[2, 2, 2]))?;
        txn.delete(512, 0, &array(&[3]))?;
        txn.insert(512, &array(&[1, 7, 7]))
    });
    assert_eq!(failed.expect_err("a duplicate").kind(), kind::TUPLE_FOUND);
    assert!(driver.get(id, 2).expect("it goes on").is_empty());
    driver.commit(id).expect("nothing has changed");
    assert_eq!(driver.live(0), [[1, 1, 1], [3, 3, 3]]);
    assert_eq!(driver.journal.rows.lock().len(), 2, "one transaction each");
}

/// Runs `first` in a transaction that writes too, then puts `other`; gives whether that was a conflict.
fn is_conflict(first: impl FnOnce(&mut Txn<'_>) -> Result<()>, other: (u32, [u8; 3])) -> bool {
    let mut driver = Driver::new();
    driver.replace([1, 1, 1]);
    let id = driver.begin();
    // Some of them fail, which is an answer too.
    let _ = driver.closure(id, first);
    driver.replace_in(id, [9, 9, 9]).expect("free");
    driver.alone(&put(request_type::REPLACE, other.0, &array(&other.1)));
    match driver.commit(id) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), kind::TRANSACTION_CONFLICT);
            true
        }
    }
}

#[test]
fn what_a_closure_looks_at_is_read() {
    let look = |txn: &mut Txn<'_>| txn.db().space(512).map(drop);
    assert!(is_conflict(look, (512, [5, 5, 5])), "who knows where it has looked");
    assert!(!is_conflict(look, (513, [5, 5, 5])));
    let select = |txn: &mut Txn<'_>| count(txn, 4).map(drop);
    assert!(is_conflict(select, (512, [4, 4, 4])));
    assert!(!is_conflict(select, (512, [5, 5, 5])), "a SELECT is exact");
    let known = |txn: &mut Txn<'_>| {
        assert!(txn.db().known_space(512).is_some());
        assert_eq!(txn.db().space_id("t512"), Some(512));
        Ok(())
    };
    assert!(!is_conflict(known, (512, [5, 5, 5])), "only its definition");
    let forgotten = |txn: &mut Txn<'_>| {
        txn.db().space(512)?;
        txn.forget_reads();
        Ok(())
    };
    assert!(!is_conflict(forgotten, (512, [5, 5, 5])));
    let undone = |txn: &mut Txn<'_>| {
        txn.replace(512, &array(&[2, 2, 2]))?;
        txn.insert(512, &array(&[1, 1, 1])).map(drop)
    };
    // That the first of them has succeeded was told by the error of the second.
    assert!(is_conflict(undone, (512, [7, 2, 7])));
    assert!(!is_conflict(undone, (512, [7, 7, 7])));
}

#[test]
fn an_aborted_transaction_shows_nothing_more() {
    let mut driver = Driver::new();
    driver.replace([1, 1, 1]);
    let id = driver.begin();
    driver.closure(id, |txn| count(txn, 1)).expect("open");
    driver.replace([1, 1, 2]);
    // It has only read: it keeps its view, and may not write, whatever the closure makes of the error.
    assert_eq!(driver.closure(id, |txn| count(txn, 1)).expect("a view"), 1);
    let swallowed = driver.closure(id, |txn| {
        let refused = txn.replace(512, &array(&[3, 3, 3])).expect_err("a view");
        assert_eq!(refused.kind(), kind::TRANSACTION_CONFLICT);
        Ok(txn.db().space(512).is_err())
    });
    assert!(swallowed.expect("as it says"));
    for failed in [
        driver.closure(id, |txn| count(txn, 1)).map(drop),
        driver.closure(id, |txn| txn.db().space(512).map(drop)),
        driver.closure(id, |txn| txn.delete(512, 0, &array(&[1])).map(drop)),
        driver.commit(id).map(drop),
    ] {
        assert_eq!(failed.expect_err("aborted").kind(), kind::TRANSACTION_CONFLICT);
    }
    assert_eq!(driver.live(0), [[1, 1, 2]]);
}

#[test]
fn a_definition_in_a_closure_goes_with_its_transaction() {
    let mut driver = Driver::new();
    driver.replace([1, 1, 1]);
    let id = driver.begin();
    driver.replace_in(id, [2, 2, 2]).expect("free");
    let defined = driver.closure(id, |txn| {
        txn.insert(space_id::SPACE, &mp(r#"[600,1,"new","memtx",0,{},[]]"#))?;
        txn.insert(space_id::INDEX, &mp(r#"[600,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.insert(600, &array(&[1]))?;
        txn.delete(space_id::INDEX, 0, &mp("[512,2]"))?;
        Ok(txn.db().space(600)?.len())
    });
    assert_eq!(defined.expect("for itself"), 1);
    let ended = driver.commit(id).expect_err("a yield");
    assert_eq!(ended.kind(), kind::TRANSACTION_YIELD);
    assert!(driver.db.space(600).is_err() && driver.db.space_id("new").is_none());
    assert_eq!(driver.db.space(512).expect("there").indexes().len(), 3);
    assert_eq!(driver.live(0), [[1, 1, 1]]);
}
