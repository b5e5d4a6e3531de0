//! What a client sends, to a whole server: any bytes are answered, or end the connection; never the server.
//!
//! Input: headers and bodies, MsgPack values one after another, which are sent as packets; what is no value is sent as it
//! is. A PING comes last. Positions, WATCH, AUTH, IPROTO_ID, streams and tuples with formats have no other target.

#![no_main]

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lycosa::config::{Config, Threads, WalMode};
use lycosa::db::access::ADMIN;
use lycosa::db::schema::space_id;
use lycosa::instance::Instance;
use lycosa::procs::Registry;
use lycosa::procs::boxed::BoxModule;
use lycosa::procs::queue::Queue;
use lycosa::server::Server;
use lycosa::wal::disk::faults::MemoryDisk;
use lycosa_proto::iproto::{Frame, Header, frame};
use lycosa_proto::msgpack;
use tokio::runtime::{Builder, Runtime};

/// Requests change what is there: after so many inputs everything begins anew.
const INPUTS_MAX: u32 = 1000;
const GREETING_BYTES: usize = 128;
const PACKET_BYTES_MAX: u64 = 1 << 20;
/// The sync of the last PING.
const LAST: u64 = 0x7a7a_7a7a;
/// `{REQUEST_TYPE: PING, SYNC: LAST}` with its length.
const PING: &[u8] = b"\x09\x82\x00\x40\x01\xce\x7a\x7a\x7a\x7a";
/// How long a server may take for one input.
const PATIENCE: Duration = Duration::from_secs(5);

struct Running {
    runtime: Runtime,
    server: Option<Server>,
    address: SocketAddr,
    inputs: u32,
}

impl Running {
    fn new() -> Self {
        // Only the directory is made; the files are in memory.
        let dir = std::env::temp_dir().join("lycosa-fuzz-requests");
        let mut config = Config::default();
        config.wal.dir = dir.clone();
        config.snapshot.dir = dir;
        config.wal.mode = WalMode::None;
        config.iproto.listen = vec![([127, 0, 0, 1], 0).into()];
        config.iproto.threads = Threads(1);
        config.iproto.packet_bytes_max = PACKET_BYTES_MAX;
        let instance = Instance::open(&config, Arc::new(MemoryDisk::new())).expect("an instance");
        let instance = Arc::new(instance);
        let mut registry = Registry::default();
        registry.add(Arc::new(BoxModule));
        registry.add(Arc::new(Queue::new()));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = runtime.block_on(async {
            registry.start(&instance).await.expect("the queue starts");
            instance.transaction(ADMIN, space).await.expect("a space");
            Server::start(&config.iproto, instance.clone(), registry).expect("a server")
        });
        let address = server.addresses()[0];
        Self { runtime, server: Some(server), address, inputs: 0 }
    }

    /// Sends an input and reads what comes until the last PING is answered or the connection ends. What is not `whole`
    /// may be the front of a longer packet: nothing more comes then.
    fn send(&mut self, packets: &[u8], whole: bool) {
        self.inputs += 1;
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        let mut input = vec![0; GREETING_BYTES];
        stream.read_exact(&mut input).expect("a greeting");
        input.clear();
        // The server may have closed it already.
        let _ = stream.write_all(&[packets, PING].concat());
        if !whole {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let mut part = [0; 4096];
        loop {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(len) => input.extend_from_slice(&part[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no answer, and the connection is open");
                }
                Err(_) => break,
            }
            if replies(&mut input) {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.server.take().into_iter().for_each(Server::stop);
    }
}

/// Space 600 with some rows: `[number, text, [number, number]]`.
fn space(txn: &mut lycosa::db::Txn<'_>) -> lycosa_proto::error::Result<()> {
    let space =
        b"\x97\xcd\x02\x58\x01\xa1t\xa5memtx\x00\x80\x92\x82\xa4name\xa2id\xa4type\xa8unsigned\
        \x82\xa4name\xa1s\xa4type\xa6string";
    txn.insert(space_id::SPACE, space)?;
    txn.insert(space_id::INDEX, b"\x96\xcd\x02\x58\x00\xa2pk\xa4tree\x80\x91\x92\x00\xa8unsigned")?;
    let by_text = b"\x96\xcd\x02\x58\x01\xa1s\xa4tree\x81\xa6unique\xc2\x91\x92\x01\xa6string";
    txn.insert(space_id::INDEX, by_text)?;
    for number in 0..20u8 {
        txn.insert(600, &[0x93, number, 0xa1, b'a' + number % 5, 0x92, number, 1])?;
    }
    Ok(())
}

/// Takes whole packets off and checks them; true once the last PING is answered.
fn replies(input: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while let Ok(Frame::Complete { head, total }) = frame(&input[at..], u64::MAX) {
        let packet = &input[at + head..at + total];
        let header = Header::decode(packet).expect("a reply is well-formed");
        if header.sync == LAST {
            return true;
        }
        at += total;
    }
    input.drain(..at);
    false
}

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::new(Running::new());
}

fuzz_target!(|data: &[u8]| {
    let mut packets = Vec::new();
    let mut whole = true;
    let mut rest = data;
    while !rest.is_empty() {
        let packet = rest;
        let is_good = msgpack::check(&mut rest).is_ok() && msgpack::check(&mut rest).is_ok();
        if !is_good {
            whole = false;
            packets.extend_from_slice(packet);
            break;
        }
        let packet = &packet[..packet.len() - rest.len()];
        packets.push(0xce);
        packets.extend_from_slice(&(packet.len() as u32).to_be_bytes());
        packets.extend_from_slice(packet);
    }
    RUNNING.with_borrow_mut(|running| {
        if running.inputs == INPUTS_MAX {
            *running = Running::new();
        }
        running.send(&packets, whole);
    });
});
