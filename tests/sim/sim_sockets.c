/* The simulated sockets and who is at their other ends. */
#include "sim.h"

#include <errno.h>
#include <string.h>

static struct sim_socket sockets[SIM_SOCKETS];
static size_t opened;

void sim_sockets_clear(void)
{
	memset(sockets, 0, sizeof(sockets));
	opened = 0;
	sim_winsock_clear();
}

mux_fd sim_open(struct sim_socket **socket)
{
	if (opened == SIM_SOCKETS)
		sim_fail("too many sockets");
	*socket = &sockets[opened];
	**socket = (struct sim_socket){
		.open = true,
		.moved_at = sim_now,
		.room = 1 + sim_some(256 * 1024),
		.acts_at = sim_now + sim_below(50),
		.sends_at_most = 1 + (unsigned)sim_some(100 * 1000),
		.takes_at_most = 1 + (unsigned)sim_some(100 * 1000),
	};
	return (mux_fd)opened++;
}

bool sim_is_open(mux_fd fd)
{
	return sockets[fd].open;
}

void sim_connected(struct sim_socket *socket, struct sim_socket *listener)
{
	socket->acts_at = sim_now + sim_below(50);
	socket->moved_at = sim_now;
	listener->came(socket);
}

struct sim_socket *sim_socket(mux_fd fd)
{
	if (fd < 0 || (size_t)fd >= opened || !sockets[fd].open)
		sim_fail("descriptor %d is not open", (int)fd);
	return &sockets[fd];
}

/* ---- the bytes ---- */

