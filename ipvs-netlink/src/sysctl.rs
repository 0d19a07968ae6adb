use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A setting of IPVS under `net.ipv4.vs`, with the type of its value.
///
/// ```no_run
/// use ipvs_netlink::Sysctl;
/// if !Sysctl::CONNTRACK.get()? {
///     Sysctl::CONNTRACK.set(true)?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each network namespace has its own; they exist once `ip_vs` is loaded. Anybody may read, root of the namespace may write.
#[derive(Clone, Copy, Debug)]
pub struct Sysctl<V> {
    name: &'static str,
    value: PhantomData<fn() -> V>,
}

/// What a setting can hold.
pub trait SysctlValue: Sized {
    /// Reads what the file holds.
    fn parse(text: &str) -> Option<Self>;
    /// What is written into the file.
    fn format(&self) -> String;
}

/// When a connection is told to the other directors: with its `packets`th packet, and again after each `period` packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's two numbers")]
pub struct SyncThreshold {
    /// The packet at which it is first told.
    pub packets: u32,
    /// After how many packets it is told again; greater than `packets`, or 0.
    pub period: u32,
}

/// How a defence strategy is switched: off, by the memory that is left, or on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defence {
    /// Off.
    Off,
    /// Off now; on when memory runs short.
    Automatic,
    /// On now, because memory has run short; off when there is enough.
    AutomaticActive,
    /// On.
    On,
}

/// Processors, as the kernel lists them: `0-3,8`. Empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a list is its ranges")]
pub struct CpuList {
    /// First and last of each range.
    pub ranges: Vec<(u32, u32)>,
}

macro_rules! sysctls {
    ($($(#[$doc:meta])* $constant:ident: $type:ty = $name:literal;)*) => {
        $(impl Sysctl<$type> {
            $(#[$doc])*
            pub const $constant: Self = Self::named($name);
        })*

        /// The names of all settings that are known here.
        pub const SYSCTL_NAMES: &[&str] = &[$($name),*];
    };
}

sysctls! {
    /// The pages of memory that are to be left before the defences become active.
    AMEMTHRESH: u32 = "amemthresh";
    /// One of so many packets is dropped where [`DROP_PACKET`](Self::DROP_PACKET) is on.
    AM_DROPRATE: u32 = "am_droprate";
    /// Dropping half-open connections at random.
    DROP_ENTRY: Defence = "drop_entry";
    /// Dropping packets before they are looked at.
    DROP_PACKET: Defence = "drop_packet";
    /// Shorter timeouts for TCP.
    SECURE_TCP: Defence = "secure_tcp";
    /// Keeping connections in the firewall's own table too, so that its rules see them; for masquerading.
    CONNTRACK: bool = "conntrack";
    /// Looking up the route anew for answers that are masqueraded, by their new source address.
    SNAT_REROUTE: bool = "snat_reroute";
    /// The version of the sync daemons' messages: 0 for kernels before 2.6.39, 1.
    SYNC_VERSION: u32 = "sync_version";
    /// How many threads, and ports, a sync daemon has.
    SYNC_PORTS: u32 = "sync_ports";
    /// Telling other directors of kept clients only, not of their connections.
    SYNC_PERSIST_MODE: bool = "sync_persist_mode";
    /// How many messages of the sync daemon may wait.
    SYNC_QLEN_MAX: u64 = "sync_qlen_max";
    /// The buffer of the sync daemon's socket in bytes; 0 for the system's default.
    SYNC_SOCK_SIZE: u32 = "sync_sock_size";
    /// When connections are told to other directors.
    SYNC_THRESHOLD: SyncThreshold = "sync_threshold";
    /// After so many seconds a connection is told again; 0 for by packets only.
    SYNC_REFRESH_PERIOD: u32 = "sync_refresh_period";
    /// How often it is told again within an eighth of that time, at most 3.
    SYNC_RETRIES: u32 = "sync_retries";
    /// Sending packets of a cache cluster on to where they wanted to go when no cache is left.
    CACHE_BYPASS: bool = "cache_bypass";
    /// Resetting the connections of a destination that is gone as soon as a packet of theirs comes.
    EXPIRE_NODEST_CONN: bool = "expire_nodest_conn";
    /// Sending kept clients elsewhere when their destination is quiesced.
    EXPIRE_QUIESCENT_TEMPLATE: bool = "expire_quiescent_template";
    /// Taking up a TCP connection in the middle.
    SLOPPY_TCP: bool = "sloppy_tcp";
    /// Taking up an SCTP association in the middle.
    SLOPPY_SCTP: bool = "sloppy_sctp";
    /// Telling clients of a destination's ICMP errors when masquerading.
    NAT_ICMP_SEND: bool = "nat_icmp_send";
    /// Following the path's MTU with tunnels.
    PMTU_DISC: bool = "pmtu_disc";
    /// Not scheduling where this host is only a backup of the same table.
    BACKUP_ONLY: bool = "backup_only";
    /// What happens to a new connection from a port that has an old one: 0 goes to its old destination, 1 is scheduled
    /// anew, and what else the kernel's documentation lists.
    CONN_REUSE_MODE: u32 = "conn_reuse_mode";
    /// Scheduling ICMP errors that belong to no connection.
    SCHEDULE_ICMP: bool = "schedule_icmp";
    /// Not looking into tunnels for services.
    IGNORE_TUNNELED: bool = "ignore_tunneled";
    /// Keeping rates at all; without it counters are not summed up either. Since Linux 5.16.
    RUN_ESTIMATION: bool = "run_estimation";
    /// The processors that sum up counters. Since Linux 6.2.
    EST_CPULIST: CpuList = "est_cpulist";
    /// The priority of the threads that do. Since Linux 6.2.
    EST_NICE: i32 = "est_nice";
    /// After how long lblc forgets where an address went.
    LBLC_EXPIRATION: Duration = "lblc_expiration";
    /// After how long lblcr forgets where an address went.
    LBLCR_EXPIRATION: Duration = "lblcr_expiration";
}

impl<V> Sysctl<V> {
    const fn named(name: &'static str) -> Self {
        Self {
            name,
            value: PhantomData,
        }
    }

    /// Its name under `net.ipv4.vs`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<V: SysctlValue> Sysctl<V> {
    /// Reads it.
    ///
    /// # Errors
    /// `NotFound` where `ip_vs` is not loaded or this kernel lacks the setting; `InvalidData` if it holds something else.
    pub fn get(&self) -> io::Result<V> {
        self.get_under(Path::new(FOLDER))
    }

    /// Writes it.
    ///
    /// # Errors
    /// `NotFound` as for reading; `PermissionDenied`; `InvalidInput` for a value that the kernel refuses.
    pub fn set(&self, value: V) -> io::Result<()> {
        self.set_under(Path::new(FOLDER), &value)
    }

    fn get_under(&self, folder: &Path) -> io::Result<V> {
        let text = fs::read_to_string(self.path(folder))?;
        V::parse(text.trim()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn set_under(&self, folder: &Path, value: &V) -> io::Result<()> {
        fs::write(self.path(folder), value.format())
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.name)
    }
}

impl SysctlValue for bool {
    fn parse(text: &str) -> Option<Self> {
        Some(text.parse::<i64>().ok()? != 0)
    }

    fn format(&self) -> String {
        u8::from(*self).to_string()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl SysctlValue for $type {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn format(&self) -> String {
                self.to_string()
            }
        })*
    };
}

numbers!(u32, u64, i32);

impl SysctlValue for Duration {
    /// Whole seconds.
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::from_secs)
    }

    fn format(&self) -> String {
        self.as_secs().to_string()
    }
}

impl SysctlValue for SyncThreshold {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            packets: words.next()?.parse().ok()?,
            period: words.next()?.parse().ok()?,
        })
    }

    fn format(&self) -> String {
        format!("{} {}", self.packets, self.period)
    }
}

