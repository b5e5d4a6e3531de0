//! Batches, failures, rotation, and many writers at once, over a disk that fails when told to.

use std::path::Path;
use std::sync::atomic::AtomicU32;

use lycosa_proto::xrow::Header;
use rustix::io::Errno;

use super::*;
use crate::db::journal::Journal as _;
use crate::wal::checkpoint;
use crate::wal::disk::OsDisk;
use crate::wal::disk::faults::{MemoryDisk, Op};
use crate::wal::process::Job;
use crate::wal::recovery::{Delivery, Scan};
use crate::wal::xlog::{End, FileType, Reader};

mod power;

const INSTANCE: Uuid = Uuid::from_u128(7);

/// What stands for the database: a lock, tickets, LSNs, and the rows that count as committed.
struct Engine {
    journal: Journal,
    state: Mutex<State>,
    aborts: Arc<AtomicU32>,
}

#[derive(Default)]
struct State {
    ticket: u64,
    lsn: u64,
    /// (ticket, lsn) of every transaction that was not rolled back.
    committed: Vec<(u64, u64)>,
}

/// A process that counts how often it should have ended.
struct Counting(Arc<AtomicU32>);

impl Process for Counting {
    fn spawn(&self, name: &'static str, job: Job) -> std::io::Result<Join> {
        OsProcess.spawn(name, job)
    }

    fn abort(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl RollBack for Engine {
    fn roll_back(&self, from: Ticket, forget: &mut dyn FnMut(Ticket)) {
        let mut state = self.state.lock();
        state.committed.retain(|(ticket, _)| *ticket < from.0);
        state.lsn -= state.ticket - from.0 + 1;
        forget(Ticket(state.ticket));
    }
}

impl Engine {
    fn new(disk: Arc<dyn Disk>, options: Options, position: Position) -> Arc<Self> {
        let aborts = Arc::new(AtomicU32::new(0));
        let process = Arc::new(Counting(aborts.clone()));
        let state = Mutex::new(State { lsn: position.vclock.get(1), ..State::default() });
        let journal = Journal::open_in(process, disk, options, position).expect("a journal");
        let engine = Arc::new(Self { journal, state, aborts });
        let target: Weak<Self> = Arc::downgrade(&engine);
        engine.journal.set_rollback_target(target);
        engine
    }

    fn on(disk: &MemoryDisk, mode: Mode) -> Arc<Self> {
        Self::new(Arc::new(disk.clone()), options("d", mode), Position::default())
    }

    /// Commits a transaction of one row with a body of `len` bytes.
    fn commit(&self, len: usize) -> Ticket {
        let state = &mut *self.state.lock();
        state.ticket += 1;
        state.lsn += 1;
        state.committed.push((state.ticket, state.lsn));
        let lsn = state.lsn;
        let (tsn, is_commit) = (lsn, true);
        let header = Header {
            row_type: 2,
            replica_id: 1,
            lsn,
            timestamp: 1.0,
            tsn,
            is_commit,
            ..Header::default()
        };
        let mut row = Vec::new();
        header.write(&mut row);
        row.extend_from_slice(&[0x81, 0x21]);
        lycosa_proto::msgpack::write_bin(&mut row, &vec![0; len]);
        let mut vclock = Vclock::default();
        vclock.set(1, lsn);
        self.journal.append(Ticket(state.ticket), &row, &vclock);
        Ticket(state.ticket)
    }

    fn lsns(&self) -> Vec<u64> {
        self.state.lock().committed.iter().map(|(_, lsn)| *lsn).collect()
    }

    fn aborts(&self) -> u32 {
        self.aborts.load(Ordering::Relaxed)
    }

    fn code(&self, ticket: Ticket) -> u32 {
        self.journal.result(ticket).map_or_else(|error| error.code(), |()| 0)
    }
}

fn options(dir: impl Into<PathBuf>, mode: Mode) -> Options {
    Options { mode, ..Options::new(dir.into(), INSTANCE) }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// LSNs in all journals of the directory "d", and how each file ends.
fn files(disk: &dyn Disk, dir: &Path) -> (Vec<u64>, Vec<(String, End)>) {
    let (mut lsns, mut ends) = (Vec::new(), Vec::new());
    let mut names = disk.list(dir).expect("names");
    names.sort_unstable();
    for name in names.into_iter().filter(|name| name.ends_with(".xlog")) {
        let mut reader = Reader::open(disk, &dir.join(&name), FileType::Xlog).expect("a file");
        while let Some(row) = reader.next_row().expect("a row") {
            lsns.push(row.header.lsn);
        }
        ends.push((name.trim_start_matches('0').to_owned(), reader.end().expect("an end")));
    }
    (lsns, ends)
}

fn lsns(disk: &MemoryDisk) -> Vec<u64> {
    files(disk, Path::new("d")).0
}

#[test]
fn everything_queued_is_one_block_and_the_file_is_made_at_the_first_row() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    engine.journal.flush();
    assert!(disk.paths().is_empty());
    let tickets: Vec<Ticket> = (0..5).map(|_| engine.commit(10)).collect();
    assert_eq!(engine.journal.settled(), Ticket(0));
    assert!(disk.paths().is_empty());
    engine.journal.flush();
    assert_eq!(engine.journal.settled(), Ticket(5));
    assert_eq!(lsns(&disk), [1, 2, 3, 4, 5]);
    let path = Path::new("d/00000000000000000000.xlog");
    let mut reader = Reader::open(&disk, path, FileType::Xlog).expect("a file");
    assert_eq!(reader.meta().prev_vclock, None);
    let mut offsets = Vec::new();
    while reader.next_row().expect("a row").is_some() {
        offsets.push(reader.offset());
    }
    offsets.dedup();
    assert_eq!(offsets.len(), 1);
    tickets.into_iter().for_each(|ticket| assert_eq!(engine.code(ticket), 0));
}

#[test]
fn the_first_poll_lets_others_join_the_batch() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    let first = engine.commit(10);
    block_on(async {
        let mut wait = std::pin::pin!(engine.journal.wait(first));
        let mut is_second = false;
        std::future::poll_fn(|cx| {
            let poll = wait.as_mut().poll(cx);
            if !is_second {
                is_second = true;
                assert!(poll.is_pending());
                assert!(lsns(&disk).is_empty());
                engine.commit(10);
            }
            poll.map(|result| result.expect("a success"))
        })
        .await;
    });
    assert_eq!(lsns(&disk), [1, 2]);
    assert_eq!(engine.journal.settled(), Ticket(2));
}

#[test]
fn who_finds_a_large_batch_writes_it_at_once() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let small = engine.commit(BATCH_BYTES / 2);
    let mut yielded = std::pin::pin!(engine.journal.wait(small));
    assert!(yielded.as_mut().poll(cx).is_pending());
    let large = engine.commit(BATCH_BYTES / 2);
    assert!(std::pin::pin!(engine.journal.wait(large)).poll(cx).is_ready());
    assert_eq!((engine.journal.settled(), lsns(&disk)), (large, vec![1, 2]));
    assert!(yielded.poll(cx).is_ready());
    // What was written does not count towards the next.
    let next = engine.commit(10);
    assert!(std::pin::pin!(engine.journal.wait(next)).poll(cx).is_pending());
}

