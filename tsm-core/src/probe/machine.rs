//! How busy the machine is (`proc_loadavg(5)`, `proc_stat(5)`, `proc_meminfo(5)`).

use std::fs;
use std::io;

/// The machine at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// How many processes wanted to run, on average over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// How many cores there are.
    pub cores: u32,
    /// CPU time that all cores together have spent since boot, in clock ticks: busy, and all of it.
    pub ticks: (u64, u64),
    /// Bytes of memory in use that the system could not give to somebody else.
    pub memory_used: u64,
    /// Bytes of memory there are.
    pub memory_all: u64,
}

impl Machine {
    /// Reads three files of `/proc`.
    ///
    /// # Errors
    /// An [`io::Error`] where one cannot be read.
    pub fn read() -> io::Result<Self> {
        let (ticks, cores) = stat(&fs::read_to_string("/proc/stat")?);
        let (memory_used, memory_all) = memory(&fs::read_to_string("/proc/meminfo")?);
        Ok(Self {
            load: load(&fs::read_to_string("/proc/loadavg")?),
            cores,
            ticks,
            memory_used,
            memory_all,
        })
    }

    /// How busy the cores were since an earlier moment, in percent of all of them; `None` where no time has passed.
    pub fn busy_since(&self, earlier: &Self) -> Option<f64> {
        let all = self.ticks.1.checked_sub(earlier.ticks.1)?;
        let busy = self.ticks.0.saturating_sub(earlier.ticks.0);
        (all > 0).then(|| 100.0 * busy as f64 / all as f64)
    }
}

fn load(text: &str) -> [f64; 3] {
    let mut load = [0.0; 3];
    for (slot, word) in load.iter_mut().zip(text.split_ascii_whitespace()) {
        *slot = word.parse().unwrap_or(0.0);
    }
    load
}

fn stat(text: &str) -> ((u64, u64), u32) {
    let mut lines = text.lines();
    // user, nice, system, idle, iowait, irq, softirq and steal; what guests use is part of the
    // first two.
    let spent: Vec<u64> = lines
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all: u64 = spent.iter().sum();
    // Waiting for a disk is idle time as well.
    let idle: u64 = spent.iter().skip(3).take(2).sum();
    let cores = lines.take_while(|line| line.starts_with("cpu")).count();
    ((all - idle, all), cores as u32)
}

fn memory(text: &str) -> (u64, u64) {
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    let all = field("MemTotal:");
    (all.saturating_sub(field("MemAvailable:")), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_understood() {
        let load = load("0.52 1.00 12.25 1/234 5678\n");
        assert_eq!(format!("{load:?}"), "[0.52, 1.0, 12.25]");
        let text = "cpu  10 1 5 80 4 0 0 0 3 0\ncpu0 5 1 2 40 2 0 0 0 0 0\ncpu1 5 0 3 40 2 0 0 0 0 0\nintr 1\n";
        assert_eq!(stat(text), ((16, 100), 2));
        let text = "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:   400 kB\n";
        assert_eq!(memory(text), (600 * 1024, 1000 * 1024));
        let earlier = Machine {
            ticks: (16, 100),
            ..Machine::default()
        };
        let later = Machine {
            ticks: (66, 200),
            ..Machine::default()
        };
        assert_eq!(later.busy_since(&earlier), Some(50.0));
        assert_eq!(earlier.busy_since(&earlier), None);
        assert!(Machine::read().unwrap().cores > 0);
    }
}
