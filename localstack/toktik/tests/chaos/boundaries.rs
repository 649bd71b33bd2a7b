//! Kills behind each effect that a function has on the cloud, and around each effect that the cloud has on its disk; and
//! answers that are lost there while everybody lives.
//!
//! Which boundaries there are is not listed here: a run without kills shows them, and a new effect of a function is
//! killed at from the day it is there.

use toktik_events::Function;

use crate::keeper::Part;
use crate::kinds::Kind;
use crate::orders::{Effect, KILLS_A_WAVE, Moment, Order};
use crate::world::World;

/// Waves in which a boundary may come up again; orders of events differ from run to run.
const WAVES: usize = 8;

async fn killed_at_each_boundary(functions: &[Function]) {
    let mut world = World::open(None).await;
    let mut orders = Vec::new();
    for function in functions {
        let boundaries = world.house.orders.boundaries(*function);
        assert!(!boundaries.is_empty(), "{function} was not seen");
        orders.extend(boundaries.into_iter().map(|trace| Order {
            victim: Part::Function(*function),
            moment: Moment::Boundary(trace),
        }));
    }
    waves(&mut world, orders).await;
    world.close().await;
}

/// Sends clips until all orders are carried out, or nothing comes up any more that they are for.
async fn waves(world: &mut World, mut orders: Vec<Order>) {
    let wanted = orders.len();
    for _ in 0..WAVES {
        world.survives(&Kind::ALL, orders.clone()).await;
        let left = world.house.orders.take_left();
        let none_came_up = left.len() == orders.len();
        orders = left;
        if orders.is_empty() || none_came_up && is_enough(&orders, wanted) {
            break;
        }
    }
    assert!(is_enough(&orders, wanted), "too little was tried: {orders:?}");
    if !orders.is_empty() {
        println!("not met again: {orders:?}");
    }
}

/// The order of events is another in each run, and with it some few boundaries.
fn is_enough(left: &[Order], wanted: usize) -> bool {
    left.len() * 5 <= wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_clip_in_is_killed_at_each_boundary() {
    killed_at_each_boundary(&[Function::Auth, Function::Upload, Function::Probe, Function::DeadLetter]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transcode_and_janitor_are_killed_at_each_boundary() {
    killed_at_each_boundary(&[Function::Transcode, Function::Janitor]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_brings_a_clip_out_is_killed_at_each_boundary() {
    use Function::{Audio, Package, Playback, Thumbnail, Videos};
    killed_at_each_boundary(&[Thumbnail, Audio, Package, Videos, Playback]).await;
}

/// The second try of a write that is conditional is refused, since the first was done: whoever is refused has to look.
/// Each wave loses, of every function, the answer at one boundary for all clips.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_lost_at_each_boundary() {
    let mut world = World::open(None).await;
    let boundaries: Vec<_> = Function::ALL
        .into_iter()
        .map(|function| {
            let traces = world.house.orders.boundaries(function);
            (
                function,
                traces.into_iter().filter(|trace| matters(trace)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let longest = boundaries.iter().map(|(_, traces)| traces.len()).max().unwrap();
    for place in 0..longest {
        let orders = boundaries.iter().filter_map(|(function, traces)| {
            Some(Order {
                victim: Part::Function(*function),
                moment: Moment::Unheard(traces.get(place)?.clone()),
            })
        });
        world.survives(&Kind::ALL, orders.collect()).await;
        world.house.orders.take_left();
    }
    let (lost, wanted) = (
        world.house.orders.unheard(),
        boundaries.iter().map(|(_, traces)| traces.len()).sum(),
    );
    assert!(lost >= wanted, "{lost} answers were lost, at {wanted} boundaries");
    world.close().await;
}

/// A message that nobody heard of comes again by itself, and that an object is stored twice changes nothing.
fn matters(trace: &[Effect]) -> bool {
    trace
        .last()
        .is_some_and(|last| last != "ReceiveMessage" && !last.starts_with("S3 "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_is_killed_around_each_kind_of_effect() {
    let mut world = World::open(None).await;
    let effects = world.house.orders.effects();
    assert!(effects.len() >= 7, "{effects:?}");
    let orders = effects.into_iter().flat_map(|effect| {
        let moments = [Moment::During(effect.clone()), Moment::After(effect)];
        moments.map(|moment| Order {
            victim: Part::Cloud,
            moment,
        })
    });
    let orders: Vec<Order> = orders.collect();
    assert!(orders.len() <= WAVES * KILLS_A_WAVE);
    waves(&mut world, orders).await;
    world.close().await;
}
