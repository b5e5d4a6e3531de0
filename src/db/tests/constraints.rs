//! Defaults, constraints and foreign keys.

use super::*;
use crate::db::access::GUEST;

/// Runs one statement, written as `insert 512 [1]`, `replace`, `delete 512 [1]` or `update 512 [1] [["=",1,2]]`.
pub(super) fn statement(txn: &mut Txn<'_>, text: &str) -> Result<Option<Tuple>> {
    let mut words = text.splitn(3, ' ');
    let (verb, space_id) = (words.next(), words.next());
    let rest = words.next().unwrap_or_default();
    let space_id = space_id.and_then(|id| id.parse().ok()).expect("a space id");
    match verb {
        Some("insert") => txn.insert(space_id, &mp(rest)).map(Some),
        Some("replace") => txn.replace(space_id, &mp(rest)).map(Some),
        Some("delete") => txn.delete(space_id, 0, &mp(rest)),
        Some("upsert") => txn.upsert(space_id, &mp(rest), &mp("[]"), 0).map(|()| None),
        Some("update") => {
            let (key, ops) = rest.split_once(' ').expect("key and operations");
            txn.update(space_id, 0, &mp(key), &mp(ops), 0)
        }
        other => panic!("{other:?}"),
    }
}

/// Runs statements, each a transaction; each line is `statement => result`, where the result is the tuple, `-` for none, or
/// code and text of the error. A line without result must succeed.
pub(super) fn check(db: &mut Database, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, expected) = line.split_once(" => ").unwrap_or((line, ""));
        let got = match run(db, |txn| statement(txn, text)) {
            Ok(_) if expected.is_empty() => continue,
            Ok(Some(tuple)) => format!("{tuple:?}"),
            Ok(None) => "-".to_owned(),
            Err(error) => format!("{} {error}", error.code()),
        };
        assert_eq!(got, expected, "{text}");
    }
}

fn with_format(format: &str) -> Database {
    let mut db = fresh();
    check(
        &mut db,
        &format!(
            r#"insert 280 [512,1,"t","memtx",0,{{}},{format}]
            insert 288 [512,0,"pk","tree",{{}},[[0,"unsigned"]]]"#
        ),
    );
    db
}

#[test]
fn defaults_stand_for_nil_and_absence() {
    let mut db = with_format(
        r#"[{"name":"id","type":"unsigned"},{"name":"a","type":"unsigned","default":7},{"name":"b","type":"string","is_nullable":true},{"name":"c","type":"any","default":[1]}]"#,
    );
    check(
        &mut db,
        r#"
        insert 512 [1] => [1, 7, null, [1]]
        insert 512 [2,null,"x"] => [2, 7, "x", [1]]
        replace 512 [3,4,null,5,6] => [3, 4, null, 5, 6]
        insert 512 [4,"x"] => 23 Tuple field 2 (a) type does not match one required by operation: expected unsigned, got string
        upsert 512 [5] => -
        update 512 [5] [["=",4,1]] => [5, 7, null, [1], 1]
        update 512 [1] [["=",1,null]] => [1, null, null, [1]]
        "#,
    );
}

