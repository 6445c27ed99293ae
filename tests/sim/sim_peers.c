/*
 * A datagram server's peers, each a stream of its own, which send back what they receive, late sometimes,
 * and are closed at any time: each datagram comes back once, in order, or was counted as dropped.
 */
#include "sim.h"

#include "datagram.h"

#include <errno.h>
#include <string.h>

struct peer {
	struct datagram_peer datagram;
	struct mux_timer late; /* until it receives again */
	bool open;
	bool closing;
	bool left; /* once at least, and with what was queued */
	uint64_t unwatched;
};

static struct mux *mux;
static struct datagram_server server;
static struct peer peers[SIM_PEERS];
static struct mux_timer stop;
static bool stopped;
static uint64_t moved; /* datagrams, either way, at the last look */
static unsigned calm;  /* looks since they moved */

static void closed(struct stream *stream)
{
	struct peer *peer = stream->owner;

	if (!peer->closing)
		sim_fail("closed, and not by us, or twice");
	peer->open = peer->closing = false;
}

static void leave(struct peer *peer)
{
	peer->closing = peer->left = true;
	mux_timer_stop(&peer->late);
	stream_close(&peer->datagram.stream, closed);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);

static void receives_again(struct mux_timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, late);

	stream_recv(&peer->datagram.stream, received);
}

static void go_on(struct peer *peer)
{
	if (sim_one_in(60))
		leave(peer);
	else if (sim_one_in(4))
		mux_timer_start(mux, &peer->late, sim_below(30), receives_again);
	else
		stream_recv(&peer->datagram.stream, received);
}

static void sent(struct stream *stream, ssize_t result)
{
	struct peer *peer = stream->owner;

	/* what was not taken is lost; the system has counted what it refused, not what waited for room in vain */
	peer->unwatched += result == -ENOSPC;
	if (!peer->open || peer->closing)
		sim_fail("told of a send after the close");
	go_on(peer);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct peer *peer = stream->owner;

	if (!peer->open || peer->closing)
		sim_fail("received after the close");
	if (n < 0)
		sim_fail("an error that is no peer's");
	stream_send(stream, buf, data, (size_t)n, sent);
	if (sim_one_in(100))
		leave(peer);
}

static void arrived(struct datagram_server *at, const struct os_address *address)
{
	size_t who = sim_peer_at(address);
	struct peer *peer = &peers[who];

	if (peer->open && !peer->closing)
		sim_fail("a stranger who is none");
	if (stopped || peer->open || sim_one_in(20)) {
		peer->left = true; /* the datagram is dropped */
		return;
	}
	peer->open = true;
	datagram_peer_open(at, &peer->datagram, address);
	peer->datagram.stream.owner = peer;
	stream_recv(&peer->datagram.stream, received);
}

/* Nobody acts any more: what came was received, and answered or dropped. */
static void check(bool lost_memory)
{
	if (sim_datagrams.socket->received != sim_datagrams.socket->arrived)
		sim_fail("a datagram is not received");
	for (size_t i = 0; i < SIM_PEERS; i++) {
		const struct sim_peer *of = &sim_datagrams.peers[i];

		if (!peers[i].left && peers[i].open && !lost_memory &&
			of->answers + of->refused + peers[i].unwatched +
					peers[i].datagram.dropped !=
				of->received + of->too_long)
			sim_fail("%llu answers and %llu dropped, of %llu",
				(unsigned long long)of->answers,
				(unsigned long long)peers[i].datagram.dropped,
				(unsigned long long)(of->received + of->too_long));
	}
}

static void stop_it(struct mux_timer *timer)
{
	const struct sim_socket *socket = sim_datagrams.socket;
	uint64_t now_moved = socket->received + socket->written;

	/* a Unix peer's room is not told of: it is tried again between two looks */
	calm = sim_next_act() == UINT64_MAX && now_moved == moved ? calm + 1 : 0;
	moved = now_moved;
	if (calm < 4 && !sim_one_in(40)) {
		mux_timer_start(mux, timer, 500, stop_it);
		return;
	}
	if (calm >= 4 && !sim_faults.jumps)
		check(sim_faults.memory);
	stopped = true;
	datagram_server_stop(&server);
	for (size_t i = 0; i < SIM_PEERS; i++)
		if (peers[i].open && !peers[i].closing)
			leave(&peers[i]);
	datagram_server_close(&server);
}

void sim_peers(void)
{
	struct address address = { .scheme = ADDRESS_UNIXGRAM, .path = "@peers" };
	struct socket_options options = { 0 };
	struct sim_faults faults = sim_faults;
	int error;

	memset(&server, 0, sizeof(server));
	memset(peers, 0, sizeof(peers));
	memset(&stop, 0, sizeof(stop));
	stopped = false;
	calm = 0;
	moved = 0;
	sim_datagrams = (struct sim_datagrams){
		.local = !sim_piece && sim_one_in(2),
		.drops = true,
	};
	sim_faults = (struct sim_faults){ 0 };
	mux = mux_new(sim_backend, sim_edge, &error);
	server.arrived = arrived;
	if (datagram_server_open(&server, mux, &address, &options))
		sim_fail("cannot open");
	sim_faults = faults;
	mux_timer_start(mux, &stop, sim_some(2000), stop_it);
	error = mux_run(mux);
	sim_faults = (struct sim_faults){ 0 };
	if (error)
		sim_fail("the loop failed: %s", os_error(error));
	for (size_t i = 0; i < SIM_PEERS; i++)
		if (peers[i].open)
			sim_fail("the loop ended before a peer was closed");
	mux_free(mux);
}
