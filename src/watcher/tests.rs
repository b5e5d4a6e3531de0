//! Watchers against what protocol.md says of them.

use super::*;

/// What one step made a watcher tell: keys with values.
type Told = Vec<(u64, String, Option<Vec<u8>>)>;

fn watch(watcher: &mut Watcher, key: &str, sync: u64) -> Told {
    let mut told = Vec::new();
    watcher.watch(key.as_bytes(), sync, |event| told.push(own(&event))).expect("within the limit");
    told
}

fn collect(watcher: &mut Watcher) -> Told {
    let mut told = Vec::new();
    watcher.collect(|event| told.push(own(&event)));
    told.sort();
    told
}

fn own(event: &Event<'_>) -> (u64, String, Option<Vec<u8>>) {
    let key = String::from_utf8(event.key.to_vec()).expect("a key of the test");
    (event.sync, key, event.value.map(<[u8]>::to_vec))
}

fn event(sync: u64, key: &str, value: Option<u8>) -> (u64, String, Option<Vec<u8>>) {
    (sync, key.to_owned(), value.map(|value| vec![value]))
}

#[test]
fn a_watcher_is_told_at_once_and_again_when_it_has_acknowledged() {
    let watchable = Arc::new(Watchable::default());
    let mut watcher = Watcher::new(&watchable);
    assert_eq!(watch(&mut watcher, "k", 1), [event(1, "k", None)]);
    watchable.broadcast(b"k", Some(&[1]));
    assert_eq!(collect(&mut watcher), [], "not acknowledged");
    watchable.broadcast(b"k", Some(&[2]));
    assert_eq!(watch(&mut watcher, "k", 2), [event(2, "k", Some(2))], "the newest");
    assert_eq!(watch(&mut watcher, "k", 3), [], "nothing new");
    watchable.broadcast(b"k", Some(&[2]));
    assert_eq!(collect(&mut watcher), [event(3, "k", Some(2))], "each broadcast counts");
    assert_eq!(watch(&mut watcher, "k", 4), []);
    watchable.broadcast(b"k", None);
    assert_eq!(collect(&mut watcher), [event(4, "k", None)]);
}

#[test]
fn keys_and_watchers_do_not_touch_each_other() {
    let watchable = Arc::new(Watchable::default());
    let (mut one, mut other) = (Watcher::new(&watchable), Watcher::new(&watchable));
    watchable.broadcast(b"a", Some(&[1]));
    assert_eq!(watch(&mut one, "a", 1), [event(1, "a", Some(1))]);
    assert_eq!(watch(&mut one, "b", 2), [event(2, "b", None)]);
    assert_eq!(watch(&mut other, "b", 7), [event(7, "b", None)]);
    watch(&mut one, "a", 3);
    watch(&mut one, "b", 4);
    watch(&mut other, "b", 8);
    watchable.broadcast(b"b", Some(&[2]));
    assert_eq!(collect(&mut one), [event(4, "b", Some(2))]);
    assert_eq!(collect(&mut other), [event(8, "b", Some(2))]);
    watchable.broadcast(b"a", Some(&[3]));
    assert_eq!(collect(&mut one), [event(3, "a", Some(3))]);
    assert_eq!(collect(&mut other), []);
}

#[test]
fn what_nobody_watches_and_has_no_value_is_forgotten() {
    let watchable = Arc::new(Watchable::default());
    let count = || watchable.keys.lock().by_name.len();
    let mut watcher = Watcher::new(&watchable);
    watch(&mut watcher, "a", 1);
    watch(&mut watcher, "b", 2);
    watchable.broadcast(b"b", Some(&[1]));
    watchable.broadcast(b"c", None);
    assert_eq!(count(), 2);
    watcher.unwatch(b"a");
    watcher.unwatch(b"a");
    assert_eq!(count(), 1);
    drop(watcher);
    assert_eq!(count(), 1, "a value stays");
    watchable.broadcast(b"b", None);
    assert_eq!(count(), 0);
}

#[test]
fn a_watcher_takes_bounded_memory() {
    let watchable = Arc::new(Watchable::default());
    let mut watcher = Watcher::new(&watchable);
    let long = vec![b'x'; WATCHED_BYTES_MAX];
    assert_eq!(watcher.watch(&long, 1, |_| ()).expect_err("too long").code(), 5);
    let most = (WATCHED_BYTES_MAX / (WATCH_OVERHEAD_BYTES + 8)) as u64;
    for no in 0..most {
        watcher.watch(&no.to_be_bytes(), no, |_| ()).expect("within the limit");
    }
    assert!(watcher.watch(&most.to_be_bytes(), most, |_| ()).is_err());
    watcher.watch(&0u64.to_be_bytes(), 1, |_| ()).expect("an acknowledgement takes nothing");
    watcher.unwatch(&0u64.to_be_bytes());
    watcher.watch(&most.to_be_bytes(), most, |_| ()).expect("there is room again");
}

#[test]
fn it_is_known_when_nobody_watches_a_key() {
    let watchable = Arc::new(Watchable::default());
    assert!(watchable.wait_unwatched(b"k", Duration::ZERO));
    let mut watcher = Watcher::new(&watchable);
    watch(&mut watcher, "k", 1);
    assert!(!watchable.wait_unwatched(b"k", Duration::ZERO));
    let waiting = {
        let watchable = watchable.clone();
        std::thread::spawn(move || watchable.wait_unwatched(b"k", Duration::from_secs(60)))
    };
    drop(watcher);
    assert!(waiting.join().expect("no panic"));
}
