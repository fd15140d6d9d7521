//! CPU time and memory of a process, from /proc.

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    /// User and system seconds.
    pub(crate) cpu: f64,
    /// Resident megabytes.
    pub(crate) resident_mb: f64,
}

impl Meter {
    pub(crate) fn of(pid: u32) -> Self {
        read(&pid.to_string())
    }

    pub(crate) fn own() -> Self {
        read("self")
    }
}

fn read(pid: &str) -> Meter {
    // Nanoseconds on the CPU, of every thread: finer than the ticks of /proc/PID/stat.
    let mut nanoseconds = 0_f64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok) {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds +=
            text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kilobytes: f64 = resident.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0);
    Meter { cpu: nanoseconds / 1e9, resident_mb: kilobytes / 1024.0 }
}
