//! The stores fail, throttle, hang, break off and crawl, for half a minute in the middle of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::kinds::Kind;
use crate::weather::Weather;
use crate::world::World;

/// Together half a minute of bad weather. It clears up between, so that every step meets some of it.
const ROUNDS: u32 = 4;
const GUST: Duration = Duration::from_millis(1_500);
const LULL: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_changes_nothing() {
    let mut world = World::open(None).await;
    let house = Arc::clone(&world.house);
    let over = AtomicBool::new(false);
    let storm = async {
        for _ in 0..ROUNDS {
            for weather in Weather::BAD {
                house.sky.change(weather);
                tokio::time::sleep(GUST).await;
                house.sky.change(Weather::Calm);
                tokio::time::sleep(LULL).await;
            }
        }
        over.store(true, Ordering::SeqCst);
    };
    let clips = async {
        while !over.load(Ordering::SeqCst) {
            world.survives(&Kind::ALL, Vec::new()).await;
        }
    };
    tokio::join!(storm, clips);
    let met = house.sky.met();
    println!("requests met {met:?}");
    assert!(Weather::BAD.iter().all(|weather| met.contains_key(weather)), "{met:?}");
    world.close().await;
}
