//! The dialogue of an HTTP/2 check: h2 over a connection in memory, polled whenever there is input.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Wake;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};

use super::pipe::Pipe;
use super::{Http2Plan, grpc};
use crate::conversation::{Conversation, Progress};
use crate::failure::{FailKind, Failure, Stage};

/// One attempt.
pub(super) struct Talk {
    plan: Arc<Http2Plan>,
    addr: SocketAddr,
    pipe: Pipe,
    task: Option<Pin<Box<dyn Future<Output = Progress> + Send>>>,
    awake: Arc<Awake>,
}

impl Talk {
    pub(super) fn new(plan: Arc<Http2Plan>, addr: SocketAddr) -> Self {
        Self {
            plan,
            addr,
            pipe: Pipe::default(),
            task: None,
            awake: Arc::default(),
        }
    }

    fn run(&mut self, out: &mut Vec<u8>) -> Progress {
        self.pipe.wake();
        let waker = Waker::from(self.awake.clone());
        let Some(task) = self.task.as_mut() else {
            return Progress::More;
        };
        let mut progress = Progress::More;
        // It is polled as long as it wakes itself; a bound keeps a loop of its own from becoming ours.
        for _ in 0..MOST_POLLS {
            self.awake.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(end) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                progress = end;
                self.task = None;
                break;
            }
            if !self.awake.0.load(Ordering::Relaxed) {
                break;
            }
        }
        out.append(&mut self.pipe.lock().output);
        progress
    }
}

impl Conversation for Talk {
    fn open(&mut self, out: &mut Vec<u8>) -> Progress {
        self.pipe = Pipe::default();
        self.task = Some(Box::pin(exchange(
            self.pipe.clone(),
            self.plan.clone(),
            self.addr,
        )));
        self.run(out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        self.pipe.lock().input.extend(input);
        self.run(out)
    }

    fn closed(&mut self) -> Progress {
        self.pipe.lock().closed = true;
        match self.run(&mut Vec::new()) {
            Progress::More => Progress::Failed(Failure::new(Stage::Reply, FailKind::Closed)),
            end @ (Progress::Passed(_) | Progress::Failed(_) | Progress::Reconnect) => end,
        }
    }

    fn stage(&self) -> Stage {
        Stage::Reply
    }
}

/// The request of a plan; `None` if it cannot be one.
pub(super) fn request(plan: &Http2Plan, addr: SocketAddr) -> Option<Request<()>> {
    let authority = plan.authority.clone().unwrap_or_else(|| addr.to_string());
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(plan.path.as_str());
    let request = Request::builder().uri(uri.build().ok()?);
    let request = match plan.service {
        Some(_) => {
            let request = request
                .method(Method::POST)
                .header("content-type", "application/grpc");
            request.header("te", "trailers")
        }
        None => request.method(Method::GET),
    };
    request.header("user-agent", "healthcheck").body(()).ok()
}

async fn exchange(pipe: Pipe, plan: Arc<Http2Plan>, addr: SocketAddr) -> Progress {
    let mut builder = h2::client::Builder::new();
    builder
        .max_header_list_size(64 << 10)
        .initial_window_size(64 << 10)
        .enable_push(false);
    let handshake = builder.handshake::<_, Bytes>(pipe).await;
    let (send, connection) = match handshake {
        Ok(both) => both,
        Err(error) => return failed(&error),
    };
    // The connection moves the frames; the conversation with it ends the attempt.
    let mut connection = core::pin::pin!(connection);
    let mut asking = core::pin::pin!(ask(send, plan, addr));
    core::future::poll_fn(|cx| {
        if let Poll::Ready(end) = asking.as_mut().poll(cx) {
            // What is still to be written may go along.
            let _ = connection.as_mut().poll(cx);
            return Poll::Ready(end);
        }
        match connection.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(ended) => Poll::Ready(match asking.as_mut().poll(cx) {
                Poll::Ready(end) => end,
                Poll::Pending => match ended {
                    Err(error) => failed(&error),
                    Ok(()) => Progress::Failed(Failure::new(Stage::Reply, FailKind::Closed)),
                },
            }),
        }
    })
    .await
}

async fn ask(mut send: h2::client::SendRequest<Bytes>, plan: Arc<Http2Plan>, addr: SocketAddr) -> Progress {
    match answer(&mut send, &plan, addr).await {
        Ok(progress) => progress,
        Err(error) => failed(&error),
    }
}

async fn answer(
    send: &mut h2::client::SendRequest<Bytes>,
    plan: &Http2Plan,
    addr: SocketAddr,
) -> Result<Progress, h2::Error> {
    let Some(request) = request(plan, addr) else {
        return Ok(Progress::Failed(Failure::new(Stage::Send, FailKind::Malformed)));
    };
    core::future::poll_fn(|cx| send.poll_ready(cx)).await?;
    let (response, mut body) = send.send_request(request, plan.service.is_none())?;
    if let Some(service) = &plan.service {
        body.send_data(grpc::question(service).into(), true)?;
    }
    let response = response.await?;
    let status = response.status().as_u16();
    if !(plan.status.0..=plan.status.1).contains(&status) {
        return Ok(refused(i32::from(status), b""));
    }
    if plan.service.is_none() {
        return Ok(Progress::PASSED);
    }
    // An error without a message comes with the headers.
    if let Some(progress) = grpc_status(response.headers()) {
        return Ok(progress);
    }
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        message.extend_from_slice(&chunk);
        if message.len() > MOST_MESSAGE {
            return Ok(Progress::Failed(Failure::new(Stage::Reply, FailKind::TooLarge)));
        }
    }
    if let Some(progress) = body.trailers().await?.as_ref().and_then(grpc_status) {
        return Ok(progress);
    }
    Ok(match grpc::answer(&message) {
        Some(grpc::SERVING) => Progress::PASSED,
        Some(other) => refused(i32::try_from(other).unwrap_or(i32::MAX), b"not serving"),
        None => Progress::Failed(Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(&message)),
    })
}

/// The failure that a status of gRPC stands for; `None` for OK and for nothing.
fn grpc_status(headers: &HeaderMap) -> Option<Progress> {
    let code = headers
        .get("grpc-status")?
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    let message = headers
        .get("grpc-message")
        .map_or(&b""[..], |message| message.as_bytes());
    (code != 0).then(|| refused(code, message))
}

fn refused(code: i32, excerpt: &[u8]) -> Progress {
    Progress::Failed(
        Failure::new(Stage::Content, FailKind::Status)
            .with_code(code)
            .with_excerpt(excerpt),
    )
}

fn failed(error: &h2::Error) -> Progress {
    let kind = match error.reason() {
        Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR | h2::Reason::COMPRESSION_ERROR) => {
            FailKind::Malformed
        }
        Some(h2::Reason::ENHANCE_YOUR_CALM) => FailKind::TooLarge,
        Some(_) => FailKind::Reset,
        None if error.is_io() => FailKind::Closed,
        None => FailKind::Malformed,
    };
    let code = error
        .reason()
        .map(|reason| i32::try_from(u32::from(reason)).unwrap_or(i32::MAX));
    Progress::Failed(Failure {
        code,
        ..Failure::new(Stage::Reply, kind)
    })
}

#[derive(Default)]
struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const MOST_POLLS: usize = 1_000;
const MOST_MESSAGE: usize = 64 << 10;