#[test]
fn foreign_keys_hold_on_both_sides() {
    let mut db =
        with_format(r#"[{"name":"id","type":"unsigned"},{"name":"code","type":"string"}]"#);
    check(
        &mut db,
        r#"
        insert 280 [513,1,"c","memtx",0,{},[{"name":"id","type":"unsigned"},{"name":"p","type":"unsigned","is_nullable":true,"foreign_key":{"fk":{"space":512,"field":"id"}}}]]
        insert 288 [513,0,"pk","tree",{},[[0,"unsigned"]]]
        replace 513 [1,9,""] => 239 Foreign key constraint 'fk' failed for field '2 (p)': foreign tuple was not found
        insert 513 [1,null] => [1, null]
        insert 512 [9,"x"] => [9, "x"]
        insert 513 [2,9] => [2, 9]
        update 513 [1] [["=",1,8]] => 239 Foreign key constraint 'fk' failed for field '2 (p)': foreign tuple was not found
        delete 512 [9] => 238 Foreign key 'fk' integrity check failed: index was not found
        insert 288 [513,1,"p","tree",{"unique":false},[{"field":1,"type":"unsigned","is_nullable":true}]]
        delete 512 [9] => 238 Foreign key 'fk' integrity check failed: tuple is referenced
        replace 512 [9,"y"] => [9, "y"]
        insert 330 [512,1] => 12 Can't modify space 't': space is referenced by foreign key
        delete 288 [512,0] => 12 Can't modify space 't': space is referenced by foreign key
        delete 513 [2] => [2, 9]
        delete 512 [9] => [9, "y"]
        delete 513 [1] => [1, null]
        delete 288 [512,0]
        delete 280 [512] => 12 Can't modify space 't': space is referenced by foreign key
        replace 513 [3,3,""] => 239 Foreign key constraint 'fk' failed for field '2 (p)': foreign index was not found
        update 280 [513] [["=",6,[]]]
        delete 280 [512]
        "#,
    );
}

#[test]
fn foreign_keys_of_several_fields() {
    let mut db =
        with_format(r#"[{"name":"id","type":"unsigned"},{"name":"code","type":"string"}]"#);
    check(
        &mut db,
        r#"
        insert 288 [512,1,"u","tree",{},[[1,"string"],[0,"unsigned"]]]
        insert 512 [1,"a"]
        insert 280 [513,1,"c","memtx",0,{"foreign_key":{"fk":{"space":512,"field":{"x":"id","y":"code"}}}},[{"name":"id","type":"unsigned"},{"name":"x","type":"any","is_nullable":true},{"name":"y","type":"any","is_nullable":true}]]
        insert 288 [513,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 513 [1,1,"b"] => 240 Foreign key constraint 'fk' failed: foreign tuple was not found
        insert 513 [1,1,5] => 240 Foreign key constraint 'fk' failed: wrong key type
        insert 513 [1,1] => 240 Foreign key constraint 'fk' failed: extract key failed
        insert 513 [1,null,null] => [1, null, null]
        insert 513 [2,1,"a"] => [2, 1, "a"]
        insert 288 [513,1,"xy","tree",{},[{"field":1,"type":"unsigned","is_nullable":true},{"field":2,"type":"string","is_nullable":true}]]
        delete 512 [1] => 238 Foreign key 'fk' integrity check failed: tuple is referenced
        replace 512 [1,"b"] => 238 Foreign key 'fk' integrity check failed: tuple is referenced
        delete 513 [2] => [2, 1, "a"]
        replace 512 [1,"b"] => [1, "b"]
        "#,
    );
}

#[test]
fn functions_are_known_but_cannot_run() {
    let function = |id: u32, body: &str, is_deterministic: bool| {
        format!(
            r#"insert 296 [{id},1,"f{id}",0,"LUA","{body}","function",[],"any","none","none",{is_deterministic},false,true,["LUA"],{{}},"","",""]"#
        )
    };
    let mut db = with_format(r#"[{"name":"id","type":"unsigned"}]"#);
    let functions = [function(100, "function() end", true), function(101, "", true)];
    check(&mut db, &functions.join("\n"));
    check(
        &mut db,
        r#"
        insert 280 [513,1,"c","memtx",0,{"constraint":{"k":101}},[]] => 234 Failed to create constraint 'k' in space 'c': constraint lua function 'f101' must have persistent body
        insert 280 [513,1,"c","memtx",0,{"constraint":{"k":100}},[]]
        insert 288 [513,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 513 [1] => 5 Lycosa does not support constraints with functions
        delete 296 [100] => 71 Can't drop function 100: function is referenced by constraint
        update 280 [513] [["=",5,{}]]
        insert 513 [1] => [1]
        update 280 [513] [["=",5,{"constraint":{"k":100}}]] => 5 Lycosa does not support constraints with functions
        update 280 [512] [["=",6,[{"name":"id","type":"unsigned"},{"name":"a","default_func":101}]]] => 275 Failed to create field default function 'f101': Lua function must have persistent body
        update 280 [512] [["=",6,[{"name":"id","type":"unsigned"},{"name":"a","default_func":100}]]]
        insert 512 [1] => 5 Lycosa does not support defaults made by functions
        insert 512 [1,2] => [1, 2]
        "#,
    );
    // Rights come before what a tuple lacks.
    for text in ["insert 512 [3]", "replace 512 [3]", "upsert 512 [3]"] {
        let refused = db.transaction(GUEST, 0.0, |txn| statement(txn, text));
        assert_eq!(refused.map(drop).map_err(|error| error.code()), Err(42), "{text}");
    }
}
