//! The way from one process to the cloud: passes on what is said and sees each effect as it becomes durable, so that a
//! kill falls right behind it. It also stays where it is while the cloud is elsewhere after each restart.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use toktik_events::Function;

use crate::keeper::{Keeper, Part};
use crate::orders::{Moment, Order, Orders, effect};
use crate::weather::Sky;

pub(crate) struct House {
    pub(crate) orders: Orders,
    pub(crate) keepers: OnceLock<HashMap<Part, Arc<Keeper>>>,
    pub(crate) cloud: Arc<Keeper>,
    pub(crate) sky: Sky,
    client: reqwest::Client,
}

#[derive(Clone)]
struct Door {
    house: Arc<House>,
    of: Option<Function>,
}

/// What the cloud answered.
struct Answer {
    status: StatusCode,
    headers: header::HeaderMap,
    body: Bytes,
}

impl House {
    pub(crate) fn new(cloud: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            orders: Orders::default(),
            keepers: OnceLock::new(),
            cloud,
            sky: Sky::default(),
            // Connections to a cloud that was killed are not worth keeping.
            client: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
        })
    }

    /// A door for this function, or for everybody else. Returns its address.
    pub(crate) async fn door(self: &Arc<Self>, of: Option<Function>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let door = Door {
            house: Arc::clone(self),
            of,
        };
        let router = Router::new().fallback(pass).with_state(door);
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    }

    fn keeper(&self, part: Part) -> Option<&Arc<Keeper>> {
        match part {
            Part::Cloud => Some(&self.cloud),
            Part::Function(_) => self.keepers.get()?.get(&part),
        }
    }

    /// Carries an order out. In a task of its own: whoever waits for it here may be who is killed.
    pub(crate) async fn kill(self: &Arc<Self>, order: Order) {
        let house = Arc::clone(self);
        let killing = tokio::spawn(async move {
            if let Moment::Random { delay, .. } = order.moment {
                tokio::time::sleep(delay).await;
            }
            if let Part::Function(function) = order.victim {
                house.orders.taken_up(function);
            }
            house.keeper(order.victim).unwrap().kill().await;
            house.orders.killed(&order);
        });
        killing.await.unwrap();
    }
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let life = door.life();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // Over the harness itself the sky is always clear.
    let sky = door.of.map(|_| &door.house.sky);
    if let Some(sky) = sky
        && let Some(answer) = sky.instead(&parts.method, &parts.headers).await
    {
        return answer;
    }
    let effect = effect(&parts.method, &parts.headers, &body);
    let during = effect.as_ref().and_then(|effect| door.house.orders.coming(effect));
    let answer = match during {
        None => door.forward(&parts, body).await,
        Some(order) => {
            // Both begin at once, and whichever is faster has happened.
            tokio::join!(door.forward(&parts, body), door.house.kill(order)).0
        }
    };
    let Some(answer) = answer else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if let Some(effect) = effect.filter(|effect| answer.is_effective(effect))
        && door.life() == life
        && door.carry_out(&effect).await
    {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body = answer.body.clone();
    let response = answer.into_response(&parts.method);
    match sky {
        Some(sky) => sky.passed(&parts.method, response, &body),
        None => response,
    }
}

impl Door {
    /// Of the process before the door: a request that outlives it does not count for the next.
    fn life(&self) -> u64 {
        let keeper = self.of.and_then(|of| self.house.keeper(Part::Function(of)));
        keeper.map_or(1, |keeper| keeper.life())
    }

    /// None if the cloud is not there, or goes away meanwhile.
    async fn forward(&self, parts: &Parts, body: Bytes) -> Option<Answer> {
        let path = parts.uri.path_and_query()?;
        let url = format!("{}{path}", self.house.cloud.base()?);
        let mut headers = parts.headers.clone();
        // Its length stays, since it may be signed.
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        let mut request = self.house.client.request(parts.method.clone(), url).headers(headers);
        if parts.headers.contains_key(header::CONTENT_LENGTH) {
            request = request.body(body);
        }
        let response = request.send().await.ok()?;
        Some(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.ok()?,
        })
    }

    /// Kills whoever is to be killed behind this effect. True if the answer is lost, by that or by order.
    async fn carry_out(&self, effect: &str) -> bool {
        let mut lost = false;
        let mut killings = Vec::new();
        // All begin before one is waited for: whoever is killed first may be whom this answers, and then nobody goes on.
        for order in self.house.orders.done(self.of, &effect.to_owned()) {
            let at_once = !matches!(order.moment, Moment::Random { delay, .. } if !delay.is_zero());
            let of_this = order.victim == Part::Cloud || self.of.map(Part::Function) == Some(order.victim);
            lost |= at_once && of_this;
            if !order.kills() {
                continue;
            }
            let house = Arc::clone(&self.house);
            let killing = tokio::spawn(async move { house.kill(order).await });
            if at_once {
                killings.push(killing);
            }
        }
        for killing in killings {
            killing.await.unwrap();
        }
        lost
    }
}

impl Answer {
    /// Whether anything has changed: a condition may have failed, a queue been empty.
    fn is_effective(&self, effect: &str) -> bool {
        let empty = effect == "ReceiveMessage" && !self.body.windows(10).any(|part| part == b"\"Messages\"");
        self.status.is_success() && !empty
    }

    fn into_response(self, method: &Method) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        response.headers_mut().remove(header::CONNECTION);
        // How large the object is that HEAD asks for is said there and nowhere else.
        if method != Method::HEAD {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
    }
}
