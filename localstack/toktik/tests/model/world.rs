//! All that can happen, tried out: breadth first, every state once.
//!
//! Two workers take messages in any order; the owner and the janitor come in between. What is bounded is misfortune: a
//! worker that dies, an acknowledgement that is lost, a message that comes twice, time that runs out under those who work
//! (their leases end, their messages come again), work that fails, a clip that is deleted, a janitor who looks at a clip
//! before its round. Everything else happens in every order, request by request; a clip that failed may be tried again.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::Value;
use toktik_catalog::videos::Status;
use toktik_events::Function;

use crate::actors::{Actor, Cut, Verdict};
use crate::rules::{self, Facts};
use crate::runs::{Edge, Runs, Waits};
use crate::store::{Arena, Ask, Store};
use crate::wire::{Answer, Luck};

const WORKERS: usize = 2;
const GENERATIONS: u64 = 2;
/// One of so many steps may be a misfortune.
const LUCKY: usize = 10;
/// Long enough that no URL and no lease is left.
const LAST_SWEEP: u16 = 50;
/// By then every run has ended, or none will.
const DOOMSDAY: u16 = 12;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: u32,
    /// Who is at work, and the message that began it.
    slots: Vec<(u32, Option<u32>)>,
    /// Messages by the worker they will begin, and whether they wait for another try.
    letters: Vec<(u32, bool)>,
    time: u16,
    /// Misfortunes that may still happen.
    left: u8,
    /// Whether the janitor has looked at the decided clip while others were still at it.
    looked: bool,
    /// Whether time ran out under somebody, who may go on writing objects for a while.
    overran: bool,
    is_end: bool,
}

/// What happened, told only when it has to be.
#[derive(Clone, Copy, Debug)]
enum How {
    Beginning,
    /// The stores answered the last question of this run; what followed at once has no state of its own.
    Answered(u32),
    Begun(u32),
    Beat(u32),
    Dead(u32),
    Unheard(u32),
    Looked,
    TimeRanOut,
    Rest,
}

/// What may go wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Nothing,
    /// Any misfortune there is.
    Anything,
    /// The clip is decided while others are still at it, and the janitor looks at it then. Nobody tries again.
    Decided,
}

pub(crate) struct World {
    trouble: Trouble,
    cut: Cut,
    runs: Runs,
    stores: Arena<Store>,
    facts: HashMap<u32, Rc<Facts>>,
    served: HashMap<(u32, u32, bool), (u32, u32)>,
    states: Arena<State>,
    /// How each state came about, and from which.
    came: Vec<(u32, How)>,
    edges: Vec<(u32, u32)>,
    /// How it ended, in as many states.
    pub(crate) ends: BTreeMap<String, usize>,
}

