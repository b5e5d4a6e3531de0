//! What a change is to the journal.

use std::sync::Arc;

use lycosa_proto::iproto::request_type::{REPLACE, UPDATE, UPSERT};
use lycosa_proto::xrow::Header;
use parking_lot::Mutex;

use super::*;
use crate::db::journal::{Journal, Ticket, Vclock};

/// Keeps the types of rows.
#[derive(Default)]
struct Types(Mutex<Vec<u64>>);

impl Journal for Types {
    fn append(&self, _: Ticket, mut rows: &[u8], _: &Vclock) {
        let header = Header::read(&mut rows).expect("a row");
        self.0.lock().push(header.row_type);
    }

    fn settled(&self) -> Ticket {
        Ticket::SETTLED
    }
}

#[test]
fn what_tarantool_2_6_cannot_replay_is_written_as_its_result() {
    let check = |ops: &str, update: u64, upsert: u64| {
        let (mut db, row) = (with_space(), mp(r#"[1,"a",3,{"k":4}]"#));
        run(&mut db, |txn| txn.insert(512, &row)).expect("new");
        let types = Arc::new(Types::default());
        db.set_journal(types.clone());
        run(&mut db, |txn| txn.update(512, 0, &mp("[1]"), &mp(ops), 0)).expect("good operations");
        run(&mut db, |txn| txn.replace(512, &row)).expect("as before");
        run(&mut db, |txn| txn.upsert(512, &mp(r#"[1,"a"]"#), &mp(ops), 0)).expect("the same");
        assert_eq!(*types.0.lock(), [update, REPLACE, upsert], "{ops}");
        // Nobody is there to be changed: the operations do not matter.
        run(&mut db, |txn| txn.update(512, 0, &mp("[7]"), &mp(ops), 0)).expect("nothing");
        run(&mut db, |txn| txn.upsert(512, &mp(r#"[8,"b"]"#), &mp(ops), 0)).expect("new");
        assert_eq!(types.0.lock()[3..], [UPDATE, UPSERT], "{ops}");
    };
    check(r#"[["=",2,5]]"#, UPDATE, UPSERT);
    check(r#"[["+",2,5],["=","name","x"]]"#, UPDATE, UPSERT);
    check(r#"[["=",-1,5]]"#, UPDATE, UPSERT);
    check(r#"[["=",4,"next"]]"#, UPDATE, UPSERT);
    check(r##"[["#",3,1]]"##, UPDATE, UPSERT);
    check(r#"[["+","[4].k",5]]"#, UPDATE, UPSERT);
    check("[]", UPDATE, UPSERT);
    // Beyond the end.
    check(r#"[["=",5,"far"]]"#, REPLACE, REPLACE);
    check(r#"[["!",5,"far"]]"#, REPLACE, REPLACE);
    check(r##"[["#",4,1]]"##, REPLACE, REPLACE);
    // A field again, or perhaps.
    check(r#"[["+",2,5],["=",1,"x"],["-",2,6]]"#, REPLACE, REPLACE);
    check(r#"[["=",1,"x"],["=",-1,6]]"#, REPLACE, REPLACE);
}
