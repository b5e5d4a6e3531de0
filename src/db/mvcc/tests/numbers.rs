//! Keys that are numbers: which of them are one, and which only look alike.

use lycosa_proto::msgpack::{Decimal, ext_type, write_ext, write_uint};

use super::*;

/// A driver with the space 600, whose primary index is of this type over a number.
fn driver(index_type: &str) -> Driver {
    let mut driver = Driver::new();
    driver.alone(&put(
        request_type::INSERT,
        space_id::SPACE,
        &mp(r#"[600,1,"n","memtx",0,{},[]]"#),
    ));
    let index = format!(r#"[600,0,"pk","{index_type}",{{}},[[0,"number"]]]"#);
    driver.alone(&put(request_type::INSERT, space_id::INDEX, &mp(&index)));
    driver
}

/// The tuple, or key, of a decimal 1 with so many zeros after the point.
fn one(zeros: u32) -> Vec<u8> {
    let mut out = vec![0x91];
    let decimal = Decimal { scale: zeros as i32, ..Decimal::from_i128(10_i128.pow(zeros)) };
    write_ext(&mut out, ext_type::DECIMAL, &decimal.payload());
    out
}

/// The tuple, or key, of an integer.
fn integer(value: u64) -> Vec<u8> {
    let mut out = vec![0x91];
    write_uint(&mut out, value);
    out
}

fn len(driver: &Driver) -> usize {
    driver.db.space(600).expect("there").len()
}

#[test]
fn decimals_of_other_bytes_are_two_keys_of_a_hash_index_and_one_of_a_tree() {
    for (index_type, count) in [("hash", 2), ("tree", 1)] {
        let mut driver = driver(index_type);
        let id = driver.begin();
        for zeros in [0, 1] {
            let tuple = one(zeros);
            driver.run(id, &put(request_type::REPLACE, 600, &tuple)).expect("nothing forbids it");
        }
        driver.commit(id).expect("alone");
        assert_eq!(len(&driver), count, "{index_type}");
    }
}

#[test]
fn a_key_that_is_an_integer_is_the_decimal_too() {
    let mut driver = driver("tree");
    let id = driver.begin();
    driver
        .run(id, &by_key(request_type::DELETE, 600, &integer(1), &[0x90]))
        .expect("nothing there");
    driver.replace_in(id, [1, 1, 1]).expect("free");
    driver.alone(&put(request_type::INSERT, 600, &one(2)));
    assert_eq!(code(driver.commit(id)), CONFLICT);
}

#[test]
fn a_key_is_looked_for_that_hashes_as_one_that_was_written() {
    let mut driver = driver("tree");
    let id = driver.begin();
    let (written, looked_for) = (integer(10_u64.pow(18) + 1), integer(10_u64.pow(18) + 2));
    driver.run(id, &put(request_type::REPLACE, 600, &written)).expect("free");
    driver.run(id, &by_key(request_type::DELETE, 600, &looked_for, &[0x90])).expect("not there");
    driver.alone(&put(request_type::INSERT, 600, &looked_for));
    assert_eq!(code(driver.commit(id)), CONFLICT);
}
