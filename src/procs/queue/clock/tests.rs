//! A clock whose source is set by hand.

use std::sync::Arc;

use super::super::tests::VirtualTime;
use super::{Clock, STEP_US};

const SECOND: i64 = 1_000_000;

/// Lets seconds pass one by one, as somebody who asks now and then sees them.
fn pass(time: &VirtualTime, clock: &Clock, seconds: u32) {
    let mut before = clock.now_us();
    for _ in 0..seconds {
        time.pass(SECOND as u64);
        let now = clock.now_us();
        assert!(now >= before + 999_800 && now <= before + 1_000_200, "{before} {now}");
        before = now;
    }
}

/// What a clock shows beyond the wall clock after the latter was moved and seconds have passed.
fn ahead_after(moves_us: &[i64], seconds: u32) -> i64 {
    let time = Arc::new(VirtualTime::default());
    let clock = Clock::new(time.clone());
    assert_eq!(clock.now_us(), time.wall_us());
    for step in moves_us {
        time.set_wall(*step);
        pass(&time, &clock, seconds);
    }
    clock.now_us().cast_signed() - time.wall_us().cast_signed()
}

#[test]
fn steps_are_not_followed() {
    let check = |moves: &[i64], seconds, wanted| {
        assert_eq!(ahead_after(moves, seconds), wanted, "{moves:?} {seconds}");
    };
    check(&[], 0, 0);
    check(&[0], 1000, 0);
    check(&[3600 * SECOND], 1000, -3600 * SECOND);
    check(&[-3600 * SECOND], 1000, 3600 * SECOND);
    check(&[-3600 * SECOND, 3600 * SECOND], 1000, 0);
    check(&[3600 * SECOND, 50 * SECOND, -7 * SECOND], 10, -3643 * SECOND);
    check(&[STEP_US as i64 + 1], 1000, -(STEP_US as i64) - 1);
}

#[test]
fn small_errors_are_followed_slowly() {
    // The first second only finds out.
    assert_eq!(ahead_after(&[SECOND], 1001), -SECOND + 100_000);
    assert_eq!(ahead_after(&[-SECOND], 1001), SECOND - 100_000);
    assert_eq!(ahead_after(&[SECOND], 10_001), 0);
    assert_eq!(ahead_after(&[-STEP_US.cast_signed()], 11_001), 0);
    assert_eq!(ahead_after(&[30, -20, 50], 10), 0);
}

#[test]
fn nobody_asking_for_long_does_not_make_it_follow_too_far() {
    let time = Arc::new(VirtualTime::default());
    let clock = Clock::new(time.clone());
    time.set_wall(100);
    pass(&time, &clock, 1);
    time.pass(86_400 * SECOND as u64);
    assert_eq!(clock.now_us(), time.wall_us());
}
