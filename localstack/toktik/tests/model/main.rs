//! The ledger explored: the real functions against simulated stores, in every order in which requests can arrive.
//!
//! Each function's code runs until it asks a store something; who is answered next is tried out both ways. What the code
//! does after the same answers is run once and remembered, so that a state costs a look into a table.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actors;
mod rules;
mod runs;
mod store;
mod wire;
mod world;

use actors::Cut;
use world::World;

#[test]
fn a_silent_clip() {
    let cut = Cut { sound: false, units: 1 };
    for misfortunes in 0..=2 {
        let began = std::time::Instant::now();
        let explored = World::explore(cut, misfortunes);
        eprintln!("{misfortunes}: {explored:#?} in {:?}", began.elapsed());
    }
}
