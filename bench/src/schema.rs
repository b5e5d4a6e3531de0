//! The test spaces and the test tube, made with requests that every IPROTO server knows: rows of
//! the system spaces `_space` and `_index`, and the queue's own calls.

use crate::client::Client;
use crate::error::Error;
use crate::iproto::{
    ADMIN_ID, ER_PROC_LUA, INDEX_SPACE_ID, ITERATOR_ALL, ITERATOR_EQ, SPACE_SPACE_ID, key,
    request_type,
};
use crate::reply;
use crate::request::{self, Builder, KEY_MIN};

/// The loaded space that most workloads use.
pub(crate) const SPACE: &str = "bench_main";
/// The loaded space that has a secondary index.
const SECONDARY_SPACE: &str = "bench_secondary";
/// The space that inserts go to.
const INSERT_SPACE: &str = "bench_insert";
/// The tube; tarantool-queue keeps it in a space of the same name.
pub(crate) const TUBE: &str = "bench";
/// The user who is logged in.
const EMAIL: &str = "bench@bench.example";
/// The user's password.
const PASSWORD: &str = "Bench-passw0rd";
/// Ids of the test spaces start here, far above those that a server gives to new spaces: it counts
/// them in `_schema` and would not notice that we took one.
const SPACE_ID_MIN: u32 = 1_000_000;
/// Rows of `_space` read at most; no server under test has as many spaces.
const SPACES_MAX: u32 = 100_000;

/// Ids of the test spaces on one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spaces {
    /// Primary index only, loaded.
    pub(crate) main: u32,
    /// Primary and secondary index, loaded.
    pub(crate) secondary: u32,
    /// Primary index only, empty before each measurement.
    pub(crate) insert: u32,
}

/// Creates all test spaces anew and loads `rows` rows with the keys from `KEY_MIN`.
pub(crate) fn create(client: &mut Client, rows: u32) -> Result<Spaces, Error> {
    let main = create_space(client, SPACE, false)?;
    let secondary = create_space(client, SECONDARY_SPACE, true)?;
    let insert = create_space(client, INSERT_SPACE, false)?;
    for space_id in [main, secondary] {
        let replace = request::write(request_type::REPLACE, space_id);
        client.load("replace while loading", &replace, KEY_MIN..KEY_MIN + rows)?;
    }
    Ok(Spaces { main, secondary, insert })
}

/// Makes the space for inserts anew; returns its id.
pub(crate) fn recreate_insert_space(client: &mut Client) -> Result<u32, Error> {
    create_space(client, INSERT_SPACE, false)
}

/// Drops the test spaces.
pub(crate) fn drop_all(client: &mut Client) -> Result<(), Error> {
    for name in [SPACE, SECONDARY_SPACE, INSERT_SPACE] {
        drop_space(client, name)?;
    }
    Ok(())
}

