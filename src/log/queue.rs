//! The lines of the log on their way out: a queue in memory, and one thread that writes it.
//!
//! Who says something never waits for who reads it: a terminal that is held, or a pipe that nobody empties, would hold up
//! the threads that move frames. Lines that find no room are lost, counted, and told of by a line of their own as soon as
//! there is room again. At most twice [`Queue::open`]'s `limit` is in memory: what waits, and what is being written.

use std::{
    io::{self, Write},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What a buffer may keep when it is empty, in bytes.
const KEPT: usize = 64 << 10;

/// How long one rests that is full and must not be waited for.
const FULL: Duration = Duration::from_millis(10);

/// Lines that wait to be written.
pub struct Queue {
    /// Bytes that may wait.
    limit: AtomicUsize,
    state: Mutex<State>,
    /// The thread that writes has something to do.
    more: Condvar,
    /// Everything is written.
    through: Condvar,
}

struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines that were lost.
    lost: u64,
    writing: bool,
}

impl Queue {
    /// One that takes nothing yet.
    pub const fn new() -> Self {
        let state = State { waiting: Vec::new(), lost: 0, writing: false };
        Self { limit: AtomicUsize::new(0), state: Mutex::new(state), more: Condvar::new(), through: Condvar::new() }
    }

    /// Takes lines of `limit` bytes in all from now on.
    pub fn open(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether it takes lines.
    pub fn is_open(&self) -> bool {
        self.limit.load(Ordering::Relaxed) > 0
    }

    /// Takes one line, with its end, unless there is no room for all of it.
    pub fn put(&self, line: &[u8]) {
        let mut state = self.state();
        if line.len() > self.limit.load(Ordering::Relaxed).saturating_sub(state.waiting.len()) {
            state.lost += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        if !state.writing {
            self.more.notify_one();
        }
    }

    /// Lines that were lost, because nobody took those before them or because they could not be written.
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Writes to `out` what comes, for ever, and calls `tell` with the number of lines that have been lost, when they are
    /// more than the last time.
    pub fn serve(&self, mut out: impl Write, tell: impl Fn(u64)) -> ! {
        let (mut bytes, mut told) = (Vec::new(), 0);
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() {
                state.writing = false;
                self.through.notify_all();
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.writing = true;
            std::mem::swap(&mut state.waiting, &mut bytes);
            drop(state);
            let left = write(&mut out, &bytes);
            let (written, lines) = (left == 0, count(&bytes[bytes.len() - left..]));
            let torn = !written && left < bytes.len() && bytes[bytes.len() - left - 1] != b'\n';
            bytes.clear();
            bytes.shrink_to(KEPT);
            let mut state = self.state();
            state.lost += lines;
            if torn {
                // What comes next is a line of its own.
                state.waiting.insert(0, b'\n');
            }
            let lost = state.lost;
            drop(state);
            if lost > told && written {
                // If there is no room for that either, they are more, and it is said again.
                tell(lost);
                told = lost;
            }
        }
    }

    /// Waits until everything is written, for `patience` at most.
    pub fn finish(&self, patience: Duration) {
        let state = self.state();
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        let _ = self.through.wait_timeout_while(state, patience, busy);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all of it, however long that takes; what an error has left, in bytes.
fn write(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody else has the same terminal or pipe, and does not want to wait for it.
            #[allow(clippy::disallowed_methods)] // a thread of its own
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL),
            Ok(_) | Err(_) => break,
        }
    }
    rest.len()
}

/// How many lines end in it.
fn count(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).count() as u64
}

impl Write for &Queue {
    /// One call a line, as tracing-subscriber makes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, mpsc},
        thread,
        time::Duration,
    };

    use super::Queue;

    /// Says what it is asked to write, and writes it when it is told to.
    struct Out(mpsc::Sender<String>, mpsc::Receiver<io::Result<usize>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            // The test may be over.
            self.1.recv().unwrap_or(Ok(usize::MAX)).map(|most| most.min(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Reader {
        asked: mpsc::Receiver<String>,
        go: mpsc::Sender<io::Result<usize>>,
    }

    fn start(limit: usize) -> (Arc<Queue>, Reader) {
        let queue = Arc::new(Queue::new());
        queue.open(limit);
        let ((say, asked), (go, wait)) = (mpsc::channel(), mpsc::channel());
        let served = Arc::clone(&queue);
        thread::spawn(move || served.serve(Out(say, wait), |lost| served.put(format!("lost {lost}\n").as_bytes())));
        (queue, Reader { asked, go })
    }

    #[test]
    fn as_many_bytes_as_the_limit_wait_and_what_finds_no_room_is_counted_and_told_of() {
        let (queue, reader) = start(10);
        queue.put(b"first\n");
        assert_eq!(reader.asked.recv().unwrap(), "first\n");
        // That is being written; these wait.
        queue.put(b"12345\n");
        queue.put(b"1234\n");
        assert_eq!(queue.lost(), 1, "11 bytes");
        queue.put(b"123\n");
        assert_eq!(queue.lost(), 1, "10 bytes");
        queue.put(b"\n");
        assert_eq!(queue.lost(), 2);
        reader.go.send(Ok(usize::MAX)).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "12345\n123\n");
        // That two were lost found no room either, behind them.
        reader.go.send(Ok(usize::MAX)).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "lost 3\n");
        reader.go.send(Ok(usize::MAX)).unwrap();
        queue.finish(Duration::MAX);
        assert_eq!(queue.lost(), 3);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_what_comes_later_is_not() {
        let (queue, reader) = start(100);
        queue.put(b"one\n");
        assert_eq!(reader.asked.recv().unwrap(), "one\n");
        queue.put(b"two\n");
        reader.go.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "two\n");
        assert_eq!(queue.lost(), 1);
        reader.go.send(Ok(usize::MAX)).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "lost 1\n");
    }

    #[test]
    fn one_that_must_not_be_waited_for_is_asked_again_and_a_line_that_is_torn_is_ended() {
        let (queue, reader) = start(100);
        queue.put(b"one\n");
        assert_eq!(reader.asked.recv().unwrap(), "one\n");
        reader.go.send(Ok(1)).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "ne\n");
        reader.go.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "ne\n");
        queue.put(b"two\n");
        reader.go.send(Err(io::ErrorKind::Other.into())).unwrap();
        assert_eq!(reader.asked.recv().unwrap(), "\ntwo\n");
        assert_eq!(queue.lost(), 1);
        reader.go.send(Ok(usize::MAX)).unwrap();
    }

    #[test]
    fn the_end_waits_until_everything_is_written_but_not_for_ever() {
        let (queue, reader) = start(100);
        queue.put(b"one\n");
        queue.finish(Duration::from_millis(1));
        assert_eq!(reader.asked.recv().unwrap(), "one\n");
        let over = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.finish(Duration::MAX))
        };
        assert!(!over.is_finished());
        reader.go.send(Ok(usize::MAX)).unwrap();
        over.join().unwrap();
    }
}
