//! The ledger explored: the real functions against simulated stores, in every order in which requests can arrive.
//!
//! Each function's code runs until it asks a store something; who is answered next is tried out both ways. What the code
//! does after the same answers is run once and remembered, so that a state costs a look into a table. Of the real code
//! only ffmpeg is missing, and the queue worker's loop and the two API calls of the owner are written out in `actors`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actors;
mod embedded;
mod rules;
mod runs;
mod store;
mod wire;
mod world;

use actors::Cut;
use embedded::Embedded;
use world::{Trouble, World};

/// Probe, the unit, the pictures, and package.
const ONE_UNIT: Cut = Cut { sound: false, units: 1 };
const TWO_UNITS: Cut = Cut { sound: false, units: 2 };
const WITH_SOUND: Cut = Cut { sound: true, units: 1 };
const EVERYTHING: Cut = Cut { sound: true, units: 2 };

/// Numbers that look as if by chance and are the same for the same seed.
fn chooser(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |ways| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(ways).unwrap()).unwrap()
    }
}

/// That it explored so much, and every end there is: a smaller world would prove less without saying so.
#[track_caller]
fn explored(world: &World, at_least: usize, ends: &[&str]) {
    println!("{} states; ended {:?}", world.states(), world.ends);
    assert!(world.states() >= at_least, "only {} states", world.states());
    let ended: Vec<&str> = world.ends.keys().map(String::as_str).collect();
    assert!(ends.iter().all(|end| ended.contains(end)), "only {ended:?}");
}

#[test]
fn in_whichever_order_two_units_become_a_ready_clip() {
    let mut world = World::new(TWO_UNITS, Trouble::Nothing);
    world.explore();
    explored(&world, 5_000, &["ready in generation 1"]);
}

#[test]
fn in_whichever_order_sound_and_picture_become_a_ready_clip() {
    let mut world = World::new(WITH_SOUND, Trouble::Nothing);
    world.explore();
    explored(&world, 60_000, &["ready in generation 1"]);
}

#[test]
fn whatever_goes_wrong_once_every_run_ends() {
    let mut world = World::new(ONE_UNIT, Trouble::Anything);
    world.explore();
    let ends = [
        "deleted in generation 1",
        "failed in generation 1",
        "ready in generation 1",
        "ready in generation 2",
        "rejected in generation 1",
    ];
    explored(&world, 300_000, &ends);
}

#[test]
fn whenever_a_clip_is_decided_the_janitor_cleans_up_behind_everybody() {
    let mut world = World::new(ONE_UNIT, Trouble::Decided);
    world.explore();
    let ends = [
        "deleted in generation 1",
        "failed in generation 1",
        "ready in generation 1",
        "rejected in generation 1",
    ];
    explored(&world, 100_000, &ends);
}

/// Too much happens to try out everything; these are walks by chance through a larger world.
#[test]
fn however_much_goes_wrong_every_run_ends() {
    let mut world = World::new(EVERYTHING, Trouble::Anything);
    for seed in 0..700 {
        world.wander(6, chooser(seed));
    }
    let ends = [
        "deleted in generation 1",
        "deleted in generation 2",
        "failed in generation 1",
        "ready in generation 1",
        "ready in generation 2",
        "rejected in generation 1",
    ];
    explored(&world, 100_000, &ends);
}

/// Or what was proved was proved of something else.
#[test]
fn the_simulated_table_answers_as_the_embedded_one() {
    let mut world = World::new(EVERYTHING, Trouble::Anything);
    (0..20).for_each(|seed| world.wander(6, chooser(seed)));
    let questions: Vec<_> = world.questions().step_by(11).collect();
    assert!(questions.len() > 200, "only {} questions", questions.len());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let embedded = Embedded::open().await;
        for (store, ask) in &questions {
            embedded.agrees(store, ask).await;
        }
    });
}
