/*
 * The simulated event mechanism, level- and edge-triggered: whatever is ready is told at some time, in
 * any order, and a wait may end without anything (a signal).
 */
#include "mux_backend.h"
#include "sim.h"

#include <errno.h>

enum { VAIN = 100 }; /* so often may a level be told that nobody waits for */

static int sim_state;
static unsigned in_vain;

static int open_sim(void **state)
{
	*state = &sim_state;
	return 0;
}

static void close_sim(void *state)
{
	(void)state;
}

static int want(void *state, struct mux_io *io, unsigned interest)
{
	struct sim_socket *socket = sim_socket(io->fd);

	(void)state;
	if (socket->io && socket->io != io)
		sim_fail("two handles watch a descriptor");
	if (sim_faults.transfer && !socket->io && !socket->is_waker && sim_one_in(200))
		return -ENOSPC; /* max_user_watches (epoll_ctl(2)) */
	if (!socket->io)        /* what is ready when it is added is told */
		socket->edges = sim_readiness(socket);
	socket->io = interest ? io : NULL;
	socket->interest = interest;
	socket->edge = io->edge;
	return 0;
}

static unsigned to_be_told(const struct sim_socket *socket)
{
	unsigned ready = sim_readiness(socket) & socket->interest;

	if (socket->reset)
		ready = MUX_READ | MUX_WRITE; /* asked for or not (POLLHUP, POLLERR) */
	return socket->edge ? ready & socket->edges : ready;
}

static bool is_awaited(const struct mux_io *io, unsigned events)
{
	return ((events & MUX_READ) && io->reading) || ((events & MUX_WRITE) && io->writing) ||
	       io->closing;
}

/* Tells of some that are ready, in any order; false if none is. */
static bool tell_some(void)
{
	struct sim_socket *watched[SIM_SOCKETS];
	size_t count = sim_watched(watched, SIM_SOCKETS);
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		size_t k = i + (size_t)sim_below(count - i);
		struct sim_socket *socket = watched[k];
		unsigned events = to_be_told(socket);

		watched[k] = watched[i];
		if (!events)
			continue;
		any = true;
		if (sim_one_in(4))
			continue;
		socket->edges &= ~events;
		if (socket->reset || (socket->end_arrived && (events & MUX_READ)))
			events |= MUX_SHORT_READS;
		in_vain = is_awaited(socket->io, events) ? 0 : in_vain + !socket->edge;
		if (in_vain > VAIN)
			sim_fail("it spins: what it is told, nobody waits for");
		mux_io_ready(socket->io, events);
	}
	return any;
}

static int wait_sim(void *state, int timeout)
{
	uint64_t until = timeout < 0 ? UINT64_MAX : sim_now + (uint64_t)timeout;

	(void)state;
	sim_begin_wait();
	for (;;) {
		if (sim_signal())
			return 0;
		sim_act();
		if (tell_some()) {
			sim_stir();
			return 0;
		}
		if (sim_one_in(50) || sim_now >= until)
			return 0;
		sim_pass(until);
	}
}

const struct mux_backend mux_sim = {
	.name = "sim",
	.has_edge = true,
	.open = open_sim,
	.close = close_sim,
	.want = want,
	.wait = wait_sim,
};
