//! A server under test: where it is, what it is, and the spaces made on it.

use crate::client::Client;
use crate::error::Error;
use crate::process::Process;
use crate::schema::{self, Spaces};
use crate::workload::{Plan, Workload};

/// A running server with the test spaces on it.
pub(crate) struct Server {
    /// HOST:PORT.
    pub(crate) address: String,
    /// The first line of its greeting.
    pub(crate) greeting: String,
    /// Its process, if it is on this machine.
    pub(crate) process: Option<Process>,
    /// Memory resident once the spaces are loaded, in bytes.
    pub(crate) loaded_memory: Option<u64>,
    /// Rows in each loaded space.
    pub(crate) rows: u32,
    /// Ids of the test spaces.
    spaces: Spaces,
}

impl Server {
    /// Connects, makes the test spaces anew and loads them.
    pub(crate) fn prepare(address: &str, pid: Option<u32>, rows: u32) -> Result<Self, Error> {
        let mut client = Client::connect(address)?;
        let spaces = schema::create(&mut client, rows)?;
        let process = pid.map(|pid| Process { pid }).or_else(|| Process::listening(address));
        Ok(Self {
            address: address.to_owned(),
            greeting: client.greeting().to_owned(),
            process,
            loaded_memory: process.and_then(Process::resident_memory),
            rows,
            spaces,
        })
    }

    /// Connects to a server where a space of this name has rows already.
    pub(crate) fn with_space(address: &str, space: &str, rows: u32) -> Result<Self, Error> {
        let mut client = Client::connect(address)?;
        let main = schema::find_space(&mut client, space)?;
        let process = Process::listening(address);
        Ok(Self {
            address: address.to_owned(),
            greeting: client.greeting().to_owned(),
            process,
            loaded_memory: process.and_then(Process::resident_memory),
            rows,
            spaces: Spaces { main, secondary: 0, insert: 0 },
        })
    }

    /// Brings the server to the state `workload` starts from; `None` if it cannot serve it.
    pub(crate) fn plan(&mut self, workload: Workload) -> Result<Option<Plan>, Error> {
        if workload == Workload::Insert {
            let mut client = Client::connect(&self.address)?;
            self.spaces.insert = schema::recreate_insert_space(&mut client)?;
        }
        if let Some(tube_type) = workload.tube_type() {
            let mut client = Client::connect(&self.address)?;
            if !schema::create_tube(&mut client, tube_type, None)? {
                return Ok(None);
            }
        }
        let mut session = String::new();
        if workload == Workload::CheckAuth {
            match schema::log_in(&mut Client::connect(&self.address)?)? {
                Some(opened) => session = opened,
                None => return Ok(None),
            }
        }
        Ok(Some(workload.plan(&self.spaces, &session)))
    }

    /// A server without test spaces, for tests of the driver.
    #[cfg(test)]
    pub(crate) fn bare(address: String) -> Self {
        let spaces = Spaces { main: 0, secondary: 0, insert: 0 };
        let greeting = String::new();
        Self { address, greeting, process: None, loaded_memory: None, rows: 1, spaces }
    }

    /// Drops the test spaces.
    pub(crate) fn clean_up(&self) -> Result<(), Error> {
        schema::drop_all(&mut Client::connect(&self.address)?)
    }
}
