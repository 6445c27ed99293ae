/*
 * The relay between two sockets: each way has every byte, in order, and then the end; or it fails, with
 * an error that there was, and then has the first of them.
 */
#include "sim.h"

#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT, RIGHT };

/* A relay that is to end waits for a peer that takes nothing, in milliseconds: a second less than that. */
enum { STALL = 9 * 1000 };

struct end {
	struct handle_stream *handle; /* freed when it has been closed */
	struct sim_socket *socket;
	bool closed;
};

static struct mux *mux;
static struct relay relay;
static struct end ends[2];
static unsigned times_done;
static struct mux_timer stop;
static bool stopped;

static void note_sent(
	struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	struct end *end = socket->owner;

	if (end->closed)
		sim_fail("a send after the close");
	sim_expect(end == &ends[LEFT] ? RIGHT : LEFT, position, data, n);
}

static bool open_end(struct end *end, uint64_t source)
{
	mux_fd fd = sim_open(&end->socket);

	end->socket->owner = end;
	end->socket->sent = note_sent;
	end->socket->source = source;
	end->socket->to_send = sim_one_in(8) ? 0 : sim_some(300 * 1000);
	end->socket->sends_end = true;
	end->socket->deaf = sim_one_in(20);
	end->handle = malloc(sizeof(*end->handle));
	if (end->handle && !stream_open_socket(mux, end->handle, fd, false))
		return true;
	free(end->handle);
	end->handle = NULL;
	os_close(fd, OS_SOCKET);
	return false;
}

/* No more pieces than a run has time for. */
static void limit(struct end *from, const struct end *to)
{
	unsigned a = from->socket->sends_at_most;
	unsigned b = to->socket->takes_at_most;
	uint64_t most = 500 * (uint64_t)(a < b ? a : b);

	if (from->socket->to_send > most)
		from->socket->to_send = most;
}

static struct end *end_of(const struct stream *stream)
{
	return &ends[ends[LEFT].handle && stream == &ends[LEFT].handle->stream ? LEFT : RIGHT];
}

static void closed(struct stream *stream)
{
	struct end *end = end_of(stream);

	if (end->closed)
		sim_fail("closed twice");
	end->closed = true;
	free(end->handle);
	end->handle = NULL;
}

static void close_end(struct end *end)
{
	struct stream *stream = &end->handle->stream;

	if (relay.reason == RELAY_FAILED || sim_one_in(8))
		stream_reset(stream, sim_one_in(2) ? 1000 : 0, closed);
	else
		stream_close_gently(stream, 600 * 1000, closed);
}

static bool has_happened(int error, const struct sim_socket *socket)
{
	return sim_has_told(socket, error) || (error == -ETIMEDOUT && sim_is_idle(socket, STALL));
}

/* What had been received is written, also where the relay is stopped or fails. */
static void check_written(const struct relay *ended, enum relay_way way)
{
	const struct relay_policy *policy = &ended->policy;
	const struct sim_socket *from = ends[way == RELAY_RIGHTWARD ? LEFT : RIGHT].socket;
	const struct end *end = &ends[way == RELAY_RIGHTWARD ? RIGHT : LEFT];
	const struct sim_socket *to = end->socket;
	bool given_up = end->handle->stream.sending && sim_is_idle(to, STALL);

	if (policy->discard[way] || policy->idle_timeout || sim_faults.memory ||
		sim_faults.transfer)
		return; /* as these may end it at once */
	if (!to->reset && !given_up && to->written != from->received)
		sim_fail("received, and not written");
}

static void done(struct relay *ended)
{
	if (times_done++)
		sim_fail("done twice");
	mux_timer_stop(&stop);
	if (ended->reason == RELAY_FAILED &&
		!has_happened(ended->error, end_of(ended->failed)->socket))
		sim_fail("it failed with %s, which it was not told", os_error(ended->error));
	check_written(ended, RELAY_RIGHTWARD);
	check_written(ended, RELAY_LEFTWARD);
	close_end(&ends[LEFT]);
	close_end(&ends[RIGHT]);
}

