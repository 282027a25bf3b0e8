//! The settings that commands, workers and observers read while serving: typed, in atomics, without a lock.
//!
//! Each is written from the canonical text of its directive, by [`Hot::apply`] alone. Directives without a field here
//! are read from their texts (`settings.rs`), which costs a lock and is for start and for CONFIG.
//!
//! Invariant: a field always equals its directive's canonical text, except while CONFIG SET runs; a reader may see one
//! of two settings changed and not yet the other.
//!
//! Thread safety: all fields are atomics, read and written relaxed: a setting orders no other memory.

use observe::spec::Observer;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Which keys are evicted when `maxmemory` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum MaxmemoryPolicy {
    #[default]
    NoEviction,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

impl MaxmemoryPolicy {
    /// Every policy, in the order of its number.
    pub const ALL: [MaxmemoryPolicy; 8] = [
        MaxmemoryPolicy::NoEviction,
        MaxmemoryPolicy::AllkeysLru,
        MaxmemoryPolicy::AllkeysLfu,
        MaxmemoryPolicy::AllkeysRandom,
        MaxmemoryPolicy::VolatileLru,
        MaxmemoryPolicy::VolatileLfu,
        MaxmemoryPolicy::VolatileRandom,
        MaxmemoryPolicy::VolatileTtl,
    ];

    /// As `maxmemory-policy` writes it.
    pub fn name(self) -> &'static str {
        match self {
            MaxmemoryPolicy::NoEviction => "noeviction",
            MaxmemoryPolicy::AllkeysLru => "allkeys-lru",
            MaxmemoryPolicy::AllkeysLfu => "allkeys-lfu",
            MaxmemoryPolicy::AllkeysRandom => "allkeys-random",
            MaxmemoryPolicy::VolatileLru => "volatile-lru",
            MaxmemoryPolicy::VolatileLfu => "volatile-lfu",
            MaxmemoryPolicy::VolatileRandom => "volatile-random",
            MaxmemoryPolicy::VolatileTtl => "volatile-ttl",
        }
    }

    /// Whether only keys with a TTL may be evicted.
    pub fn is_volatile(self) -> bool {
        self.name().starts_with("volatile")
    }

    /// Whether the access bits of an entry count frequency (else recency).
    pub fn is_lfu(self) -> bool {
        matches!(self, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu)
    }

    fn from_name(name: &str) -> MaxmemoryPolicy {
        MaxmemoryPolicy::ALL.into_iter().find(|policy| policy.name() == name).unwrap_or_default()
    }
}

/// How long a worker polls its sockets before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyPoll {
    /// As long as it has paid lately.
    Adaptive,
    /// Never.
    Off,
    /// This many microseconds, 1 to 100.
    Fixed(u32),
}

/// The observers that are switched on; empty when `profiling` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observers(u32);

const _: () = assert!(Observer::COUNT < 31, "one bit is `profiling` itself");

impl Observers {
    /// `profiling` itself, in the same word so that one load answers for all.
    const MASTER: u32 = 1 << 31;

    const fn bit(observer: Observer) -> u32 {
        1 << observer.index()
    }

    /// Whether nothing at all is to be recorded.
    pub fn is_off(self) -> bool {
        self.0 == 0
    }
    pub fn is_on(self, observer: Observer) -> bool {
        self.0 & Self::bit(observer) != 0
    }
}

/// The three classes of clients that have output buffer limits of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    Normal = 0,
    Replica = 1,
    PubSub = 2,
}

/// When a client that does not read its replies is cut off; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// Cut off at once above this.
    pub hard_bytes: u64,
    /// Cut off when above this for longer than `soft_seconds`.
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}

/// The fields of [`OutputBufferLimit`] for one class.
type LimitCell = [AtomicU64; 3];

