//! Tasks whose life has ended stand before others, and the timer has not come to them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::super::expiry::IDLE_MAX;
use super::super::passed::LINES_MAX;
use super::*;

/// A task that can be taken unless its life has ended.
#[derive(Clone, Debug)]
struct Task {
    pri: u64,
    id: u64,
    utube: u64,
    death: u64,
}

/// A tube with times and what should be in it.
struct Play {
    server: Server,
    time: Arc<VirtualTime>,
    random: StdRng,
    has_lanes: bool,
    ready: Vec<Task>,
    held: Vec<Task>,
}

impl Play {
    async fn call(&self, method: &str, args: &str) -> Value {
        let reply = self.server.ok(&format!("queue.tube.t:{method}"), args).await;
        serde_json::from_str(&reply).expect("JSON")
    }

    async fn put(&mut self, count: usize) {
        let mut tasks = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..count {
            let (pri, utube) = (self.random.random_range(0..3), self.random.random_range(0..40));
            let ttl = [1, 2, 1000][self.random.random_range(0..3)];
            let death = self.time.wall_us() + ttl * 1_000_000;
            tasks.push(Task { pri, id: 0, utube, death });
            texts.push(format!(
                r#"["x",{{"ttl":{ttl},"ttr":5000,"pri":{pri},"utube":"u{utube}"}}]"#
            ));
        }
        let put = self.call("put_many", &format!("[[{}]]", texts.join(","))).await;
        for (no, mut task) in tasks.into_iter().enumerate() {
            task.id = put[0][no][0].as_u64().expect("an id");
            self.ready.push(task);
        }
    }

    async fn take(&mut self) {
        let now = self.time.wall_us();
        let is_free = |task: &Task| !self.held.iter().any(|held| held.utube == task.utube);
        let wanted = self.ready.iter().enumerate();
        let wanted = wanted
            .filter(|(_, task)| task.death > now && (!self.has_lanes || is_free(task)))
            .min_by_key(|(_, task)| (task.pri, task.id));
        let taken = self.call("take", "[0]").await;
        assert_eq!(taken[0][0].as_u64(), wanted.map(|(_, task)| task.id), "{taken} {wanted:?}");
        if let Some((at, _)) = wanted {
            let task = self.ready.remove(at);
            self.held.push(task);
        }
    }

    /// Acknowledges or gives back what is held.
    async fn settle(&mut self) {
        for task in std::mem::take(&mut self.held) {
            if self.random.random_bool(0.5) {
                self.call("ack", &format!("[{}]", task.id)).await;
            } else {
                self.call("release", &format!("[{}]", task.id)).await;
                self.ready.push(task);
            }
        }
    }
}

