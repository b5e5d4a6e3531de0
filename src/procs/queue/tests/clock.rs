//! Times of tasks while the wall clock is set, and across restarts.

use super::*;

const SECOND: u64 = 1_000_000;
const HOUR: i64 = 3600 * 1_000_000;

async fn with_tube(time: &Arc<VirtualTime>) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open_at(time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl",{"ttl":60,"ttr":10}]"#).await;
    (dir, server)
}

/// The ids and states of all tasks.
fn states(server: &Server) -> Vec<(u64, String)> {
    let db = server.instance.read();
    let space = db.space_by_name("t").expect("a space");
    let tasks = space.primary().expect("an index").iter();
    tasks.map(|task| (row::uint(task, 0), row::text(task, 1).to_owned())).collect()
}

async fn pass(server: &Server, time: &VirtualTime, duration_us: u64) {
    time.pass(duration_us);
    server.do_what_is_due().await;
}

#[tokio::test]
async fn setting_the_wall_clock_moves_no_task() {
    for step in [HOUR, -HOUR] {
        let time = Arc::new(VirtualTime::default());
        let (_dir, server) = with_tube(&time).await;
        server.ok("queue.tube.t:put", r#"["dies"]"#).await;
        server.ok("queue.tube.t:put", r#"["held",{"pri":0,"ttl":1000}]"#).await;
        server.ok("queue.tube.t:put", r#"["late",{"delay":20,"ttl":1000}]"#).await;
        server.ok("queue.tube.t:bury", "[0]").await;
        server.ok("queue.tube.t:take", "[0]").await;
        time.set_wall(step);
        server.do_what_is_due().await;
        let check = |wanted: &[(u64, &str)]| {
            let states = states(&server);
            let states: Vec<_> = states.iter().map(|(id, state)| (*id, &**state)).collect();
            assert_eq!(states, wanted, "{step}");
        };
        check(&[(0, "!"), (1, "t"), (2, "~")]);
        pass(&server, &time, 10 * SECOND - 1).await;
        check(&[(0, "!"), (1, "t"), (2, "~")]);
        pass(&server, &time, 1).await;
        check(&[(0, "!"), (1, "r"), (2, "~")]);
        pass(&server, &time, 10 * SECOND).await;
        check(&[(0, "!"), (1, "r"), (2, "r")]);
        pass(&server, &time, 40 * SECOND - 1).await;
        check(&[(0, "!"), (1, "r"), (2, "r")]);
        pass(&server, &time, 1).await;
        check(&[(1, "r"), (2, "r")]);
    }
}

#[tokio::test]
async fn after_a_restart_moments_are_those_of_the_wall_clock() {
    let time = Arc::new(VirtualTime::default());
    let (dir, server) = with_tube(&time).await;
    server.ok("queue.tube.t:put", r#"["a"]"#).await;
    server.close();
    time.set_wall(59 * SECOND as i64);
    let server = Server::open_at(&time, dir.path()).await;
    server.do_what_is_due().await;
    assert_eq!(states(&server), [(0, "r".to_owned())]);
    pass(&server, &time, SECOND).await;
    assert_eq!(states(&server), []);
}

#[tokio::test]
async fn the_timer_wakes_when_time_passes() {
    let time = Arc::new(VirtualTime::default());
    let (_dir, server) = with_tube(&time).await;
    server.ok("queue.tube.t:put", r#"["a",{"delay":5}]"#).await;
    let mut waiting = server.running(1, "queue.tube.t:take", "[]");
    must_wait(&mut waiting).await;
    tokio::task::yield_now().await;
    time.pass(5 * SECOND);
    assert_eq!(text(&waiting.await.expect("a task")), r#"[[0, "t", "a"]]"#);
}
