#include "relay.h"

#include <errno.h>
#include <string.h>

enum {
	SECOND = 1000, /* milliseconds */
	STALL = 10,    /* seconds that a relay at its end waits for a peer that takes nothing */
};

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);

static void drain(struct relay *relay);

static struct relay_flow *flow_from(struct stream *stream)
{
	struct relay *relay = stream->owner;

	return &relay->flow[stream == relay->left ? RELAY_RIGHTWARD : RELAY_LEFTWARD];
}

static struct relay_flow *flow_to(struct stream *stream)
{
	struct relay *relay = stream->owner;

	return &relay->flow[stream == relay->left ? RELAY_LEFTWARD : RELAY_RIGHTWARD];
}

static enum relay_way way_of(const struct relay_flow *flow)
{
	return flow == &flow->relay->flow[RELAY_RIGHTWARD] ? RELAY_RIGHTWARD : RELAY_LEFTWARD;
}

static void finish(struct relay *relay, enum relay_reason reason)
{
	if (relay->finished)
		return;
	relay->finished = true;
	relay->reason = relay->error ? RELAY_FAILED : reason;
	mux_timer_stop(&relay->timer);
	mux_timer_stop(&relay->stall);
	stream_watch_idle(relay->right, 0, NULL);
	for (int way = 0; way < 2; way++) {
		stream_stop_recv(relay->flow[way].from);
		mux_buf_unref(relay->flow[way].buf);
		relay->flow[way].buf = NULL;
	}
	relay->done(relay);
}

static void time_over(struct mux_timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, timer);
	uint64_t quiet = mux_now(relay->mux) - stream_moved_at(relay->right);
	uint64_t linger = (uint64_t)relay->policy.linger;

	/* a datagram side counts from its last datagram, a linger from the end of input */
	if (relay->right->datagram && quiet < linger)
		mux_timer_start(relay->mux, timer, linger - quiet, time_over);
	else {
		relay->lingered = true;
		drain(relay);
	}
}

static void idle(struct stream *stream)
{
	finish(stream->owner, RELAY_IDLE);
}

/* Called when a way has just ended: is that the end of it all? */
static void check_end(struct relay *relay)
{
	const struct relay_policy *policy = &relay->policy;
	bool rightward_over = relay->flow[RELAY_RIGHTWARD].over;
	bool leftward_over = relay->flow[RELAY_LEFTWARD].over;

	if (relay->finished)
		return;
	if (rightward_over && leftward_over)
		finish(relay, RELAY_ENDED);
	else if (relay->draining)
		return;
	else if ((leftward_over && policy->end_on_right_eof) ||
		 (rightward_over && policy->end_on_left_eof))
		drain(relay);
	else if (leftward_over && relay->left->datagram)
		finish(relay, RELAY_ENDED); /* nobody will ever end the other way */
	else if (rightward_over && !policy->closed[RELAY_RIGHTWARD] && policy->linger >= 0)
		mux_timer_start(relay->mux, &relay->timer, (uint64_t)policy->linger, time_over);
}

static void end_flow(struct relay_flow *flow)
{
	mux_buf_unref(flow->buf);
	flow->buf = NULL;
	flow->over = true;
	stream_stop_recv(flow->from);
	check_end(flow->relay);
}

static void fail(struct relay *relay, int error, struct stream *stream, bool sending)
{
	if (relay->error)
		return;
	relay->error = error;
	relay->failed = stream;
	relay->failed_sending = sending;
}

/* The end of `from` was reached, and all it sent is written. */
static void pass_end(struct relay_flow *flow)
{
	struct relay *relay = flow->relay;
	bool keep_open = way_of(flow) == RELAY_RIGHTWARD && relay->policy.no_shutdown;

	if (flow->to && !keep_open)
		stream_shutdown(flow->to);
	if (relay->policy.ended)
		relay->policy.ended(relay, way_of(flow));
	end_flow(flow);
}

/*
 * A send to it has failed: then what looks like its end may be a reset, of which Linux tells but once,
 * and nobody shall take what has come for the whole.
 */
static bool is_broken(const struct stream *stream)
{
	const struct relay *relay = stream->owner;

	return relay->failed == stream && relay->failed_sending;
}

/*
 * Nothing more will be answered either: let what is under way to `from` end there. Not where only we lack
 * memory: then `from` may wait for us to receive.
 */
static void receive_failed(struct relay_flow *flow, int error)
{
	fail(flow->relay, error, flow->from, false);
	if (stream_failed_here(error)) {
		finish(flow->relay, RELAY_FAILED);
		return;
	}
	if (error != STREAM_TRUNCATED)
		drain(flow->relay);
	end_flow(flow);
}

/* Another second: has it taken nothing? After a stop (SIGSTOP) that is one second, too. */
static bool is_stalled(struct relay_flow *flow)
{
	const struct stream *to = flow->to;
	bool waits = !flow->over && to && to->duplex && to->sending;

	if (waits && mux_now(to->mux) - stream_moved_at(to) >= SECOND)
		flow->stalled++;
	else
		flow->stalled = 0;
	return flow->stalled == STALL;
}

