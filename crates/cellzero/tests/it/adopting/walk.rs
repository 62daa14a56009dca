//! A mapping that dies at each place of the connection layer in turn, and is run again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cellzero::*;
use cellzero_database::{FaultPlace, Faults};
use cellzero_test_support::Engine;
use rstest::rstest;

use super::{Adopting, map, standing, used};
use crate::fsck::found;
use crate::support::count;

/// More places than a mapping of one instance has: a walk that gets there does not end.
const PLACES_MAX: u64 = 60;

/// Where a process dies: from there on nothing that it sends arrives.
#[derive(Clone, Default)]
struct Death(Arc<State>);

#[derive(Default)]
struct State {
    armed: AtomicBool,
    place: AtomicU64,
    met: AtomicU64,
}

impl Death {
    fn faults(&self) -> Faults {
        let death = self.clone();
        Faults::new(move |place| death.is_dead(place))
    }

    fn is_dead(&self, place: FaultPlace) -> bool {
        if !self.0.armed.load(Ordering::Relaxed) {
            return false;
        }
        let at = self.0.place.load(Ordering::Relaxed);
        match place {
            FaultPlace::Uncounted => self.0.met.load(Ordering::Relaxed) > at,
            _ => self.0.met.fetch_add(1, Ordering::Relaxed) >= at,
        }
    }

    fn arm(&self, place: u64) {
        self.0.place.store(place, Ordering::Relaxed);
        self.0.met.store(0, Ordering::Relaxed);
        self.0.armed.store(true, Ordering::Relaxed);
    }

    fn disarm(&self) {
        self.0.armed.store(false, Ordering::Relaxed);
    }
}

/// One instance is mapped at each place, so that each death meets one that is not mapped yet.
#[rstest]
#[tokio::test]
async fn a_mapping_that_dies_anywhere_is_continued_and_maps_each_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let test = &adopting.test;
    test.plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    let death = Death::default();
    let options = Options { faults: death.faults(), ..Options::default() };
    let victim = ControlPlane::open(test.config.clone().options(options)).await.unwrap();
    let one = MapOptions { max_count: Some(1), ..MapOptions::default() };
    let mut cells = adopting.cells().into_iter().rev();
    let mut cell = cells.next().unwrap();
    let (mut place, mut mapped) = (0, 0);
    loop {
        // The victim knows the cell, as a process does that has mapped some before.
        let left = map(&victim, cell, MapOptions { max_count: Some(0), ..one }).await.total;
        if left < 3 {
            cell = cells.next().expect("enough instances for a walk");
            continue;
        }
        death.arm(place);
        let ended = victim.map_instances(cell, one, &mut |_| {}).await;
        death.disarm();
        let now = mapped_now(&adopting);
        assert!(now == mapped || now == mapped + 1, "place {place}: {now} after {mapped}");
        if let Ok(ended) = ended {
            assert_eq!((ended.mapped, now), (1, mapped + 1));
            assert!(place >= 20, "a mapping has {place} places only");
            break;
        }
        // Another process goes on, and stands where it would without the death.
        let next = map(&test.plane, cell, one).await;
        assert_eq!(next.looked_at, 1, "place {place}");
        mapped += 1;
        if mapped_now(&adopting) > mapped {
            // Its fence had its time already, so another one was the next.
            mapped += 1;
        }
        assert_eq!(mapped_now(&adopting), mapped, "place {place}");
        place += 1;
        assert!(place < PLACES_MAX, "the walk does not end");
    }
    adopting.map_all(MapOptions::default()).await;
    assert_eq!(count(&test.api, "instance_mappings"), 66);
    assert_eq!(count(&test.api, "request_specs"), 66);
    assert_eq!(found(test).await, []);
    assert_eq!(used(test), standing(&test.cells));
}

fn mapped_now(adopting: &Adopting) -> i64 {
    count(&adopting.test.api, "instance_mappings")
}
