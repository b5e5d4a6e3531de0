//! Definitions that fail or are rolled back leave everything as it was.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::constraints::{check, statement};
use super::*;
use crate::db::access::{ObjectType, Privilege};

/// Everything that a definition may change, as text.
fn state(db: &Database) -> String {
    let mut out = String::new();
    let mut spaces: Vec<_> = db.spaces().collect();
    spaces.sort_by_key(|space| space.def.id);
    for space in spaces {
        let _ = writeln!(out, "{:?} {:?} {:?}", space.def, space.format, space.sequence);
        for index in space.indexes() {
            let tuples: Vec<_> = match space.def.id {
                space_id::COLLATION => Vec::new(),
                _ => index.iter().collect(),
            };
            let _ = writeln!(out, "  {:?} {} {tuples:?}", index.def, index.len());
        }
    }
    let mut sequences: Vec<_> = db.sequences.iter().collect();
    sequences.sort();
    let mut references: Vec<_> = db.references.iter().collect();
    references.sort();
    let _ = writeln!(out, "{sequences:?} {references:?}");
    for uid in 0..64 {
        let Ok(user) = db.access().user(uid) else { continue };
        let entities: Vec<u32> = [ObjectType::Space, ObjectType::Function, ObjectType::Sequence]
            .map(|object_type| user.on_entity(object_type))
            .to_vec();
        let roles: Vec<u32> = (0..64).filter(|role| user.has_role(*role)).collect();
        let universe = user.universe();
        let _ = writeln!(out, "{uid} {} {universe} {entities:?} {roles:?}", user.name);
        for space in (512..516).filter_map(|id| db.space(id).ok()) {
            let may = db.check_space(uid, &space.def, Privilege::READ).is_ok();
            let _ = write!(out, " {may}");
        }
    }
    out
}

#[test]
fn the_names_of_a_cluster_and_a_replica_set_stay() {
    let mut db = fresh();
    for name in ["cluster", "replicaset"] {
        let refused =
            format!("5 Tarantool does not support {name} name change (without 'force_recovery')");
        check(
            &mut db,
            &format!(
                r#"insert 272 ["{name}_name","One"] => 23 Tuple field _schema['{name}_name'].value type does not match one required by operation: expected a valid name, got a bad name
                insert 272 ["{name}_name",null] => ["{name}_name", null]
                replace 272 ["{name}_name","one"] => ["{name}_name", "one"]
                replace 272 ["{name}_name","one"] => ["{name}_name", "one"]
                replace 272 ["{name}_name","two"] => {refused}
                replace 272 ["{name}_name",null] => {refused}
                delete 272 ["{name}_name"] => {refused}"#
            ),
        );
    }
}

