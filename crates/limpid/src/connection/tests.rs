//! (tests) What a connection does between its client and the executor: parked requests, what others send, limits.
//!
//! Thread safety: each test has a stage of its own.

use super::testing::{Stage, assert_received};
use super::*;
use engine::state::push::Push;
use std::os::unix::net::UnixStream as Far;
use std::sync::Arc;

/// A request of `key` is parked because somebody holds its stripe; `then` is what happens meanwhile. It is told how to see
/// whether somebody waits for the stripe.
fn while_parked<R>(
    stage: &mut Stage,
    (connection, far): &mut (Connection, Far),
    request: &[u8],
    then: impl FnOnce(&mut Stage, &mut Connection, &dyn Fn() -> bool) -> R,
) -> R {
    let bystander = &mut stage.connect();
    stage.serve(&mut bystander.0, &mut bystander.1, b"SET other value\r\n");
    let stripe = keyspace::hash::stripe_of(stage.instance.hasher.hash(b"key"));
    let instance = Arc::clone(&stage.instance);
    instance.visit(|databases| {
        let database = databases.existing(0).expect("it was written to");
        let _held = database.try_lock(stripe, 1).expect("free");
        assert_eq!(stage.serve(connection, far, request), Next::Retry);
        then(stage, connection, &|| database.mark(stripe).is_set())
    })
}

fn pushed(bytes: usize) -> Mail {
    let push = Push::new(2, |reply| {
        reply.bulk(b"note");
        reply.bulk(&vec![b'x'; bytes]);
    });
    Mail { deliveries: vec![Delivery::Push(Arc::new(push))], is_too_much: false }
}

#[test]
fn a_resumed_request_is_answered_in_its_own_protocol() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    while_parked(&mut stage, &mut client, b"GET key\r\n", |stage, _, _| {
        // Meanwhile another connection is served that speaks RESP3.
        stage.reply.set_protocol(Protocol::Resp3);
    });
    assert_eq!(stage.turn(&mut client.0), Next::Wait);
    assert_received(&mut client.1, b"$-1\r\n");
}

#[test]
fn the_arguments_of_a_parked_request_are_counted() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    let value = vec![b'v'; 100_000];
    let request = wire_request(&[b"SET", b"key", &value]);
    let (figures, buffers) = while_parked(&mut stage, &mut client, &request, |stage, connection, _| {
        let client = &connection.session.client;
        let figures = (client.argument_bytes.load(Relaxed), client.held_bytes());
        (figures, stage.instance.clients.buffer_bytes())
    });
    assert_eq!(figures, (100_006, 100_006));
    assert!(buffers >= 100_006, "{buffers}");
    assert_eq!(stage.turn(&mut client.0), Next::Wait);
    let seen = &client.0.session.client;
    assert_eq!((seen.argument_bytes.load(Relaxed), seen.held_bytes()), (0, 0));
    assert_received(&mut client.1, b"+OK\r\n");
}

#[test]
fn the_arguments_of_a_parked_request_count_in_the_query_limit() {
    let mut stage = Stage::new();
    let settings = &stage.instance.settings;
    settings.set(&[(&b"client-query-buffer-limit"[..], &b"1mb"[..])], true).expect("a setting");
    let mut client = stage.connect();
    let bystander = &mut stage.connect();
    stage.serve(&mut bystander.0, &mut bystander.1, b"SET other value\r\n");
    let stripe = keyspace::hash::stripe_of(stage.instance.hasher.hash(b"key"));
    let instance = Arc::clone(&stage.instance);
    // In pieces, as the socket takes them; the last one has the beginning of another request.
    let mut bytes = wire_request(&[b"SET", b"key", &vec![b'v'; 1_000_000]]);
    bytes.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$60000\r\n");
    bytes.resize(bytes.len() + 55_000, b'e');
    let next = instance.visit(|databases| {
        let _held = databases.existing(0).and_then(|database| database.try_lock(stripe, 1)).expect("free");
        let (most, last) = bytes.split_at(990_000);
        for piece in most.chunks(60_000) {
            assert_eq!(stage.serve(&mut client.0, &mut client.1, piece), Next::Wait);
        }
        stage.serve(&mut client.0, &mut client.1, last)
    });
    assert_eq!(next, Next::Close(Why::QueryLimit));
}

