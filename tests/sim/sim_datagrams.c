/*
 * A datagram socket, and muxcat echo on it: what each of several peers sends comes back to it, once, as it
 * was and in order, but for what the system did not take.
 */
#include "sim.h"

#include "cmd.h"

#include <errno.h>
#include <string.h>

enum { PEERS = 4, MANY = 800, LONGEST = 3000, GRACE = 1000 };

struct peer {
	uint64_t received; /* by the program */
	uint64_t answered; /* or lost */
};

static struct options options;
static struct peer peers[PEERS];
static struct sim_socket *socket_of_all;
static bool local; /* peers by Unix sockets, of which nothing tells when they have room */

void sim_datagrams_open(struct sim_socket *socket)
{
	socket_of_all = socket;
	socket->is_datagram = true;
	socket->room = (size_t)sim_some(300);
	socket->to_send = sim_some(MANY);
	socket->sends_at_most = (unsigned)sim_some(300);
	socket->takes_at_most = (unsigned)sim_some(100);
}

/* ---- the calls ---- */

static void address_of(size_t peer, struct os_address *address)
{
	socket_bound((mux_fd)peer, address);
	if (local)
		address->u.any.sa_family = AF_UNIX;
}

static uint64_t source_of(size_t peer, uint64_t number)
{
	return 1000 * (1 + peer) + number;
}

/* Short ones and empty ones among them. */
static size_t length_of(size_t peer, uint64_t number)
{
	uint16_t random;

	sim_bytes(source_of(peer, number), LONGEST, &random, sizeof(random));
	return random % 4 ? random % 100 : random % LONGEST;
}

ssize_t os_recvfrom(mux_fd fd, void *into, size_t size, struct os_address *from)
{
	static const int errors[] = { -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE };
	struct sim_socket *socket = sim_socket(fd);
	size_t peer = (size_t)sim_below(PEERS);
	size_t length = length_of(peer, peers[peer].received);

	if (sim_faults.transfer && sim_one_in(50)) {
		*from = (struct os_address){ 0 };
		return sim_one_in(20) ? -ENOBUFS : errors[sim_below(3)];
	}
	if (socket->arrived == socket->received)
		return -EAGAIN;
	if (length > size)
		sim_fail("no room for a datagram");
	address_of(peer, from);
	sim_bytes(source_of(peer, peers[peer].received++), 0, into, length);
	socket->received++;
	return (ssize_t)length;
}

ssize_t os_recv_datagrams(mux_fd fd, struct os_datagram *into, size_t count)
{
	const struct sim_socket *socket = sim_socket(fd);
	size_t n = 0;

	/* an edge tells of what comes when nothing was left */
	while (n < count && (!n || socket->edge || !sim_one_in(10))) {
		struct os_datagram *one = &into[n];

		one->length = os_recvfrom(fd, one->data, one->size, &one->peer);
		if (one->length < 0 && one->length != -EMSGSIZE)
			return n ? (ssize_t)n : one->length;
		n++;
	}
	return (ssize_t)n;
}

static size_t peer_at(const struct os_address *address)
{
	struct os_address at;

	for (size_t i = 0; i < PEERS; i++) {
		address_of(i, &at);
		if (address->length == at.length && memcmp(&address->u, &at.u, at.length) == 0)
			return i;
	}
	sim_fail("an answer to nobody");
}

static void check_answer(size_t peer, const void *data, size_t length)
{
	uint64_t number = peers[peer].answered;

	if (options.discard || number == peers[peer].received)
		sim_fail("more answers than datagrams");
	if (length != length_of(peer, number))
		sim_fail("an answer of %zu bytes to one of %zu", length, length_of(peer, number));
	sim_expect(source_of(peer, number), 0, data, length);
}

ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to)
{
	static const int errors[] = { -ENOBUFS, -ECONNREFUSED, -EPERM, -EHOSTUNREACH };
	struct sim_socket *socket = sim_socket(fd);
	size_t peer = peer_at(to);

	check_answer(peer, data, length);
	if (socket->written - socket->taken == socket->room) {
		peers[peer].answered += local; /* nobody waits for room that nothing tells of */
		return -EAGAIN;
	}
	peers[peer].answered++;
	if (sim_faults.transfer && sim_one_in(50))
		return errors[sim_below(4)];
	socket->written++;
	sim_wake(socket);
	return (ssize_t)length;
}

/* What ends the call behind some that have gone is told of the next call's first (sendmmsg(2)). */
ssize_t os_send_datagrams(mux_fd fd, const struct os_datagram *from, size_t count)
{
	const struct sim_socket *socket = sim_socket(fd);
	size_t n = 0;

	do {
		ssize_t result = os_sendto(fd, from[n].data, (size_t)from[n].length, &from[n].peer);

		if (result < 0 && !n)
			return result;
		n++;
	} while (n < count && socket->written - socket->taken < socket->room && !sim_one_in(4));
	return (ssize_t)n;
}

/* ---- the run ---- */

static void check_answered(void)
{
	for (size_t i = 0; !options.discard && i < PEERS; i++)
		if (peers[i].answered != peers[i].received)
			sim_fail("not every datagram was answered");
}

static void rest(void)
{
	if (socket_of_all->received != socket_of_all->arrived)
		sim_fail("a datagram is not received");
	check_answered();
}

void sim_datagrams(void)
{
	bool memory = sim_faults.memory;
	bool own_fault = memory || sim_faults.transfer;

	memset(peers, 0, sizeof(peers));
	socket_of_all = NULL;
	local = !sim_piece && sim_one_in(2);
	options = (struct options){
		.backend = sim_backend,
		.edge = sim_edge,
		.address = { .scheme = ADDRESS_UNIXGRAM, .path = "@echo" },
		.threads = 1,
		.discard = sim_one_in(8),
	};
	sim_process.rest = rest;
	sim_process.signal_at = sim_one_in(2) ? UINT64_MAX : sim_now + sim_some(1000);
	sim_run(cmd_echo, &options);
	if (sim_process.signalled_at == UINT64_MAX && !own_fault)
		sim_fail("it ended by itself, with status %d", sim_process.status);
	if (socket_of_all && sim_process.signalled_at != UINT64_MAX &&
		sim_process.ended_at - sim_process.signalled_at < GRACE)
		check_answered();
}
