//! A broker that stops, dies and hangs while a thousand instances are booted.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Broker, Engine, private_broker};
use rstest::rstest;
use tokio::sync::watch;

use crate::support::{Seen, TestHost, TestPlane, options, request, well};

const BOOTS: u32 = 1_000;
const CLIENTS: usize = 4;
/// How long a client waits for its boot, and for its instance to have its home.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long it may take after the last fault that one more is ACTIVE.
const STANDSTILL: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Hang,
    Kill,
    Stop,
}

const FAULTS: [Fault; 6] =
    [Fault::Hang, Fault::Kill, Fault::Stop, Fault::Kill, Fault::Hang, Fault::Stop];

/// Lets the broker fail again and again; says through `begun` how many faults have begun.
fn fail(mut broker: Broker, begun: &watch::Sender<usize>) -> Broker {
    for (number, fault) in FAULTS.into_iter().enumerate() {
        match fault {
            Fault::Hang => broker.pause().unwrap(),
            Fault::Kill => broker.kill().unwrap(),
            Fault::Stop => broker.stop().unwrap(),
        }
        begun.send_replace(number + 1);
        std::thread::sleep(Duration::from_millis(1_200));
        match fault {
            Fault::Hang => broker.resume().unwrap(),
            Fault::Kill | Fault::Stop => broker.start().unwrap(),
        }
        std::thread::sleep(Duration::from_millis(800));
    }
    broker
}

/// The dispatch, and each of its sendings.
#[derive(Debug, Clone)]
struct Noting(AmqpDispatch, Arc<Mutex<Vec<(OperationUuid, u32)>>>);

#[async_trait::async_trait]
impl Dispatch for Noting {
    fn at_once(&self) -> usize {
        self.0.at_once()
    }

    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.1.lock().unwrap().push((o.id, o.attempt));
        self.0.build(o).await
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.0.destroy(o).await
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.0.release(o).await
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.0.act(o).await
    }
}

/// Boots its share, each while as many faults have begun as its number asks for; the longest that one
/// took to be accepted, and to have its home.
async fn client(
    plane: ControlPlane,
    next: Arc<AtomicU32>,
    mut begun: watch::Receiver<usize>,
) -> (Vec<InstanceUuid>, Duration, Duration) {
    let ctx = RequestContext::new("project-a", "user-a").with_timeout(DEADLINE);
    let (mut booted, mut accept, mut home) = (Vec::new(), Duration::ZERO, Duration::ZERO);
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= BOOTS {
            return (booted, accept, home);
        }
        let faults = 1 + number as usize * FAULTS.len() / BOOTS as usize;
        begun.wait_for(|begun| *begun >= faults).await.unwrap();
        let began = Instant::now();
        let accepted = plane.boot(&ctx, request("1").build().unwrap()).await.expect("accepted");
        accept = accept.max(began.elapsed());
        plane.wait(&ctx, &accepted).await.expect("it has its home in time");
        home = home.max(began.elapsed());
        booted.extend(accepted.instances);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_dies_and_hangs_loses_blocks_and_doubles_no_boot(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(broker) = private_broker() else { return };
    let urls = [broker.new_vhost(), broker.new_vhost()];
    let sent: Arc<Mutex<Vec<(OperationUuid, u32)>>> = Arc::default();
    let options = options().send_timeout(Duration::from_millis(700));
    let dispatch = Noting(AmqpDispatch::new(options.clone()), Arc::clone(&sent));
    let Some(mut test) = TestPlane::new(engine, |config| config.dispatch(dispatch)).await else {
        return;
    };
    let mut hosts = Vec::new();
    for (url, names) in urls.iter().zip([["ant", "bee"], ["cat", "dog"]]) {
        for name in names {
            hosts.push(TestHost::start(url, name, well).await);
        }
        test.add_cell(url, &names.map(|name| (name, 300))).await;
    }
    let workers = test.plane.run_workers(2).unwrap();
    let reports = ReportConsumer::start(&test.plane, options);
    let (begun, faults) = watch::channel(0);
    let faulty = std::thread::spawn(move || fail(broker, &begun));

    let next = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(client(test.plane.clone(), Arc::clone(&next), faults.clone())))
        .collect();
    let (mut booted, mut accept, mut home) = (Vec::new(), Duration::ZERO, Duration::ZERO);
    for client in clients {
        let (of_client, longest_accept, longest_home) = client.await.unwrap();
        booted.extend(of_client);
        (accept, home) = (accept.max(longest_accept), home.max(longest_home));
    }
    let broker = tokio::task::spawn_blocking(|| faulty.join().unwrap()).await.unwrap();
    let began = Instant::now();
    let (mut last, mut since) = (0, Instant::now());
    while last < BOOTS as usize {
        assert!(since.elapsed() < STANDSTILL, "{last} of {BOOTS} are ACTIVE, and no more");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = active(&test);
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    let calm = began.elapsed();
    workers.shutdown().await.unwrap();
    reports.stop().await;

    assert!(accept < DEADLINE && home < DEADLINE, "{accept:?} and {home:?}");
    let distinct: HashSet<InstanceUuid> = booted.iter().copied().collect();
    assert_eq!(distinct.len(), BOOTS as usize);
    let seen: Vec<Seen> = hosts.iter().flat_map(TestHost::seen).collect();
    let built: HashSet<InstanceUuid> = seen.iter().map(|seen| seen.instance).collect();
    assert_eq!(built, distinct, "each is dispatched at least once, and no other");
    let sent = sent.lock().unwrap().clone();
    let attempts: HashSet<(OperationUuid, u32)> = sent.iter().copied().collect();
    assert_eq!(attempts.len(), sent.len(), "a sending without the next attempt");
    let unmarked = check_marks(&seen);
    println!(
        "{}: {BOOTS} boots, {} sendings, {} deliveries, {unmarked} repeats by a killed broker without \
         its mark; accepted in {accept:.1?} at most, at home in {home:.1?}, all ACTIVE {calm:.1?} \
         after the last fault",
        engine.name(),
        sent.len(),
        seen.len(),
    );
    test.check_fsck().await;
    drop(broker);
}

fn active(test: &TestPlane) -> usize {
    let text = "SELECT COUNT(*) FROM instances WHERE vm_state = 'active' AND deleted = 0";
    let count = |database: &cellzero_test_support::TestDatabase| -> usize {
        database.query(text).unwrap()[0][0].as_ref().unwrap().parse().unwrap()
    };
    test.cells.iter().map(|(_, database)| count(database)).sum()
}

/// Of the sendings of one operation all but the first are marked as repeats. A broker that was killed
/// may deliver one sending again and not know it, which the id tells: how often it did.
fn check_marks(seen: &[Seen]) -> usize {
    let mut by_sending: BTreeMap<(OperationUuid, u32), Vec<bool>> = BTreeMap::new();
    for seen in seen {
        by_sending.entry((seen.id, seen.attempt)).or_default().push(seen.is_repeat);
    }
    let mut unmarked = 0;
    for ((id, attempt), marks) in by_sending {
        assert!(attempt == 1 || marks.iter().all(|is_repeat| *is_repeat), "{id}: {attempt}");
        unmarked += marks.iter().filter(|is_repeat| !**is_repeat).count().saturating_sub(1);
    }
    unmarked
}
