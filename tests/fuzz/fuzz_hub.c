/*
 * The hub beside a model of it. The input says the policy and then what happens, one thing a turn of the
 * loop: messages of any size and with any lines, from anybody; readers that come, take a piece, fail and
 * leave. The model has all that was published as one text, and knows what of it each reader is to get.
 */
#include "hub.h"

#include "fuzz.h"

#include <errno.h>
#include <string.h>

enum { READERS = 4, LOG = 128 * 1024 };

struct reader {
	struct stream stream;
	struct hub_subscriber subscriber;
	bool here;
	bool flushed;
	bool takes_at_once;

	struct mux_buf *buf; /* of the outstanding send */
	size_t length;
	size_t moved;

	/* the model */
	size_t first;    /* of the log, that was published since it came */
	size_t next;     /* that it is given next */
	size_t rest_end; /* of a record to be finished before it goes on at `resume`; 0: none */
	size_t resume;
	bool mid_record;
	uint64_t dropped;
	bool to_be_cut;
};

static struct mux *mux;
static struct hub hub;
static struct hub_policy policy;
static struct reader readers[READERS];
static struct fuzz_input input;
static struct mux_timer turn;
static int quiet_turns; /* since the input's end */

/* All that was published, and by whom: a subscriber's id, 0 nobody's. */
static unsigned char text[LOG];
static uint64_t source_of[LOG];
static size_t own_before[READERS][LOG + 1]; /* bytes that came by each reader's place */
static size_t published;
static size_t newest;   /* where the newest record begins */
static size_t replay;   /* the byte before the first that is replayed */
static bool owed;       /* hub_has_room was false, and `room` has not been called */
static bool publishing; /* the model is ahead of the hub */
static bool finished;

/* ---- what each is to get ---- */

static bool is_for(const struct reader *r, size_t position)
{
	return !source_of[position] || source_of[position] != r->subscriber.id;
}

/* The first byte for it from `position` on, or `limit`. */
static size_t first_for(const struct reader *r, size_t position, size_t limit)
{
	while (position < limit && !is_for(r, position))
		position++;
	return position;
}

/* How many bytes of a range are for it. */
static size_t count_for(const struct reader *r, size_t from, size_t to)
{
	const size_t *own = own_before[r - readers];
	size_t since = from > r->first ? from : r->first;

	return from >= to ? 0 : to - from - (since < to ? own[to] - own[since] : 0);
}

/* How many line ends. */
static size_t lines_for(const struct reader *r, size_t from, size_t to)
{
	size_t count = 0;

	for (size_t i = from; i < to; i++)
		count += is_for(r, i) && text[i] == '\n';
	return count;
}

/* Behind the next line end for it, or `limit`. */
static size_t past_line(const struct reader *r, size_t position, size_t limit)
{
	while (position < limit && !(is_for(r, position) && text[position] == '\n'))
		position++;
	return position < limit ? position + 1 : limit;
}

/* How far it is behind; what has `moved` of a send is gone. */
static size_t lag(const struct reader *r, size_t moved)
{
	size_t from = r->rest_end ? r->resume : r->next;

	return count_for(r, from, published) + r->length - moved;
}

/* It lags: on to the newest record, behind the end of the one that it is in. */
static void model_skip(struct reader *r)
{
	size_t from = r->rest_end ? r->resume : first_for(r, r->next, published);
	size_t lines;

	if (from >= newest)
		return;
	if (r->mid_record && !r->rest_end) {
		from = past_line(r, from, newest);
		if (count_for(r, r->next, from))
			r->rest_end = from;
	}
	lines = lines_for(r, from, newest);
	r->dropped += lines || !count_for(r, from, newest) ? lines : 1;
	if (r->rest_end)
		r->resume = newest;
	else
		r->next = newest;
}

static void model_slow(void)
{
	for (struct reader *r = readers; r < readers + READERS; r++) {
		if (!r->here || lag(r, r->moved) < policy.queue)
			continue;
		if (policy.slow == HUB_DROP)
			model_skip(r);
		r->to_be_cut = policy.slow == HUB_CLOSE;
	}
}

/* So many bytes of the text have been added. */
static void model_publish(size_t n)
{
	size_t back = policy.replay ? (size_t)policy.replay + 1 : 0;
	const unsigned char *end = memrchr(text + published, '\n', n);

	published += n;
	if (end)
		newest = (size_t)(end + 1 - text);
	if (published - newest > policy.queue)
		newest = published;
	if (published > back && published - back > replay)
		replay = published - back;
}

