//! Plays one sequence on two servers and finds the first reply that differs; then looks for the shortest
//! sequence that still shows a difference.

use std::io;
use std::time::{Duration, Instant};

use super::compare::{Rule, same_exec};
use super::grammar::{Action, Arguments, CONNECTIONS, Step, show};
use crate::harness::client::{Client, encode};
use crate::harness::reply::{Reply, Value};
use crate::harness::rng::Rng;

/// Longest wait for a key that expires in a millisecond.
const EXPIRY_WAIT: Duration = Duration::from_millis(20);

/// Shortening stops after this long.
const SHORTEN_TIME: Duration = Duration::from_secs(20);

/// Iterations of one SCAN after which it must have ended.
const SCAN_CALLS_MAX: usize = 10_000;

/// Where two servers disagreed.
pub struct Difference {
    pub at: usize,
    pub request: String,
    pub theirs: String,
    pub ours: String,
    both_refuse: bool,
}

/// How a sequence is played.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Protocol of each connection, 2 or 3.
    pub protocols: [u8; CONNECTIONS],
    /// Requests of one connection are written together, up to this many; 1 waits for every reply.
    pub batch_max: usize,
}

impl Style {
    pub fn draw(rng: &mut Rng, protocol: u8) -> Style {
        let other = if rng.chance(80) { protocol } else { 5 - protocol };
        let batch_max = if rng.chance(50) { 1 } else { 2 + rng.below(60) };
        Style { protocols: [protocol, other], batch_max }
    }
}

/// The two sides of a sequence: theirs is the reference.
pub struct Pair {
    pub theirs: u16,
    pub ours: u16,
    /// The reference is Redis 7.0, which answers some requests as it is no longer done.
    pub reference_is_7_0: bool,
}

struct Session {
    connections: Vec<Client>,
}

impl Session {
    fn open(port: u16, style: Style) -> io::Result<Session> {
        let mut connections = Vec::new();
        for protocol in style.protocols {
            let mut client = Client::tcp(port)?;
            client.try_call(&["HELLO", &protocol.to_string()])?;
            connections.push(client);
        }
        if let Some(first) = connections.first_mut() {
            first.try_call(&["FLUSHALL"])?;
        }
        Ok(Session { connections })
    }
}

/// What is queued on a connection between MULTI and EXEC.
type Queued = Vec<Option<Vec<Rule>>>;

/// Plays the steps on both; the first difference, if any.
pub fn play(pair: &Pair, style: Style, steps: &[Step]) -> io::Result<Option<Difference>> {
    let mut theirs = Session::open(pair.theirs, style)?;
    let mut ours = Session::open(pair.ours, style)?;
    let mut queued: Queued = vec![None; CONNECTIONS];
    let mut at = 0;
    while at < steps.len() {
        let until = batch_end(steps, at, style.batch_max);
        let nested = nests(&queued, &steps[at]);
        let found = match &steps[at].action {
            // Inside a transaction these would only be queued.
            Action::ExpireNow(_) | Action::ScanAll(_) if queued[steps[at].connection].is_some() => None,
            Action::ExpireNow(key) => expire_now(&mut theirs, &mut ours, steps[at].connection, key, at)?,
            Action::ScanAll(options) => scan(&mut theirs, &mut ours, steps[at].connection, options, at)?,
            Action::Call(_) => batch(pair, [&mut theirs, &mut ours], &steps[at..until], at, &mut queued)?,
        };
        match found {
            Some(found) if nested && found.both_refuse => return Ok(None),
            Some(found) => return Ok(Some(found)),
            None => at = until,
        }
    }
    Ok(None)
}

/// MULTI and WATCH inside MULTI break the transaction, as in Valkey; Redis 7.0 refuses them in other words and goes on
/// with it. So a sequence ends there, unless both servers are of one mind.
fn nests(queued: &Queued, step: &Step) -> bool {
    let Action::Call(arguments) = &step.action else { return false };
    queued[step.connection].is_some() && (is_named(arguments, "MULTI") || is_named(arguments, "WATCH"))
}

