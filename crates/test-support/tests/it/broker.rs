//! RabbitMQ brokers: several at once, stopped, killed, paused, and gone with their process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cellzero_test_support::{Broker, private_broker};

/// The first byte that a broker says, where it says any within this time.
fn first_byte(broker: &Broker, limit: Duration) -> Option<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port())).ok()?;
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.write_all(b"AMQP\x00\x00\x09\x01").ok()?;
    let mut first = [0];
    stream.read_exact(&mut first).ok()?;
    Some(first[0])
}

const SOON: Duration = Duration::from_secs(5);

fn is_running(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}/cwd")).exists()
}

#[test]
fn brokers_beside_one_another_stop_die_hang_and_are_gone_when_they_are_dropped() {
    let began = Instant::now();
    let Some(mut one) = private_broker() else { return };
    println!("a broker starts in {:.1?}", began.elapsed());
    let two = private_broker().unwrap();
    assert_ne!(one.port(), two.port());
    assert_ne!(one.new_vhost(), one.new_vhost());
    one.pause().unwrap();
    assert_eq!(first_byte(&one, Duration::from_millis(300)), None);
    assert_eq!(first_byte(&two, SOON), Some(1), "the other one goes on");
    one.resume().unwrap();
    assert_eq!(first_byte(&one, SOON), Some(1));
    one.kill().unwrap();
    assert!(one.processes().unwrap().is_empty());
    assert!(TcpStream::connect(("127.0.0.1", one.port())).is_err());
    one.start().unwrap();
    assert_eq!(first_byte(&one, SOON), Some(1), "on the same port");
    let began = Instant::now();
    one.stop().unwrap();
    println!("and stops in {:.1?}", began.elapsed());
    assert!(one.processes().unwrap().is_empty());
    one.start().unwrap();
    let left: Vec<(PathBuf, Vec<u32>)> =
        [&one, &two].map(|b| (b.home().to_owned(), b.processes().unwrap())).into();
    assert!(left.iter().all(|(_, pids)| !pids.is_empty()));
    drop((one, two));
    for (home, pids) in left {
        assert!(!home.exists());
        assert!(pids.iter().all(|pid| !is_running(*pid)), "{pids:?}");
    }
}

/// A panic in a test drops what it has.
#[test]
fn a_broker_is_gone_after_a_test_that_panics() {
    let Some(broker) = private_broker() else { return };
    let (home, pids) = (broker.home().to_owned(), broker.processes().unwrap());
    let panicked = std::thread::spawn(move || {
        let _held = broker;
        std::panic::resume_unwind(Box::new("as a test that fails"));
    });
    panicked.join().unwrap_err();
    assert!(!home.exists() && pids.iter().all(|pid| !is_running(*pid)));
}