#[test]
fn a_large_batch_that_fails_is_rolled_back_whole() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    let tickets = [engine.commit(BATCH_BYTES), engine.commit(10)];
    disk.fail(Op::Write, 1, Errno::NOSPC);
    let failed = block_on(engine.journal.wait(tickets[0]));
    assert_eq!(failed.expect_err("a failure").code(), 40);
    assert_eq!(tickets.map(|ticket| engine.code(ticket)), [40, 40]);
    let next = engine.commit(BATCH_BYTES);
    block_on(engine.journal.wait(next)).expect("a success");
    assert_eq!((engine.lsns(), lsns(&disk)), (vec![1], vec![1]));
}

#[test]
fn who_has_flushed_does_not_wait() {
    let engine = Engine::on(&MemoryDisk::new(), Mode::Write);
    let ticket = engine.commit(10);
    engine.journal.flush();
    let mut wait = std::pin::pin!(engine.journal.wait(ticket));
    let poll = wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(poll.is_ready());
}

#[test]
fn mode_none_writes_nothing() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::None);
    let ticket = engine.commit(10);
    assert_eq!(engine.journal.settled(), ticket);
    block_on(engine.journal.wait(ticket)).expect("a success");
    engine.journal.shutdown().expect("an end");
    assert!(disk.paths().is_empty());
}