#[derive(Debug, Default)]
pub(super) struct Hot {
    maxmemory_bytes: AtomicU64,
    maxmemory_policy: AtomicU8,
    maxmemory_samples: AtomicU32,
    lfu_decay_time_minutes: AtomicU32,
    lfu_log_factor: AtomicU32,
    active_expire_effort: AtomicU8,
    proto_max_bulk_len_bytes: AtomicU64,
    client_query_buffer_limit_bytes: AtomicU64,
    client_output_buffer_limits: [LimitCell; 3],
    timeout_seconds: AtomicU32,
    tcp_keepalive_seconds: AtomicU32,
    maxclients: AtomicU32,
    busy_poll_us: AtomicI64,
    io_threads_always_active: AtomicBool,
    slowlog_log_slower_than_us: AtomicI64,
    slowlog_max_len: AtomicU64,
    latency_monitor_threshold_ms: AtomicU64,
    latency_tracking: AtomicBool,
    observers: AtomicU32,
    redacts_keys: AtomicBool,
    protected_mode: AtomicBool,
    requires_password: AtomicBool,
}

impl Hot {
    /// Writes the field of the directive `name`, if it has one. `text` is canonical, so its numbers parse.
    pub(super) fn apply(&self, name: &str, text: &str) {
        let is_on = text == "yes";
        let observer = |bit: u32| match is_on {
            true => self.observers.fetch_or(bit, Relaxed),
            false => self.observers.fetch_and(!bit, Relaxed),
        };
        match name {
            "maxmemory" => self.maxmemory_bytes.store(number(text), Relaxed),
            "maxmemory-policy" => {
                self.maxmemory_policy.store(MaxmemoryPolicy::from_name(text) as u8, Relaxed)
            }
            "maxmemory-samples" => self.maxmemory_samples.store(number(text), Relaxed),
            "lfu-log-factor" => self.lfu_log_factor.store(number(text), Relaxed),
            "lfu-decay-time" => self.lfu_decay_time_minutes.store(number(text), Relaxed),
            "active-expire-effort" => self.active_expire_effort.store(number(text), Relaxed),
            "proto-max-bulk-len" => self.proto_max_bulk_len_bytes.store(number(text), Relaxed),
            "client-query-buffer-limit" => self.client_query_buffer_limit_bytes.store(number(text), Relaxed),
            "client-output-buffer-limit" => self.apply_output_buffer_limits(text),
            "timeout" => self.timeout_seconds.store(number(text), Relaxed),
            "tcp-keepalive" => self.tcp_keepalive_seconds.store(number(text), Relaxed),
            "maxclients" => self.maxclients.store(number(text), Relaxed),
            "busy-poll-us" => self.busy_poll_us.store(number(text), Relaxed),
            "io-threads-always-active" => self.io_threads_always_active.store(is_on, Relaxed),
            "slowlog-log-slower-than" => self.slowlog_log_slower_than_us.store(number(text), Relaxed),
            "slowlog-max-len" => self.slowlog_max_len.store(number(text), Relaxed),
            "latency-monitor-threshold" => self.latency_monitor_threshold_ms.store(number(text), Relaxed),
            "latency-tracking" => self.latency_tracking.store(is_on, Relaxed),
            "profiling-redact-keys" => self.redacts_keys.store(is_on, Relaxed),
            "protected-mode" => self.protected_mode.store(is_on, Relaxed),
            "requirepass" => self.requires_password.store(!text.is_empty(), Relaxed),
            "profiling" => _ = observer(Observers::MASTER),
            _ => {
                if let Some(one) = Observer::from_directive(name) {
                    observer(Observers::bit(one));
                }
            }
        }
    }

    fn apply_output_buffer_limits(&self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        for (cell, group) in self.client_output_buffer_limits.iter().zip(words.chunks(4)) {
            for (field, word) in cell.iter().zip(group.iter().skip(1)) {
                field.store(number(word), Relaxed);
            }
        }
    }
}

/// A canonical number; its kind has checked its range.
fn number<N: std::str::FromStr + Default>(text: &str) -> N {
    text.parse().unwrap_or_default()
}

