//! How many clients are served at once, and for how long one may say nothing: the lanes' own connections, and the
//! files of a reload, come out of the same number of descriptors as those of clients that hang.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Pages, terminals, scrapes and probes together are fewer by far; the next one waits in the kernel's queue.
pub(super) const MOST: usize = 64;
/// Longer than scrapes and polls are apart.
pub(super) const QUIET: Duration = Duration::from_secs(90);

/// Takes a client only where there is room for one.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    quiet: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, most: usize, quiet: Duration) -> Self {
        let room = Arc::new(Semaphore::new(most));
        Self {
            listener,
            room,
            quiet,
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.room).acquire_owned().await;
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            quiet: self.quiet,
            until: Box::pin(tokio::time::sleep(self.quiet)),
            _place: place.expect("the semaphore is never closed"),
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client's connection; an error once nothing moved on it for a while.
pub(super) struct Connection {
    stream: TcpStream,
    quiet: Duration,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// What an attempt gave, unless the time for it is up.
    fn watched<T>(&mut self, attempt: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            self.until.as_mut().reset(Instant::now() + self.quiet);
            return attempt;
        }
        self.until
            .as_mut()
            .poll(context)
            .map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watched(attempt, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(attempt, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net;

    use axum::Router;
    use axum::routing::get;
    use tokio::runtime::Runtime;

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    fn serve(runtime: &Runtime, most: usize, quiet: Duration) -> SocketAddr {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let bounded = Bounded::new(listener, most, quiet);
            let address = bounded.local_addr().unwrap();
            let routes = Router::new().route("/", get(async || "here"));
            tokio::spawn(axum::serve(bounded, routes).into_future());
            address
        })
    }

    fn connect(address: SocketAddr, said: &[u8]) -> net::TcpStream {
        let mut stream = net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(said).unwrap();
        stream
    }

    #[test]
    fn clients_that_hang_are_not_more_than_so_many_and_make_room_when_they_go() {
        let runtime = Runtime::new().unwrap();
        let address = serve(&runtime, 2, QUIET);
        let hanging = [0; 2].map(|_| connect(address, b"GET / HT"));
        let mut waiting = connect(address, ASK);
        let mut answer = [0; 12];
        assert!(waiting.read(&mut answer).is_err(), "there is no room for it");
        drop(hanging);
        waiting.set_read_timeout(Some(QUIET)).unwrap();
        waiting.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[test]
    fn a_client_that_says_nothing_more_is_let_go() {
        let runtime = Runtime::new().unwrap();
        let address = serve(&runtime, 1, Duration::from_millis(100));
        let mut hanging = connect(address, b"GET / HT");
        hanging.set_read_timeout(Some(QUIET)).unwrap();
        // Closed, with or without a word about it.
        let mut rest = Vec::new();
        let _ = hanging.read_to_end(&mut rest);
        let mut next = connect(address, ASK);
        next.set_read_timeout(Some(QUIET)).unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }
}