#[test]
fn a_failed_write_is_rolled_back_and_the_next_succeeds() {
    for mode in [Mode::Write, Mode::Fsync] {
        for torn_at in [0, 1, 19, 20, 40] {
            let disk = MemoryDisk::new();
            let engine = Engine::on(&disk, mode);
            let good = engine.commit(10);
            block_on(engine.journal.wait(good)).expect("a success");
            disk.tear(1, torn_at);
            let bad = engine.commit(10);
            assert_eq!(block_on(engine.journal.wait(bad)).expect_err("a failure").code(), 40);
            assert_eq!(engine.lsns(), [1]);
            let next = engine.commit(10);
            block_on(engine.journal.wait(next)).expect("a success");
            assert_eq!((engine.lsns(), lsns(&disk)), (vec![1, 2], vec![1, 2]));
            assert_eq!([good, bad, next].map(|ticket| engine.code(ticket)), [0, 40, 0]);
            assert_eq!(engine.aborts(), 0);
            assert!(!engine.journal.is_full());
        }
    }
}

/// An engine in which another transaction commits while the batch before it fails.
struct Racing(Arc<Engine>);

impl RollBack for Racing {
    fn roll_back(&self, from: Ticket, forget: &mut dyn FnMut(Ticket)) {
        self.0.commit(10);
        self.0.roll_back(from, forget);
    }
}

#[test]
fn what_was_queued_behind_a_failed_batch_is_a_cascade() {
    let disk = MemoryDisk::new();
    let journal = {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        Journal::open(disk, options("d", Mode::Write), Position::default()).expect("a journal")
    };
    let engine = Arc::new(Engine { journal, state: Mutex::default(), aborts: Arc::default() });
    let racing = Arc::new(Racing(engine.clone()));
    let target: Weak<Racing> = Arc::downgrade(&racing);
    engine.journal.set_rollback_target(target);
    disk.fail(Op::Write, 1, Errno::IO);
    let batch = [engine.commit(10), engine.commit(10)];
    engine.journal.flush();
    assert_eq!(engine.journal.settled(), Ticket(3));
    assert_eq!(batch.map(|ticket| engine.code(ticket)), [40, 40]);
    assert_eq!(engine.code(Ticket(3)), 134);
    assert!(engine.lsns().is_empty() && disk.paths().is_empty());
    let next = engine.commit(10);
    engine.journal.flush();
    assert_eq!((next, engine.code(next), lsns(&disk)), (Ticket(4), 0, vec![1]));
}