/// Statements on the dictionary and on data, good and bad.
fn any_statement() -> impl Strategy<Value = String> {
    let space = 512..515u32;
    let field_types = prop_oneof![Just("unsigned"), Just("string"), Just("any"), Just("wrong")];
    let format = prop_oneof![
        Just("[]".to_owned()),
        field_types.clone().prop_map(|name| format!(r#"[{{"name":"a","type":"{name}"}}]"#)),
        (field_types.clone(), space.clone()).prop_map(|(name, id)| format!(
            r#"[{{"name":"a","type":"{name}"}},{{"name":"b","type":"any","is_nullable":true,"foreign_key":{{"k":{{"space":{id},"field":0}}}}}}]"#
        )),
        Just(r#"[{"name":"a","type":"unsigned"},{"name":"b","type":"string","default":"x"}]"#.to_owned()),
    ];
    let flags = prop_oneof![
        Just("{}"),
        Just(r#"{"temporary":true}"#),
        Just(r#"{"type":"temporary"}"#),
        Just(r#"{"group_id":1}"#),
        Just(r#"{"constraint":{"c":100}}"#),
    ];
    let verb = prop_oneof![Just("insert"), Just("replace")];
    prop_oneof![
        3 => (verb.clone(), space.clone(), flags, format.clone()).prop_map(
            |(verb, id, flags, format)| {
                format!(r#"{verb} 280 [{id},1,"s{id}","memtx",0,{flags},{format}]"#)
            }
        ),
        1 => (space.clone(), format).prop_map(|(id, format)| {
            format!(r#"update 280 [{id}] [["=",6,{format}]]"#)
        }),
        1 => space.clone().prop_map(|id| format!("delete 280 [{id}]")),
        3 => (verb, space.clone(), 0..3u32, 0..3u32, field_types, any::<bool>()).prop_map(
            |(verb, id, index_id, field_no, name, is_unique)| format!(
                r#"{verb} 288 [{id},{index_id},"i{index_id}","tree",{{"unique":{is_unique}}},[[{field_no},"{name}"]]]"#
            )
        ),
        1 => (space.clone(), 0..3u32).prop_map(|(id, index_id)| format!("delete 288 [{id},{index_id}]")),
        3 => (space.clone(), 0..4u32, 0..4u32).prop_map(|(id, a, b)| format!("replace {id} [{a},{b},{id}]")),
        1 => (space.clone(), 0..4u32).prop_map(|(id, a)| format!("delete {id} [{a}]")),
        1 => space.clone().prop_map(|id| format!("upsert 330 [{id},1]")),
        1 => (space.clone(), 1..3u32).prop_map(|(id, sequence)| format!("insert 340 [{id},{sequence},true,0,\"\"]")),
        1 => space.clone().prop_map(|id| format!("delete 340 [{id}]")),
        1 => (1..3u32, -1..3i32).prop_map(|(id, step)| format!("replace 284 [{id},1,\"q{id}\",{step},1,100,1,0,false]")),
        1 => (1..3u32).prop_map(|id| format!("delete 284 [{id}]")),
        1 => (1..3u32, 1..50u32).prop_map(|(id, value)| format!("replace 285 [{id},{value}]")),
        1 => (1..3u32).prop_map(|id| format!("delete 285 [{id}]")),
        1 => Just(r#"insert 296 [100,1,"f",0,"LUA","function() end","function",[],"any","none","none",true,false,true,["LUA"],{},"","",""]"#.to_owned()),
        1 => Just("delete 296 [100]".to_owned()),
        1 => (32..35u32, prop_oneof![Just("user"), Just("role"), Just("wrong")]).prop_map(|(id, kind)| format!("replace 304 [{id},1,\"u{id}\",\"{kind}\",{{}}]")),
        1 => (32..35u32).prop_map(|id| format!("delete 304 [{id}]")),
        2 => (32..35u32, space, 0..4u32).prop_map(|(uid, id, mask)| format!("replace 312 [1,{uid},\"space\",{id},{mask}]")),
        1 => (32..35u32, 32..35u32).prop_map(|(uid, role)| format!("replace 312 [1,{uid},\"role\",{role},4]")),
        1 => (32..35u32, 512..515u32).prop_map(|(uid, id)| format!("delete 312 [{uid},\"space\",{id}]")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_failed_statement_and_a_rollback_change_nothing(
        transactions in proptest::collection::vec(
            (proptest::collection::vec(any_statement(), 1..6), any::<bool>()),
            1..8,
        )
    ) {
        let mut db = fresh();
        for (statements, is_kept) in transactions {
            let start = state(&db);
            let mut txn = db.begin(ADMIN, 0.0);
            let mut before = start.clone();
            for text in statements {
                let done = statement(&mut txn, &text);
                let after = state(txn.db());
                if done.is_err() {
                    prop_assert!(after == before, "{text} has left something");
                }
                before = after;
            }
            if is_kept {
                txn.commit();
            } else {
                drop(txn);
                prop_assert!(state(&db) == start, "the rollback has left something");
            }
        }
    }
}

#[test]
fn of_two_indexes_that_do_not_agree_the_new_one_is_at_fault() {
    let mut db = fresh();
    check(
        &mut db,
        r#"insert 280 [512,1,"t","memtx",0,{},[{"name":"a","type":"unsigned"},{"name":"b","type":"string"}]]
        insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 288 [512,2,"i2","tree",{},[[1,"string"]]]
        insert 288 [512,1,"i1","tree",{},[[1,"integer"]]] => 24 Field 2 (b) has type 'string' in one index, but type 'integer' in another
        insert 288 [512,3,"i3","tree",{},[{"field":2,"type":"string","is_nullable":true}]]
        insert 288 [512,4,"i4","tree",{},[{"field":4,"type":"string","is_nullable":true}]]
        insert 288 [512,1,"i1","tree",{},[[4,"integer"]]] => 24 Field 5 has type 'string' in one index, but type 'integer' in another
        replace 288 [512,3,"i3","tree",{},[[4,"integer"]]] => 24 Field 5 has type 'integer' in one index, but type 'string' in another
        replace 288 [512,2,"i2","tree",{},[[1,"integer"]]] => 27 Field 2 (b) has type 'string' in space format, but type 'integer' in index definition
        insert 280 [513,1,"u","memtx",0,{},[]]
        insert 288 [513,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 288 [513,2,"i2","tree",{},[{"field":1,"type":"string","is_nullable":true}]]
        insert 288 [513,1,"i1","tree",{},[[1,"integer"]]] => 24 Field 2 has type 'string' in one index, but type 'integer' in another"#,
    );
}

#[test]
fn a_field_and_its_parts_do_the_same_with_nil() {
    let mut db = fresh();
    check(
        &mut db,
        r#"insert 280 [512,1,"t","memtx",0,{},[{"name":"a","type":"unsigned"},{"name":"b","type":"any","nullable_action":"abort"},{"name":"c","type":"any","is_nullable":true}]]
        insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 288 [512,1,"i","tree",{},[{"field":1,"type":"string","nullable_action":"Fail"}]] => 162 Field 2 (b) contains abort on conflict action, but fail in index parts
        insert 288 [512,1,"i","tree",{},[{"field":1,"type":"string","is_nullable":true}]] => 162 Field 2 (b) contains abort on conflict action, but none in index parts
        insert 288 [512,1,"i","tree",{},[{"field":2,"type":"string","nullable_action":"abort"}]] => 162 Field 3 (c) contains none on conflict action, but abort in index parts
        insert 288 [512,1,"i","tree",{},[{"field":1,"type":"string"}]]
        insert 288 [512,2,"j","tree",{},[{"field":3,"type":"string","nullable_action":"ignore"}]]
        insert 288 [512,3,"k","tree",{},[{"field":3,"type":"string","nullable_action":"replace"}]] => 162 Field 4 contains ignore on conflict action, but replace in index parts
        insert 288 [512,3,"k","tree",{},[{"field":3,"type":"string","nullable_action":"weird"}]] => 162 Field 4 contains ignore on conflict action, but (null) in index parts
        replace 280 [512,1,"t","memtx",0,{},[{"name":"a","type":"unsigned"},{"name":"b","type":"any","nullable_action":"abort"},{"name":"c","type":"any"},{"name":"d","type":"any","is_nullable":true}]] => 162 Field 4 (d) contains none on conflict action, but ignore in index parts
        insert 288 [512,4,"l","tree",{},[{"field":2,"type":"string","path":"x","is_nullable":true}]]
        insert 288 [512,5,"m","tree",{},[{"field":2,"type":"string","path":"x","nullable_action":"abort"}]] => 162 Field [3]["x"] contains none on conflict action, but abort in index parts"#,
    );
}

#[test]
fn rows_are_checked_in_tarantools_order() {
    let mut db = fresh();
    check(
        &mut db,
        r#"replace 304 [101,1,"","odd",{}] => 43 Failed to create user '': unknown user type
        replace 304 [101,1,"r","role",{"chap-sha1":1}] => 84 Failed to create role 'r': authentication data can not be set for a role
        insert 304 [103,1,"r","role",{}]
        insert 312 [1,103,"role",103,0] => 87 Granting role 'r' to role 'r' would create a loop
        insert 280 [512,1,"t","memtx",0,{},[{"name":"a","type":"unsigned"}]]
        insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 512 [1]
        replace 280 [512,1,"t","memtx",0,{"temporary":true},[{"name":"a","type":"string"}]] => 27 Field 1 (a) has type 'string' in space format, but type 'unsigned' in index definition
        replace 280 [512,1,"t","memtx",0,{"temporary":true},[{"name":"a","type":"unsigned"}]] => 12 Can't modify space 't': can not change data-temporariness on a non-empty space
        insert 280 [513,1,"u","memtx",4,{},[]]
        insert 513 [1] => 35 No index #0 is defined in space 'u'"#,
    );
}