#[test]
fn a_parked_request_does_not_outlive_its_client_for_long() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    let next = while_parked(&mut stage, &mut client, b"GET key\r\n", |stage, connection, is_waited_for| {
        connection.set_readable(true);
        assert_eq!(
            stage.turn(connection),
            Next::Retry,
            "who has only ended its sending still wants the reply"
        );
        std::thread::sleep(DESERTED_AFTER);
        assert!(is_waited_for(), "it is registered at its stripe");
        let next = stage.turn(connection);
        connection.end(&mut stage.executor);
        assert!(!is_waited_for(), "nothing is left behind");
        next
    });
    assert_eq!(next, Next::Close(Why::Gone));
    assert!(stage.instance.clients.get(client.0.session.client.id).is_none());
}

#[test]
fn who_ends_its_sending_gets_the_reply_of_a_parked_request() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    while_parked(&mut stage, &mut client, b"GET key\r\n", |_, connection, _| connection.set_readable(true));
    client.1.shutdown(std::net::Shutdown::Write).expect("half closed");
    while stage.turn(&mut client.0) == Next::Again {}
    assert_received(&mut client.1, b"$-1\r\n");
}

#[test]
fn a_parked_request_moves_and_one_with_a_claim_does_not() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    while_parked(&mut stage, &mut client, b"SET key value\r\n", |stage, connection, is_waited_for| {
        assert!(connection.is_movable(&stage.executor) && is_waited_for());
        connection.leave(&mut stage.executor);
        assert!(!is_waited_for() && !connection.is_at_rest(), "its next worker tries it at once");
        assert_eq!(stage.turn(connection), Next::Retry);
        // It asks for the right of way after a millisecond.
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(stage.turn(connection), Next::Retry);
        assert!(!connection.is_movable(&stage.executor));
    });
    assert_eq!(stage.turn(&mut client.0), Next::Wait);
    assert!(client.0.is_movable(&stage.executor));
    assert_received(&mut client.1, b"+OK\r\n");
}

#[test]
fn a_push_goes_between_replies_in_the_receiver_s_dialect() {
    let mut stage = Stage::new();
    let (mut connection, mut far) = stage.connect();
    let deliver = |stage: &mut Stage, connection: &mut Connection| {
        stage.lend(|lent| connection.deliver(pushed(1), lent))
    };
    assert_eq!(deliver(&mut stage, &mut connection), Next::Wait);
    assert_received(&mut far, b"*2\r\n$4\r\nnote\r\n$1\r\nx\r\n");
    stage.serve(&mut connection, &mut far, b"HELLO 3\r\nCLIENT REPLY OFF\r\nPING\r\n");
    let hello = std::io::Read::read(&mut far, &mut [0; 1024]).expect("a map");
    assert!(hello > 20);
    deliver(&mut stage, &mut connection);
    stage.serve(&mut connection, &mut far, b"PING\r\nCLIENT REPLY ON\r\n");
    deliver(&mut stage, &mut connection);
    assert_received(&mut far, b">2\r\n$4\r\nnote\r\n$1\r\nx\r\n+OK\r\n>2\r\n$4\r\nnote\r\n$1\r\nx\r\n");
    stage.serve(&mut connection, &mut far, b"CLIENT REPLY SKIP\r\n");
    deliver(&mut stage, &mut connection);
    stage.serve(&mut connection, &mut far, b"PING\r\nECHO shown\r\n");
    assert_received(&mut far, b">2\r\n$4\r\nnote\r\n$1\r\nx\r\n$5\r\nshown\r\n");
}

#[test]
fn a_push_waits_for_no_parked_request_and_moves_none_of_its_reply() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    while_parked(&mut stage, &mut client, b"PING\r\nGET key\r\n", |stage, connection, _| {
        assert_eq!(stage.lend(|lent| connection.deliver(pushed(1), lent)), Next::Wait);
    });
    stage.turn(&mut client.0);
    assert_received(&mut client.1, b"+PONG\r\n*2\r\n$4\r\nnote\r\n$1\r\nx\r\n$-1\r\n");
}

