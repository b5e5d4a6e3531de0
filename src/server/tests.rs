//! Batches of writes over sockets, executed at home for connections of two workers.

mod simulation;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{self, Text, write_map, write_uint};
use rustix::io::Errno;

use super::*;
use crate::config::{Config, Threads};
use crate::db::Tuple;
use crate::db::access::ADMIN;
use crate::procs::boxed::BoxModule;
use crate::wal::disk::faults::{MemoryDisk, Op};

/// Requests of a batch: enough for a connection to count as one that writes in batches.
const BATCH: u64 = 32;
/// The status of what the journal could not write.
const WAL_IO: u64 = 0x8000 + 40;
/// The status of what came after that.
const CASCADE_ROLLBACK: u64 = 0x8000 + 113;
/// The status of a key that is there already.
const DUPLICATE: u64 = 0x8000 + 3;

/// A request: its type, its stream, the keys of its body.
type Request = (u64, u64, Vec<(u64, Vec<u8>)>);

fn mp(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect("good JSON");
    rmp_serde::to_vec(&value).expect("JSON is MessagePack too")
}

/// A server with two active workers, the space and its disk.
struct Fixture {
    runtime: tokio::runtime::Runtime,
    instance: Arc<Instance>,
    server: Server,
    disk: MemoryDisk,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.wal.dir = dir.path().to_owned();
        config.snapshot.dir = dir.path().to_owned();
        let disk = MemoryDisk::new();
        let instance = Instance::open(&config, Arc::new(disk.clone())).expect("a directory");
        let instance = Arc::new(instance);
        // Nothing drives it later, so nobody looks at the load: both workers stay active.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let filled = instance.transaction(ADMIN, |txn| {
            txn.insert(280, &mp(r#"[512, 1, "t", "memtx", 0, {}, []]"#))?;
            txn.insert(288, &mp(r#"[512, 0, "pk", "tree", {"unique": true}, [[0, "unsigned"]]]"#))
        });
        runtime.block_on(filled).expect("good rows");
        let mut iproto = config.iproto.clone();
        iproto.listen = vec![([127, 0, 0, 1], 0).into()];
        iproto.threads = Threads(2);
        let mut registry = Registry::default();
        registry.add(Arc::new(BoxModule));
        let entered = runtime.enter();
        let server = Server::start(&iproto, instance.clone(), registry).expect("a server");
        drop(entered);
        server.shared.balance.activate(2);
        Self { runtime, instance, server, disk, _dir: dir }
    }

    fn connect(&self) -> Client {
        let mut stream = TcpStream::connect(self.server.addresses()[0]).expect("a server");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream.read_exact(&mut [0; 128]).expect("a greeting");
        Client { stream, sync: 0 }
    }

    /// The keys in the space, ascending.
    fn ids(&self) -> Vec<u64> {
        ids(&self.instance)
    }

    fn stop(self) {
        let Self { runtime, server, .. } = self;
        server.stop();
        drop(runtime);
    }
}

/// The keys in the space, ascending.
fn ids(instance: &Instance) -> Vec<u64> {
    let db = instance.read();
    let index = db.space(512).expect("the space").primary().expect("an index");
    let id = |tuple: &Tuple| msgpack::read_uint(&mut tuple.field(0)?).ok();
    index.iter().filter_map(id).collect()
}

/// A connection of the test.
struct Client {
    stream: TcpStream,
    sync: u64,
}

impl Client {
    /// Sends requests at once.
    fn send(&mut self, requests: &[Request]) {
        self.try_send(requests).expect("the server reads");
    }

    /// The same to a server that may have gone.
    fn try_send(&mut self, requests: &[Request]) -> std::io::Result<()> {
        let mut batch = Vec::new();
        for (request_type, stream, body) in requests {
            self.sync += 1;
            let mut packet = Vec::new();
            write_map(&mut packet, 3);
            for number in
                [key::REQUEST_TYPE, *request_type, key::SYNC, self.sync, key::STREAM_ID, *stream]
            {
                write_uint(&mut packet, number);
            }
            write_map(&mut packet, body.len());
            for (key, value) in body {
                write_uint(&mut packet, *key);
                packet.extend_from_slice(value);
            }
            batch.push(0xce);
            batch.extend_from_slice(&(packet.len() as u32).to_be_bytes());
            batch.extend_from_slice(&packet);
        }
        self.stream.write_all(&batch)
    }