/// Each read is one relaxed load, cheap enough for every command.
impl super::Settings {
    /// Bytes the server may use; 0 is no limit.
    pub fn maxmemory_bytes(&self) -> u64 {
        self.hot.maxmemory_bytes.load(Relaxed)
    }
    pub fn maxmemory_policy(&self) -> MaxmemoryPolicy {
        let number = usize::from(self.hot.maxmemory_policy.load(Relaxed));
        MaxmemoryPolicy::ALL.get(number).copied().unwrap_or_default()
    }
    /// Keys compared per eviction, 1 to 64.
    pub fn maxmemory_samples(&self) -> u32 {
        self.hot.maxmemory_samples.load(Relaxed)
    }
    /// Minutes after which an unused key's counter goes down by one; 0 never.
    pub fn lfu_decay_time_minutes(&self) -> u32 {
        self.hot.lfu_decay_time_minutes.load(Relaxed)
    }
    /// How slowly OBJECT FREQ's numbers grow.
    pub fn lfu_log_factor(&self) -> u32 {
        self.hot.lfu_log_factor.load(Relaxed)
    }
    /// 1 to 10.
    pub fn active_expire_effort(&self) -> u8 {
        self.hot.active_expire_effort.load(Relaxed)
    }
    pub fn proto_max_bulk_len_bytes(&self) -> u64 {
        self.hot.proto_max_bulk_len_bytes.load(Relaxed)
    }
    pub fn client_query_buffer_limit_bytes(&self) -> u64 {
        self.hot.client_query_buffer_limit_bytes.load(Relaxed)
    }
    pub fn client_output_buffer_limit(&self, class: ClientClass) -> OutputBufferLimit {
        let [hard, soft, seconds] = &self.hot.client_output_buffer_limits[class as usize];
        OutputBufferLimit {
            hard_bytes: hard.load(Relaxed),
            soft_bytes: soft.load(Relaxed),
            soft_seconds: seconds.load(Relaxed),
        }
    }
    /// Seconds of silence after which a client is disconnected; 0 never.
    pub fn timeout_seconds(&self) -> u32 {
        self.hot.timeout_seconds.load(Relaxed)
    }
    /// Seconds between keepalive probes; 0 sends none.
    pub fn tcp_keepalive_seconds(&self) -> u32 {
        self.hot.tcp_keepalive_seconds.load(Relaxed)
    }
    pub fn maxclients(&self) -> u32 {
        self.hot.maxclients.load(Relaxed)
    }
    pub fn busy_poll(&self) -> BusyPoll {
        match self.hot.busy_poll_us.load(Relaxed) {
            0 => BusyPoll::Off,
            us => u32::try_from(us).map_or(BusyPoll::Adaptive, BusyPoll::Fixed),
        }
    }
    /// Microseconds from which a command enters the slow log; 0 logs all, negative none.
    pub fn slowlog_log_slower_than_us(&self) -> i64 {
        self.hot.slowlog_log_slower_than_us.load(Relaxed)
    }
    pub fn slowlog_max_len(&self) -> u64 {
        self.hot.slowlog_max_len.load(Relaxed)
    }
    /// Milliseconds from which an event enters LATENCY LATEST; 0 records none.
    pub fn latency_monitor_threshold_ms(&self) -> u64 {
        self.hot.latency_monitor_threshold_ms.load(Relaxed)
    }
    pub fn latency_tracking(&self) -> bool {
        self.hot.latency_tracking.load(Relaxed)
    }
    /// The observers that record, all in one word.
    pub fn observers(&self) -> Observers {
        let bits = self.hot.observers.load(Relaxed);
        Observers(if bits & Observers::MASTER != 0 { bits & !Observers::MASTER } else { 0 })
    }
    /// Whether reports show hashes instead of key names.
    pub fn redacts_keys(&self) -> bool {
        self.hot.redacts_keys.load(Relaxed)
    }
    /// Clients are spread evenly over all workers.
    pub fn io_threads_always_active(&self) -> bool {
        self.hot.io_threads_always_active.load(Relaxed)
    }
    pub fn protected_mode(&self) -> bool {
        self.hot.protected_mode.load(Relaxed)
    }
    /// Whether `requirepass` is set: new connections start unauthenticated.
    pub fn requires_password(&self) -> bool {
        self.hot.requires_password.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn set(settings: &Settings, name: &str, value: &str) {
        settings.set(&[(name.as_bytes(), value.as_bytes())], false).unwrap();
    }

    #[test]
    fn every_field_follows_its_directive() {
        let settings = Settings::new();
        type Read = fn(&Settings) -> u64;
        let numbers: [(&str, Read); 14] = [
            ("maxmemory", Settings::maxmemory_bytes),
            ("maxmemory-samples", |s| s.maxmemory_samples().into()),
            ("lfu-log-factor", |s| s.lfu_log_factor().into()),
            ("lfu-decay-time", |s| s.lfu_decay_time_minutes().into()),
            ("active-expire-effort", |s| s.active_expire_effort().into()),
            ("proto-max-bulk-len", Settings::proto_max_bulk_len_bytes),
            ("client-query-buffer-limit", Settings::client_query_buffer_limit_bytes),
            ("timeout", |s| s.timeout_seconds().into()),
            ("tcp-keepalive", |s| s.tcp_keepalive_seconds().into()),
            ("maxclients", |s| s.maxclients().into()),
            ("slowlog-log-slower-than", |s| s.slowlog_log_slower_than_us().unsigned_abs()),
            ("slowlog-max-len", Settings::slowlog_max_len),
            ("latency-monitor-threshold", Settings::latency_monitor_threshold_ms),
            ("busy-poll-us", |s| match s.busy_poll() {
                BusyPoll::Fixed(us) => us.into(),
                BusyPoll::Off => 0,
                BusyPoll::Adaptive => u64::MAX,
            }),
        ];
        for (name, read) in numbers {
            let default = settings.get(name.as_bytes())[0].1.clone();
            assert_eq!(read(&settings), default.parse().unwrap_or(u64::MAX), "default of {name}");
            let value = if name.ends_with("-len") || name.ends_with("-limit") { "2097153" } else { "7" };
            set(&settings, name, value);
            assert_eq!(read(&settings).to_string(), value, "{name}");
        }
    }

    #[test]
    fn switches_follow_their_directives() {
        let settings = Settings::new();
        assert!(settings.protected_mode() && settings.latency_tracking() && !settings.redacts_keys());
        assert!(!settings.io_threads_always_active());
        set(&settings, "io-threads-always-active", "yes");
        assert!(settings.io_threads_always_active());
        set(&settings, "protected-mode", "no");
        set(&settings, "latency-tracking", "no");
        set(&settings, "profiling-redact-keys", "yes");
        assert!(!settings.protected_mode() && !settings.latency_tracking() && settings.redacts_keys());
    }

    #[test]
    fn profiling_off_switches_every_observer_and_back() {
        let settings = Settings::new();
        for observer in Observer::all() {
            let only_it_is_off = || {
                let on = settings.observers();
                !on.is_off() && Observer::all().all(|other| on.is_on(other) == (other != observer))
            };
            assert!(Observer::all().all(|other| settings.observers().is_on(other)));
            set(&settings, observer.spec().directive, "no");
            assert!(only_it_is_off(), "{}", observer.name());
            set(&settings, "profiling", "off");
            assert!(settings.observers().is_off());
            set(&settings, "profiling", "on");
            assert!(only_it_is_off(), "{}", observer.name());
            set(&settings, observer.spec().directive, "yes");
        }
    }

    #[test]
    fn policies_have_redis_names() {
        let settings = Settings::new();
        for policy in MaxmemoryPolicy::ALL {
            set(&settings, "maxmemory-policy", policy.name());
            assert_eq!(settings.maxmemory_policy(), policy);
        }
        assert!(MaxmemoryPolicy::VolatileLfu.is_lfu() && MaxmemoryPolicy::VolatileLfu.is_volatile());
        assert!(!MaxmemoryPolicy::AllkeysLru.is_lfu() && !MaxmemoryPolicy::AllkeysLru.is_volatile());
    }

    #[test]
    fn output_buffer_limits_per_class() {
        let settings = Settings::new();
        let limit = |class| settings.client_output_buffer_limit(class);
        assert_eq!(limit(ClientClass::Normal).hard_bytes, 0);
        let replica = OutputBufferLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 };
        assert_eq!(limit(ClientClass::Replica), replica);
        set(&settings, "client-output-buffer-limit", "pubsub 3 2 1");
        let pubsub = OutputBufferLimit { hard_bytes: 3, soft_bytes: 2, soft_seconds: 1 };
        assert_eq!((limit(ClientClass::PubSub), limit(ClientClass::Replica)), (pubsub, replica));
    }
}
