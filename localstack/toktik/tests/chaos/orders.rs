//! Who is to be killed when, and what has been done of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use toktik_events::Function;

use crate::keeper::{Part, hold};

/// A step that is killed five times in its middle is given up, as it should be. So few kills of one process while a
/// clip is on its way can never come to that.
pub(crate) const KILLS_A_WAVE: usize = 3;

/// How a lease is renewed; whoever takes one sets its state first.
const RENEWAL: &[u8] = b"\"SET #lease_until";

/// Something that changes what the cloud keeps.
pub(crate) type Effect = String;

/// What this request changes if it succeeds. Signs of life do not count: they come by the clock.
pub(crate) fn effect(method: &Method, headers: &HeaderMap, body: &[u8]) -> Option<Effect> {
    if body.windows(RENEWAL.len()).any(|part| part == RENEWAL) {
        return None;
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    match target.and_then(|target| target.split_once('.')).map(|(_, name)| name) {
        Some(
            name @ ("PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "SendMessage" | "ReceiveMessage"
            | "DeleteMessage"),
        ) => Some(name.to_owned()),
        None if [Method::PUT, Method::POST, Method::DELETE].contains(method) => Some(format!("S3 {method}")),
        _ => None,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Moment {
    /// When exactly this has become durable since the function took up what it is at.
    Boundary(Vec<Effect>),
    /// Likewise, whenever that is, and nobody is killed: the answer alone is lost, and whoever waited for it asks again.
    Unheard(Vec<Effect>),
    /// When an effect of this kind is durable, whoever asked for it.
    After(Effect),
    /// While the cloud is at an effect of this kind.
    During(Effect),
    /// So long after so many effects of the wave: the victim's own, or those of everybody.
    Random { effects: usize, own: bool, delay: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) victim: Part,
    pub(crate) moment: Moment,
}

impl Order {
    pub(crate) fn kills(&self) -> bool {
        !matches!(self.moment, Moment::Unheard(_))
    }
}

#[derive(Default)]
pub(crate) struct Orders {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Vec<Order>,
    /// Effects since the function took up what it is at.
    traces: HashMap<Function, Vec<Effect>>,
    seen: BTreeSet<(String, Vec<Effect>)>,
    effects: HashMap<Option<Function>, usize>,
    kills: HashMap<Part, usize>,
    history: Vec<String>,
    unheard: usize,
}

impl Orders {
    /// A wave of clips begins.
    pub(crate) fn begin(&self, orders: Vec<Order>) {
        let mut state = hold(&self.state);
        state.pending.extend(orders);
        state.effects.clear();
        state.kills.clear();
    }

    /// Those that nothing has come up for.
    pub(crate) fn left(&self) -> Vec<Order> {
        hold(&self.state).pending.clone()
    }

    pub(crate) fn take_left(&self) -> Vec<Order> {
        std::mem::take(&mut hold(&self.state).pending)
    }

    /// Each place between two effects at which a function has been.
    pub(crate) fn boundaries(&self, function: Function) -> Vec<Vec<Effect>> {
        let state = hold(&self.state);
        let of_it = state.seen.iter().filter(|(name, _)| name == function.name());
        of_it.map(|(_, trace)| trace.clone()).collect()
    }

    /// Every kind of effect there has been.
    pub(crate) fn effects(&self) -> BTreeSet<Effect> {
        let state = hold(&self.state);
        state.seen.iter().flat_map(|(_, trace)| trace.clone()).collect()
    }

    /// A function takes up something new: a request, or the next delivery.
    pub(crate) fn taken_up(&self, function: Function) {
        hold(&self.state).traces.remove(&function);
    }

    /// The order for what is about to be done.
    pub(crate) fn coming(&self, effect: &Effect) -> Option<Order> {
        let mut state = hold(&self.state);
        state.due(|_, order| order.moment == Moment::During(effect.clone()))
    }

    /// The orders for what has just become durable.
    pub(crate) fn done(&self, from: Option<Function>, effect: &Effect) -> Vec<Order> {
        let mut state = hold(&self.state);
        *state.effects.entry(None).or_default() += 1;
        if let Some(function) = from {
            *state.effects.entry(from).or_default() += 1;
            let trace = state.traces.entry(function).or_default();
            if effect == "ReceiveMessage" {
                trace.clear();
            }
            trace.push(effect.clone());
            let seen = (function.name().to_owned(), trace.clone());
            state.seen.insert(seen);
        }
        let is_due = |state: &State, order: &Order| match &order.moment {
            Moment::Boundary(trace) | Moment::Unheard(trace) => {
                from.is_some_and(|from| order.victim == Part::Function(from) && state.traces.get(&from) == Some(trace))
            }
            Moment::After(kind) => kind == effect,
            Moment::During(_) => false,
            Moment::Random { effects, own, .. } => {
                let counted = order.victim.function().filter(|_| *own);
                state.effects.get(&counted).is_some_and(|count| count >= effects)
            }
        };
        let unheard = state
            .pending
            .iter()
            .filter(|order| !order.kills() && is_due(&state, order));
        let mut due: Vec<Order> = unheard.cloned().collect();
        state.unheard += due.len();
        due.extend(std::iter::from_fn(|| state.due(is_due)));
        due
    }

    pub(crate) fn killed(&self, order: &Order) {
        hold(&self.state)
            .history
            .push(format!("{}: {:?}", order.victim, order.moment));
    }

    /// How many answers were lost by order.
    pub(crate) fn unheard(&self) -> usize {
        hold(&self.state).unheard
    }

    /// Kills until now, in their order.
    pub(crate) fn history(&self) -> Vec<String> {
        hold(&self.state).history.clone()
    }
}

impl State {
    fn due(&mut self, is_due: impl Fn(&Self, &Order) -> bool) -> Option<Order> {
        let allowed = |order: &Order| self.kills.get(&order.victim).copied().unwrap_or_default() < KILLS_A_WAVE;
        let place = self
            .pending
            .iter()
            .position(|order| order.kills() && is_due(self, order) && allowed(order))?;
        let order = self.pending.remove(place);
        *self.kills.entry(order.victim).or_default() += 1;
        Some(order)
    }
}
