//! Tasks that fail again and again.

use super::*;

const SECOND: u64 = 1_000_000;

async fn with(kind: &str, options: &str) -> (tempfile::TempDir, Arc<VirtualTime>, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", &format!(r#"["t","{kind}",{options}]"#)).await;
    (dir, time, server)
}

/// The data of all tasks of a tube that are READY, in order.
async fn data(server: &Server, tube: &str) -> Vec<String> {
    let db = server.instance.read();
    let tube = server.queue.tubes.find(&db, tube).expect("a tube");
    let space = db.space(tube.space_id).expect("a space");
    let tasks = space.primary().expect("an index").iter();
    let field = tube.driver.data_field();
    tasks.map(|task| Text(row::raw(task, field)).to_string()).collect()
}

#[tokio::test]
async fn the_last_attempt_moves_a_task() {
    let (_dir, _time, server) = with("fifo", r#"{"dead_letter":"dead","max_attempts":3}"#).await;
    server.ok("queue.create_tube", r#"["dead","fifottl"]"#).await;
    server.ok("queue.tube.t:put", r#"["a"]"#).await;
    server.ok("queue.tube.t:put", r#"["b"]"#).await;
    let mut waiting = server.running(9, "queue.tube.dead:take", "[]");
    must_wait(&mut waiting).await;
    // Released twice, and held by a session that ends.
    for _ in 0..2 {
        server.ok("queue.tube.t:take", "[]").await;
        assert_eq!(server.ok("queue.tube.t:release", "[0]").await, r#"[[0, "r", "a"]]"#);
    }
    assert_eq!(server.rows("t_attempts"), ["[0, 2]"]);
    server.call(2, "queue.tube.t:take", "[]").await.expect("a task");
    must_wait(&mut waiting).await;
    server.disconnect(2);
    assert_eq!(text(&waiting.await.expect("a dead letter")), r#"[[0, "t", "a"]]"#);
    assert_eq!(server.rows("t"), [r#"[1, "r", "b"]"#]);
    assert_eq!(server.rows("t_attempts"), [""; 0]);
    assert_eq!(server.rows("_queue_taken_2").len(), 1);
    let counted = server.ok("queue.statistics", r#"["t"]"#).await;
    assert!(counted.contains(r#""dead_letters": 1"#), "{counted}");
    assert!(counted.contains(r#""done": 0, "total": 1"#), "{counted}");
    assert!(counted.contains(r#""release": 3"#), "{counted}");
    server.check_counts("t");
    server.check_counts("dead");
    // What is done is forgotten.
    server.ok("queue.tube.t:take", "[]").await;
    server.ok("queue.tube.t:release", "[1]").await;
    server.ok("queue.tube.t:take", "[]").await;
    server.ok("queue.tube.t:ack", "[1]").await;
    assert_eq!(server.rows("t_attempts"), [""; 0]);
    server.ok("queue.tube.t:drop", "[]").await;
    assert!(server.instance.read().space_id("t_attempts").is_none());
}

#[tokio::test]
async fn a_task_that_is_held_too_long_takes_its_origin_priority_and_lane_along() {
    let options =
        r#"{"dead_letter":"dead","max_attempts":1,"dead_letter_origin":true,"ttr":10,"ttl":100}"#;
    let (_dir, time, server) = with("utubettl", options).await;
    server.ok("queue.create_tube", r#"["dead","utubettl"]"#).await;
    server.ok("queue.tube.t:put", r#"["a",{"pri":7,"utube":"x"}]"#).await;
    server.ok("queue.tube.t:take", "[]").await;
    time.pass(10 * SECOND);
    server.do_what_is_due().await;
    let wanted = r#"{"tube": "t", "task_id": 0, "attempts": 1, "reason": "ttr", "data": "a"}"#;
    assert_eq!(data(&server, "dead").await, [wanted]);
    let moved = &server.rows("dead")[0];
    assert!(moved.contains(r#", 7, "#) && moved.contains(r#", "x", "#), "{moved}");
    assert_eq!(server.fails("queue.tube.t:ack", "[0]").await, lua("Task was not taken"));
    // Released: the reply says that it is not there any more.
    server.ok("queue.tube.t:put", r#"["b"]"#).await;
    server.ok("queue.tube.t:take", "[]").await;
    assert_eq!(server.ok("queue.tube.t:release", "[0]").await, r#"[[0, "-", "b"]]"#);
    // The end of its life comes first.
    server.ok("queue.tube.t:put", r#"["c",{"ttr":1000}]"#).await;
    server.ok("queue.tube.t:take", "[]").await;
    time.pass(1000 * SECOND);
    server.do_what_is_due().await;
    assert_eq!(server.rows("t"), [""; 0]);
    assert_eq!(data(&server, "dead").await.len(), 2);
}

#[tokio::test]
async fn a_task_without_a_place_to_go_is_buried() {
    let (dir, _time, server) = with("fifo", r#"{"max_attempts":2}"#).await;
    let options = r#"["u","fifo",{"dead_letter":"full","max_attempts":1}]"#;
    server.ok("queue.create_tube", options).await;
    let fail = async |tube: &str, wanted: &str| {
        server.ok(&format!("queue.tube.{tube}:take"), "[0]").await;
        let released = server.ok(&format!("queue.tube.{tube}:release"), "[0]").await;
        assert_eq!(released, format!(r#"[[0, "{wanted}", 1]]"#), "{tube}");
    };
    server.ok("queue.tube.t:put", "[1]").await;
    fail("t", "r").await;
    fail("t", "!").await;
    // Kicked, it is tried as often again.
    server.ok("queue.tube.t:kick", "[]").await;
    fail("t", "r").await;
    fail("t", "!").await;
    // No such tube; one that is full.
    server.ok("queue.tube.u:put", "[1]").await;
    fail("u", "!").await;
    server.ok("queue.create_tube", r#"["full","limfifottl",{"capacity":1}]"#).await;
    server.ok("queue.tube.u:kick", "[]").await;
    server.ok("queue.tube.full:put", "[0]").await;
    fail("u", "!").await;
    server.ok("queue.tube.full:delete", "[0]").await;
    server.ok("queue.tube.u:kick", "[]").await;
    fail("u", "-").await;
    server.close();
    // The rule outlives a restart.
    let server = Server::open(dir.path()).await;
    server.ok("queue.tube.t:kick", "[]").await;
    server.ok("queue.tube.t:take", "[0]").await;
    server.ok("queue.tube.t:release", "[0]").await;
    assert_eq!(server.rows("t_attempts"), ["[0, 1]"]);
}

#[tokio::test]
async fn a_restart_and_release_all_are_no_attempts() {
    let (dir, _time, server) = with("fifo", r#"{"max_attempts":1}"#).await;
    server.ok("queue.tube.t:put", "[1]").await;
    server.ok("queue.tube.t:take", "[0]").await;
    server.ok("queue.tube.t:release_all", "[]").await;
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, r#"[[0, "t", 1]]"#);
    server.close();
    let server = Server::open(dir.path()).await;
    assert_eq!(server.rows("t"), [r#"[0, "r", 1]"#]);
}

#[tokio::test]
async fn letters_go_round_one_attempt_at_a_time() {
    let (_dir, _time, server) = with("fifo", r#"{"dead_letter":"u","max_attempts":1}"#).await;
    server.ok("queue.create_tube", r#"["u","fifo",{"dead_letter":"t","max_attempts":1}]"#).await;
    server.ok("queue.tube.t:put", "[1]").await;
    for tube in ["t", "u", "t"] {
        server.ok(&format!("queue.tube.{tube}:take"), "[0]").await;
        server.ok(&format!("queue.tube.{tube}:release"), "[0]").await;
    }
    assert_eq!(server.rows("t"), [""; 0]);
    assert_eq!(server.rows("u"), [r#"[0, "r", 1]"#]);
}

#[tokio::test]
async fn rules_are_checked() {
    let (_dir, _time, server) = with("fifo", "{}").await;
    let check = async |options: &str, wanted: &str| {
        let args = format!(r#"["x","fifo",{options}]"#);
        assert_eq!(server.fails("queue.create_tube", &args).await, lua(wanted), "{options}");
    };
    check(r#"{"dead_letter":"t"}"#, "dead_letter needs max_attempts").await;
    let other = "dead_letter must be the name of another tube";
    check(r#"{"dead_letter":"x","max_attempts":1}"#, other).await;
    check(r#"{"dead_letter":5,"max_attempts":1}"#, other).await;
    let number = "max_attempts must be a number of at least 1";
    check(r#"{"max_attempts":0}"#, number).await;
    check(r#"{"max_attempts":"x"}"#, number).await;
}
