/* Two sockets of the program's joined: what is written to the one arrives at the other. */
#include "sim.h"

#include <errno.h>
#include <string.h>

enum { LOG = 1024 * 1024 };

static unsigned char logs[2][LOG]; /* all that was written, each way */

static void carry(struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	struct sim_socket *other = socket->joined;
	unsigned char *log = logs[other->source];

	if (position + n > LOG)
		sim_fail("too much for the wire");
	memcpy(log + position, data, n);
	if (!other->cut)
		other->to_send = position + n;
}

static void join(struct sim_socket *socket, struct sim_socket *other, unsigned way)
{
	socket->joined = other;
	socket->source = way;
	socket->text = logs[way];
	socket->sent = carry;
}

void sim_join(mux_fd one, mux_fd other)
{
	join(sim_socket(one), sim_socket(other), 0);
	join(sim_socket(other), sim_socket(one), 1);
}

/* Somebody else has ended it: what is under way does not arrive, and then comes an end. */
void sim_cut(struct sim_socket *socket)
{
	socket->cut = true;
	socket->to_send = socket->arrived;
	socket->sends_end = true;
}

uint64_t sim_takeable(const struct sim_socket *socket)
{
	const struct sim_socket *other = socket->joined;

	if (!other || other->cut || other->received > socket->written)
		return socket->written;
	return other->received;
}

bool sim_is_refused(const struct sim_socket *socket)
{
	return socket->joined && !socket->joined->open &&
	       socket->written > socket->joined->received;
}

void sim_wire_ended(const struct sim_socket *socket)
{
	struct sim_socket *other = socket->joined;

	if (!other || !other->open || other->reset)
		return;
	if (socket->lost)
		sim_reset(other, -ECONNRESET);
	else
		other->sends_end = true;
}