#[test]
fn no_step_of_making_a_file_may_fail_for_good() {
    for (op, nth) in [(Op::Open, 1), (Op::Write, 1), (Op::Write, 2), (Op::Rename, 1)] {
        let disk = MemoryDisk::new();
        let engine = Engine::on(&disk, Mode::Write);
        disk.fail(op, nth, Errno::NOSPC);
        let bad = engine.commit(10);
        engine.journal.flush();
        assert_eq!(engine.code(bad), 40, "{op:?}");
        let good = engine.commit(10);
        engine.journal.flush();
        assert_eq!((engine.code(good), lsns(&disk)), (0, vec![1]), "{op:?}");
        assert_eq!(engine.aborts(), 0);
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_until_there_is_room() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    disk.set_capacity(Some(2000));
    let mut codes = Vec::new();
    for len in [500, 500, 5000, 5000, 100] {
        let ticket = engine.commit(len);
        engine.journal.flush();
        codes.push(engine.code(ticket));
    }
    assert_eq!(codes, [0, 0, 40, 40, 0]);
    disk.set_capacity(None);
    let ticket = engine.commit(5000);
    engine.journal.flush();
    assert_eq!(engine.code(ticket), 0);
    assert_eq!(engine.lsns(), lsns(&disk));
    assert_eq!(lsns(&disk), [1, 2, 3, 4]);
}

#[test]
fn what_cannot_be_trusted_aborts() {
    let check = |mode, plan: &dyn Fn(&MemoryDisk)| {
        let disk = MemoryDisk::new();
        let engine = Engine::on(&disk, mode);
        let first = engine.commit(10);
        block_on(engine.journal.wait(first)).expect("a success");
        plan(&disk);
        let ticket = engine.commit(10);
        let _ = block_on(engine.journal.wait(ticket));
        assert_eq!(engine.aborts(), 1);
    };
    check(Mode::Fsync, &|disk| disk.fail(Op::Sync, 1, Errno::IO));
    check(Mode::Write, &|disk| {
        disk.tear(1, 5);
        disk.fail(Op::Truncate, 1, Errno::IO);
    });
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    engine.commit(10);
    disk.fail(Op::Sync, 1, Errno::IO);
    engine.journal.shutdown().expect("an end");
    assert_eq!(engine.aborts(), 1);
}

#[test]
fn what_mode_fsync_has_settled_survives_a_crash() {
    let disk = MemoryDisk::new();
    let mut options = options("d", Mode::Fsync);
    options.max_bytes = 500;
    let engine = Engine::new(Arc::new(disk.clone()), options, Position::default());
    for _ in 0..50 {
        let ticket = engine.commit(30);
        block_on(engine.journal.wait(ticket)).expect("a success");
        disk.crash();
        assert_eq!(lsns(&disk), engine.lsns());
    }
    assert!(disk.paths().len() > 3);
}

#[test]
fn files_are_rotated_and_name_the_one_before() {
    let disk = MemoryDisk::new();
    let mut options = options("d", Mode::Write);
    options.max_bytes = 300;
    let engine = Engine::new(Arc::new(disk.clone()), options, Position::default());
    for _ in 0..10 {
        engine.commit(60);
        engine.journal.flush();
    }
    engine.journal.rotate().expect("a rotation");
    engine.journal.rotate().expect("nothing to do");
    engine.commit(60);
    engine.journal.shutdown().expect("an end");
    let (lsns, ends) = files(&disk, Path::new("d"));
    assert_eq!(lsns, (1..=11).collect::<Vec<u64>>());
    assert!(ends.iter().all(|(_, end)| *end == End::Marker), "{ends:?}");
    assert_eq!(ends.last().map(|(name, _)| name.as_str()), Some("11.xlog"));
    let metas: Vec<_> = disk
        .paths()
        .iter()
        .map(|path| Reader::open(&disk, path, FileType::Xlog).expect("a file").meta().clone())
        .collect();
    for pair in metas.windows(2) {
        assert_eq!(pair[1].prev_vclock.as_ref(), Some(&pair[0].vclock));
    }
    disk.crash();
    assert_eq!(disk.paths().len(), metas.len(), "closed files are durable");
}

#[test]
fn a_file_whose_first_row_was_refused_takes_the_next() {
    for failing_write in 1..=3 {
        let disk = MemoryDisk::new();
        let engine = Engine::on(&disk, Mode::Write);
        let refuse = || {
            disk.fail(Op::Write, failing_write, Errno::NOSPC);
            engine.commit(10);
            engine.journal.flush();
            disk.heal();
        };
        engine.commit(10);
        engine.journal.flush();
        engine.journal.rotate().expect("a rotation");
        refuse();
        engine.journal.rotate().expect("a rotation");
        let ticket = engine.commit(10);
        engine.journal.flush();
        assert_eq!(engine.code(ticket), 0, "{failing_write}");
        engine.journal.rotate().expect("a rotation");
        refuse();
        engine.journal.shutdown().expect("an end");
        assert_eq!(lsns(&disk), engine.lsns());
    }
}

#[test]
fn a_rotation_that_fails_can_be_tried_again() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Write);
    engine.commit(10);
    engine.journal.flush();
    disk.tear(1, 2);
    engine.journal.rotate().expect_err("a failure");
    engine.commit(10);
    engine.journal.flush();
    engine.journal.rotate().expect("a rotation");
    assert_eq!(lsns(&disk), [1, 2]);
}

/// Recovers "d" and opens the journal that continues there.
fn restart(disk: &MemoryDisk) -> (Arc<Engine>, Vec<u64>) {
    let dir = Path::new("d");
    let scan = Scan::new(Arc::new(disk.clone()), dir, dir, None).expect("a scan");
    let mut lsns = Vec::new();
    let mut sink = |delivery: Delivery<'_>| {
        if let Delivery::Transaction(transaction) = delivery {
            lsns.extend(transaction.rows().map(|row| row.header.lsn));
        }
        Ok(())
    };
    let outcome = scan.recover(&mut sink).expect("a recovery");
    let engine = Engine::new(Arc::new(disk.clone()), options("d", Mode::Write), outcome.position);
    (engine, lsns)
}

#[test]
fn restarts_continue_where_the_files_end() {
    let disk = MemoryDisk::new();
    let rows = [(272, 0, [0x90])];
    checkpoint::write(&disk, Path::new("d"), INSTANCE, &Vclock::default(), 1.0, rows)
        .expect("a snapshot");
    let (engine, lsns) = restart(&disk);
    assert!(lsns.is_empty());
    engine.journal.shutdown().expect("an end");
    assert_eq!(files(&disk, Path::new("d")).1, [], "nothing was ever written");
    let mut expected = Vec::new();
    for round in 0..12 {
        let (engine, lsns) = restart(&disk);
        assert_eq!(lsns, expected, "{round}");
        // A clean stop twice in a row, a stop without an end, a torn tail; with rows and without.
        for _ in 0..round % 2 {
            expected.push(expected.len() as u64 + 1);
            engine.commit(10);
            engine.journal.flush();
        }
        match round % 3 {
            0 => engine.journal.shutdown().expect("an end"),
            1 => drop(engine),
            _ => {
                disk.tear(2, 9);
                engine.journal.shutdown().expect_err("a failure");
            }
        }
        disk.heal();
    }
}

