//! Requests about the session and the server: AUTH, ID, watchers, VOTE.
//!
//! Source: protocol.md §7, §8, §11; Tarantool `src/box/iproto.cc` tx_process_misc, tx_process_id.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{
    self, Body, Feature, Header, Reply, key, key_type, request_type, write_event, write_id,
};
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bool, write_map, write_str, write_uint,
};

use super::Run;
use crate::db::journal::Vclock;
use crate::server::auth;
use crate::watcher::Watcher;

/// The version of the protocol that IPROTO_ID tells.
const PROTOCOL_VERSION: u64 = 10;
/// What IPROTO_ID offers: what works.
const FEATURES: &[Feature] = &[
    Feature::STREAMS,
    Feature::TRANSACTIONS,
    Feature::ERROR_EXTENSION,
    Feature::WATCHERS,
    Feature::PAGINATION,
    Feature::SPACE_AND_INDEX_NAMES,
    Feature::WATCH_ONCE,
    Feature::DML_TUPLE_EXTENSION,
    Feature::CALL_RET_TUPLE_EXTENSION,
    Feature::CALL_ARG_TUPLE_EXTENSION,
    Feature::IS_SYNC,
    Feature::INSERT_ARROW,
];

impl Run<'_> {
    pub(super) fn auth(&mut self, header: &Header<'_>) -> Result<()> {
        let names = [key::USER_NAME, key::TUPLE];
        let body = Body::decode_only(header.body, &names)?;
        body.require(&names)?;
        self.check_version(header)?;
        let session = self.session;
        auth::authenticate(self.db(), session, &body)?;
        self.empty(header);
        Ok(())
    }

    pub(super) fn id(&mut self, header: &Header<'_>) -> Result<()> {
        let bad = || err!(INVALID_MSGPACK, "request body");
        if msgpack::read_map(&mut { header.body }).is_err() {
            return Err(bad());
        }
        let mut features: &[u8] = &[0x90];
        for (name, value) in msgpack::pairs(header.body) {
            let Ok(Token::Uint(name)) = msgpack::read(&mut { name }) else { return Err(bad()) };
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            if key_type(name).is_some_and(|kind| !kind.fits(&token)) {
                return Err(bad());
            }
            if name == key::FEATURES {
                let is_uint = |item: &[u8]| msgpack::read_uint(&mut { item }).is_ok();
                if !msgpack::items(value).all(is_uint) {
                    return Err(bad());
                }
                features = value;
            }
        }
        self.check_version(header)?;
        let numbers =
            msgpack::items(features).filter_map(|mut item| msgpack::read_uint(&mut item).ok());
        self.session.set_features(numbers.map(Feature));
        let version = self.db().schema_version();
        let reply = Reply::start(self.out, 0, header.sync, version);
        write_id(self.out, PROTOCOL_VERSION, FEATURES, auth::METHOD);
        reply.finish(self.out);
        Ok(())
    }

    /// WATCH and UNWATCH have no reply of their own; a WATCH may send an event at once.
    pub(super) fn watch(&mut self, header: &Header<'_>) -> Result<()> {
        let body = Body::decode_watch(header.body)?;
        body.require(&[key::EVENT_KEY])?;
        self.check_version(header)?;
        let name = body.event_key.unwrap_or_default();
        let watchable = self.shared.instance.watchable();
        match header.request_type {
            request_type::WATCH => {
                let watcher = self.watcher.get_or_insert_with(|| Watcher::new(watchable).into());
                return watcher.watch(name, header.sync, |event| {
                    write_event(self.out, event.sync, event.key, event.value);
                });
            }
            request_type::UNWATCH => {
                self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(name));
            }
            _ => {
                let value = watchable.value(name);
                let version = self.db().schema_version();
                let count = u32::from(value.is_some());
                let bytes = value.as_deref().unwrap_or_default();
                iproto::write_data(self.out, header.sync, version, count, bytes);
            }
        }
        Ok(())
    }

    pub(super) fn vote(&mut self, header: &Header<'_>) {
        let db = self.db();
        let (version, vclock) = (db.schema_version(), db.vclock().clone());
        let is_read_only = db.is_read_only();
        let instance = self.shared.instance.uuid().to_string();
        let out = &mut *self.out;
        let reply = Reply::start(out, 0, header.sync, version);
        write_map(out, 1);
        write_uint(out, key::BALLOT);
        write_map(out, 9);
        let flag = |out: &mut Vec<u8>, name: u64, value: bool| {
            write_uint(out, name);
            write_bool(out, value);
        };
        // is_ro_cfg, is_ro, is_anon, is_booted, vclock, gc_vclock, can_lead, leader's uuid, registered uuids
        flag(out, 1, is_read_only);
        flag(out, 4, is_read_only);
        flag(out, 5, false);
        flag(out, 6, true);
        for name in [2, 3] {
            write_uint(out, name);
            write_vclock(out, &vclock);
        }
        flag(out, 7, false);
        write_uint(out, 8);
        write_str(out, &instance);
        write_uint(out, 9);
        write_array(out, 1);
        write_str(out, &instance);
        reply.finish(out);
    }

    pub(super) fn vote_deprecated(&mut self, header: &Header<'_>) {
        let db = self.db();
        let (version, vclock) = (db.schema_version(), db.vclock().clone());
        let reply = Reply::start(self.out, 0, header.sync, version);
        write_map(self.out, 1);
        write_uint(self.out, key::VCLOCK);
        write_vclock(self.out, &vclock);
        reply.finish(self.out);
    }
}

fn write_vclock(out: &mut Vec<u8>, vclock: &Vclock) {
    write_map(out, vclock.iter().count());
    for (id, lsn) in vclock.iter() {
        write_uint(out, u64::from(id));
        write_uint(out, lsn);
    }
}
