//! Main memory.

use std::fs;

/// Bytes that a program could take now, where the system tells.
pub fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let of_machine = kibibytes * 1024;
    Some(of_container().map_or(of_machine, |free| free.min(of_machine)))
}

/// What a container's limit leaves, where there is one (cgroup v2): whoever takes more is killed.
fn of_container() -> Option<u64> {
    let read = |name| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok();
    left(&read("max")?, &read("current")?, &read("stat").unwrap_or_default())
}

/// `max` less `current`; caches of files, which give way, do not count.
fn left(max: &str, current: &str, stat: &str) -> Option<u64> {
    let bytes = |text: &str| text.trim().parse::<u64>().ok();
    let cache = stat.lines().find_map(|line| bytes(line.strip_prefix("inactive_file ")?));
    let taken = bytes(current)?.saturating_sub(cache.unwrap_or(0));
    Some(bytes(max)?.saturating_sub(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_limit_leaves_what_is_not_taken_yet() {
        assert_eq!(left("1000\n", "300\n", "anon 200\ninactive_file 100\n"), Some(800));
        assert_eq!(left("1000", "1200", ""), Some(0));
        assert_eq!(left("max\n", "300", ""), None);
    }
}