#[test]
fn a_torn_empty_file_is_cut_before_it_is_used() {
    let disk = MemoryDisk::new();
    let rows = [(272, 0, [0x90])];
    checkpoint::write(&disk, Path::new("d"), INSTANCE, &Vclock::default(), 1.0, rows)
        .expect("a snapshot");
    let meta = crate::wal::xlog::Meta::new(FileType::Xlog, INSTANCE, Vclock::default());
    let path = "d/00000000000000000000.xlog";
    for tail in [&b""[..], b"\xd5", b"\xd5\xba\x0b\xab\x10", b"\xd5\x10\xad\xed"] {
        disk.put(path, &[meta.text().as_bytes(), tail].concat());
        let (engine, _) = restart(&disk);
        engine.commit(10);
        engine.journal.flush();
        let (lsns, ends) = files(&disk, Path::new("d"));
        assert_eq!((lsns, ends), (vec![1], vec![(".xlog".into(), End::Open)]));
    }
}

#[test]
fn a_full_queue_holds_writers_until_there_is_room() {
    for mode in [Mode::Write, Mode::Fsync] {
        let disk = MemoryDisk::new();
        let mut options = options("d", mode);
        options.queue_max_bytes = 1000;
        let engine = Engine::new(Arc::new(disk), options, Position::default());
        block_on(async {
            for _ in 0..100 {
                engine.journal.ready().await;
                engine.commit(300);
            }
            engine.journal.ready().await;
        });
        engine.journal.flush();
        assert!(!engine.journal.is_full());
    }
}

#[test]
fn many_writers_at_once_keep_the_order() {
    for mode in [Mode::Write, Mode::Fsync] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = options(dir.path(), mode);
        options.max_bytes = 50_000;
        let engine = Engine::new(Arc::new(OsDisk), options, Position::default());
        let count = if mode == Mode::Fsync { 50 } else { 1000 };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    block_on(async {
                        for _ in 0..count {
                            engine.journal.ready().await;
                            let ticket = engine.commit(20);
                            engine.journal.wait(ticket).await.expect("a success");
                            assert!(engine.journal.settled() >= ticket);
                        }
                    });
                });
            }
        });
        engine.journal.shutdown().expect("an end");
        let (lsns, ends) = files(&OsDisk, dir.path());
        assert_eq!(lsns, (1..=4 * count).collect::<Vec<u64>>());
        assert!(ends.len() > 1 || mode == Mode::Fsync);
    }
}

#[test]
fn many_writers_over_a_failing_disk_agree_with_the_file() {
    for mode in [Mode::Write, Mode::Fsync] {
        let disk = MemoryDisk::new();
        let engine = Engine::on(&disk, mode);
        let failures = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, disk, failures) = (&engine, &disk, &failures);
                scope.spawn(move || {
                    block_on(async {
                        for round in 0..300 {
                            if thread == 0 && round % 10 == 0 {
                                disk.tear(3, round);
                            }
                            let ticket = engine.commit(20);
                            let result = engine.journal.wait(ticket).await;
                            failures.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
                        }
                    });
                });
            }
        });
        engine.journal.flush();
        assert_eq!(lsns(&disk), engine.lsns());
        let failures = failures.into_inner();
        assert!(failures > 10, "{failures}");
        assert_eq!(engine.lsns().len() as u64 + failures, 1200);
        assert_eq!(engine.aborts(), 0);
    }
}

#[test]
fn a_waiter_that_gives_up_is_forgotten() {
    let disk = MemoryDisk::new();
    let engine = Engine::on(&disk, Mode::Fsync);
    let ticket = {
        // The thread cannot settle the ticket while the queue is locked, so the waiter has to register.
        let _writer = engine.journal.shared.writer.lock();
        let ticket = engine.commit(10);
        let mut wait = Box::pin(engine.journal.wait(ticket));
        let poll =
            wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(poll.is_pending());
        ticket
    };
    block_on(engine.journal.wait(ticket)).expect("a success");
}
