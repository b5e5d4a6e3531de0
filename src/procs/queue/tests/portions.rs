//! What is long is done in several transactions: the end of a session that holds many tasks, methods for all tasks.

use lycosa_proto::msgpack::write_array;

use super::*;
use crate::wal::disk::faults::MemoryDisk;

/// Tasks that are held: the end of their session takes three transactions.
const TASKS: usize = 2500;
/// Those that the first one releases.
const PORTION: usize = 1000;

struct Fixture {
    dir: tempfile::TempDir,
    disk: MemoryDisk,
    time: Arc<VirtualTime>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, disk: MemoryDisk::new(), time: Arc::new(VirtualTime::default()) }
    }

    async fn open(&self, ttr_sec: u64, in_replicaset: bool) -> Server {
        let settings =
            config::Queue { ttr: std::time::Duration::from_secs(ttr_sec), in_replicaset };
        let (disk, clock) = (Arc::new(self.disk.clone()), Clock::new(self.time.clone()));
        Server::open_with(disk, self.dir.path(), clock, settings).await
    }

    /// A server on which connection 1 holds every task of the tube `f`, with the UUID of its session.
    async fn loaded(&self, ttr_sec: u64, in_replicaset: bool) -> (Server, Values) {
        let server = self.open(ttr_sec, in_replicaset).await;
        server.ok("queue.create_tube", r#"["f","fifo"]"#).await;
        for _ in 0..TASKS / 500 {
            server.ok("queue.tube.f:put_many", &format!("[[{}[0]]]", "[0],".repeat(499))).await;
            server.ok("queue.tube.f:take_many", "[500,0]").await;
        }
        let session = server.running(1, "queue.identify", "[]").await.expect("a UUID");
        (server, session)
    }
}

/// How many tasks are READY. The others are TAKEN, each with a row that says by whom.
fn ready(server: &Server) -> usize {
    server.check_counts("f");
    let count = |state: &str| server.rows("f").iter().filter(|row| row.contains(state)).count();
    let (ready, taken) = (count(r#""r""#), count(r#""t""#));
    assert_eq!(ready + taken, TASKS);
    assert_eq!(server.rows("_queue_taken_2").len(), taken);
    ready
}

async fn join(server: &Server, connection: u64, session: &Values) -> Result<Values> {
    let mut args = Vec::new();
    write_array(&mut args, 1);
    args.extend_from_slice(session.bytes());
    server.begin(connection, "queue.identify", &args).expect("a function").await
}

#[tokio::test]
async fn a_session_with_many_tasks_ends_in_portions() {
    let fixture = Fixture::new();
    let (server, session) = fixture.loaded(0, false).await;
    server.disconnect(1);
    assert_eq!(ready(&server), PORTION);
    // Nobody gets at those that are left.
    let mut joining = Box::pin(join(&server, 2, &session));
    let joined = poll_fn(|cx| Poll::Ready(joining.as_mut().poll(cx))).await;
    assert!(matches!(joined, Poll::Ready(Err(error)) if error.to_string().contains("is unknown.")));
    server.do_what_is_due().await;
    assert_eq!(ready(&server), TASKS);
    assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
    assert!(server.ok("queue.statistics", r#"["f"]"#).await.contains(r#""release": 2500"#));
}

#[tokio::test]
async fn a_session_whose_time_is_over_ends_in_portions() {
    let fixture = Fixture::new();
    let (server, session) = fixture.loaded(10, false).await;
    server.disconnect(1);
    assert_eq!(ready(&server), 0);
    fixture.time.pass(10_000_000);
    // The timer has not looked yet, but the time is over.
    let late = join(&server, 2, &session).await.expect_err("too late");
    assert!(late.to_string().contains("is unknown."));
    server.do_what_is_due().await;
    assert_eq!(ready(&server), TASKS);
}

#[tokio::test]
async fn a_crash_between_portions_loses_and_doubles_nothing() {
    for (ttr_sec, in_replicaset) in [(10, true), (10, false), (0, true), (0, false)] {
        let fixture = Fixture::new();
        let (server, session) = fixture.loaded(ttr_sec, in_replicaset).await;
        server.ok("queue.cfg", r#"[{"ttr":0}]"#).await;
        server.disconnect(1);
        server.instance.journal().flush();
        assert_eq!(ready(&server), PORTION);
        // The process is gone without a word.
        drop(server);
        let server = fixture.open(ttr_sec, in_replicaset).await;
        ready(&server);
        let late = join(&server, 2, &session).await.expect_err("it has ended");
        assert!(late.to_string().contains("is unknown."), "{ttr_sec} {in_replicaset}");
        server.do_what_is_due().await;
        assert_eq!(ready(&server), TASKS, "{ttr_sec} {in_replicaset}");
        assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_portion_that_the_journal_refuses_is_tried_again() {
    let fixture = Fixture::new();
    let (server, _) = fixture.loaded(0, false).await;
    server.disconnect(1);
    server.instance.journal().flush();
    fixture.disk.fail(crate::wal::disk::faults::Op::Write, 1, rustix::io::Errno::NOSPC);
    // The timer's task tries the second portion, is refused and waits for a second.
    while ready(&server) < TASKS {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(server.rows("_queue_shared_sessions"), [""; 0]);
}

#[tokio::test]
async fn methods_for_all_tasks_do_them_in_portions() {
    let fixture = Fixture::new();
    let (server, _) = fixture.loaded(0, false).await;
    let lsn = || server.instance.read().vclock().signature();
    let commits = || server.instance.read().ticket().0;
    let before = commits();
    server.call(2, "queue.tube.f:release_all", "[]").await.expect("no value");
    assert_eq!(ready(&server), TASKS);
    assert!(commits() - before >= 3);
    for id in 0..TASKS {
        server.ok("queue.tube.f:bury", &format!("[{id}]")).await;
    }
    let (before, rows) = (commits(), lsn());
    assert_eq!(server.ok("queue.tube.f:kick", "[1e9]").await, "[2500]");
    assert_eq!((commits() - before, lsn() - rows), (3, TASKS as u64));
    assert_eq!(server.ok("queue.tube.f:kick", "[1e9]").await, "[0]");
    for _ in 0..TASKS / 500 {
        server.ok("queue.tube.f:take_many", "[500,0]").await;
    }
    let before = commits();
    assert_eq!(server.ok("queue.tube.f:truncate", "[]").await, "[]");
    assert_eq!(commits() - before, 3);
    assert_eq!(server.rows("f"), [""; 0]);
    assert_eq!(server.rows("_queue_taken_2"), [""; 0]);
    server.check_counts("f");
}

#[tokio::test]
async fn what_may_be_long_is_not_begun_by_who_holds_the_database() {
    let (_dir, server) = with_fifo().await;
    let is_short = |method: &str| server.queue.is_short(&format!("queue.tube.f:{method}"));
    for method in ["put", "take", "ack", "release", "touch", "bury", "delete", "peek"] {
        assert!(is_short(method), "{method}");
    }
    for method in ["put_many", "take_many", "ack_many", "kick", "truncate", "release_all", "drop"] {
        assert!(!is_short(method), "{method}");
    }
    assert!(!server.queue.is_short("queue.statistics"));
}