static void check_stall(struct mux_timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, stall);

	for (int way = 0; way < 2; way++)
		if (is_stalled(&relay->flow[way])) {
			fail(relay, -ETIMEDOUT, relay->flow[way].to, true);
			end_flow(&relay->flow[way]);
		}
	if (!relay->finished)
		mux_timer_start(relay->mux, timer, SECOND, check_stall);
}

/* Nobody may come who would end this relay: from now on a peer that takes nothing ends it. */
static void limit_stalls(struct relay *relay)
{
	if (!relay->finished && !mux_timer_armed(&relay->stall))
		mux_timer_start(relay->mux, &relay->stall, SECOND, check_stall);
}

static void pull(struct relay_flow *flow)
{
	if (flow->relay->draining)
		end_flow(flow);
	else
		stream_recv(flow->from, received);
}

/*
 * A send failed, so its receiver takes no more. What it still sends us is received to its end: a
 * peer that resets may have answered before. But one that waits for the rest may never end.
 */
static void send_failed(struct relay_flow *flow, int error)
{
	struct relay *relay = flow->relay;

	fail(relay, error, flow->to, true);
	if (flow->to == relay->left && !flow->to->duplex) {
		finish(relay, RELAY_FAILED); /* stdout: nothing more can be written anywhere */
		return;
	}
	limit_stalls(relay);
	if (stream_failed_here(error))
		drain(relay);
	end_flow(flow);
}

static void send_pieces(struct relay_flow *flow);

static void sent(struct stream *to, ssize_t result)
{
	struct relay_flow *flow = flow_to(to);

	if (flow->relay->finished || flow->over) /* it was given up */
		return;
	if (result == MUX_SHORTENED || result == MUX_UNREADABLE)
		receive_failed(flow, (int)result);
	else if (result < 0)
		send_failed(flow, (int)result);
	else if (flow->rest)
		send_pieces(flow);
	else
		pull(flow);
}

/* What was received (an empty datagram is one piece), and then the next receive. */
static void send_pieces(struct relay_flow *flow)
{
	bool gone;

	do {
		size_t length = flow->rest < flow->piece ? flow->rest : flow->piece;
		const unsigned char *data = flow->data;

		flow->data += length;
		flow->rest -= length;
		gone = stream_send_now(flow->to, flow->buf, data, length, sent);
	} while (gone && flow->rest);
	if (!flow->rest) { /* a send that goes on holds it */
		mux_buf_unref(flow->buf);
		flow->buf = NULL;
	}
	if (gone)
		pull(flow);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct relay_flow *flow = flow_from(stream);

	if (n == 0 && !stream->datagram) {
		if (is_broken(stream))
			end_flow(flow);
		else
			pass_end(flow);
	} else if (n < 0) {
		receive_failed(flow, (int)n);
	} else if (!flow->to || (n == 0 && !flow->to->datagram)) {
		pull(flow);
	} else {
		flow->buf = mux_buf_ref(buf);
		flow->data = data;
		flow->rest = (size_t)n;
		flow->piece =
			flow->to->datagram && !stream->datagram ? STREAM_DATAGRAM_PIECE : (size_t)n;
		send_pieces(flow);
	}
}

static void start_flow(
	struct relay *relay, enum relay_way way, struct stream *from, struct stream *to)
{
	struct relay_flow *flow = &relay->flow[way];

	flow->relay = relay;
	flow->from = from;
	flow->to = relay->policy.discard[way] ? NULL : to;
	flow->over = relay->policy.closed[way];
	if (flow->to)
		stream_recv_for(from, to);
	if (!flow->over)
		pull(flow);
}

void relay_start(struct relay *relay, struct stream *left, struct stream *right,
	const struct relay_policy *policy, relay_done *done, void *owner)
{
	memset(relay, 0, sizeof(*relay));
	relay->owner = owner;
	relay->done = done;
	relay->mux = left->mux;
	relay->left = left;
	relay->right = right;
	relay->policy = *policy;
	left->owner = right->owner = relay;
	start_flow(relay, RELAY_RIGHTWARD, left, right);
	start_flow(relay, RELAY_LEFTWARD, right, left);
	if (policy->idle_timeout)
		stream_watch_idle(right, policy->idle_timeout, idle);
}

static void drain(struct relay *relay)
{
	if (relay->finished || relay->draining)
		return;
	relay->draining = true;
	limit_stalls(relay);
	for (int way = 0; way < 2; way++) {
		struct relay_flow *flow = &relay->flow[way];

		if (!flow->over && flow->from->receiving)
			end_flow(flow);
	}
}

void relay_drain(struct relay *relay)
{
	relay->stopped = true;
	drain(relay);
}
