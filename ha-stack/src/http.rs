//! The status over HTTP: a page for people, JSON and metrics for machines.

mod history;

use std::convert::Infallible;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, oneshot};

use crate::control::Control;
use crate::error::Error;
use crate::http::history::{History, KEEP_UP};
use crate::metrics::metrics;
use crate::persist::persist;
use crate::pulse::{Patience, Pulse};

/// Answers `GET /` (a page that shows the status, live), `GET /status` and `GET /history` (JSON), `GET /metrics`
/// (Prometheus) and `GET /healthz`. Nothing can be changed through it.
///
/// `/history` has what the page draws a timeline of: `{"host": "…", "virtual_routers": {"VI_1": [{"since": "RFC 3339 time",
/// "state": "active", "reason": "…", "active_router": "10.1.10.2"}]}, "events": […]}`, oldest first, since this was started
/// and no more than the last 50 of each virtual router and the last 200 events. Who is active while this host is not is
/// looked at every few seconds.
///
/// It has a thread of its own, takes a bounded number of connections, and closes those that are slow. It asks nobody who
/// they are, so it belongs on a loopback address. Dropping it ends it.
pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    worker: Worker,
    patience: Patience,
}

/// What one thread leaves to the next, should it be stuck.
struct Shared {
    listener: TcpListener,
    control: Arc<dyn Control>,
    history: Arc<History>,
}

/// The thread.
struct Worker {
    thread: JoinHandle<()>,
    pulse: Arc<Pulse>,
    /// It ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl HttpServer {
    /// Listens on `address`.
    ///
    /// # Errors
    /// [`Error::Listen`] if the address cannot be used; [`Error::System`] if there is no thread.
    pub fn start(address: SocketAddr, control: Arc<dyn Control>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let history = Arc::new(History::new(control.as_ref()));
        let shared = Arc::new(Shared {
            listener,
            control,
            history,
        });
        Ok(Self {
            address,
            worker: Worker::start(&shared)?,
            shared,
            patience: Patience::default(),
        })
    }

    /// Looks after the thread, and puts another in its place if it is dead or has been stuck for ten seconds; the log has it. To be
    /// called every few seconds.
    pub fn tend(&mut self) {
        let has_moved = self.worker.pulse.has_answered() && !self.worker.thread.is_finished();
        let Some(since) = self.patience.look(has_moved) else {
            return;
        };
        match Worker::start(&self.shared) {
            Ok(fresh) => {
                tracing::error!(
                    what = "HTTP",
                    ?since,
                    "the thread of this is stuck: another takes its place"
                );
                self.worker = fresh;
                self.patience.renew();
            }
            Err(error) => {
                tracing::error!(what = "HTTP", %error, "the thread of this is stuck, and there is no other");
            }
        }
    }

    /// Where it listens, which tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Worker {
    fn start(shared: &Arc<Shared>) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(Error::system("cannot start the HTTP server"))?;
        let (stop, mut stopped) = oneshot::channel();
        let pulse = Arc::new(Pulse::default());
        let (shared, beating) = (Arc::clone(shared), Arc::clone(&pulse));
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                persist("HTTP", || {
                    runtime.block_on(async {
                        tokio::select! {
                            // First: one that was stuck, and goes on after all, is to take nobody in.
                            biased;
                            _ = &mut stopped => {}
                            () = serve(&shared.listener, &shared.control, &shared.history) => {}
                            () = keep_up(shared.control.as_ref(), &shared.history) => {}
                            () = beating.beat() => {}
                        }
                    });
                });
            })
            .map_err(Error::system("cannot start a thread for HTTP"))?;
        Ok(Self {
            thread,
            pulse,
            _stop: stop,
        })
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn keep_up(control: &dyn Control, history: &History) {
    loop {
        history.keep_up(control);
        tokio::time::sleep(KEEP_UP).await;
    }
}

async fn serve(listener: &TcpListener, control: &Arc<dyn Control>, history: &Arc<History>) {
    let listener = listener.try_clone().and_then(tokio::net::TcpListener::from_std);
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot serve HTTP");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot take an HTTP connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (control, history) = (Arc::clone(control), Arc::clone(history));
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let response = respond(&request, control.as_ref(), &history);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(SLOW)
                .max_buf_size(LARGEST_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // The whole connection has a time limit, so that a client that does not read cannot keep its place.
            match tokio::time::timeout(LONGEST_CONNECTION, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection broke"),
            }
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, control: &dyn Control, history: &History) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only to be read\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, HTML, include_str!("http/page/index.html")),
        "/page.css" => text(StatusCode::OK, CSS, include_str!("http/page/page.css")),
        "/page.js" => text(StatusCode::OK, JAVASCRIPT, include_str!("http/page/page.js")),
        "/metrics" => text(StatusCode::OK, PROMETHEUS, metrics(&control.status())),
        "/status" => json(serde_json::to_string(&control.status())),
        "/history" => {
            history.keep_up(control);
            json(history.to_json())
        }
        "/healthz" => text(StatusCode::OK, PLAIN, "alive\n"),
        _ => text(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there are /, /status, /history, /metrics and /healthz\n",
        ),
    }
}