#[test]
fn the_class_of_a_client_says_how_much_it_may_leave_unread() {
    let mut stage = Stage::new();
    let limits = b"normal 0 0 0 pubsub 100kb 0 0";
    let change = [(&b"client-output-buffer-limit"[..], &limits[..])];
    stage.instance.settings.set(&change, true).expect("a setting");
    let (mut connection, _far) = stage.connect();
    let mut deliver =
        |connection: &mut Connection| stage.lend(|lent| connection.deliver(pushed(150_000), lent));
    assert!(!matches!(deliver(&mut connection), Next::Close(_)), "a normal client has no limit");
    connection.session.client.set_class(ClientClass::PubSub);
    assert_eq!(deliver(&mut connection), Next::Close(Why::OutputLimit));
}

#[test]
fn who_was_sent_too_much_or_killed_is_closed() {
    let mut stage = Stage::new();
    let (mut connection, mut far) = stage.connect();
    let too_much = Mail { deliveries: Vec::new(), is_too_much: true };
    assert_eq!(stage.lend(|lent| connection.deliver(too_much, lent)), Next::Close(Why::OutputLimit));
    let mut mail = pushed(1);
    mail.deliveries.push(Delivery::Kill);
    assert_eq!(stage.lend(|lent| connection.deliver(mail, lent)), Next::Close(Why::Finished));
    assert_received(&mut far, b"");
    connection.end(&mut stage.executor);
    let client = &connection.session.client;
    assert_eq!(client.mailbox.put(Delivery::Kill), None, "what is sent to a closed client is dropped");
}

fn wire_request(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Two clients that want something else are answered while the third waits for what it has written.
#[test]
fn replies_wait_until_what_they_show_is_durable_and_leave_in_order() {
    let (mut stage, _reader) = Stage::followed();
    let [mut writer, mut reader, mut other] = [(); 3].map(|()| stage.connect());
    assert_eq!(stage.serve(&mut other.0, &mut other.1, b"SET old 1\r\n"), Next::Retry);
    stage.instance.effects_are_durable(1);
    assert_eq!(stage.turn(&mut other.0), Next::Wait);
    assert_received(&mut other.1, b"+OK\r\n");
    assert_eq!(stage.serve(&mut writer.0, &mut writer.1, b"PING\r\nSET new 2\r\nPING\r\n"), Next::Retry);
    assert_received(&mut writer.1, b"+PONG\r\n");
    assert_eq!(stage.serve(&mut other.0, &mut other.1, b"GET old\r\nPING\r\n"), Next::Wait);
    assert_received(&mut other.1, b"$1\r\n1\r\n+PONG\r\n");
    assert_eq!(stage.serve(&mut reader.0, &mut reader.1, b"GET old\r\nGET new\r\nGET old\r\n"), Next::Retry);
    assert_received(&mut reader.1, b"$1\r\n1\r\n");
    // What is asked meanwhile is executed, and answered behind it; what others send, too.
    assert_eq!(stage.serve(&mut reader.0, &mut reader.1, b"PING\r\n"), Next::Retry);
    assert_eq!(stage.lend(|lent| reader.0.deliver(pushed(1), lent)), Next::Retry);
    assert_received(&mut reader.1, b"");
    assert_eq!(stage.turn(&mut reader.0), Next::Retry);
    stage.instance.bells[0].look();
    stage.instance.effects_are_durable(2);
    assert!(stage.instance.bells[0].look(), "the worker is told");
    assert_eq!([&mut writer, &mut reader].map(|client| stage.turn(&mut client.0)), [Next::Wait, Next::Wait]);
    assert_received(&mut writer.1, b"+OK\r\n+PONG\r\n");
    assert_received(&mut reader.1, b"$1\r\n2\r\n$1\r\n1\r\n+PONG\r\n*2\r\n$4\r\nnote\r\n$1\r\nx\r\n");
}

#[test]
fn who_quits_gets_the_replies_that_were_held_back() {
    let (mut stage, _reader) = Stage::followed();
    let mut client = stage.connect();
    let value = [b"SET key ".as_slice(), &[b'v'; 20_000], b"\r\nGET key\r\nQUIT\r\n"].concat();
    assert_eq!(stage.serve(&mut client.0, &mut client.1, &value), Next::Retry);
    assert_received(&mut client.1, b"");
    stage.instance.effects_are_durable(1);
    assert_eq!(stage.turn(&mut client.0), Next::Close(Why::Finished));
    let expected = [b"+OK\r\n$20000\r\n".as_slice(), &[b'v'; 20_000], b"\r\n+OK\r\n"].concat();
    assert_received(&mut client.1, &expected);
}
