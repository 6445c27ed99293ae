/*
 * The hub: numbered records to subscribers that come late, lag, stall and leave. Who stays has every
 * record from where it began, in order; under --slow=drop whole records only, and those that are
 * missing were counted.
 */
#include "sim.h"

#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBSCRIBERS = 6, LOG = 200 * 1000, NUMBER = 8, SHORTEST = 2 * NUMBER };
enum { RECORDS = LOG / SHORTEST, LONGEST = 3000 + 2 * SHORTEST };

struct subscriber {
	struct handle_stream handle;
	struct hub_subscriber hub;
	struct sim_socket *socket;
	struct mux_timer timer; /* until it comes, and then until it leaves */
	bool joined;
	bool out; /* was cut, or left */
	bool flushed;
	bool closed;
	size_t earliest; /* in the log: where it may begin */
	size_t latest;
	size_t next;    /* what it is sent next */
	size_t end;     /* of the record that it is in */
	size_t records; /* that it was sent so far */
	char number[NUMBER + 1];
	size_t collected; /* of the number */
};

static struct mux *mux;
static struct hub hub;
static struct hub_policy policy;
static struct subscriber subscribers[SUBSCRIBERS];
static struct mux_timer publisher;

static unsigned char text[LOG]; /* all that is published */
static size_t begins[RECORDS];  /* of each record */
static size_t records;
static size_t published;
static bool finished;
static bool cut_short; /* for want of memory: what is published is not the whole */

/* ---- what is published ---- */

static void write_log(void)
{
	size_t length = 0;

	for (records = 0; length < LOG; records++) {
		size_t n = SHORTEST + (size_t)sim_some(3000);

		if (LOG - length < n + SHORTEST)
			n = LOG - length;

		begins[records] = length;
		sim_bytes(records, 0, text + length, n);
		for (size_t i = 0; i < n; i++)
			text[length + i] = (unsigned char)('a' + text[length + i] % 16);
		snprintf((char *)text + length, NUMBER + 1, "%08zx", records);
		text[length + NUMBER] = 'x';
		length += n;
		text[length - 1] = '\n';
	}
}

