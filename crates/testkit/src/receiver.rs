//! An HTTP receiver that misbehaves on demand and remembers what it was sent.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use crate::{Log, receiving_address};

type Body = BoxBody<Bytes, Infallible>;
type Decide = dyn Fn(&Received) -> Option<Answer> + Send + Sync;

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte by byte.
    pub body: Bytes,
    /// When it had been read.
    pub at: SystemTime,
}

impl Received {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What a request gets.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Ending,
    delay: Duration,
}

#[derive(Debug, Clone)]
enum Ending {
    Whole(Bytes),
    /// The same bytes again and again.
    Endless(Bytes),
    /// These bytes, then silence.
    Stalled(Bytes),
    /// No answer, and the connection stays open.
    Silence,
    /// No answer, and the connection is reset.
    Reset,
    /// The first words of an answer, then the end of the connection.
    Torn,
}

impl Answer {
    /// An empty answer with this status; nonsense becomes 500.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers: HeaderMap::new(), body: Ending::Whole(Bytes::new()), delay: Duration::ZERO }
    }

    /// `302` to another URL.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("location", to)
    }

    /// Never answers.
    #[must_use]
    pub fn hang() -> Self {
        Self { body: Ending::Silence, ..Self::status(200) }
    }

    /// Resets the connection once the request has been read.
    #[must_use]
    pub fn reset() -> Self {
        Self { body: Ending::Reset, ..Self::status(200) }
    }

    /// Closes the connection before the head of its answer is whole.
    #[must_use]
    pub fn half_a_head() -> Self {
        Self { body: Ending::Torn, ..Self::status(200) }
    }

    /// Answers 200 with a body that never ends.
    #[must_use]
    pub fn endless_body() -> Self {
        Self { body: Ending::Endless(Bytes::from_static(&[b'x'; 8192])), ..Self::status(200) }
    }

    /// Answers 200, begins a body, then says nothing more.
    #[must_use]
    pub fn stalled_body() -> Self {
        Self { body: Ending::Stalled(Bytes::from_static(b"and then ")), ..Self::status(200) }
    }

    /// Adds a header; what is no header is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.append(name, value);
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Ending::Whole(body.into());
        self
    }

    /// Takes its time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    async fn give(self, connection: &TcpStream) -> anyhow::Result<Response<Body>> {
        tokio::time::sleep(self.delay).await;
        let body = match self.body {
            Ending::Whole(bytes) => Full::new(bytes).boxed(),
            Ending::Endless(bytes) => frames(stream::repeat(bytes)),
            Ending::Stalled(bytes) => frames(stream::once(async { bytes }).chain(stream::pending())),
            Ending::Silence => std::future::pending().await,
            Ending::Reset => return Err(reset(connection)),
            Ending::Torn => return Err(tear(connection)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

fn frames(chunks: impl futures::Stream<Item = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))))
}

/// A socket that doesn't linger says RST when it closes; an error makes hyper close it.
fn reset(connection: &TcpStream) -> anyhow::Error {
    match rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO)) {
        Ok(()) => anyhow::anyhow!("the script resets this connection"),
        Err(error) => error.into(),
    }
}

/// What is written past hyper, which would write an answer whole; an error makes it close the connection.
fn tear(mut connection: &TcpStream) -> anyhow::Error {
    match connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-le") {
        Ok(()) => anyhow::anyhow!("the script tears this answer"),
        Err(error) => error.into(),
    }
}

struct State {
    received: Log<Received>,
    script: Mutex<Script>,
}

struct Script {
    next: VecDeque<Answer>,
    decide: Option<Box<Decide>>,
    default: Answer,
}

impl State {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_to(&self, request: &Received) -> Answer {
        let mut script = self.script();
        let decided = script.decide.as_ref().and_then(|decide| decide(request));
        decided.or_else(|| script.next.pop_front()).unwrap_or_else(|| script.default.clone())
    }
}

/// A server on a free port, of the loopback address if nothing else is said; ends with this value.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Answers 204 to everything until told otherwise.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_on(receiving_address()?).await
    }

    /// The same on an address of your own, to come back where another was.
    pub async fn start_on(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let script = Script { next: VecDeque::new(), decide: None, default: Answer::status(204) };
        let state = Arc::new(State { received: Log::default(), script: Mutex::new(script) });
        let task = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Ok(Self { address, state, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of its URLs, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on each request gets this, unless a script says otherwise.
    pub fn answer(&self, answer: Answer) {
        self.state.script().default = answer;
    }

    /// The next requests get these, one each.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.script().next.extend(answers);
    }

    /// Answers by what was asked, before any script; `None` leaves it to the script.
    pub fn decide(&self, decide: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static) {
        self.state.script().decide = Some(Box::new(decide));
    }

    /// What it has received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.state.received.all()
    }

    /// Forgets what it has received.
    pub fn clear(&self) {
        self.state.received.clear();
    }

    /// Waits for a request; earlier ones count.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Received) -> bool,
    ) -> anyhow::Result<Received> {
        self.state.received.wait(what, limit, |all| all.iter().find(|one| wanted(one)).cloned()).await
    }

    /// Waits until `find` makes something of all requests.
    pub async fn wait_until<R>(
        &self,
        what: &str,
        limit: Duration,
        find: impl FnMut(&[Received]) -> Option<R>,
    ) -> anyhow::Result<R> {
        self.state.received.wait(what, limit, find).await
    }

    /// Waits until there were this many requests, and answers them all.
    pub async fn wait_for_count(&self, count: usize, limit: Duration) -> anyhow::Result<Vec<Received>> {
        let what = format!("{count} requests");
        self.state.received.wait(&what, limit, |all| (all.len() >= count).then(|| all.to_vec())).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut open = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        open.spawn(serve(connection, Arc::clone(&state)));
    }
}