fn json(body: serde_json::Result<String>) -> Response<Full<Bytes>> {
    match body {
        Ok(body) => text(StatusCode::OK, JSON, body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
    }
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(SAME_ORIGIN, HeaderValue::from_static("same-origin"));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// The page loads its own script and style and asks its own server; nothing else, whatever a name in the status says.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Nobody else's page may load anything from here.
const SAME_ORIGIN: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const MOST_CONNECTIONS: usize = 64;

/// What a client may take to send the head of a request.
const SLOW: Duration = Duration::from_secs(10);

const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

const LARGEST_HEAD: usize = 16 * 1024;

const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use super::*;
    use crate::notify::Event;
    use crate::status::Status;

    struct Fake;

    impl Control for Fake {
        fn status(&self) -> Status {
            crate::status::tests::example()
        }

        fn watch(&self) -> Option<mpsc::Receiver<Event>> {
            None
        }

        fn execute(&self, _: crate::control::Request) -> crate::control::Response {
            panic!("HTTP is read-only");
        }
    }

    fn ask(server: &HttpServer, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn status_and_metrics_can_be_read_and_nothing_else() {
        let server = HttpServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(Fake)).unwrap();
        let answer = ask(&server, "GET /status");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(
            serde_json::from_str::<Status>(body).unwrap(),
            crate::status::tests::example()
        );
        assert!(ask(&server, "GET /metrics").contains("\nha_virtual_router_state{"));
        assert!(ask(&server, "GET /healthz").ends_with("alive\n"));
        assert!(ask(&server, "GET /secrets").starts_with("HTTP/1.1 404 "));
        assert!(ask(&server, "POST /status").starts_with("HTTP/1.1 405 "));
        assert!(ask(&server, "nonsense").starts_with("HTTP/1.1 400 "));
    }

    /// One whose status takes until it is let go, but the first.
    struct Held(std::sync::Mutex<mpsc::Receiver<()>>);

    impl Control for Held {
        fn status(&self) -> Status {
            let _ = self.0.lock().unwrap().recv();
            Status::default()
        }

        fn watch(&self) -> Option<mpsc::Receiver<Event>> {
            None
        }

        fn execute(&self, _: crate::control::Request) -> crate::control::Response {
            panic!("HTTP is read-only");
        }
    }

    #[test]
    fn another_takes_the_place_of_a_thread_that_is_stuck() {
        let (let_go, held) = mpsc::channel();
        // For the history: at its start, and when the thread of the server first keeps it up.
        let_go.send(()).unwrap();
        let control = Arc::new(Held(std::sync::Mutex::new(held)));
        let mut server = HttpServer::start("127.0.0.1:0".parse().unwrap(), control).unwrap();
        server.patience = Patience::new(Duration::ZERO);
        let before = server.worker.thread.thread().id();
        // It is stuck in the status.
        while server.worker.thread.thread().id() == before {
            server.tend();
            std::thread::yield_now();
        }
        // Nothing is held any more, for either.
        drop(let_go);
        assert!(ask(&server, "GET /healthz").ends_with("alive\n"));
    }

    #[test]
    fn the_page_and_what_it_loads_come_from_here_only() {
        let server = HttpServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(Fake)).unwrap();
        let page = ask(&server, "GET /");
        assert!(page.contains("content-type: text/html"), "{page}");
        assert!(
            page.contains("content-security-policy: default-src 'none'; "),
            "{page}"
        );
        assert!(!page.contains("//"), "{page}");
        for file in ["page.css", "page.js"] {
            assert!(page.contains(&format!("=\"{file}\"")), "{page}");
            assert!(ask(&server, &format!("GET /{file}")).starts_with("HTTP/1.1 200 OK\r\n"));
        }
        let history = ask(&server, "GET /history");
        let history: serde_json::Value =
            serde_json::from_str(history.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(
            history["virtual_routers"]["VI_1"][0]["active_router"],
            "10.1.10.2"
        );
    }

    #[test]
    fn an_address_in_use_is_an_error_that_names_it() {
        let server = HttpServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(Fake)).unwrap();
        let error = HttpServer::start(server.address(), Arc::new(Fake)).unwrap_err();
        assert!(
            error.to_string().contains(&server.address().to_string()),
            "{error}"
        );
    }
}