/* Eight at a time: splitmix64's mixing (Steele and others, "Fast splittable pseudorandom number generators"). */
static uint64_t eight_bytes(uint64_t source, uint64_t block)
{
	uint64_t x = (source + 1) * 0x9e3779b97f4a7c15 + block * 0xd1342543de82ef95;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void sim_bytes(uint64_t source, uint64_t position, void *into, size_t n)
{
	unsigned char *to = into;

	while (n) {
		uint64_t eight = eight_bytes(source, position / 8);
		size_t skipped = (size_t)(position % 8);
		size_t here = n < 8 - skipped ? n : 8 - skipped;

		memcpy(to, (unsigned char *)&eight + skipped, here);
		to += here;
		position += here;
		n -= here;
	}
}

void sim_expect(uint64_t source, uint64_t position, const unsigned char *data, size_t n)
{
	unsigned char expected[4096];

	while (n) {
		size_t here = n < sizeof(expected) ? n : sizeof(expected);

		sim_bytes(source, position, expected, here);
		if (memcmp(data, expected, here) != 0)
			sim_fail("a wrong byte of source %llu, at or behind %llu",
				(unsigned long long)source, (unsigned long long)position);
		data += here;
		position += here;
		n -= here;
	}
}

/* ---- readiness ---- */

unsigned sim_readiness(const struct sim_socket *socket)
{
	unsigned ready = 0;

	if (socket->arrived > socket->received || socket->end_arrived || socket->reset ||
		socket->waiting)
		ready |= MUX_READ;
	if (socket->written - socket->taken < socket->room || socket->reset)
		ready |= MUX_WRITE;
	return ready;
}

size_t sim_watched(struct sim_socket **into, size_t limit)
{
	size_t count = 0;

	for (size_t i = 0; i < opened && count < limit; i++)
		if (sockets[i].io)
			into[count++] = &sockets[i];
	return count;
}

unsigned sim_waiting(void)
{
	unsigned waiting = 0;

	for (size_t i = 0; i < opened; i++)
		if (sockets[i].open)
			waiting += sockets[i].waiting;
	return waiting;
}

/* ---- the peers ---- */

/* Has the peer anything left to do that does not wait for the program? */
static bool can_act(const struct sim_socket *socket)
{
	if (socket->is_listener)
		return socket->open && socket->to_come;
	if (socket->reset)
		return false;
	if (!socket->deaf &&
		(sim_takeable(socket) > socket->taken || sim_is_refused(socket) ||
			(socket->shut && !socket->end_taken && socket->taken == socket->written)))
		return true;
	return socket->open &&
	       (socket->arrived < socket->to_send || (socket->sends_end && !socket->end_arrived));
}

void sim_reset(struct sim_socket *socket, int error)
{
	struct sim_socket *other = socket->joined;

	if (sim_one_in(2)) /* what had arrived is lost, too */
		socket->arrived = socket->received;
	socket->reset = true;
	socket->error = error;
	socket->edges |= MUX_READ | MUX_WRITE;
	socket->acts_at = UINT64_MAX;
	if (other && other->open && !other->reset)
		sim_reset(other, error);
}

static void arrive(struct sim_socket *socket)
{
	uint64_t left = socket->to_send - socket->arrived;
	uint64_t n =
		left ? 1 + sim_below(left < socket->sends_at_most ? left : socket->sends_at_most)
		     : 0;

	if (!socket->open)
		return;
	socket->arrived += n;
	if (n)
		socket->edges |= MUX_READ;
	if (socket->arrived == socket->to_send && socket->sends_end && sim_one_in(2)) {
		socket->end_arrived = true;
		socket->edges |= MUX_READ;
	}
}

static void take(struct sim_socket *socket)
{
	uint64_t left = sim_takeable(socket) - socket->taken;

	if (socket->deaf)
		return;
	if (sim_is_refused(socket)) {
		sim_reset(socket, -ECONNRESET);
		return;
	}
	if (left) {
		socket->taken +=
			1 + sim_below(left < socket->takes_at_most ? left : socket->takes_at_most);
		socket->edges |= MUX_WRITE;
	}
	if (socket->shut && socket->taken == socket->written)
		socket->end_taken = true;
}

static void come(struct sim_socket *listener)
{
	listener->to_come--;
	listener->waiting++;
	listener->edges |= MUX_READ;
	if (listener->to_come)
		listener->acts_at = sim_now + (sim_one_in(2) ? sim_below(3) : sim_below(1000));
}

static void act(struct sim_socket *socket)
{
	static const int ends[] = { -ECONNRESET, -ECONNRESET, -ECONNRESET, -ETIMEDOUT,
		-EHOSTUNREACH, -ENETUNREACH, -EHOSTDOWN, -ENOPROTOOPT, -EPROTO, -ECONNREFUSED };

	socket->acts_at = UINT64_MAX;
	if (!can_act(socket))
		return;
	if (socket->is_listener) {
		come(socket);
		return;
	}
	if (sim_faults.reset && socket->open && !socket->is_datagram && sim_one_in(200)) {
		sim_reset(socket, SIM_ONE_OF(ends));
		return;
	}
	if (sim_faults.reset && socket->joined && sim_one_in(200))
		sim_cut(socket);
	if (sim_one_in(2))
		arrive(socket);
	else
		take(socket);
	if (can_act(socket))
		socket->acts_at = sim_now + (sim_one_in(100) ? sim_below(3000) : sim_below(5));
}

void sim_act(void)
{
	for (size_t i = 0; i < opened; i++)
		if (sockets[i].acts_at <= sim_now)
			act(&sockets[i]);
}

uint64_t sim_next_act(void)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < opened; i++)
		if (sockets[i].acts_at < next)
			next = sockets[i].acts_at;
	return next;
}

size_t sim_close_all(void)
{
	size_t count = 0;

	for (size_t i = 0; i < opened; i++)
		if (sockets[i].open) {
			sockets[i].io = NULL;
			os_close((mux_fd)i, OS_SOCKET);
			count++;
		}
	return count;
}

void sim_act_to_the_end(void)
{
	uint64_t next;

	while ((next = sim_next_act()) != UINT64_MAX) {
		if (next > sim_now)
			sim_now = next;
		sim_act();
	}
}