/// The end of the run of plain calls of one connection that starts at `at`.
fn batch_end(steps: &[Step], at: usize, batch_max: usize) -> usize {
    let joins = |step: &Step| {
        let Action::Call(arguments) = &step.action else { return false };
        // Whether these are nested is known only once the replies before them are.
        let waits = is_named(arguments, "MULTI") || is_named(arguments, "WATCH");
        step.connection == steps[at].connection && !waits
    };
    let Action::Call(_) = steps[at].action else { return at + 1 };
    at + 1 + steps[at + 1..].iter().take(batch_max - 1).take_while(|step| joins(step)).count()
}

fn is_named(arguments: &Arguments, name: &str) -> bool {
    arguments.first().is_some_and(|first| first.eq_ignore_ascii_case(name.as_bytes()))
}

fn batch(
    pair: &Pair,
    [theirs, ours]: [&mut Session; 2],
    steps: &[Step],
    at: usize,
    queued: &mut Queued,
) -> io::Result<Option<Difference>> {
    let connection = steps[0].connection;
    let mut bytes = Vec::new();
    for step in steps {
        let Action::Call(arguments) = &step.action else { continue };
        bytes.extend(encode(arguments));
    }
    let theirs = exchange(theirs, connection, &bytes, steps.len())?;
    let ours = exchange(ours, connection, &bytes, steps.len())?;
    for (index, step) in steps.iter().enumerate() {
        let Action::Call(arguments) = &step.action else { continue };
        let (theirs, ours) = (theirs.get(index), ours.get(index));
        let rule = Rule::of(arguments, pair.reference_is_7_0);
        if !judge(&mut queued[connection], arguments, rule, theirs, ours) {
            return Ok(Some(difference(at + index, show(arguments), theirs, ours)));
        }
    }
    Ok(None)
}

fn difference(at: usize, request: String, theirs: Option<&Reply>, ours: Option<&Reply>) -> Difference {
    let shown =
        |reply: Option<&Reply>| reply.map_or("connection closed".to_owned(), |reply| format!("{reply:?}"));
    let both_refuse = [theirs, ours].iter().all(|reply| reply.is_some_and(|reply| reply.value.is_error()));
    Difference { at, request, theirs: shown(theirs), ours: shown(ours), both_refuse }
}

/// Lets a key expire on both, and looks at it so that both have noticed.
fn expire_now(
    theirs: &mut Session,
    ours: &mut Session,
    connection: usize,
    key: &[u8],
    at: usize,
) -> io::Result<Option<Difference>> {
    let expire = [&b"PEXPIRE"[..], key, b"1"];
    let exists = [&b"EXISTS"[..], key];
    for (request, wait) in [(&expire[..], EXPIRY_WAIT), (&exists[..], Duration::ZERO)] {
        let theirs = theirs.connections[connection].try_call(request)?;
        let ours = ours.connections[connection].try_call(request)?;
        if theirs != ours {
            let request = request.iter().map(|word| word.to_vec()).collect::<Arguments>();
            return Ok(Some(difference(at, show(&request), Some(&theirs), Some(&ours))));
        }
        std::thread::sleep(wait);
    }
    Ok(None)
}

