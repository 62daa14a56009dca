//! Whether two transport URLs lead to the same message queue.

/// Whether two transport URLs lead to the same queue, whoever logs in there: the same hosts and the
/// same virtual host. `none:` is no queue, and equals nothing.
///
/// ```
/// use cellzero_api_db::cell_mapping::same_queue;
/// assert!(same_queue("rabbit://a:x@Mq1,b:y@mq2:5672/cell1", "rabbit://c:z@mq2,c:z@mq1/cell1?ssl=1"));
/// assert!(!same_queue("rabbit://a:x@mq1/cell1", "rabbit://a:x@mq1/cell2"));
/// assert!(!same_queue("none:///", "none:///"));
/// ```
pub fn same_queue(one: &str, other: &str) -> bool {
    match (place(one), place(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The hosts in order, and the virtual host; none where there is no queue.
fn place(url: &str) -> Option<(Vec<String>, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.to_ascii_lowercase().starts_with("none") || rest.is_empty() {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    // A slash may stand in a password; behind the last @ it ends the hosts.
    let hosts_begin = rest.rfind('@').map_or(0, |at| at + 1);
    let end = rest[hosts_begin..].find('/').map_or(rest.len(), |slash| hosts_begin + slash);
    let virtual_host = rest[end..].trim_start_matches('/');
    let mut hosts: Vec<String> = rest[..end].split(',').map(host).collect();
    hosts.sort();
    hosts.dedup();
    Some((hosts, virtual_host))
}

/// A host with its port, without who logs in there.
fn host(part: &str) -> String {
    let host = part.rsplit_once('@').map_or(part, |(_, host)| host).to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { host } else { format!("{host}:5672") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("rabbit://u:p@mq/", "rabbit://mq:5672")]
    #[case("rabbit://u:p/w@mq:1/v", "rabbit://mq:1/v")]
    #[case("amqp://[::1]:5672/a", "rabbit://u:p@[::1]/a")]
    fn the_same_queue_under_another_name_is_the_same(#[case] one: &str, #[case] other: &str) {
        assert!(same_queue(one, other), "{:?} {:?}", place(one), place(other));
    }

    #[rstest]
    #[case("rabbit://mq:5672/", "rabbit://mq:5673/")]
    #[case("rabbit://mq/a", "rabbit://mq/b")]
    #[case("rabbit://one/", "rabbit://one,two/")]
    #[case("none:///", "none:///")]
    #[case("", "")]
    fn another_queue_is_another(#[case] one: &str, #[case] other: &str) {
        assert!(!same_queue(one, other));
    }
}
