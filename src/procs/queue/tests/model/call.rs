//! What can be asked of the queue, and how it is written as a CALL.

/// A type of tube.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Fifo,
    Fifottl,
    Limfifottl,
    Utube,
    Utubettl,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Fifo, Self::Fifottl, Self::Limfifottl, Self::Utube, Self::Utubettl];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Fifottl => "fifottl",
            Self::Limfifottl => "limfifottl",
            Self::Utube => "utube",
            Self::Utubettl => "utubettl",
        }
    }
}

/// Microseconds of tenths of seconds, which is what times are given in here.
pub(super) fn micros(tenths: u64) -> u64 {
    tenths * 100_000
}

/// Tenths as the seconds of JSON.
pub(super) fn seconds(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What a tube is made with. Times are tenths of seconds.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_buffered: bool,
    pub(super) is_temporary: bool,
    pub(super) ttl: Option<u64>,
    pub(super) ttr: Option<u64>,
    pub(super) pri: u64,
    pub(super) capacity: Option<u64>,
    pub(super) rule: Option<Rule>,
}

/// When tasks of a tube have failed too often, and what happens then.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) max_attempts: u64,
    /// The name of a tube that may be there or not.
    pub(super) dead_letter: Option<String>,
    pub(super) keeps_origin: bool,
}

impl Definition {
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.kind, Kind::Fifottl | Kind::Limfifottl | Kind::Utubettl)
    }

    pub(super) fn has_lanes(&self) -> bool {
        matches!(self.kind, Kind::Utube | Kind::Utubettl)
    }

    /// The arguments of `queue.create_tube`.
    pub(super) fn args(&self) -> String {
        let mut options = vec![format!(r#""temporary":{}"#, self.is_temporary)];
        options.extend(self.ttl.map(|ttl| format!(r#""ttl":{}"#, seconds(ttl))));
        options.extend(self.ttr.map(|ttr| format!(r#""ttr":{}"#, seconds(ttr))));
        options.push(format!(r#""pri":{}"#, self.pri));
        options.extend(self.capacity.map(|capacity| format!(r#""capacity":{capacity}"#)));
        if let Some(rule) = &self.rule {
            options.push(format!(r#""max_attempts":{}"#, rule.max_attempts));
            options
                .extend(rule.dead_letter.iter().map(|name| format!(r#""dead_letter":"{name}""#)));
            options.push(format!(r#""dead_letter_origin":{}"#, rule.keeps_origin));
        }
        if self.is_buffered {
            options.push(r#""storage_mode":"ready_buffer""#.to_owned());
        }
        format!(r#"["{}","{}",{{{}}}]"#, self.name, self.kind.name(), options.join(","))
    }
}

/// Options of a put. Times are tenths of seconds.
#[derive(Clone, Default, Debug)]
pub(super) struct PutOptions {
    pub(super) ttl: Option<u64>,
    pub(super) ttr: Option<u64>,
    pub(super) delay: Option<u64>,
    pub(super) pri: Option<u64>,
    /// As the text that a number has.
    pub(super) utube: Option<String>,
    /// In units of 50 ms, as [`Patience`] has it.
    pub(super) timeout: Patience,
}

impl PutOptions {
    fn json(&self) -> String {
        let mut options = Vec::new();
        let times = [("ttl", self.ttl), ("ttr", self.ttr), ("delay", self.delay)];
        for (name, time) in times {
            options.extend(time.map(|time| format!(r#""{name}":{}"#, seconds(time))));
        }
        options.extend(self.pri.map(|pri| format!(r#""pri":{pri}"#)));
        options.extend(self.utube.as_ref().map(|utube| format!(r#""utube":{utube}"#)));
        if let Patience::For(_) = self.timeout {
            options.push(format!(r#""timeout":{}"#, self.timeout.json()));
        }
        format!("{{{}}}", options.join(","))
    }
}

/// How long a call waits. What ends ends between two tenths of a second, while everything else happens at one; so it is
/// always clear what comes first.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) enum Patience {
    #[default]
    None,
    /// So many tenths and a half.
    For(u64),
    Endless,
}

impl Patience {
    /// The moment at which it ends.
    pub(super) fn deadline(self, now: u64) -> u64 {
        match self {
            Self::None => now,
            Self::For(tenths) => now + micros(tenths) + 50_000,
            Self::Endless => u64::MAX,
        }
    }

    fn json(self) -> String {
        match self {
            Self::None => "0".to_owned(),
            Self::For(tenths) => format!("{}5", seconds(tenths)),
            Self::Endless => "null".to_owned(),
        }
    }
}

/// A method of a tube with its arguments.
#[derive(Clone, Debug)]
pub(super) enum Method {
    Put(String, PutOptions),
    Take(Patience),
    Ack(u64),
    /// The id, the delay in tenths of seconds.
    Release(u64, u64),
    /// The id, tenths of seconds.
    Touch(u64, u64),
    Peek(u64),
    Bury(u64),
    Delete(u64),
    Kick(u64),
    ReleaseAll,
    Truncate,
    Drop,
    /// Data and options of each, the options of the call.
    PutMany(Vec<(String, Option<PutOptions>)>, PutOptions),
    /// How many.
    TakeMany(u64, Patience),
    AckMany(Vec<u64>),
}

impl Method {
    /// The name and the arguments.
    pub(super) fn request(&self) -> (&'static str, String) {
        match self {
            Self::Put(data, options) => ("put", format!("[{data},{}]", options.json())),
            Self::Take(patience) => ("take", format!("[{}]", patience.json())),
            Self::Ack(id) => ("ack", format!("[{id}]")),
            Self::Release(id, 0) => ("release", format!("[{id}]")),
            Self::Release(id, delay) => {
                ("release", format!(r#"[{id},{{"delay":{}}}]"#, seconds(*delay)))
            }
            Self::Touch(id, delta) => ("touch", format!("[{id},{}]", seconds(*delta))),
            Self::Peek(id) => ("peek", format!("[{id}]")),
            Self::Bury(id) => ("bury", format!("[{id}]")),
            Self::Delete(id) => ("delete", format!("[{id}]")),
            Self::Kick(count) => ("kick", format!("[{count}]")),
            Self::ReleaseAll => ("release_all", "[]".to_owned()),
            Self::Truncate => ("truncate", "[]".to_owned()),
            Self::Drop => ("drop", "[]".to_owned()),
            Self::PutMany(tasks, options) => {
                let task = |(data, own): &(String, Option<PutOptions>)| match own {
                    Some(own) => format!("[{data},{}]", own.json()),
                    None => format!("[{data}]"),
                };
                let tasks = tasks.iter().map(task).collect::<Vec<_>>().join(",");
                ("put_many", format!("[[{tasks}],{}]", options.json()))
            }
            Self::TakeMany(count, patience) => {
                ("take_many", format!("[{count},{}]", patience.json()))
            }
            Self::AckMany(ids) => ("ack_many", format!("[{ids:?}]")),
        }
    }
}
