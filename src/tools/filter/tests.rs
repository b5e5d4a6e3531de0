//! Which rows pass.

use lycosa_proto::msgpack::{write_array, write_map, write_str, write_uint};
use lycosa_proto::xrow::Header;

use super::*;

/// A row of a space, or of none.
struct Made {
    header: Header,
    body: Vec<u8>,
}

fn header(row_type: u64, lsn: u64) -> Header {
    let timestamp = 100.0 + lsn as f64;
    Header {
        row_type,
        replica_id: 1,
        lsn,
        tsn: lsn,
        is_commit: true,
        timestamp,
        ..Header::default()
    }
}

fn insert(lsn: u64, space_id: u32, name: &str) -> Made {
    let mut body = Vec::new();
    write_map(&mut body, 2);
    write_uint(&mut body, key::SPACE_ID);
    write_uint(&mut body, u64::from(space_id));
    write_uint(&mut body, key::TUPLE);
    write_array(&mut body, 3);
    write_uint(&mut body, 600);
    write_uint(&mut body, 1);
    write_str(&mut body, name);
    Made { header: header(request_type::INSERT, lsn), body }
}

/// `_space` gives the space another name.
fn rename(lsn: u64, base: u64, name: &str) -> Made {
    let mut body = Vec::new();
    write_map(&mut body, 4);
    write_uint(&mut body, key::SPACE_ID);
    write_uint(&mut body, u64::from(space_id::SPACE));
    write_uint(&mut body, key::INDEX_BASE);
    write_uint(&mut body, base);
    write_uint(&mut body, key::KEY);
    write_array(&mut body, 1);
    write_uint(&mut body, 600);
    write_uint(&mut body, key::TUPLE);
    write_array(&mut body, 1);
    write_array(&mut body, 3);
    write_str(&mut body, "=");
    write_uint(&mut body, base + 2);
    write_str(&mut body, name);
    Made { header: header(request_type::UPDATE, lsn), body }
}

/// The LSNs of the rows that pass, and whether every name was found.
fn passed(args: FilterArgs, rows: &[Made]) -> (Vec<u64>, bool) {
    let mut filter = Filter::new(args);
    let taken =
        rows.iter().filter(|made| filter.takes(&Row { header: made.header, body: &made.body }));
    let lsns = taken.map(|made| made.header.lsn).collect();
    (lsns, filter.finish().is_ok())
}

fn args() -> FilterArgs {
    FilterArgs::all()
}

fn spaces(names: &[&str]) -> FilterArgs {
    FilterArgs { space: names.iter().map(|name| (*name).to_owned()).collect(), ..args() }
}

fn rows() -> Vec<Made> {
    let nop = Made { header: header(request_type::NOP, 5), body: Vec::new() };
    let mut foreign = insert(7, 600, "x");
    foreign.header.replica_id = 2;
    vec![
        insert(1, space_id::SPACE, "people"),
        insert(2, 600, "x"),
        insert(3, 601, "x"),
        insert(4, space_id::USER, "x"),
        nop,
        rename(6, 1, "folk"),
        foreign,
    ]
}

#[test]
fn system_spaces_are_left_out_unless_wanted() {
    assert_eq!(passed(args(), &rows()).0, [2, 3, 5, 7]);
    assert_eq!(
        passed(FilterArgs { show_system: true, ..args() }, &rows()).0,
        [1, 2, 3, 4, 5, 6, 7]
    );
    assert_eq!(passed(spaces(&["304"]), &rows()).0, [4]);
    assert_eq!(passed(spaces(&["_user", "601"]), &rows()), (vec![3, 4], true));
}

#[test]
fn names_are_those_that_the_rows_give() {
    assert_eq!(passed(spaces(&["people"]), &rows()), (vec![2], true));
    assert_eq!(passed(spaces(&["folk"]), &rows()), (vec![7], true));
    assert_eq!(passed(spaces(&["people", "folk"]), &rows()), (vec![2, 7], true));
    assert_eq!(passed(spaces(&["nobody", "600"]), &rows()), (vec![2, 7], false));
    let zero_based = [insert(1, space_id::SPACE, "a"), rename(2, 0, "b"), insert(3, 600, "x")];
    assert_eq!(passed(spaces(&["b"]), &zero_based), (vec![3], true));
}

#[test]
fn lsns_times_and_replicas_bound_the_rows() {
    assert_eq!(passed(FilterArgs { from: 3, ..args() }, &rows()).0, [3, 5, 7]);
    assert_eq!(passed(FilterArgs { to: 5, ..args() }, &rows()).0, [2, 3]);
    assert_eq!(passed(FilterArgs { timestamp: Some(103.0), ..args() }, &rows()).0, [2]);
    assert_eq!(passed(FilterArgs { replica: vec![2, 3], ..args() }, &rows()).0, [7]);
}
