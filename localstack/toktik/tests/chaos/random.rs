//! Kills of anybody at moments drawn from a seed.

use std::time::Duration;

use toktik_events::Function;

use crate::keeper::Part;
use crate::kinds::Kind;
use crate::orders::{Moment, Order};
use crate::until;
use crate::world::World;

const SEED: u64 = 20_261_120;
const KILLS: usize = 60;
/// Somewhat fewer than one wave has, so that most kills meet somebody at work.
const EFFECTS: u64 = 190;
const LONGEST_DELAY_MS: u64 = 400;
/// The steps, with about as many effects as they have in a wave.
const STEPS: [(Function, u64); 5] = [
    (Function::Probe, 24),
    (Function::Transcode, 24),
    (Function::Thumbnail, 16),
    (Function::Audio, 6),
    (Function::Package, 20),
];
const OTHERS: [Function; 6] = [
    Function::Auth,
    Function::Upload,
    Function::Videos,
    Function::Playback,
    Function::DeadLetter,
    Function::Janitor,
];

/// xorshift64*: the same numbers for the same seed, on every machine and in every version.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// One wave's kills. Each step twice at most and the cloud once, so that no step is killed five times: then it would be
/// given up, as it should be.
fn wave(dice: &mut Dice, most: usize) -> Vec<Order> {
    let mut victims = vec![(Part::Cloud, EFFECTS, false)];
    for (step, effects) in STEPS {
        // Once at its own work, once at any time.
        victims.push((Part::Function(step), effects, true));
        victims.push((Part::Function(step), EFFECTS, false));
    }
    for _ in 0..4 {
        let other = OTHERS[usize::try_from(dice.below(6)).unwrap()];
        victims.push((Part::Function(other), EFFECTS, false));
    }
    let mut orders = Vec::new();
    while orders.len() < most && !victims.is_empty() {
        let (victim, limit, own) = victims.swap_remove(usize::try_from(dice.below(victims.len() as u64)).unwrap());
        let moment = Moment::Random {
            effects: usize::try_from(1 + dice.below(limit)).unwrap(),
            own,
            // Half of them fall right behind an effect.
            delay: Duration::from_millis(dice.below(2) * dice.below(LONGEST_DELAY_MS)),
        };
        orders.push(Order { victim, moment });
    }
    orders
}

fn told<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")),
        Err(_) => default,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_kills_change_nothing() {
    let (seed, kills) = (told("TOKTIK_CHAOS_SEED", SEED), told("TOKTIK_CHAOS_KILLS", KILLS));
    let mut dice = Dice::new(seed);
    let mut world = World::open(Some(seed)).await;
    let mut ordered = 0;
    while ordered < kills {
        let orders = wave(&mut dice, kills - ordered);
        ordered += orders.len();
        world.survives(&Kind::ALL, orders).await;
        // The wave was over before their moment: nobody is at work, and that is a moment too.
        for order in world.house.orders.take_left() {
            world.house.kill(order).await;
        }
        let done = async || (world.house.orders.history().len() == ordered).then_some(());
        until("all are killed who are to be", done).await;
    }
    world.close().await;
}

#[test]
fn a_seed_always_means_the_same_kills() {
    let kills = |seed| wave(&mut Dice::new(seed), KILLS);
    assert_eq!(kills(1), kills(1));
    assert_ne!(kills(1), kills(2));
    let per_step = |orders: &[Order], part| orders.iter().filter(|order| order.victim == part).count();
    let orders = kills(SEED);
    assert_eq!(orders.len(), 15);
    assert!(
        STEPS
            .iter()
            .all(|(step, _)| per_step(&orders, Part::Function(*step)) == 2)
    );
    assert_eq!(per_step(&orders, Part::Cloud), 1);
}