async fn serve(connection: tokio::net::TcpStream, state: Arc<State>) -> anyhow::Result<()> {
    let connection = connection.into_std()?;
    // A second handle to the socket, by which a script can reset it.
    let handle = Arc::new(connection.try_clone()?);
    let io = TokioIo::new(tokio::net::TcpStream::from_std(connection)?);
    let service = service_fn(|request| handle_request(request, Arc::clone(&state), Arc::clone(&handle)));
    Ok(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?)
}

async fn handle_request(
    request: Request<Incoming>,
    state: Arc<State>,
    connection: Arc<TcpStream>,
) -> anyhow::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let received = Received { method: head.method, uri: head.uri, headers: head.headers, body, at: now() };
    let answer = state.answer_to(&received);
    state.received.push(received);
    answer.give(&connection).await
}

#[expect(clippy::disallowed_methods, reason = "the stranger's clock is the real one")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    pub(crate) fn client() -> reqwest::Client {
        // A second installation fails, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client =
            reqwest::Client::builder().tls_certs_only([]).redirect(reqwest::redirect::Policy::none());
        client.no_proxy().timeout(Duration::from_millis(500)).build().unwrap()
    }

    #[tokio::test]
    async fn remembers_the_request_byte_by_byte() {
        let receiver = Receiver::start().await.unwrap();
        let url = format!("{}/admin?a=1", receiver.url());
        client().post(url).header("x-event", "sold").body("{ \"a\":1 }").send().await.unwrap();
        let one =
            receiver.wait_for("a sale", SOON, |one| one.header("x-event") == Some("sold")).await.unwrap();
        assert_eq!((one.method.as_str(), one.uri.to_string()), ("POST", "/admin?a=1".to_owned()));
        assert_eq!(one.body, "{ \"a\":1 }");
        receiver.clear();
        assert!(receiver.requests().is_empty());
    }

    #[tokio::test]
    async fn the_script_comes_first_then_the_default() {
        let receiver = Receiver::start().await.unwrap();
        receiver.script([Answer::status(500), Answer::redirect("http://elsewhere/").body("moved")]);
        receiver.answer(Answer::status(201).header("retry-after", "7"));
        receiver.decide(|request| (request.uri.path() == "/gone").then(|| Answer::status(410)));
        let get = async |path: &str| client().get(format!("{}{path}", receiver.url())).send().await.unwrap();
        assert_eq!(get("/gone").await.status(), 410);
        assert_eq!(get("/").await.status(), 500);
        assert_eq!(get("/").await.headers()["location"], "http://elsewhere/");
        assert_eq!(get("/").await.headers()["retry-after"], "7");
        assert_eq!(receiver.wait_for_count(4, SOON).await.unwrap().len(), 4);
    }

    #[tokio::test]
    async fn silence_and_late_answers_run_into_the_clients_limit() {
        let receiver = Receiver::start().await.unwrap();
        for answer in [Answer::hang(), Answer::status(200).after(Duration::from_mins(1))] {
            receiver.script([answer]);
            assert!(client().get(receiver.url()).send().await.unwrap_err().is_timeout());
        }
        receiver.script([Answer::stalled_body()]);
        let stalled = client().get(receiver.url()).send().await.unwrap();
        assert!(stalled.bytes().await.unwrap_err().is_timeout());
    }

    #[tokio::test]
    async fn an_endless_body_goes_on() {
        let receiver = Receiver::start().await.unwrap();
        receiver.script([Answer::endless_body()]);
        let mut answer = client().get(receiver.url()).send().await.unwrap();
        let mut seen = 0;
        while seen < 1_000_000 {
            seen += answer.chunk().await.unwrap().unwrap().len();
        }
    }

    #[tokio::test]
    async fn a_reset_is_a_reset() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let receiver = Receiver::start().await.unwrap();
        receiver.script([Answer::reset()]);
        let mut stream = tokio::net::TcpStream::connect(receiver.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_answer_can_end_in_the_middle_of_its_head() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let receiver = Receiver::start().await.unwrap();
        receiver.script([Answer::half_a_head()]);
        let mut stream = tokio::net::TcpStream::connect(receiver.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-le");
    }

    #[tokio::test]
    async fn it_can_come_back_where_it_was() {
        let first = Receiver::start().await.unwrap();
        let (address, url) = (first.address(), first.url());
        drop(first);
        let away =
            crate::eventually("the port to close", SOON, async || client().get(&url).send().await.err())
                .await;
        assert!(away.unwrap().is_connect());
        let _again = Receiver::start_on(address).await.unwrap();
        assert_eq!(client().get(&url).send().await.unwrap().status(), 204);
    }
}
