//! The driver against a server of a few lines, which can be told to misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::workload::Workload;

/// Where the sync is in a request of the driver.
const SYNC_AT: usize = 10;
/// Bytes of a PING of the driver.
const PING_BYTES: usize = 15;

/// Answers PINGs on every connection; `answer` makes a reply out of sync and number of the
/// request.
fn serve(answer: fn(u32, usize) -> Vec<u8>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve_one(stream.unwrap(), answer));
        }
    });
    Server::bare(address)
}

/// Answers PINGs until the peer closes.
fn serve_one(mut stream: TcpStream, answer: fn(u32, usize) -> Vec<u8>) {
    // The halves of a reply must not wait for each other's acknowledgement.
    stream.set_nodelay(true).unwrap();
    let mut greeting = [b' '; 128];
    greeting[..24].copy_from_slice(b"Tarantool 1.0.0 (Binary)");
    greeting[63] = b'\n';
    stream.write_all(&greeting).unwrap();
    let mut request = [0; PING_BYTES];
    for number in 0.. {
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        let sync = request[SYNC_AT..].first_chunk().map(|sync| u32::from_be_bytes(*sync)).unwrap();
        // In two writes, so that replies come in pieces.
        let reply = answer(sync, number);
        let (first, second) = reply.split_at(reply.len() / 2);
        if stream.write_all(first).and_then(|()| stream.write_all(second)).is_err() {
            return;
        }
    }
}

/// A reply without rows.
fn reply(status: u32, sync: u32) -> Vec<u8> {
    let mut bytes = vec![18, 0x82, 0x00, 0xce];
    bytes.extend_from_slice(&status.to_be_bytes());
    bytes.extend_from_slice(&[0x01, 0xcf, 0, 0, 0, 0]);
    bytes.extend_from_slice(&sync.to_be_bytes());
    bytes.push(0x80);
    assert_eq!(bytes.len() - 1, usize::from(bytes[0]));
    bytes
}

/// Runs PINGs for a moment.
fn run(server: &Server, threads: usize) -> Result<Measurement, Error> {
    let moment = Duration::from_millis(20);
    let effort = Effort { warmup: moment, counted: moment * 5, threads };
    let shape = Shape { connections: 3, in_flight: 5 };
    let plan = Workload::Ping.plan(&crate::schema::Spaces { main: 0, secondary: 0, insert: 0 }, "");
    measure(server, &plan, shape, effort, &Progress::new())
}

/// The error of a run against a server that misbehaves.
#[track_caller]
fn check_error(answer: fn(u32, usize) -> Vec<u8>, expected: &str) {
    let error = run(&serve(answer), 1).map(|found| found.throughput()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn replies_are_counted() {
    let server = serve(|sync, _| reply(0, sync));
    for threads in [1, 2, 8] {
        let found = run(&server, threads).unwrap();
        assert!(found.latency.total() > 15, "{} requests", found.latency.total());
        assert!(found.percentile(0.5) > 0.0);
    }
}

#[test]
fn a_foreign_sync_is_an_error() {
    check_error(|sync, number| reply(0, sync ^ u32::from(number == 20)), "belongs to none");
    check_error(|sync, number| reply(0, if number == 20 { 0 } else { sync }), "belongs to none");
}

#[test]
fn a_status_is_an_error() {
    check_error(
        |sync, number| reply(if number == 20 { 0x8002 } else { 0 }, sync),
        "the server refused ping: error 2",
    );
}

#[test]
fn nonsense_is_an_error() {
    check_error(|sync, number| if number == 20 { vec![0xc0; 9] } else { reply(0, sync) }, "length");
}