#[tokio::test]
async fn take_gives_what_a_look_at_all_tasks_finds() {
    let kinds =
        [("fifottl", "{}"), ("utubettl", "{}"), ("utubettl", r#"{"storage_mode":"ready_buffer"}"#)];
    for (kind, options) in kinds {
        for seed in 0..6 {
            let dir = tempfile::tempdir().expect("a directory");
            let time = Arc::new(VirtualTime::default());
            let server = Server::open_at(&time, dir.path()).await;
            server.ok("queue.create_tube", &format!(r#"["t","{kind}",{options}]"#)).await;
            let random = StdRng::seed_from_u64(seed);
            let has_lanes = kind == "utubettl";
            let (ready, held) = (Vec::new(), Vec::new());
            let mut play = Play { server, time, random, has_lanes, ready, held };
            for _ in 0..20 {
                let count = play.random.random_range(0..150);
                play.put(count).await;
                play.time.pass(500_000);
                for _ in 0..8 {
                    play.take().await;
                }
                play.settle().await;
            }
            play.server.do_all_that_is_due().await;
            let now = play.time.wall_us();
            play.ready.retain(|task| task.death > now);
            assert_eq!(play.server.rows("t").len(), play.ready.len(), "{kind} {seed}");
        }
    }
}

#[tokio::test]
async fn take_passes_what_has_ended_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl"]"#).await;
    let put = |ttl: u32, count: usize| {
        let task = format!(r#"["x",{{"ttl":{ttl}}}]"#);
        format!("[[{}]]", vec![task; count].join(","))
    };
    server.ok("queue.tube.t:put_many", &put(1, 900)).await;
    server.ok("queue.tube.t:put_many", &put(1000, 100)).await;
    time.pass(1_000_000);
    let take = || {
        let context = server.context(1);
        let args = Args::new(&mp("[0]"));
        let mut db = server.instance.write();
        server.queue.call_held(&mut db, &context, "queue.tube.t:take", args)
    };
    let floor = || {
        let tube = server.queue.tubes.known("t").expect("the tube");
        tube.passed.lock().floor(b"")
    };
    assert_eq!(floor(), None);
    for _ in 0..3 {
        let Some(Begun::Ended(Ok(values), _)) = take() else { panic!("a task") };
        assert!(!values.bytes().is_empty());
        assert_eq!(floor(), Some((0, 899)));
    }
    for _ in 0..900 / IDLE_MAX + 8 {
        time.pass(1_000);
        server.do_what_is_due().await;
    }
    assert_eq!(floor(), None);
}

#[tokio::test]
async fn a_task_that_has_ended_is_not_there_for_anybody() {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl"]"#).await;
    for (data, ttl) in [("a", 1), ("b", 1), ("c", 100)] {
        server.ok("queue.tube.t:put", &format!(r#"["{data}",{{"ttl":{ttl}}}]"#)).await;
    }
    server.ok("queue.tube.t:bury", "[1]").await;
    server.ok("queue.tube.t:bury", "[2]").await;
    time.pass(1_000_000);
    for id in [0, 1] {
        let wanted = lua(&format!("Task {id} not found"));
        for method in ["peek", "bury"] {
            let name = format!("queue.tube.t:{method}");
            assert_eq!(server.fails(&name, &format!("[{id}]")).await, wanted, "{method}");
        }
    }
    assert_eq!(server.rows("t").len(), 3, "the timer has been here");
    assert_eq!(server.ok("queue.tube.t:kick", "[5]").await, "[1]");
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, r#"[[2, "t", "c"]]"#);
}

#[tokio::test]
async fn what_is_kept_of_lines_is_bounded() {
    let mut passed = super::super::passed::Passed::default();
    for no in 0..3 * LINES_MAX {
        passed.line(no.to_string().as_bytes(), 0, 0);
        assert!(passed.len() <= LINES_MAX);
    }
}

#[tokio::test]
async fn a_tube_that_is_dropped_is_in_the_schedule_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl"]"#).await;
    server.ok("queue.tube.t:put", r#"["a",{"ttl":1000}]"#).await;
    server.do_what_is_due().await;
    assert!(server.queue.tubes.timer.earliest().is_some());
    server.ok("queue.tube.t:drop", "[]").await;
    assert_eq!(server.queue.tubes.timer.earliest(), None);
}

#[tokio::test]
async fn a_row_without_an_end_is_mended_at_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let time = Arc::new(VirtualTime::default());
    let server = Server::open_at(&time, dir.path()).await;
    server.ok("queue.create_tube", r#"["t","fifottl"]"#).await;
    let space_id = server.instance.read().space_id("t").expect("a space");
    // As the rock writes it: a moment modulo 2^64, and the same beside 40 tasks whose life has ended.
    let created = time.wall_us() - 2_000_000;
    let far = 12_000_000_000_000_000_000_u64;
    let written = server.instance.transaction(ADMIN, |txn| {
        for id in 0..40 {
            let row = format!(r#"[{id},"r",{created},1000000,9,0,{created},"x"]"#);
            txn.insert(space_id, &mp(&row))?;
        }
        let row = format!(r#"[40,"r",{far},1000000,9,0,{created},"dead"]"#);
        txn.insert(space_id, &mp(&row)).map(|_| ())
    });
    written.await.expect("rows");
    assert_eq!(server.ok("queue.tube.t:take", "[0]").await, "[]");
    server.close();
    let server = Server::open_at(&time, dir.path()).await;
    let rows = server.rows("t");
    let end = created + 1_000_000;
    let wanted = format!(r#"[40, "r", {end}, 1000000, 9, 0, {created}, "dead"]"#);
    assert!(rows.contains(&wanted), "{rows:?}");
    server.do_all_that_is_due().await;
    assert_eq!(server.rows("t"), [""; 0]);
}