/// Sends a batch and reads its replies; fewer when the server closed the connection.
fn exchange(session: &mut Session, connection: usize, bytes: &[u8], count: usize) -> io::Result<Vec<Reply>> {
    let client = &mut session.connections[connection];
    client.send_raw(bytes)?;
    let mut replies = Vec::new();
    for _ in 0..count {
        match client.read() {
            Ok(reply) => replies.push(reply),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(replies)
}

/// Compares two replies and follows the state of the connection's transaction.
fn judge(
    queued: &mut Option<Vec<Rule>>,
    arguments: &Arguments,
    rule: Rule,
    theirs: Option<&Reply>,
    ours: Option<&Reply>,
) -> bool {
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return theirs.is_none() && ours.is_none() };
    let name = arguments.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let queued_now = theirs.value == Value::Simple(b"QUEUED".to_vec());
    let equal = match (name.as_slice(), &queued) {
        (b"EXEC", Some(rules)) => same_exec(rules, theirs, ours),
        _ => rule.accepts(theirs, ours),
    };
    let is_ok = theirs.value == Value::Simple(b"OK".to_vec());
    match name.as_slice() {
        b"MULTI" if is_ok => *queued = Some(Vec::new()),
        b"EXEC" if !theirs.value.is_error() || theirs.raw.starts_with(b"-EXECABORT") => *queued = None,
        b"DISCARD" if is_ok => *queued = None,
        b"RESET" if !theirs.value.is_error() => *queued = None,
        _ if queued_now => {
            if let Some(rules) = queued {
                rules.push(rule);
            }
        }
        _ => {}
    }
    equal
}

fn scan(
    theirs: &mut Session,
    ours: &mut Session,
    connection: usize,
    options: &Arguments,
    at: usize,
) -> io::Result<Option<Difference>> {
    let theirs = scan_all(&mut theirs.connections[connection], options)?;
    let ours = scan_all(&mut ours.connections[connection], options)?;
    if theirs == ours {
        return Ok(None);
    }
    let request = format!("SCAN 0 {} (until the cursor is 0)", show(options));
    Ok(Some(Difference {
        at,
        request,
        theirs: format!("{theirs:?}"),
        ours: format!("{ours:?}"),
        both_refuse: false,
    }))
}

/// The keys of a whole iteration, each once, or the error.
fn scan_all(client: &mut Client, options: &Arguments) -> io::Result<Result<Vec<String>, String>> {
    let mut keys = Vec::new();
    let mut cursor = b"0".to_vec();
    for _ in 0..SCAN_CALLS_MAX {
        let mut arguments = vec![b"SCAN".to_vec(), cursor];
        arguments.extend(options.iter().cloned());
        let reply = client.try_call(&arguments)?;
        let [next, found] = reply.value.elements() else { return Ok(Err(format!("{reply:?}"))) };
        keys.extend(found.elements().iter().map(|key| key.bytes().escape_ascii().to_string()));
        cursor = next.bytes().to_vec();
        if cursor == b"0" {
            keys.sort();
            keys.dedup();
            return Ok(Ok(keys));
        }
    }
    Ok(Err("the iteration did not end".to_owned()))
}

/// The shortest sequence found that still shows a difference, and that difference.
///
/// Removes ever smaller pieces (Zeller: "Simplifying and isolating failure-inducing input", 2002).
pub fn shorten(pair: &Pair, style: Style, steps: &[Step]) -> (Vec<Step>, Option<Difference>) {
    let started = Instant::now();
    let mut shortest = steps.to_vec();
    let mut difference = None;
    let mut piece = shortest.len().div_ceil(2);
    while piece > 0 && started.elapsed() < SHORTEN_TIME {
        let mut at = 0;
        while at < shortest.len() && started.elapsed() < SHORTEN_TIME {
            let mut candidate = shortest.clone();
            candidate.drain(at..(at + piece).min(shortest.len()));
            match play(pair, style, &candidate) {
                Ok(Some(found)) => {
                    candidate.truncate(found.at + 1);
                    shortest = candidate;
                    difference = Some(found);
                }
                _ => at += piece,
            }
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    (shortest, difference)
}

/// The sequence as a person would type it.
pub fn transcript(style: Style, steps: &[Step]) -> String {
    let mut text = format!("{style:?}\n");
    for step in steps {
        let line = match &step.action {
            Action::Call(arguments) => show(arguments),
            Action::ExpireNow(key) => {
                format!("{} (wait, EXISTS)", show(&[b"PEXPIRE".to_vec(), key.clone(), b"1".to_vec()]))
            }
            Action::ScanAll(options) => format!("SCAN 0 {} (whole iteration)", show(options)),
        };
        text.push_str(&format!("  connection {}: {line}\n", step.connection));
    }
    text
}