impl World {
    pub(crate) fn new(cut: Cut, trouble: Trouble) -> Self {
        Self {
            trouble,
            cut,
            runs: Runs::new(cut),
            stores: Arena::default(),
            facts: HashMap::new(),
            served: HashMap::new(),
            states: Arena::default(),
            came: Vec::new(),
            edges: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Every state that a clip can come to.
    pub(crate) fn explore(&mut self) {
        let first = self.first(u8::from(self.trouble != Trouble::Nothing));
        self.reach(None, first, How::Beginning);
        let mut next = 0;
        while next < self.states.len() {
            self.expand(u32::try_from(next).unwrap());
            next += 1;
        }
        self.everything_ends();
    }

    /// One way through, as these numbers choose. Mostly nothing goes wrong, or it would all go wrong at the beginning.
    pub(crate) fn wander(&mut self, misfortunes: u8, mut choose: impl FnMut(usize) -> usize) {
        let first = self.first(misfortunes);
        let mut at = self.reach(None, first, How::Beginning);
        while !self.states.get(at).is_end {
            self.edges.clear();
            self.expand(at);
            let left = self.states.get(at).left;
            let is_calm = choose(LUCKY) != 0;
            let allowed = |to: &u32| !is_calm || self.states.get(*to).left == left;
            let ways: Vec<u32> = self.edges.iter().map(|(_, to)| *to).filter(allowed).collect();
            at = ways[choose(ways.len())];
        }
    }

    pub(crate) fn states(&self) -> usize {
        self.states.len()
    }

    /// Every question that was put to the stores as they were then.
    pub(crate) fn questions(&self) -> impl Iterator<Item = (Rc<Store>, Rc<Ask>)> {
        let mut asked: Vec<_> = self.served.keys().collect();
        asked.sort_unstable();
        asked
            .into_iter()
            .map(|(store, ask, _)| (self.stores.get(*store), self.runs.asks.get(*ask)))
    }

    fn first(&mut self, misfortunes: u8) -> State {
        let store = self.stores.number(Store::default());
        let mut state = State {
            store,
            slots: Vec::new(),
            letters: Vec::new(),
            time: 0,
            left: misfortunes,
            looked: false,
            overran: false,
            is_end: false,
        };
        self.perform(0, &mut state, Actor::Uploads);
        state
    }

    /// Somebody acts from beginning to end, with nobody in between.
    fn perform(&mut self, from: u32, state: &mut State, actor: Actor) {
        let actor = self.runs.actors.number(actor);
        let mut node = self.runs.begin(actor, state.time);
        while let Waits::Store(ask) = self.runs.nodes[node as usize].waits {
            let answer = self.serve(from, state, node, ask);
            node = self.runs.follow(node, Edge::Told(answer, state.time));
        }
        assert_eq!(self.runs.nodes[node as usize].waits, Waits::Over(Verdict::Acknowledged));
    }

    fn reach(&mut self, from: Option<u32>, mut state: State, how: How) -> u32 {
        state.slots.sort_unstable();
        state.letters.sort_unstable();
        state.letters.dedup_by_key(|letter| letter.0);
        let before = self.states.len();
        let number = self.states.number(state);
        if number as usize == before {
            self.came.push((from.unwrap_or(number), how));
        }
        if let Some(from) = from {
            self.edges.push((from, number));
        }
        number
    }

    fn facts(&mut self, from: u32, store: u32) -> Rc<Facts> {
        if let Some(facts) = self.facts.get(&store) {
            return Rc::clone(facts);
        }
        let facts = Rc::new(Facts::of(&self.stores.get(store)));
        self.demand(from, rules::always(&facts));
        self.facts.insert(store, Rc::clone(&facts));
        facts
    }

    /// The stores answer a question, and the rules are looked at.
    fn serve(&mut self, from: u32, state: &mut State, node: u32, ask: u32) -> u32 {
        let actor = self.runs.actors.get(self.runs.nodes[node as usize].actor);
        let is_worker = matches!(*actor, Actor::Worker(..));
        if let Ask::Send(queue, body) = &*self.runs.asks.get(ask) {
            let letter = self.runs.actors.number(addressed(queue, body));
            if !self.is_idle(queue, body) {
                state.letters.push((letter, false));
            }
        }
        let asked = (state.store, ask, is_worker);
        if let Some((answer, store)) = self.served.get(&asked) {
            state.store = *store;
            return *answer;
        }
        let mut store = (*self.stores.get(state.store)).clone();
        let reply = store.serve(&self.runs.asks.get(ask));
        let (answer, after) = (
            self.runs.answers.number(Answer::Store(reply)),
            self.stores.number(store),
        );
        if after != state.store {
            let (was, is) = (self.facts(from, state.store), self.facts(from, after));
            self.demand(from, rules::over(&actor, &was, &is));
        }
        self.served.insert(asked, (answer, after));
        state.store = after;
        answer
    }

    /// Nothing is asked of audio where there is no sound, and nothing of whoever makes other units.
    fn is_idle(&self, queue: &str, body: &str) -> bool {
        let others = |function: Function| {
            let event: Value = serde_json::from_str(body).unwrap();
            let step = event["data"]["step"].as_str().map(str::to_owned);
            queue == format!("toktik-{function}") && step.is_some_and(|step| step != function.name())
        };
        let silent = queue == "toktik-audio" && !self.cut.sound;
        silent || others(Function::Transcode) || others(Function::Thumbnail)
    }

    fn expand(&mut self, from: u32) {
        let state = (*self.states.get(from)).clone();
        if state.is_end {
            return;
        }
        for slot in 0..state.slots.len() {
            self.step(from, &state, slot);
        }
        self.deliver(from, &state);
        if state.slots.is_empty() && state.letters.iter().all(|(_, waits)| *waits) {
            self.rest(from, &state);
        }
        let facts = self.facts(from, state.store);
        let may_retry =
            facts.status == Some(Status::Failed) && facts.generation < GENERATIONS && self.trouble == Trouble::Anything;
        self.come(from, &state, Actor::Retries, may_retry);
        if self.trouble == Trouble::Decided {
            self.look(from, &state, &facts);
        }
        if let Some(poorer) = state.poorer() {
            self.suffer(from, &poorer);
        }
    }

    /// Once the janitor looks at a decided clip while others are still at it; nobody comes in between.
    fn look(&mut self, from: u32, state: &State, facts: &Facts) {
        let is_decided = facts.status.is_some_and(Status::is_final);
        if is_decided && facts.looked_after && !state.looked && !state.slots.is_empty() {
            let mut looked = state.clone();
            looked.looked = true;
            self.perform(from, &mut looked, Actor::Looks);
            self.reach(Some(from), looked, How::Looked);
        }
    }

    fn step(&mut self, from: u32, state: &State, slot: usize) {
        let node = state.slots[slot].0;
        let Waits::Store(ask) = self.runs.nodes[node as usize].waits else {
            panic!("only who asks the stores has to wait")
        };
        let mut after = state.clone();
        let answer = self.serve(from, &mut after, node, ask);
        self.told(from, after, slot, answer, How::Answered(node));
        self.beat(from, state, slot);
    }

    fn told(&mut self, from: u32, state: State, slot: usize, answer: u32, how: How) {
        let next = self.runs.follow(state.slots[slot].0, Edge::Told(answer, state.time));
        self.go(from, state, slot, next, how);
    }

    /// Goes on to where others may come first.
    fn go(&mut self, from: u32, mut state: State, slot: usize, node: u32, how: How) {
        state.slots[slot].0 = node;
        match self.runs.nodes[node as usize].waits {
            Waits::Over(verdict) => self.leave(from, state, slot, verdict, how),
            Waits::Work => self.work(from, &state, slot, how),
            Waits::Store(ask) if self.is_nobodys_business(&state, node, ask) => {
                let is_sent = matches!(*self.runs.asks.get(ask), Ask::Send(..));
                if let Some(poorer) = state.poorer().filter(|_| is_sent && self.trouble == Trouble::Anything) {
                    self.die(from, &poorer, slot);
                }
                let answer = self.serve(from, &mut state, node, ask);
                self.told(from, state, slot, answer, how);
            }
            Waits::Store(_) => drop(self.reach(Some(from), state, how)),
        }
    }

    /// Work comes out as it does, whatever others do meanwhile; they come in before its result is written.
    fn work(&mut self, from: u32, state: &State, slot: usize, how: How) {
        let made = self.runs.answers.number(Answer::Work(Luck::Made));
        self.told(from, state.clone(), slot, made, how);
        let Some(poorer) = state.poorer() else { return };
        for luck in [Luck::Refused, Luck::Hopeless, Luck::Later] {
            let answer = self.runs.answers.number(Answer::Work(luck));
            if luck != Luck::Later || self.trouble == Trouble::Anything {
                self.told(from, poorer.clone(), slot, answer, how);
            }
        }
    }

    /// Whether it makes no difference to anybody else when this is answered: the first look of a run, which may as well
    /// begin later; a message that is not yet waiting; a plan, which never changes; the
    /// feed's list of days; the original, once somebody removes it.
    fn is_nobodys_business(&self, state: &State, node: u32, ask: u32) -> bool {
        match &*self.runs.asks.get(ask) {
            ask if self.runs.nodes[node as usize].is_root() => !ask.writes(),
            Ask::Send(queue, body) => {
                let letter = self.runs.actors.find(&addressed(queue, body));
                !state.letters.iter().any(|(other, _)| Some(*other) == letter)
            }
            Ask::Table(operation, input) if operation == "GetItem" => {
                input.contains("\"PLAN#") && state.is_planned(self)
            }
            Ask::List(prefix) => prefix.starts_with("uploads/"),
            Ask::Remove(keys) => keys.iter().all(|key| key.starts_with("uploads/")),
            _ => false,
        }
    }

    fn leave(&mut self, from: u32, mut state: State, slot: usize, verdict: Verdict, how: How) {
        let (node, letter) = state.slots.remove(slot);
        if let Some(letter) = letter {
            self.lost(from, &state, (node, letter));
            if verdict == Verdict::Again {
                state.letters.push((letter, true));
            }
        }
        self.reach(Some(from), state, how);
    }

    /// The acknowledgement does not arrive.
    fn lost(&mut self, from: u32, state: &State, (node, letter): (u32, u32)) {
        let Some(mut unheard) = state.poorer() else { return };
        if self.trouble == Trouble::Anything && self.runs.nodes[node as usize].wrote {
            unheard.letters.push((letter, false));
            self.reach(Some(from), unheard, How::Unheard(node));
        }
    }

    /// A renewal that would find nothing changed is not worth a look.
    fn beat(&mut self, from: u32, state: &State, slot: usize) {
        let (node, _) = state.slots[slot];
        let run = &self.runs.nodes[node as usize];
        let Waits::Store(ask) = run.waits else { return };
        // What a run asks of the bucket it asks under its lease.
        let works = matches!(*self.runs.asks.get(ask), Ask::Put(_) | Ask::Head(_));
        let (began, may) = (run.began, works && !run.beats);
        let facts = self.facts(from, state.store);
        let unchanged = began == state.time && facts.generation == 1 && !facts.status.unwrap().is_final();
        if !may || unchanged {
            return;
        }
        let next = self.runs.follow(node, Edge::Beat(state.time));
        self.go(from, state.clone(), slot, next, How::Beat(node));
    }

    fn deliver(&mut self, from: u32, state: &State) {
        let workers = state.slots.iter().filter(|(_, letter)| letter.is_some()).count();
        if workers == WORKERS {
            return;
        }
        for (letter, _) in &state.letters {
            let mut after = state.clone();
            after.letters.retain(|(other, _)| other != letter);
            self.begin(from, after, *letter, Some(*letter));
        }
    }

    fn begin(&mut self, from: u32, mut state: State, actor: u32, letter: Option<u32>) {
        let node = self.runs.begin(actor, state.time);
        state.slots.push((node, letter));
        let slot = state.slots.len() - 1;
        self.go(from, state, slot, node, How::Begun(node));
    }

    /// Nobody is at work: time passes, messages that waited are due, and the janitor makes a round.
    fn rest(&mut self, from: u32, state: &State) {
        let mut after = state.clone();
        after.time += 1;
        after.letters.iter_mut().for_each(|(_, waits)| *waits = false);
        self.perform(from, &mut after, Actor::Sweeps);
        let same = |after: &State| after.store == state.store && after.letters.is_empty();
        if same(&after) {
            after.time += LAST_SWEEP;
            self.perform(from, &mut after, Actor::Sweeps);
            after.is_end = same(&after);
        }
        if after.is_end {
            let facts = self.facts(from, after.store);
            self.demand(from, rules::at_the_end(&facts, after.overran));
            let status = facts.status.unwrap().as_str();
            *self
                .ends
                .entry(format!("{status} in generation {}", facts.generation))
                .or_default() += 1;
        }
        self.demand(
            from,
            if after.time % LAST_SWEEP > DOOMSDAY {
                Err("it never ends".to_owned())
            } else {
                Ok(())
            },
        );
        self.reach(Some(from), after, How::Rest);
    }

    /// What may go wrong; it is paid for already.
    fn suffer(&mut self, from: u32, state: &State) {
        let facts = self.facts(from, state.store);
        let (status, looked_after) = (facts.status.unwrap(), facts.looked_after);
        self.come(from, state, Actor::Deletes, status != Status::Deleted);
        if self.trouble == Trouble::Decided {
            return;
        }
        self.come(from, state, Actor::Looks, looked_after);
        for slot in 0..state.slots.len() {
            self.die(from, state, slot);
        }
        self.deliver_again(from, state);
        if !state.slots.is_empty() {
            self.overrun(from, state);
        }
    }

    /// Leases end, and what nobody gave a sign of is delivered again.
    fn overrun(&mut self, from: u32, state: &State) {
        let mut late = state.clone();
        late.time += 1;
        late.overran = true;
        let in_flight = state.slots.iter().filter_map(|(_, letter)| *letter);
        late.letters.extend(in_flight.map(|letter| (letter, false)));
        self.reach(Some(from), late, How::TimeRanOut);
    }

    /// Who has done nothing may as well not have been there.
    fn die(&mut self, from: u32, state: &State, slot: usize) {
        let (node, letter) = state.slots[slot];
        if self.runs.nodes[node as usize].wrote {
            let mut dead = state.clone();
            dead.slots.remove(slot);
            dead.letters.extend(letter.map(|letter| (letter, false)));
            self.reach(Some(from), dead, How::Dead(node));
        }
    }

    fn deliver_again(&mut self, from: u32, state: &State) {
        let in_flight: Vec<u32> = state.slots.iter().filter_map(|(_, letter)| *letter).collect();
        if let [letter] = in_flight.as_slice() {
            self.begin(from, state.clone(), *letter, Some(*letter));
        }
    }

    fn come(&mut self, from: u32, state: &State, actor: Actor, may: bool) {
        let actor = self.runs.actors.number(actor);
        let is_there = state
            .slots
            .iter()
            .any(|(node, _)| self.runs.nodes[*node as usize].actor == actor);
        if may && !is_there {
            self.begin(from, state.clone(), actor, None);
        }
    }

    /// Whatever has happened, an end can still be reached.
    fn everything_ends(&self) {
        let mut before: HashMap<u32, Vec<u32>> = HashMap::new();
        for (from, to) in &self.edges {
            before.entry(*to).or_default().push(*from);
        }
        let numbers = 0..u32::try_from(self.states.len()).unwrap();
        let mut open: Vec<u32> = numbers
            .clone()
            .filter(|number| self.states.get(*number).is_end)
            .collect();
        let mut ends = vec![false; self.states.len()];
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut ends[state as usize], true) {
                open.extend(before.get(&state).into_iter().flatten());
            }
        }
        for number in numbers {
            let stuck = if ends[number as usize] {
                Ok(())
            } else {
                Err("there is no way out".to_owned())
            };
            self.demand(number, stuck);
        }
    }