impl SysctlValue for Defence {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "0" => Self::Off,
            "1" => Self::Automatic,
            "2" => Self::AutomaticActive,
            "3" => Self::On,
            _ => return None,
        })
    }

    fn format(&self) -> String {
        let number = match self {
            Self::Off => 0,
            Self::Automatic => 1,
            Self::AutomaticActive => 2,
            Self::On => 3,
        };
        number.to_string()
    }
}

impl SysctlValue for CpuList {
    fn parse(text: &str) -> Option<Self> {
        let ranges: Option<Vec<(u32, u32)>> = text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                Some((first.parse().ok()?, last.parse().ok()?))
            })
            .collect();
        Some(Self { ranges: ranges? })
    }

    fn format(&self) -> String {
        let parts: Vec<String> = self
            .ranges
            .iter()
            .map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            })
            .collect();
        // An empty write changes nothing; a line does.
        format!("{}\n", parts.join(","))
    }
}

const FOLDER: &str = "/proc/sys/net/ipv4/vs";

#[cfg(test)]
mod tests {
    use super::{CpuList, Defence, SyncThreshold, Sysctl, SysctlValue};

    #[test]
    fn values_are_read_as_they_are_written() {
        let list = CpuList {
            ranges: vec![(0, 3), (8, 8)],
        };
        assert_eq!(list.format(), "0-3,8\n");
        assert_eq!(CpuList::parse("0-3,8"), Some(list));
        assert_eq!(CpuList::parse(""), Some(CpuList::default()));
        assert_eq!(CpuList::parse("0-x"), None);
        let threshold = SyncThreshold {
            packets: 3,
            period: 50,
        };
        assert_eq!(SyncThreshold::parse("3\t50"), Some(threshold));
        assert_eq!(threshold.format(), "3 50");
        for defence in [
            Defence::Off,
            Defence::Automatic,
            Defence::AutomaticActive,
            Defence::On,
        ] {
            assert_eq!(Defence::parse(&defence.format()), Some(defence));
        }
        assert_eq!(Defence::parse("4"), None);
    }

    #[test]
    fn a_setting_is_a_file() {
        let folder = std::env::temp_dir().join(format!("ipvs-sysctl-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Sysctl::CONNTRACK.set_under(&folder, &true).unwrap();
        assert!(Sysctl::CONNTRACK.get_under(&folder).unwrap());
        std::fs::write(folder.join("conntrack"), "maybe").unwrap();
        assert!(Sysctl::CONNTRACK.get_under(&folder).is_err());
        assert!(Sysctl::EST_NICE.get_under(&folder).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