/* Long after all that peers do: a deaf one may hold up a relay that is well. */
enum { AT_REST = 1000 * 1000 };

static void stop_it(struct mux_timer *timer)
{
	(void)timer;
	if (relay.error && sim_now >= AT_REST)
		sim_fail("it has failed, and waits for a deaf peer");
	stopped = true;
	relay_drain(&relay);
}

/* Without a fault each peer has all that the other has sent, and its end. */
static void check_complete(const struct end *from, const struct end *to)
{
	if (to->socket->lost)
		return; /* closed with a reset, as this run may */
	if (to->socket->taken != from->socket->to_send)
		sim_fail("%llu of %llu bytes have come", (unsigned long long)to->socket->taken,
			(unsigned long long)from->socket->to_send);
	if (!to->socket->end_taken)
		sim_fail("the end has not come");
}

/* Whatever fails: who is told of an end has all that the other has sent. */
static void check_end(const struct end *from, const struct end *to)
{
	if (to->socket->end_taken && to->socket->taken != from->socket->to_send)
		sim_fail("an end behind %llu of %llu bytes", (unsigned long long)to->socket->taken,
			(unsigned long long)from->socket->to_send);
}

void sim_relay(void)
{
	struct relay_policy policy = { .linger = -1 };
	struct sim_faults faults = sim_faults;
	bool flawless = !faults.reset && !faults.transfer && !faults.memory;
	bool deaf;
	int error;

	memset(ends, 0, sizeof(ends));
	memset(&stop, 0, sizeof(stop));
	times_done = 0;
	stopped = false;
	sim_faults.memory = false;
	mux = mux_new(sim_backend, sim_edge, &error);
	if (!open_end(&ends[LEFT], LEFT) || !open_end(&ends[RIGHT], RIGHT))
		sim_fail("cannot open");
	sim_faults = faults;
	deaf = ends[LEFT].socket->deaf || ends[RIGHT].socket->deaf;
	limit(&ends[LEFT], &ends[RIGHT]);
	limit(&ends[RIGHT], &ends[LEFT]);
	if (sim_one_in(4))
		policy.idle_timeout = 1 + sim_some(10 * 1000);
	if (sim_one_in(4))
		policy.linger = (int64_t)sim_some(10 * 1000);
	policy.no_shutdown = sim_one_in(8);
	policy.end_on_right_eof = sim_one_in(8);
	policy.end_on_left_eof = sim_one_in(8);
	policy.discard[sim_below(2)] = sim_one_in(8);
	relay_start(&relay, &ends[LEFT].handle->stream, &ends[RIGHT].handle->stream, &policy, done,
		NULL);
	if (deaf || sim_one_in(8))
		mux_timer_start(
			mux, &stop, sim_one_in(2) && deaf ? AT_REST : sim_some(1000), stop_it);
	error = mux_run(mux);
	sim_faults = (struct sim_faults){ 0 };
	if (error)
		sim_fail("the loop failed: %s", os_error(error));
	if (!times_done || !ends[LEFT].closed || !ends[RIGHT].closed)
		sim_fail("the loop ended before the relay was done");
	mux_free(mux);
	sim_act_to_the_end();
	flawless &= !deaf && relay.error != -ETIMEDOUT;
	if (flawless && relay.reason == RELAY_FAILED)
		sim_fail("it failed without a fault: %s", os_error(relay.error));
	if (stopped || relay.lingered || relay.reason == RELAY_IDLE || policy.end_on_right_eof ||
		policy.end_on_left_eof || policy.no_shutdown)
		return;
	for (int way = 0; way < 2; way++) {
		const struct end *from = &ends[way == RELAY_RIGHTWARD ? LEFT : RIGHT];
		const struct end *to = &ends[way == RELAY_RIGHTWARD ? RIGHT : LEFT];

		if (policy.discard[way])
			continue;
		check_end(from, to);
		if (flawless)
			check_complete(from, to);
	}
}