    /// The next reply: its status, its request and the text of its data. None at the end.
    fn reply(&mut self) -> Option<(u64, u64, String)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).ok()?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut packet = vec![0; len as usize];
        self.stream.read_exact(&mut packet).expect("a whole packet");
        let rest = &mut packet.as_slice();
        let header = msgpack::take(rest).expect("a header");
        let number = |wanted: u64| {
            let is_wanted = |key: &[u8]| msgpack::read_uint(&mut { key }) == Ok(wanted);
            let found = msgpack::pairs(header).find(|(key, _)| is_wanted(key));
            found.and_then(|(_, value)| msgpack::read_uint(&mut { value }).ok())
        };
        let data = msgpack::pairs(rest).next().map_or(&[][..], |(_, value)| value);
        let text = if data.is_empty() { String::new() } else { Text(data).to_string() };
        Some((number(key::REQUEST_TYPE)?, number(key::SYNC)?, text))
    }

    /// Statuses of the replies to the last `count` requests, which come in order.
    fn statuses(&mut self, count: u64) -> Vec<u64> {
        let first = self.sync - count + 1;
        let mut reply = |sync| {
            let (status, got, _) = self.reply().expect("a reply");
            assert_eq!(got, sync, "replies come in order");
            status
        };
        (first..first + count).map(&mut reply).collect()
    }
}

fn insert(id: u64) -> Request {
    let tuple = mp(&format!("[{id}, \"x\"]"));
    (request_type::INSERT, 0, vec![(key::SPACE_ID, mp("512")), (key::TUPLE, tuple)])
}

fn batch(from: u64) -> Vec<Request> {
    (from..from + BATCH).map(insert).collect()
}

/// A client that counts as one that writes in batches; its keys begin at `from`.
fn writer(fixture: &Fixture, from: u64) -> Client {
    let mut client = fixture.connect();
    for round in 0..2 * u64::from(connection::WRITER_SCORE) {
        client.send(&batch(from + round * BATCH));
        assert_eq!(client.statuses(BATCH), [0; BATCH as usize]);
    }
    client
}

#[test]
fn replies_come_in_order_and_writes_are_there() {
    let fixture = Fixture::start();
    let mut clients: Vec<Client> = (0..6).map(|_| fixture.connect()).collect();
    for round in 0..12 {
        for (no, client) in clients.iter_mut().enumerate() {
            client.send(&batch(no as u64 * 10_000 + round * BATCH));
        }
        for client in &mut clients {
            assert_eq!(client.statuses(BATCH), [0; BATCH as usize]);
        }
    }
    assert_eq!(fixture.ids().len() as u64, 6 * 12 * BATCH);
    fixture.stop();
}

