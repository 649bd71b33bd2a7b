//! What the real code does next, given all it was told so far. Each such story is run once and kept.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;
use toktik_events::Function;

use crate::actors::{Actor, Cut, Troupe, Verdict};
use crate::store::{Arena, Ask};
use crate::wire::{Answer, Open, Question};

/// Long enough that a renewal falls due.
const A_BEAT: Duration = Duration::from_millis(4);
/// Runs that are kept standing where they are, so that going on need not begin anew.
const STANDING: usize = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Edge {
    /// It is told this, at this time.
    Told(u32, u16),
    /// Time passes while it works, and its lease has to be renewed.
    Beat(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Store(u32),
    Work,
    Over(Verdict),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) actor: u32,
    pub(crate) began: u16,
    parent: Option<(u32, Edge)>,
    pub(crate) waits: Waits,
    /// Something of what it did can be seen.
    pub(crate) wrote: bool,
    pub(crate) beats: bool,
}

impl Node {
    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_none()
    }
}

/// Parts of the SDKs wake each other without waiting for an answer.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Live {
    future: Pin<Box<dyn Future<Output = Verdict>>>,
    open: Vec<Open>,
}

pub(crate) struct Runs {
    troupe: Troupe,
    runtime: Runtime,
    pub(crate) actors: Arena<Actor>,
    pub(crate) asks: Arena<Ask>,
    pub(crate) answers: Arena<Answer>,
    pub(crate) nodes: Vec<Node>,
    roots: HashMap<(u32, u16, bool), u32>,
    children: HashMap<(u32, Edge), u32>,
    standing: HashMap<u32, Live>,
}

impl Runs {
    pub(crate) fn new(cut: Cut) -> Self {
        Self {
            troupe: Troupe::new(cut),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            actors: Arena::default(),
            asks: Arena::default(),
            answers: Arena::default(),
            nodes: Vec::new(),
            roots: HashMap::new(),
            children: HashMap::new(),
            standing: HashMap::new(),
        }
    }

    pub(crate) fn begin(&mut self, actor: u32, time: u16) -> u32 {
        self.root(actor, time, false)
    }

    fn root(&mut self, actor: u32, time: u16, wrote: bool) -> u32 {
        if let Some(root) = self.roots.get(&(actor, time, wrote)) {
            return *root;
        }
        let (live, waits) = self.begun(actor, time, false);
        let node = Node {
            actor,
            began: time,
            parent: None,
            waits,
            wrote,
            beats: false,
        };
        let root = self.keep(node, live);
        self.roots.insert((actor, time, wrote), root);
        root
    }

    /// Package looks at everything anew before each of its rounds, and knows nothing of the last but how many there
    /// were. That a sixth is left to another delivery is not looked at here. After its own step it asks the same for
    /// another reason.
    fn begins_anew(&self, actor: u32, asked: Waits, waits: Waits) -> bool {
        let Actor::Worker(Function::Package, _) = *self.actors.get(actor) else {
            return false;
        };
        if let Waits::Store(ask) = asked
            && matches!(&*self.asks.get(ask), Ask::Table(operation, input) if operation == "GetItem" && input.contains("STEP#"))
        {
            return false;
        }
        let mut roots = self.roots.iter().filter(|((other, ..), _)| *other == actor);
        roots.any(|(_, root)| self.nodes[*root as usize].waits == waits)
    }

    pub(crate) fn follow(&mut self, from: u32, edge: Edge) -> u32 {
        if let Some(child) = self.children.get(&(from, edge)) {
            return *child;
        }
        let beating = self.nodes[from as usize].beats || matches!(edge, Edge::Beat(_));
        let standing = self.standing.remove(&from).filter(|_| !beating);
        let mut live = standing.unwrap_or_else(|| self.replayed(from, beating));
        let waits = self.advance(&mut live, edge);
        let before = &self.nodes[from as usize];
        let asked = before.waits;
        let wrote = match before.waits {
            Waits::Store(ask) => self.asks.get(ask).writes(),
            _ => false,
        };
        let node = Node {
            actor: before.actor,
            began: before.began,
            parent: Some((from, edge)),
            waits,
            wrote: before.wrote || wrote,
            beats: beating,
        };
        let child = if self.begins_anew(node.actor, asked, waits) {
            let (Edge::Told(_, time) | Edge::Beat(time)) = edge;
            self.root(node.actor, time, node.wrote)
        } else {
            self.keep(node, live)
        };
        self.children.insert((from, edge), child);
        child
    }

    fn keep(&mut self, node: Node, live: Live) -> u32 {
        let number = u32::try_from(self.nodes.len()).unwrap();
        let over = matches!(node.waits, Waits::Over(_));
        // Time that passes for one would be seen by all whose heart beats.
        if !over && !node.beats && self.standing.len() < STANDING {
            self.standing.insert(number, live);
        }
        self.nodes.push(node);
        number
    }

    fn replayed(&mut self, node: u32, beating: bool) -> Live {
        let mut edges = Vec::new();
        let mut at = node;
        while let Some((parent, edge)) = self.nodes[at as usize].parent {
            edges.push(edge);
            at = parent;
        }
        let Node { actor, began, .. } = self.nodes[at as usize];
        let (mut live, mut waits) = self.begun(actor, began, beating);
        for edge in edges.into_iter().rev() {
            waits = self.advance(&mut live, edge);
        }
        assert_eq!(
            waits, self.nodes[node as usize].waits,
            "the same story went on in another way"
        );
        live
    }

    fn begun(&mut self, actor: u32, time: u16, beating: bool) -> (Live, Waits) {
        self.troupe.set_time(time);
        let mut live = Live {
            future: self.troupe.begin(&self.actors.get(actor), beating),
            open: Vec::new(),
        };
        let waits = self.poll(&mut live);
        (live, waits)
    }

    fn advance(&mut self, live: &mut Live, edge: Edge) -> Waits {
        match edge {
            Edge::Told(answer, time) => {
                self.troupe.set_time(time);
                let open = live.open.last().unwrap();
                open.answer((*self.answers.get(answer)).clone());
            }
            Edge::Beat(time) => {
                self.troupe.set_time(time);
                self.runtime.block_on(async { tokio::time::sleep(A_BEAT).await });
            }
        }
        self.poll(live)
    }

    fn poll(&mut self, live: &mut Live) -> Waits {
        let (future, woken) = (&mut live.future, Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let until_it_rests = poll_fn(|_| {
            let mut polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            while polled.is_pending() && woken.0.swap(false, Ordering::Relaxed) {
                polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            }
            Poll::Ready(polled)
        });
        if let Poll::Ready(verdict) = self.runtime.block_on(until_it_rests) {
            return Waits::Over(verdict);
        }
        live.open.extend(self.troupe.wire.asked());
        live.open.retain(Open::is_awaited);
        match live.open.last().map(|open| &open.question) {
            Some(Question::Store(ask)) => Waits::Store(self.asks.number(ask.clone())),
            Some(Question::Work) => Waits::Work,
            None => panic!("it waits for nobody"),
        }
    }
}