    fn tell(&self, how: How) -> String {
        match how {
            How::Beginning => "the clip is uploaded".to_owned(),
            How::Answered(node) => format!("answered: {}", self.say(node)),
            How::Begun(node) => format!("begun: {}", self.say(node)),
            How::Beat(node) => format!("renewed: {}", self.say(node)),
            How::Dead(node) => format!("dead: {}", self.say(node)),
            How::Unheard(node) => format!("not acknowledged: {}", self.say(node)),
            How::Looked => "the janitor looks".to_owned(),
            How::TimeRanOut => "time passes".to_owned(),
            How::Rest => "time passes, and the janitor sweeps".to_owned(),
        }
    }

    fn say(&self, node: u32) -> String {
        let node = &self.runs.nodes[node as usize];
        let waits = match node.waits {
            Waits::Store(ask) => said(&self.runs.asks.get(ask)),
            other => format!("{other:?}"),
        };
        match &*self.runs.actors.get(node.actor) {
            Actor::Worker(function, body) => {
                let event: Value = serde_json::from_str(body).unwrap();
                let event = event.get("event").unwrap_or(&event);
                format!("{function} with {} at {waits}", event["id"])
            }
            other => format!("{other:?} at {waits}"),
        }
    }

    /// Tells how it came to this.
    fn demand(&self, at: u32, rule: Result<(), String>) {
        let Err(rule) = rule else { return };
        let (mut story, mut at) = (Vec::new(), at);
        while let Some((from, how)) = self.came.get(at as usize) {
            story.push(self.tell(*how));
            if *from == at {
                break;
            }
            at = *from;
        }
        story.reverse();
        panic!("broken: {rule}\nafter\n  {}", story.join("\n  "));
    }
}