#[test]
fn a_batch_may_hold_anything() {
    let fixture = Fixture::start();
    let mut clients = [writer(&fixture, 0), writer(&fixture, 10_000)];
    for (client, from) in clients.iter_mut().zip([100_000, 200_000]) {
        let space = || (key::SPACE_ID, mp("512"));
        let mut requests = batch(from);
        requests.push(insert(0));
        requests.push((request_type::PING, 0, vec![]));
        let call = (key::FUNCTION_NAME, mp("\"box.space.t:len\""));
        requests.push((request_type::CALL, 0, vec![call, (key::TUPLE, mp("[]"))]));
        requests.push((request_type::BEGIN, 7, vec![]));
        requests.push((request_type::DELETE, 7, vec![space(), (key::KEY, mp("[1]"))]));
        requests.push((request_type::ROLLBACK, 7, vec![]));
        let limit = (key::LIMIT, mp("1"));
        requests.push((request_type::SELECT, 0, vec![space(), limit, (key::KEY, mp("[1]"))]));
        client.send(&requests);
        let mut replies: Vec<(u64, u64, String)> =
            requests.iter().map(|_| client.reply().expect("a reply")).collect();
        // The procedure may answer after what follows it.
        replies.sort_by_key(|reply| reply.1);
        let failed = replies.iter().filter(|reply| reply.0 != 0).map(|reply| reply.0);
        assert_eq!(failed.collect::<Vec<_>>(), [DUPLICATE]);
        assert_eq!(replies[BATCH as usize].0, DUPLICATE);
        assert_eq!(replies.last().expect("replies").2, r#"[[1, "x"]]"#);
    }
    fixture.stop();
}

#[test]
fn calls_beyond_the_limit_wait_for_those_that_run() {
    let fixture = Fixture::start();
    let mut client = writer(&fixture, 0);
    fixture.instance.settings().set_net_msg_max(2);
    let call = (key::FUNCTION_NAME, mp("\"box.space.t:len\""));
    let call = (request_type::CALL, 0, vec![call, (key::TUPLE, mp("[]"))]);
    let requests = [batch(10_000), vec![call; 5], batch(20_000)].concat();
    client.send(&requests);
    for _ in &requests {
        assert_eq!(client.reply().expect("a reply").0, 0);
    }
    fixture.stop();
}

#[test]
fn what_is_no_packet_ends_the_connection_after_what_came_before() {
    let fixture = Fixture::start();
    let mut client = writer(&fixture, 0);
    client.send(&batch(10_000));
    client.stream.write_all(b"\xc1 no packet").expect("the server reads");
    assert_eq!(client.statuses(BATCH), [0; BATCH as usize]);
    assert_ne!(client.reply().expect("what is wrong").0, 0);
    assert_eq!(client.reply(), None);
    fixture.stop();
}

#[test]
fn what_the_journal_refuses_is_not_there() {
    let fixture = Fixture::start();
    let mut clients = [writer(&fixture, 0), writer(&fixture, 10_000)];
    let before = fixture.ids();
    fixture.disk.fail(Op::Write, 1, Errno::NOSPC);
    let mut wanted = before;
    for (client, from) in clients.iter_mut().zip([20_000, 30_000]) {
        client.send(&batch(from));
    }
    let mut refused = 0;
    for (client, from) in clients.iter_mut().zip([20_000, 30_000]) {
        for (id, status) in (from..).zip(client.statuses(BATCH)) {
            match status {
                0 => wanted.push(id),
                WAL_IO | CASCADE_ROLLBACK => refused += 1,
                other => panic!("status {other:#x}"),
            }
        }
    }
    wanted.sort_unstable();
    assert!(refused > 0);
    assert_eq!(fixture.ids(), wanted);
    clients[0].send(&batch(40_000));
    assert_eq!(clients[0].statuses(BATCH), [0; BATCH as usize]);
    fixture.stop();
}

#[test]
fn what_is_acknowledged_while_the_server_stops_is_there() {
    let fixture = Fixture::start();
    let mut clients: Vec<(u64, Client)> =
        (0..4).map(|no| (no * 1_000_000, writer(&fixture, no * 1_000_000))).collect();
    let acknowledged = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|(from, client)| {
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for next in (*from + 10_000..).step_by(BATCH as usize) {
                        if client.try_send(&batch(next)).is_err() {
                            break;
                        }
                        for id in next..next + BATCH {
                            match client.reply() {
                                Some((0, ..)) => ids.push(id),
                                Some((status, ..)) => panic!("status {status:#x}"),
                                None => return ids,
                            }
                        }
                    }
                    ids
                })
            })
            .collect();
        while fixture.ids().len() < 5_000 {
            std::thread::yield_now();
        }
        let (instance, ()) = (fixture.instance.clone(), fixture.stop());
        let kept = ids(&instance);
        for thread in threads {
            for id in thread.join().expect("a client") {
                assert!(kept.binary_search(&id).is_ok(), "{id} was acknowledged");
            }
        }
        kept.len()
    });
    assert!(acknowledged >= 5_000);
}