/* The record that `position` lies in. */
static size_t record_at(size_t position)
{
	size_t low = 0;
	size_t high = records;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (begins[middle] <= position)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* ---- what each is sent ---- */

/* All of a record's number is there: it tells which record this is. */
static void begin_record(struct subscriber *s)
{
	size_t record = strtoul((const char *)s->number, NULL, 16);

	if (record >= records || begins[record] < s->next)
		sim_fail("a record again, or none");
	if (!s->records && (begins[record] < s->earliest || begins[record] > s->latest) &&
		policy.slow != HUB_DROP)
		sim_fail("it begins at the wrong record");
	if (s->records && begins[record] != s->next && policy.slow != HUB_DROP)
		sim_fail("records are missing");
	if (memcmp(text + begins[record], s->number, NUMBER) != 0)
		sim_fail("the number is wrong");
	s->next = begins[record] + NUMBER;
	s->end = record + 1 < records ? begins[record + 1] : LOG;
	s->records++;
	s->collected = 0;
}

static void sent(struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	struct subscriber *s = socket->owner;

	(void)position;
	if (s->closed)
		sim_fail("a send after the close");
	while (n) {
		size_t here = s->end - s->next; /* of the record that has begun */

		if (!here) {
			s->number[s->collected++] = (char)*data++;
			n--;
			if (s->collected == NUMBER)
				begin_record(s);
			continue;
		}
		if (here > n)
			here = n;
		if (memcmp(data, text + s->next, here) != 0)
			sim_fail("a wrong byte, at or behind %zu", s->next);
		s->next += here;
		data += here;
		n -= here;
	}
	if (s->next > published)
		sim_fail("more than was published");
}

static void closed(struct stream *stream)
{
	struct subscriber *s = container_of(stream, struct subscriber, handle.stream);

	if (s->closed)
		sim_fail("closed twice");
	s->closed = true;
}

static void leave(struct subscriber *s)
{
	s->out = true;
	mux_timer_stop(&s->timer);
	if (sim_one_in(2))
		stream_reset(&s->handle.stream, 0, closed);
	else
		stream_close(&s->handle.stream, closed);
}

static void leaves(struct mux_timer *timer)
{
	struct subscriber *s = container_of(timer, struct subscriber, timer);

	hub_unsubscribe(&s->hub);
	leave(s);
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct subscriber *s = container_of(subscriber, struct subscriber, hub);

	if (s->out || s->flushed)
		sim_fail("cut, and it was out");
	if (error == -ENOMEM && !sim_has_told(s->socket, error))
		sim_fail("cut for want of memory, of which there is enough");
	if (error == -ETIME && policy.slow != HUB_WAIT && !finished)
		sim_fail("a stall that holds up nobody");
	if (error == HUB_LAGS && policy.slow != HUB_CLOSE)
		sim_fail("cut for lagging");
	if (error == HUB_LAGS && published - (s->next + s->collected) + sim_piece < policy.queue)
		sim_fail("cut without a lag");
	leave(s);
}

static void flushed(struct hub_subscriber *subscriber)
{
	struct subscriber *s = container_of(subscriber, struct subscriber, hub);

	if (!finished || s->out || s->flushed)
		sim_fail("flushed too early, or twice");
	s->flushed = true;
	mux_timer_stop(&s->timer);
	hub_unsubscribe(subscriber);
	stream_close_gently(&s->handle.stream, 600 * 1000, closed);
}

static void joins(struct mux_timer *timer)
{
	struct subscriber *s = container_of(timer, struct subscriber, timer);
	bool memory = sim_faults.memory;
	size_t newest = published ? begins[record_at(published - 1)] : 0;

	mux_release(mux);
	if (cut_short)
		return; /* nobody is served any more */

	mux_fd fd = sim_open(&s->socket);

	s->socket->owner = s;
	s->socket->sent = sent;
	s->socket->takes_at_most += LOG / 500; /* no more pieces than a run has time for */
	sim_faults.memory = false;
	if (stream_open_socket(mux, &s->handle, fd, false))
		sim_fail("cannot open");
	sim_faults.memory = memory;
	s->joined = true;
	s->handle.stream.owner = &s->hub;
	if (published && text[published - 1] == '\n')
		newest = published;
	s->latest = newest;
	s->earliest = newest;
	if (policy.replay && published > policy.replay + 1)
		s->earliest = published - (size_t)policy.replay - 1;
	else if (policy.replay)
		s->earliest = 0;
	if (s->earliest > newest)
		s->earliest = newest;
	s->next = s->end = s->earliest;
	hub_subscribe(&hub, &s->hub, &s->handle.stream);
	if (sim_one_in(4))
		mux_timer_start(mux, &s->timer, sim_some(5000), leaves);
}

/* ---- the publisher ---- */

static void finish(void)
{
	finished = true;
	mux_release(mux);
	hub_finish(&hub);
}

/* The next `n` bytes; false where the hub has no memory for them. */
static bool publish_next(size_t n)
{
	bool memory = sim_faults.memory;
	struct mux_buf *buf;
	int error;

	sim_faults.memory = false;
	buf = mux_buf_new(n);
	sim_faults.memory = memory;
	memcpy(buf->data, text + published, n);
	published += n;
	error = hub_publish(&hub, buf, buf->data, n, NULL);
	mux_buf_unref(buf);
	if (error && (error != -ENOMEM || !memory))
		sim_fail("cannot publish");
	return !error;
}

static void publish(struct mux_timer *timer)
{
	size_t n = (size_t)sim_some(30 * 1000);

	if (!hub_has_room(&hub))
		return; /* it is called again */
	if (published == LOG) {
		finish();
		return;
	}
	if (publish_next(n < LOG - published ? n : LOG - published)) {
		mux_timer_start(mux, timer, sim_below(20), publish);
		return;
	}
	cut_short = true;
	finish();
}

static void room(struct hub *with_room)
{
	(void)with_room;
	mux_timer_start(mux, &publisher, sim_below(3), publish);
}

/* ---- the run ---- */

static void check(const struct subscriber *s)
{
	size_t due = s->latest == LOG ? 0 : records - record_at(s->latest);

	if (!s->joined && cut_short)
		return;
	if (!s->joined || !s->closed)
		sim_fail("the loop ended before a subscriber was closed");
	if (!s->flushed || s->socket->lost || cut_short)
		return;
	if (s->socket->taken != s->socket->written || !s->socket->end_taken)
		sim_fail("what was sent has not come, or not the end");
	if (policy.slow != HUB_DROP && (s->records ? s->next : s->latest) != LOG)
		sim_fail("it ended at %zu of %d", s->next, LOG);
	if (policy.slow == HUB_DROP && !policy.replay && s->records + s->hub.dropped != due)
		sim_fail("%zu records and %llu dropped, of %zu", s->records,
			(unsigned long long)s->hub.dropped, due);
}

void sim_hub(void)
{
	struct sim_faults faults = sim_faults;
	int error;

	memset(subscribers, 0, sizeof(subscribers));
	memset(&hub, 0, sizeof(hub));
	memset(&publisher, 0, sizeof(publisher));
	published = 0;
	finished = false;
	write_log();
	cut_short = false;
	sim_faults = (struct sim_faults){ 0 };
	mux = mux_new(sim_backend, sim_edge, &error);
	policy.slow = (enum hub_slow)sim_below(3);
	policy.queue = LONGEST + sim_some(100 * 1000); /* or a record would not be one */
	policy.stall = 500 + sim_some(20 * 1000);
	policy.replay = sim_one_in(2) ? sim_some(50 * 1000) : 0;
	hub.room = room;
	hub.flushed = flushed;
	hub.cut = cut;
	if (hub_open(&hub, mux, &policy))
		sim_fail("cannot open");
	sim_faults = faults;
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		mux_hold(mux); /* a timer does not keep the loop */
		mux_timer_start(mux, &subscribers[i].timer, i ? sim_below(400) : 0, joins);
	}
	mux_hold(mux);
	mux_timer_start(mux, &publisher, sim_below(100), publish);
	error = mux_run(mux);
	sim_faults = (struct sim_faults){ 0 };
	if (error)
		sim_fail("the loop failed: %s", os_error(error));
	hub_close(&hub);
	mux_free(mux);
	sim_act_to_the_end();
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		check(&subscribers[i]);
}