impl State {
    /// After a misfortune, if there is one left.
    fn poorer(&self) -> Option<Self> {
        let left = self.left.checked_sub(1)?;
        Some(Self { left, ..self.clone() })
    }

    fn is_planned(&self, world: &World) -> bool {
        world.facts.get(&self.store).is_some_and(|facts| facts.is_planned)
    }
}

fn addressed(queue: &str, body: &str) -> Actor {
    let function: Function = queue.strip_prefix("toktik-").unwrap_or(queue).parse().unwrap();
    Actor::Worker(function, body.to_owned())
}

fn said(ask: &Ask) -> String {
    match ask {
        Ask::Table(operation, input) => {
            let input: Value = serde_json::from_str(input).unwrap();
            let mut keys = Vec::new();
            sort_keys(&input, &mut keys);
            format!("{operation} {}", keys.join(" "))
        }
        Ask::Send(queue, _) => format!("Send {queue}"),
        other => format!("{other:?}"),
    }
}

/// The sort keys that are mentioned.
fn sort_keys(input: &Value, keys: &mut Vec<String>) {
    match input {
        Value::Object(map) => {
            if let Some(sk) = map.get("sk").or(map.get(":low")).and_then(|sk| sk["S"].as_str()) {
                keys.push(sk.to_owned());
            }
            map.values().for_each(|value| sort_keys(value, keys));
        }
        Value::Array(list) => list.iter().for_each(|value| sort_keys(value, keys)),
        _ => {}
    }
}
