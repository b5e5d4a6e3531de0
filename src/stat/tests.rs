//! Sums and rates.

use super::*;

const PING: u64 = 64;

#[test]
fn threads_are_summed() {
    let stat = Stat::default();
    let threads = [stat.join(), stat.join()];
    threads[0].add(Counter::request(PING), 2);
    threads[1].add(Counter::request(PING), 3);
    threads[1].add(Counter::request(1 << 40), 1);
    threads[0].add(Counter::CONNECTION_OPENED, 5);
    threads[1].add(Counter::CONNECTION_CLOSED, 4);
    threads[0].add(Counter::STREAM_BEGUN, 3);
    threads[0].add(Counter::STREAM_ENDED, 1);
    let totals = stat.totals();
    assert_eq!(totals.streams(), 2);
    assert_eq!(totals.get(Counter::request(PING)), 5);
    assert_eq!(totals.get(Counter::OTHER_REQUEST), 1);
    assert_eq!((totals.requests(), totals.connections()), (6, 1));
    assert_eq!(totals.in_progress(), 0);
}

#[test]
fn rates_are_means_over_the_window() {
    let stat = Stat::default();
    let counters = stat.join();
    let start = Instant::now();
    let at = |sec| start + Duration::from_secs(sec);
    assert_eq!(stat.rates(at(0)).requests(), 0);
    for sec in 0..20 {
        stat.tick(at(sec));
        counters.add(Counter::request(PING), 10);
    }
    counters.add(Counter::request(PING), 50);
    // 6 seconds since the oldest total: 60 requests and these 50.
    assert_eq!(stat.rates(at(20)).requests(), 110 / 6);
    assert!(stat.past.lock().len() <= 7);
}
