//! UPDATE and UPSERT below a field, where the answer depends on what operations before have opened.

use super::constraints::check;
use super::*;

/// A space with one tuple: a map, an array and a number.
fn with_containers() -> Database {
    let mut db = fresh();
    check(
        &mut db,
        r#"insert 280 [512,1,"t","memtx",0,{},[{"name":"id","type":"unsigned"},{"name":"m","type":"map"},{"name":"a","type":"array"}]]
        insert 288 [512,0,"pk","tree",{},[[0,"unsigned"]]]
        insert 512 [1,{"x":1,"y":{"z":2}},[5,[6,7],8]]"#,
    );
    db
}

#[test]
fn what_is_not_there_is_deleted_from_an_opened_container_only() {
    check(
        &mut with_containers(),
        r##"update 512 [1] [["#","m.n",1]] => 201 Field ''m.n'' was not found in the tuple
        update 512 [1] [["#","a[9]",1]] => 201 Field ''a[9]'' was not found in the tuple
        update 512 [1] [["=","m.x",3],["#","m.n",1]] => [1, {"x": 3, "y": {"z": 2}}, [5, [6, 7], 8]]
        update 512 [1] [["+","a[1]",1],["#","a[9]",2]] => [1, {"x": 3, "y": {"z": 2}}, [6, [6, 7], 8]]
        update 512 [1] [["=","m.x",4],["#","m.y.n",1]] => 201 Field ''m.y.n'' was not found in the tuple"##,
    );
}

#[test]
fn touched_keys_come_first() {
    check(
        &mut with_containers(),
        r##"update 512 [1] [["=","m.n",3]] => [1, {"n": 3, "x": 1, "y": {"z": 2}}, [5, [6, 7], 8]]
        update 512 [1] [["+","m.y.z",1],["=","m.x",0]] => [1, {"x": 0, "y": {"z": 3}, "n": 3}, [5, [6, 7], 8]]
        update 512 [1] [["=","m.y.z",4],["=","m.y.w",5],["#","m.n",1]] => [1, {"y": {"w": 5, "z": 4}, "x": 0}, [5, [6, 7], 8]]
        update 512 [1] [["=","m.y.v",6],["=","m.x",1]] => [1, {"x": 1, "y": {"v": 6, "w": 5, "z": 4}}, [5, [6, 7], 8]]"##,
    );
}

#[test]
fn items_are_put_before_what_is_there() {
    check(
        &mut with_containers(),
        r##"update 512 [1] [["!","a[1]",0]] => [1, {"x": 1, "y": {"z": 2}}, [0, 5, [6, 7], 8]]
        update 512 [1] [["!","a[3][1]",1],["!","a[3][4]",9]] => [1, {"x": 1, "y": {"z": 2}}, [0, 5, [1, 6, 7, 9], 8]]
        update 512 [1] [["#","a[3][1]",2],["=","a[3][3]",0],["#","a[1]",1]] => [1, {"x": 1, "y": {"z": 2}}, [5, [7, 9, 0], 8]]"##,
    );
}

#[test]
fn paths_are_cut_when_the_operation_is_applied() {
    check(
        &mut with_containers(),
        r##"update 512 [1] [["=","m[",1]] => 29 Field 'm[' UPDATE error: invalid JSON in position 2
        update 512 [1] [["=","m.",1]] => 29 Field 'm.' UPDATE error: invalid JSON in position 3
        update 512 [1] [["&","m.y.z","x"],["=","m[",1]] => 26 Argument type in operation '&' on field 'm.y.z' does not match field type: expected a positive integer
        update 512 [1] [["+",0,"x"],["=","m[",1]] => 26 Argument type in operation '+' on field 1 does not match field type: expected a number
        update 512 [1] [["+",-1,1],["=","m[",1]] => 26 Argument type in operation '+' on field 3 does not match field type: expected a number
        update 512 [1] [["=","[*]",1]] => 201 Field '[*]' was not found in the tuple"##,
    );
}

#[test]
fn a_way_to_an_opened_container_is_closed() {
    check(
        &mut with_containers(),
        r##"update 512 [1] [["=","m.y.z",1],["=","m.y.w",2],["=","m.y",3]] => 201 Field ''m.y'' was not found in the tuple
        update 512 [1] [["=","m.y.z",1],["=","m['y']",3]] => [1, {"y": 3, "x": 1}, [5, [6, 7], 8]]
        update 512 [1] [["=","m.y",{"z":1}],["+","m.y.z",1],["+","m.x",1]] => [1, {"x": 2, "y": {"z": 2}}, [5, [6, 7], 8]]"##,
    );
}
