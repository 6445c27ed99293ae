/* A datagram socket, for os.h: several peers send to it, and know what may come back. */
#include "sim.h"

#include <errno.h>
#include <string.h>

enum { MANY = 800, LONGEST = 3000 };

struct sim_datagrams sim_datagrams;

void sim_datagrams_open(struct sim_socket *socket)
{
	sim_datagrams.socket = socket;
	socket->is_datagram = true;
	socket->room = (size_t)sim_some(300);
	socket->to_send = sim_some(MANY);
	socket->sends_at_most = (unsigned)sim_some(300);
	socket->takes_at_most = (unsigned)sim_some(100);
}

/* ---- the calls ---- */

void sim_peer_address(size_t peer, struct os_address *address)
{
	socket_bound((mux_fd)peer, address);
	if (sim_datagrams.local)
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
	static const int errors[] = { -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -EHOSTDOWN,
		-ENETDOWN, -ENOPROTOOPT, -EPROTO };
	static const int lacks[] = { -ENOBUFS, -ENOMEM };
	struct sim_socket *socket = sim_socket(fd);
	size_t peer = (size_t)sim_below(SIM_PEERS);
	size_t length = length_of(peer, sim_datagrams.peers[peer].received);

	if (sim_faults.transfer && sim_one_in(50)) {
		*from = (struct os_address){ 0 };
		return sim_one_in(20) ? SIM_ONE_OF(lacks) : SIM_ONE_OF(errors);
	}
	if (socket->arrived == socket->received)
		return -EAGAIN;
	if (length > size)
		sim_fail("no room for a datagram");
	sim_peer_address(peer, from);
	if (sim_one_in(100)) { /* it is one more, and longer than any room */
		sim_datagrams.peers[peer].too_long++;
		return -EMSGSIZE;
	}
	sim_bytes(source_of(peer, sim_datagrams.peers[peer].received++), 0, into, length);
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

size_t sim_peer_at(const struct os_address *address)
{
	struct os_address at;

	for (size_t i = 0; i < SIM_PEERS; i++) {
		sim_peer_address(i, &at);
		if (address->length == at.length && memcmp(&address->u, &at.u, at.length) == 0)
			return i;
	}
	sim_fail("an answer to nobody");
}

static bool is_datagram(size_t peer, uint64_t number, const void *data, size_t length)
{
	unsigned char expected[LONGEST];

	if (length != length_of(peer, number))
		return false;
	sim_bytes(source_of(peer, number), 0, expected, length);
	return memcmp(data, expected, length) == 0;
}

/* The next that came of this peer, or, where some may be dropped, one of those behind it. */
static void check_answer(size_t peer, const void *data, size_t length)
{
	struct sim_peer *of = &sim_datagrams.peers[peer];

	while (sim_datagrams.drops && of->answered < of->received &&
		!is_datagram(peer, of->answered, data, length))
		of->answered++;
	if (of->answered == of->received)
		sim_fail("more answers than datagrams");
	if (!is_datagram(peer, of->answered, data, length))
		sim_fail("an answer that is not the next datagram");
}

ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to)
{
	static const int errors[] = { -ENOBUFS, -ENOMEM, -ECONNREFUSED, -EPERM, -EACCES, -EMSGSIZE,
		-EHOSTUNREACH, -ENETUNREACH };
	struct sim_socket *socket = sim_socket(fd);
	size_t peer = sim_peer_at(to);

	check_answer(peer, data, length);
	if (socket->written - socket->taken == socket->room) {
		if (sim_datagrams.local && !sim_datagrams.drops)
			sim_datagrams.peers[peer]
				.answered++; /* nothing tells of room: it is lost */
		return -EAGAIN;
	}
	sim_datagrams.peers[peer].answered++;
	if (sim_faults.transfer && sim_one_in(50)) {
		sim_datagrams.peers[peer].refused++;
		return SIM_ONE_OF(errors);
	}
	sim_datagrams.peers[peer].answers++;
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
