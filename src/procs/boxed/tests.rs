//! The module on an instance with files in a directory of its own, called as the server calls it.

mod reading;
mod schema;
mod system;
mod writing;

use std::path::Path;
use std::sync::Arc;

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{Text, write_array};

use super::BoxModule;
use crate::config::Config;
use crate::db::access::ADMIN;
use crate::instance::Instance;
use crate::procs::{Args, Context, Module, Running, Session, Values};
use crate::wal::disk::{Disk, OsDisk};

/// An instance.
struct Server {
    instance: Arc<Instance>,
}

/// The id of the user `u`, who may read the space `two` and nothing else.
const USER: u32 = 40;

/// Rows of system spaces that make the tests' spaces.
const SCHEMA: &[(u32, &str)] = &[
    (280, r#"[600,1,"t","memtx",0,{},[{"name":"id","type":"unsigned"}]]"#),
    (288, r#"[600,0,"pk","tree",{"unique":true},[[0,"unsigned"]]]"#),
    (280, r#"[601,1,"two","memtx",0,{},[]]"#),
    (288, r#"[601,0,"pk","tree",{"unique":true},[[0,"unsigned"],[1,"string"]]]"#),
    (288, r#"[601,1,"sk","tree",{"unique":false},[[2,"integer"]]]"#),
    (280, r#"[602,1,"noindex","memtx",0,{},[]]"#),
    (280, r#"[603,1,"a b.c","memtx",0,{},[]]"#),
    (288, r#"[603,0,"p:k","tree",{"unique":true},[[0,"unsigned"]]]"#),
    (280, r#"[604,1,"h","memtx",0,{},[]]"#),
    (288, r#"[604,0,"pk","hash",{"unique":true},[[0,"unsigned"]]]"#),
    (304, r#"[40,1,"u","user",{}]"#),
    (312, r#"[1,40,"role",2,4]"#),
    (312, r#"[1,40,"universe",0,28]"#),
    (312, r#"[1,40,"space",601,1]"#),
];

/// Rows of the tests' spaces.
const ROWS: &[(u32, &str)] = &[
    (600, r#"[1,"v1"]"#),
    (600, r#"[2,"v2"]"#),
    (600, r#"[3,"v3"]"#),
    (601, r#"[1,"x",-1]"#),
    (601, r#"[1,"y",-1]"#),
    (601, r#"[2,"x",0]"#),
    (603, "[1]"),
    (604, "[1]"),
];

impl Server {
    async fn open(dir: &Path) -> Self {
        let server = Self::open_on(Arc::new(OsDisk), dir);
        server.fill().await;
        server
    }

    fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let instance = Instance::open(&Self::config(dir), disk).expect("a directory");
        Self { instance: Arc::new(instance) }
    }

    fn config(dir: &Path) -> Config {
        let mut config = Config::default();
        config.wal.dir = dir.to_owned();
        config.snapshot.dir = dir.to_owned();
        config
    }

    /// Makes the tests' spaces.
    async fn fill(&self) {
        let filled = self.instance.transaction(ADMIN, |txn| {
            for (space_id, row) in SCHEMA.iter().chain(ROWS) {
                txn.insert(*space_id, &mp(row))?;
            }
            Ok(())
        });
        filled.await.expect("good rows");
    }

    /// Begins a call of a user.
    fn begin(&self, uid: u32, name: &str, args: &str) -> Option<Running> {
        let session = Arc::new(Session::new(7, ([127, 0, 0, 1], 3301).into(), [0; 32]));
        session.set_uid(uid);
        let context = Context { instance: self.instance.clone(), session, stream: None };
        BoxModule.call(&context, name, Args::new(&mp(args)))
    }

    async fn values(&self, uid: u32, name: &str, args: &str) -> Option<Result<Values>> {
        Some(self.begin(uid, name, args)?.await)
    }

    /// Calls as a user: the values as text, or code and text of the error; 33 if the procedure is not defined.
    async fn call_as(&self, uid: u32, name: &str, args: &str) -> String {
        match self.values(uid, name, args).await {
            None => "33".to_owned(),
            Some(Ok(values)) => text(&values),
            Some(Err(error)) => format!("{}: {error}", error.code()),
        }
    }

    /// Calls as admin and compares.
    async fn check(&self, name: &str, args: &str, wanted: &str) {
        assert_eq!(self.call_as(ADMIN, name, args).await, wanted, "{name} {args}");
    }
}

/// MsgPack of a JSON text.
fn mp(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect(json);
    rmp_serde::to_vec(&value).expect("JSON is MsgPack")
}

fn text(values: &Values) -> String {
    let mut array = Vec::new();
    write_array(&mut array, values.count() as usize);
    array.extend_from_slice(values.bytes());
    Text(&array).to_string()
}

/// A server with the tests' spaces.
async fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::open(dir.path()).await;
    (dir, server)
}