static void model_subscribe(struct reader *r)
{
	r->first = published;
	r->next = newest;
	if (!policy.replay || replay >= newest)
		return;
	r->next = replay;
	while (r->next && r->next < newest && text[r->next] != '\n')
		r->next++;
	if (r->next && r->next < newest)
		r->next++;
}

/* May be published now, if what was moved of outstanding sends is gone, or if not. */
static bool model_room(bool is_gone)
{
	size_t count = 0;
	size_t lagging = 0;

	for (const struct reader *r = readers; r < readers + READERS; r++) {
		if (!r->here || r->to_be_cut)
			continue;
		count++;
		lagging += lag(r, is_gone ? r->moved : 0) >= policy.queue;
	}
	return policy.slow == HUB_WAIT ? !lagging : lagging < count || !count;
}

/* ---- the readers' streams ---- */

static struct reader *reader_of(const struct stream *stream)
{
	return container_of(stream, struct reader, stream);
}

/* The hub gives these bytes: they must be the next for this reader. */
static void check_given(struct reader *r, const unsigned char *data, size_t n)
{
	size_t limit = r->rest_end ? r->rest_end : published;

	must(r->here && !r->flushed && n, "nobody wants it");
	must(!r->stream.datagram || n <= STREAM_DATAGRAM_PIECE || r->rest_end, "too much");
	for (size_t i = 0; i < n; i++) {
		r->next = first_for(r, r->next, limit);
		must(r->next < limit, "more than is for it");
		must(text[r->next] == data[i], "a wrong byte for %zu", r->next);
		r->next++;
	}
	r->mid_record = data[n - 1] != '\n' && !r->rest_end;
	if (!r->rest_end)
		return;
	must(first_for(r, r->next, limit) == limit, "a record begun is not finished");
	r->next = r->resume;
	r->rest_end = 0;
}

static void reader_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct reader *r = reader_of(stream);

	must(!r->buf, "a send during another");
	check_given(r, data, length);
	r->buf = mux_buf_ref(buf);
	r->length = length;
	r->moved = 0;
}

static bool reader_send_now(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	if (!reader_of(stream)->takes_at_once) {
		reader_send(stream, buf, data, length);
		return false;
	}
	check_given(reader_of(stream), data, length);
	return true;
}

static size_t reader_sending(const struct stream *stream)
{
	return reader_of(stream)->moved;
}

static const struct stream_kind reader_kind = {
	.send = reader_send,
	.send_now = reader_send_now,
	.sending = reader_sending,
};

/* An outstanding send ends, well or not. */
static void end_send(struct reader *r, int error)
{
	struct mux_buf *buf = r->buf;
	size_t length = r->length;

	if (!buf)
		return;
	r->buf = NULL;
	r->length = r->moved = 0;
	r->to_be_cut = error != 0;
	stream_report_sent(&r->stream, length, error ? error : (ssize_t)length);
	mux_buf_unref(buf);
	must(!r->to_be_cut, "it failed, and is not cut");
}

static void forget_send(struct reader *r)
{
	mux_buf_unref(r->buf);
	r->buf = NULL;
	r->length = r->moved = 0;
}

/* ---- the hub's callbacks ---- */

static void room(struct hub *of)
{
	(void)of;
	must(owed, "room that nobody asked for");
	must(finished || publishing || model_room(true), "room that is not there");
	owed = false;
}

static void flushed(struct hub_subscriber *subscriber)
{
	struct reader *r = container_of(subscriber, struct reader, subscriber);

	must(finished && r->here && !r->flushed, "flushed too early, or twice");
	must(!r->length && !r->rest_end && first_for(r, r->next, published) == published,
		"flushed, and not everything is sent");
	r->flushed = true;
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct reader *r = container_of(subscriber, struct reader, subscriber);

	must(r->here && r->to_be_cut, "cut (%d) for nothing", error);
	r->here = r->to_be_cut = false;
	forget_send(r);
}

/* ---- what happens ---- */

static void subscribe(struct reader *r, uint8_t how)
{
	if (r->here)
		return;
	memset(r, 0, sizeof(*r));
	r->stream.kind = &reader_kind;
	r->stream.mux = mux;
	r->stream.datagram = how & 1;
	r->takes_at_once = how & 2;
	r->here = true;
	r->subscriber.id = hub.last_id + 1; /* which the model needs before the hub tells */
	model_subscribe(r);
	hub_subscribe(&hub, &r->subscriber, &r->stream);
}

static void unsubscribe(struct reader *r)
{
	if (!r->here)
		return;
	r->here = false;
	forget_send(r);
	hub_unsubscribe(&r->subscriber);
}

