//! Options that are one of a few names.

use serde_norway::Value;

use super::options::Limits;
use super::value::{OptionType, Refused, list_from_text, read_list};

/// Declares an enum whose values have the names that the configuration uses; `by number` lets their place stand for
/// them too.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $Name:ident $(by $number:ident)? { $($(#[$arm_meta:meta])* $Arm:ident $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $($(#[$arm_meta])* $Arm,)*
        }

        impl $Name {
            /// Every value with its name.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$Arm)),*];

            /// The name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$Arm => $text,)* }
            }
        }

        impl OptionType for $Name {
            fn allowed(_: &Limits) -> String {
                let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
                format!("one of: {}", names.join(", "))
            }

            fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
                let by_number = [$(stringify!($number))?].contains(&"number");
                let place = value.as_u64().filter(|_| by_number);
                let place = place.and_then(|place| usize::try_from(place).ok());
                let found = match place {
                    Some(place) => Self::ALL.get(place),
                    None => Self::ALL.iter().find(|(name, _)| value.as_str() == Some(name)),
                };
                let refused = || Refused::new(value, Self::allowed(limits));
                found.map(|(_, choice)| *choice).ok_or_else(refused)
            }
        }
    };
}

choice! {
    /// How a transaction becomes durable.
    WalMode {
        /// Not at all.
        None "none",
        /// Once the operating system has its rows.
        Write "write",
        /// Once the disk has them.
        Fsync "fsync",
    }
}

choice! {
    /// What a transaction sees of others that are not in the journal yet.
    TxnIsolation {
        /// Nothing until it writes, everything afterwards.
        BestEffort "best-effort",
        /// Everything.
        ReadCommitted "read-committed",
        /// Nothing.
        ReadConfirmed "read-confirmed",
    }
}

choice! {
    /// How important a message is; the first is the most important.
    LogLevel by number {
        /// The process cannot go on.
        Fatal "fatal",
        /// A call of the system failed.
        Syserror "syserror",
        /// Something failed.
        Error "error",
        /// Something may fail soon.
        Crit "crit",
        /// Something is not as it should be.
        Warn "warn",
        /// What the server does.
        Info "info",
        /// What it does in detail.
        Verbose "verbose",
        /// For those who work on the server.
        Debug "debug",
    }
}

choice! {
    /// The form of the log.
    LogFormat {
        /// Lines for people.
        Plain "plain",
        /// One JSON object a line.
        Json "json",
    }
}

choice! {
    /// Where the log goes.
    LogTo {
        /// The standard error stream.
        Stderr "stderr",
        /// A file.
        File "file",
    }
}

choice! {
    /// An application that the server can run.
    Role {
        /// The task queue.
        Queue "queue",
        /// Accounts and login.
        Authman "authman",
    }
}

choice! {
    /// How strong passwords must be, weakest first.
    PasswordStrength {
        /// Anything passes.
        None "none",
        /// 2 bytes.
        Whocares "whocares",
        /// 6 bytes of 2 groups.
        Easy "easy",
        /// 8 bytes of 2 groups.
        Common "common",
        /// 12 bytes of 3 groups.
        Moderate "moderate",
        /// 16 bytes of 4 groups.
        Violence "violence",
        /// 24 bytes of 4 groups.
        Nightmare "nightmare",
    }
}

choice! {
    /// A provider of social login whose addresses and ways are known here.
    ReadyProvider {
        /// Google, by OpenID Connect.
        Google "google",
        /// GitHub, by OAuth2.
        Github "github",
        /// GitLab, by OpenID Connect.
        Gitlab "gitlab",
        /// Microsoft, by OpenID Connect.
        Microsoft "microsoft",
        /// Apple, by OpenID Connect.
        Apple "apple",
        /// Yandex, by OAuth2.
        Yandex "yandex",
        /// VK ID, by OAuth 2.1.
        Vkid "vkid",
    }
}

choice! {
    /// How an application says who it is when it exchanges a code.
    TokenAuth {
        /// Id and secret in the header.
        Basic "client_secret_basic",
        /// Id and secret in the form.
        Post "client_secret_post",
        /// The id alone.
        None "none",
    }
}

choice! {
    /// An algorithm that an ID token may be signed with. Those that share a secret are none of them.
    IdTokenAlgorithm {
        /// RSA, PKCS#1, SHA-256.
        Rs256 "RS256",
        /// RSA, PKCS#1, SHA-384.
        Rs384 "RS384",
        /// RSA, PKCS#1, SHA-512.
        Rs512 "RS512",
        /// RSA, PSS, SHA-256.
        Ps256 "PS256",
        /// RSA, PSS, SHA-384.
        Ps384 "PS384",
        /// RSA, PSS, SHA-512.
        Ps512 "PS512",
        /// ECDSA, P-256, SHA-256.
        Es256 "ES256",
        /// ECDSA, P-384, SHA-384.
        Es384 "ES384",
        /// Ed25519.
        EdDsa "EdDSA",
    }
}

choice! {
    /// A role that every database has.
    BuiltinRole {
        /// What everybody may do.
        Public "public",
        /// What replicas may do.
        Replication "replication",
        /// Everything.
        Super "super",
    }
}

choice! {
    /// What a privilege permits.
    Permission {
        /// Read rows.
        Read "read",
        /// Change rows.
        Write "write",
        /// Call functions.
        Execute "execute",
        /// Create objects.
        Create "create",
        /// Alter objects.
        Alter "alter",
        /// Drop objects.
        Drop "drop",
        /// Use objects at all.
        Usage "usage",
        /// Open a session.
        Session "session",
    }
}

impl LogLevel {
    /// The least important level of `tracing` that this one lets through.
    pub fn filter(self) -> tracing::level_filters::LevelFilter {
        use tracing::level_filters::LevelFilter;
        match self {
            Self::Fatal | Self::Syserror | Self::Error | Self::Crit => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Verbose => LevelFilter::DEBUG,
            Self::Debug => LevelFilter::TRACE,
        }
    }
}

impl OptionType for Vec<Role> {
    fn allowed(limits: &Limits) -> String {
        format!("a list with any of: {}", Role::allowed(limits).trim_start_matches("one of: "))
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        read_list(value, &Self::allowed(limits), |item| Role::read(item, limits))
    }

    fn from_text(text: &str) -> Value {
        list_from_text(text)
    }
}