/// Creates the tube anew, of a type and a storage mode; false if the server has no queue.
pub(crate) fn create_tube(
    client: &mut Client,
    tube_type: &str,
    mode: Option<&str>,
) -> Result<bool, Error> {
    drop_tube(client)?;
    let create = request::call("queue.create_tube").array(3).str(TUBE).str(tube_type);
    let create = match mode {
        Some(mode) => create.map(2).str("storage_mode").str(mode),
        None => create.map(1),
    };
    let create = create.str("if_not_exists").bool(true);
    match client.ask("CALL queue.create_tube", create) {
        Ok(_) => Ok(true),
        Err(error) if error.is_no_such_procedure() => Ok(false),
        // tarantool-queue creates the tube, then fails to send the object it returns.
        Err(Error::Refused { code: ER_PROC_LUA, message, .. })
            if message.starts_with("unsupported Lua type") =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Opens a login session for a user of ours; None if the server has no accounts.
pub(crate) fn log_in(client: &mut Client) -> Result<Option<String>, Error> {
    let call = |name: &str, args: &[&str]| {
        let start = request::call(name).array(u8::try_from(args.len()).expect("few"));
        args.iter().fold(start, |call, arg| call.str(arg))
    };
    let registered = match client.ask("CALL auth.registration", call("auth.registration", &[EMAIL]))
    {
        Ok(body) => body,
        Err(error) if error.is_no_such_procedure() => return Ok(None),
        Err(error) => return Err(error),
    };
    // Without a code the user is there from the measurement before.
    if let Some(code) = user_field(&registered, "code") {
        let args = [EMAIL, &code, PASSWORD];
        let complete = call("auth.complete_registration", &args);
        client.ask("CALL auth.complete_registration", complete)?;
    }
    let body = client.ask("CALL auth.auth", call("auth.auth", &[EMAIL, PASSWORD]))?;
    let session = user_field(&body, "session");
    session.map(Some).ok_or(Error::Malformed { problem: "no session in it" })
}

/// A text of the user that is the second value of an answer.
fn user_field(body: &[u8], name: &str) -> Option<String> {
    let (_, mut values) = reply::data(body)?;
    values.skip()?;
    for _ in 0..values.map()? {
        if values.str()? == name {
            return values.str();
        }
        values.skip()?;
    }
    None
}

/// Drops the tube, if it is there, with whatever is in it.
pub(crate) fn drop_tube(client: &mut Client) -> Result<(), Error> {
    for method in ["release_all", "truncate", "drop"] {
        let call = request::call(&format!("queue.tube.{TUBE}:{method}")).array(0);
        match client.ask("CALL drop of a tube", call) {
            Err(error) if !error.is_no_such_procedure() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Creates one space in place of what has its name; returns its id.
fn create_space(client: &mut Client, name: &str, is_secondary: bool) -> Result<u32, Error> {
    drop_space(client, name)?;
    let taken = spaces(client)?.into_iter().map(|(id, _)| id).max().unwrap_or(0);
    let space_id = (taken + 1).max(SPACE_ID_MIN);
    let row = insert_into(SPACE_SPACE_ID).array(7).uint(space_id).uint(ADMIN_ID).str(name);
    let row = row.str("memtx").uint(0u64).map(0).array(0);
    client.ask("insert into _space", row)?;
    create_index(client, space_id, 0, "primary", 0, "unsigned")?;
    if is_secondary {
        create_index(client, space_id, 1, "name", 1, "string")?;
    }
    Ok(space_id)
}

/// Creates a unique tree index over one field.
fn create_index(
    client: &mut Client,
    space_id: u32,
    index_id: u32,
    name: &str,
    field_no: u32,
    field_type: &str,
) -> Result<(), Error> {
    let row = insert_into(INDEX_SPACE_ID).array(6).uint(space_id).uint(index_id).str(name);
    let row = row.str("tree").map(1).str("unique").bool(true);
    let row = row.array(1).array(2).uint(field_no).str(field_type);
    client.ask("insert into _index", row).map(drop)
}

/// Drops a space with its indexes, if it is there.
fn drop_space(client: &mut Client, name: &str) -> Result<(), Error> {
    let Some((space_id, _)) = spaces(client)?.into_iter().find(|(_, found)| found == name) else {
        return Ok(());
    };
    let select = request::select(INDEX_SPACE_ID, 0, ITERATOR_EQ, SPACES_MAX);
    let body = client.ask("select from _index", select.array(1).uint(space_id))?;
    let indexes = index_ids(&body).ok_or(Error::Malformed { problem: "a row of _index" })?;
    // The primary index goes last.
    for index_id in indexes.into_iter().rev() {
        let delete = delete_from(INDEX_SPACE_ID).array(2).uint(space_id).uint(index_id);
        client.ask("delete from _index", delete)?;
    }
    let delete = delete_from(SPACE_SPACE_ID).array(1).uint(space_id);
    client.ask("delete from _space", delete).map(drop)
}

/// The id of the space of this name.
pub(crate) fn find_space(client: &mut Client, name: &str) -> Result<u32, Error> {
    let found = spaces(client)?.into_iter().find(|(_, found)| found == name);
    found.map(|(id, _)| id).ok_or_else(|| Error::Unexpected {
        request: "select from _space".to_owned(),
        problem: format!("no space '{name}'"),
    })
}

/// Id and name of every space.
fn spaces(client: &mut Client) -> Result<Vec<(u32, String)>, Error> {
    let select = request::select(SPACE_SPACE_ID, 0, ITERATOR_ALL, SPACES_MAX).array(0);
    let body = client.ask("select from _space", select)?;
    ids_and_names(&body).ok_or(Error::Malformed { problem: "a row of _space" })
}

/// Reads id and name from rows of `_space`.
fn ids_and_names(body: &[u8]) -> Option<Vec<(u32, String)>> {
    let (count, mut rows) = reply::data(body)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let mut row = rows;
        row.array()?;
        let id = row.uint()?;
        row.skip()?;
        found.push((u32::try_from(id).ok()?, row.str()?));
        rows.skip()?;
    }
    Some(found)
}

/// Reads the index ids from rows of `_index`.
fn index_ids(body: &[u8]) -> Option<Vec<u32>> {
    let (count, mut rows) = reply::data(body)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let mut row = rows;
        row.array()?;
        row.skip()?;
        found.push(u32::try_from(row.uint()?).ok()?);
        rows.skip()?;
    }
    Some(found)
}

/// The start of an INSERT; the row comes next.
fn insert_into(space_id: u32) -> Builder {
    let builder = Builder::new(request_type::INSERT).map(2).field(key::SPACE_ID).uint(space_id);
    builder.field(key::TUPLE)
}

/// The start of a DELETE by primary key; the key array comes next.
fn delete_from(space_id: u32) -> Builder {
    let builder = Builder::new(request_type::DELETE).map(2).field(key::SPACE_ID).uint(space_id);
    builder.field(key::KEY)
}