/* `insists`: without room too, as the last line of a --chat whose user has left. */
static void publish(struct reader *source, bool insists)
{
	uint8_t size = fuzz_byte(&input);
	uint8_t line = fuzz_byte(&input);
	uint8_t spare = fuzz_byte(&input) % 16;
	size_t n = size < 224 ? size + 1u : (size - 223u) * 1200;
	struct mux_buf *buf;

	if (finished || n > LOG - published)
		return;
	if (hub_has_room(&hub))
		must(model_room(true), "room, and there is none");
	else
		owed = true;
	if (owed && !insists)
		return;
	for (size_t i = published; i < published + n; i++) {
		text[i] =
			line && (i - published) % line == line - 1u ? '\n' : (i * 7919) >> 5 | 128;
		source_of[i] = source ? source->subscriber.id : 0;
		for (size_t k = 0; k < READERS; k++)
			own_before[k][i + 1] = own_before[k][i] + (source == &readers[k]);
	}
	model_slow();
	model_publish(n);
	buf = mux_buf_new(n * (1 + spare));
	must(buf, "out of memory");
	memcpy(buf->data, text + published - n, n);
	publishing = true;
	must(!hub_publish(&hub, buf, buf->data, n, source ? &source->subscriber : NULL),
		"out of memory");
	publishing = false;
	mux_buf_unref(buf);
}

static void finish(void)
{
	if (finished)
		return;
	finished = true;
	hub_finish(&hub);
}

static void step(void)
{
	uint8_t what = fuzz_byte(&input);
	struct reader *r = &readers[what / 16 % READERS];

	switch (what % 16) {
	case 0 ... 4:
		publish(NULL, false);
		break;
	case 5:
	case 6:
		publish(r->here ? r : NULL, what & 1);
		break;
	case 7:
	case 8:
		subscribe(r, fuzz_byte(&input));
		break;
	case 9 ... 11:
		end_send(r, 0);
		break;
	case 12:
		if (r->length > r->moved + 1)
			r->moved += 1 + fuzz_byte(&input) % (r->length - r->moved - 1);
		break;
	case 13:
		end_send(r, -ECONNRESET);
		break;
	case 14:
		unsubscribe(r);
		break;
	default:
		if (what / 16 == 15)
			finish();
		else
			r->takes_at_once = !r->takes_at_once;
	}
	must(!owed || finished || !model_room(false),
		"there is room, and the publisher is not told");
	for (r = readers; r < readers + READERS; r++)
		must(!r->to_be_cut, "a slow one is not cut");
}

/* Everybody takes all there is. False once nobody has anything to take, nor is to be flushed. */
static bool take_all(void)
{
	bool any = false;

	finish();
	for (struct reader *r = readers; r < readers + READERS; r++) {
		any = any || r->buf || (r->here && !r->flushed);
		end_send(r, 0);
	}
	return any;
}

static void next_step(struct mux_timer *timer)
{
	if (input.left) {
		step();
	} else if (!take_all() || ++quiet_turns > LOG) {
		mux_release(mux);
		return;
	}
	mux_timer_start(mux, timer, 0, next_step);
}

static void start(void)
{
	int error;
	uint8_t byte;

	policy.slow = (enum hub_slow)(fuzz_byte(&input) % 3);
	byte = fuzz_byte(&input);
	policy.queue = 1 + (uint64_t)byte * byte;
	byte = fuzz_byte(&input);
	policy.replay = (uint64_t)byte * byte;
	policy.stall = 1000 * 1000; /* longer than any run: time is the simulation's */
	memset(&hub, 0, sizeof(hub));
	memset(readers, 0, sizeof(readers));
	memset(&turn, 0, sizeof(turn));
	published = newest = replay = 0;
	quiet_turns = 0;
	owed = publishing = finished = false;
	hub.room = room;
	hub.flushed = flushed;
	hub.cut = cut;
	mux = mux_new("poll", false, &error);
	must(mux && !hub_open(&hub, mux, &policy), "out of memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){ data, size };
	start();
	mux_hold(mux);
	mux_timer_start(mux, &turn, 0, next_step);
	must(!mux_run(mux), "the loop failed");
	for (struct reader *r = readers; r < readers + READERS; r++) {
		must(!r->here || r->flushed, "it has not been flushed");
		must(!r->here || r->subscriber.dropped == r->dropped, "%llu dropped, not %llu",
			(unsigned long long)r->subscriber.dropped, (unsigned long long)r->dropped);
		unsubscribe(r);
	}
	hub_close(&hub);
	mux_free(mux);
	return 0;
}
