//! Lost acknowledgements: a connection that is cut at a `COMMIT`, before the server has it or after
//! it has answered; and for SQLite a write or a sync that fails.

use std::sync::Arc;

use cellzero_test_support::{Cut, Disk, Engine, Lasting, Proxy, shared};
use rstest::rstest;

use crate::recover_and_check;
use crate::stage::Stage;
use crate::walked::{self, Told, Walked};

/// More commits, writes and syncs than any operation has.
const NUMBERS_MAX: u64 = 5_000;
/// Of the writes and syncs of a SQLite file, one of so many fails in turn. Prime, so that the
/// pattern of the writes does not hide any kind of them.
const WRITES_EVERY: usize = 13;

/// The operations that are interrupted.
const INTERRUPTED: [Walked; 10] = [
    Walked::Boot,
    Walked::Bury,
    Walked::BootTwo,
    Walked::DeleteLive,
    Walked::DeleteBuried,
    Walked::DeleteWritten,
    Walked::RetryBuried,
    Walked::RetryFits,
    Walked::Fail,
    Walked::FailLast,
];

/// What interrupts.
enum Between {
    Proxy(Arc<Proxy>),
    Disk(Disk),
}

impl Between {
    /// Arms the first or the second kind of interruption.
    fn arm(&self, kind: usize, number: u64) {
        match self {
            Between::Proxy(proxy) => proxy.cut([Cut::Before, Cut::After][kind], number),
            Between::Disk(disk) => disk.fail([Lasting::Once, Lasting::FromThenOn][kind], number),
        }
    }

    /// Says how many numbers were met, and whether there was an interruption.
    fn disarm(&self) -> (u64, bool) {
        match self {
            Between::Proxy(proxy) => proxy.stop_cutting(),
            Between::Disk(disk) => disk.stop_failing(),
        }
    }
}

async fn open(engine: Engine) -> Option<(Stage, Between)> {
    if engine == Engine::Sqlite {
        let stage = Stage::open(engine).await?;
        let databases = [&stage.test.api, &stage.test.cell0, &stage.test.cells[0].1];
        let folders: Vec<_> = databases.iter().filter_map(|database| database.folder()).collect();
        let disk = Disk::of(&folders).expect("SQLite takes it");
        return Some((stage.with_full_durability().await, Between::Disk(disk)));
    }
    let proxy = Arc::new(Proxy::start(shared(engine)?).expect("a proxy"));
    let way = Arc::clone(&proxy);
    let stage = Stage::open_by(engine, Arc::new(move |url| way.url(url).expect("a URL"))).await?;
    Some((stage, Between::Proxy(proxy)))
}

/// Interrupts an operation at each number in turn; says how many there were, and how many
/// interruptions.
async fn walk(stage: &Stage, between: &Between, walked: Walked) -> (u64, u64) {
    let step = match between {
        Between::Disk(_) if !crate::is_whole() => WRITES_EVERY,
        _ => 1,
    };
    let mut interruptions = 0;
    for number in (0..NUMBERS_MAX).step_by(step) {
        for kind in [0, 1] {
            let prepared = stage.prepare(walked).await;
            let told = Told::default();
            between.arm(kind, number);
            walked::run(stage.victim.clone(), walked, prepared.clone(), told.clone()).await;
            let (met, interrupted) = between.disarm();
            let place = format!("{walked:?}, number {number}, kind {kind}");
            recover_and_check(stage, walked, &prepared, &told, &place).await;
            if !interrupted {
                return (met, interruptions);
            }
            interruptions += 1;
        }
    }
    panic!("the walk does not end");
}

#[rstest]
#[tokio::test]
async fn an_acknowledgement_that_is_lost_is_read_and_not_guessed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((stage, between)) = open(engine).await else { return };
    for walked in INTERRUPTED {
        let (met, interruptions) = walk(&stage, &between, walked).await;
        let what = if engine == Engine::Sqlite { "writes and syncs" } else { "commits" };
        println!(
            "{}: {walked:?}: {interruptions} interruptions at {met} {what} survived",
            engine.name()
        );
        assert!(interruptions >= 4, "{walked:?} has {met} {what}");
    }
}
