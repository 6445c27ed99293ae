#include "hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 64 * 1024,  /* what a block for small messages holds */
	SOURCE_BLOCK = 512, /* the same between subscribers, where each block has one source; the
	                       next of the same source holds twice as much */
	WORTH_SHARING = 16 * 1024 /* a message of this size is not copied into a block */
};

struct hub_block {
	struct hub_block *next;
	unsigned refs;   /* cursors, the block before, and the hub for its tail */
	uint64_t source; /* the subscriber that must not get it, 0 none */
	struct mux_buf *buf;
	const unsigned char *data;
	size_t length;
	size_t room; /* bytes that may still be appended; 0 if buf is somebody else's */
};

/* ---- the chain ---- */

static struct hub_block *block_new(size_t room, uint64_t source)
{
	struct hub_block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->refs = 1;
	block->source = source;
	if (room) {
		block->buf = mux_buf_new(room);
		if (!block->buf) {
			free(block);
			return NULL;
		}
		block->data = block->buf->data;
		block->room = room;
	}
	return block;
}

static void block_unref(struct hub_block *block)
{
	while (block && --block->refs == 0) {
		struct hub_block *next = block->next;

		mux_buf_unref(block->buf);
		free(block);
		block = next;
	}
}

static void cursor_set(struct hub_cursor *cursor, const struct hub_cursor *to)
{
	struct hub_block *before = cursor->block;

	*cursor = *to;
	if (cursor->block)
		cursor->block->refs++;
	block_unref(before);
}

static void cursor_drop(struct hub_cursor *cursor)
{
	block_unref(cursor->block);
	cursor->block = NULL;
}

/* Step over the end of a block; false at the end of the chain. */
static bool cursor_next_block(struct hub_cursor *cursor)
{
	struct hub_block *block = cursor->block;

	if (!block->next)
		return false;

	struct hub_cursor to = { block->next, 0,
		cursor->position + (block->length - cursor->offset) };

	cursor_set(cursor, &to);
	return true;
}

/* Forward to `position`, which has been published. */
static void cursor_forward(struct hub_cursor *cursor, uint64_t position)
{
	while (position - cursor->position > cursor->block->length - cursor->offset &&
		cursor_next_block(cursor))
		;
	cursor->offset += (size_t)(position - cursor->position);
	cursor->position = position;
}

/*
 * Past the next line end before `limit` that is not of subscriber `own` (0: of anybody); false, and
 * at `limit`, without one.
 */
static bool cursor_past_line(struct hub_cursor *cursor, uint64_t limit, uint64_t own)
{
	while (cursor->position < limit) {
		const unsigned char *from = cursor->block->data + cursor->offset;
		size_t n = cursor->block->length - cursor->offset;

		if (n > limit - cursor->position)
			n = (size_t)(limit - cursor->position);

		bool passed_over = own && cursor->block->source == own;
		const unsigned char *end = n && !passed_over ? memchr(from, '\n', n) : NULL;

		if (end) {
			cursor_forward(cursor, cursor->position + (uint64_t)(end + 1 - from));
			return true;
		}
		cursor_forward(cursor, cursor->position + n);
		if (cursor->position < limit && !cursor_next_block(cursor))
			return false;
	}
	return false;
}

static size_t next_room(const struct hub_block *tail, uint64_t source)
{
	size_t room = source ? SOURCE_BLOCK : BLOCK;

	if (tail->source == source && room < 2 * tail->length)
		room = 2 * tail->length;
	return room < BLOCK ? room : BLOCK;
}

/* Of a buffer that is much bigger a reader that lags would keep too much. */
static bool is_worth_sharing(const struct mux_buf *buf, size_t n)
{
	return n >= WORTH_SHARING && n >= buf->size / 8;
}

static int append(
	struct hub *hub, struct mux_buf *buf, const unsigned char *data, size_t n, uint64_t source)
{
	struct hub_block *tail = hub->tail;
	bool shared = is_worth_sharing(buf, n);

	if (shared || tail->source != source || tail->room < n) {
		size_t room = shared ? 0 : next_room(tail, source);
		struct hub_block *block = block_new(room && room < n ? n : room, source);

		if (!block)
			return -ENOMEM;
		tail->next = block; /* takes the first reference */
		block->refs++;      /* and the hub's own */
		block_unref(tail);
		hub->tail = tail = block;
	}
	if (shared) {
		tail->buf = mux_buf_ref(buf);
		tail->data = data;
	} else {
		memcpy(tail->buf->data + tail->length, data, n);
		tail->room -= n;
	}
	tail->length += n;
	hub->head += n;
	return 0;
}

/* Where the newest record begins, and how far back the replay reaches. */
static void move_marks(struct hub *hub, const unsigned char *data, size_t n)
{
	const unsigned char *end = memrchr(data, '\n', n);
	uint64_t replay = hub->policy.replay ? hub->policy.replay + 1 : 0;

	if (end)
		cursor_forward(&hub->record, hub->head - n + (uint64_t)(end + 1 - data));
	if (hub->head - hub->record.position > hub->policy.queue)
		cursor_forward(&hub->record, hub->head);
	if (hub->head > replay && hub->head - replay > hub->replay.position)
		cursor_forward(&hub->replay, hub->head - replay);
}

/* ---- lag ---- */

static struct hub_subscriber *subscriber_of(struct list_link *link)
{
	return container_of(link, struct hub_subscriber, link);
}

static uint64_t lag_of(const struct hub_subscriber *subscriber)
{
	return subscriber->hub->head - subscriber->cursor.position - subscriber->own +
	       subscriber->in_flight - stream_sending(subscriber->stream);
}

/* How often one that holds up is looked at before it is cut off. */
enum { LOOKS = 10 };

static uint64_t progress_of(const struct hub_subscriber *subscriber)
{
	return subscriber->stream->bytes_out + stream_sending(subscriber->stream);
}

static void look_for_stall(struct mux_timer *timer);

static void look_later(struct hub_subscriber *subscriber)
{
	struct hub *hub = subscriber->hub;

	mux_timer_start(
		hub->mux, &subscriber->stall, hub->policy.stall / LOOKS + 1, look_for_stall);
}

static void watch_stall(struct hub_subscriber *subscriber)
{
	subscriber->stall_mark = progress_of(subscriber);
	subscriber->still = 0;
	look_later(subscriber);
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct hub *hub = subscriber->hub;

	hub_unsubscribe(subscriber);
	hub->cut(subscriber, error);
}

/* A process that is stopped (SIGSTOP) looks once when it goes on, however long that was. */
static void look_for_stall(struct mux_timer *timer)
{
	struct hub_subscriber *subscriber = container_of(timer, struct hub_subscriber, stall);

	if (progress_of(subscriber) != subscriber->stall_mark)
		watch_stall(subscriber);
	else if (++subscriber->still < LOOKS)
		look_later(subscriber);
	else
		cut(subscriber, -ETIME);
}

static void set_lagging(struct hub_subscriber *subscriber, bool lagging)
{
	struct hub *hub = subscriber->hub;

	if (lagging == subscriber->lagging)
		return;
	subscriber->lagging = lagging;
	if (lagging) {
		hub->lagging++;
		if (hub->policy.slow == HUB_WAIT)
			watch_stall(subscriber);
	} else {
		hub->lagging--;
		if (!hub->finished)
			mux_timer_stop(&subscriber->stall);
	}
}

bool hub_is_behind(const struct hub_subscriber *subscriber)
{
	return subscriber->sending || lag_of(subscriber);
}

static bool room_now(const struct hub *hub)
{
	if (hub->policy.slow == HUB_WAIT)
		return hub->lagging == 0;
	return hub->lagging < hub->count || !hub->count; /* the fastest sets the pace */
}

static void tell_room(struct hub *hub)
{
	if (hub->full && room_now(hub)) {
		hub->full = false;
		hub->room(hub);
	}
}

bool hub_has_room(struct hub *hub)
{
	if (!room_now(hub))
		hub->full = true; /* until `room` has been called */
	return !hub->full;
}

/* ---- sending ---- */

static void pump(struct hub_subscriber *subscriber);

static void sent(struct stream *stream, ssize_t result)
{
	struct hub_subscriber *subscriber = stream->owner;
	struct hub *hub = subscriber->hub;

	subscriber->sending = false;
	subscriber->in_flight = 0;
	if (result < 0) {
		cut(subscriber, (int)result);
		return;
	}
	pump(subscriber);
	tell_room(hub);
}

static void send_rest(struct hub_subscriber *subscriber)
{
	struct mux_buf *rest = subscriber->rest;

	subscriber->rest = NULL;
	subscriber->sending = true;
	subscriber->in_flight = rest->size;
	subscriber->mid_record = false;
	stream_send(subscriber->stream, rest, rest->data, rest->size, sent);
	mux_buf_unref(rest);
}

static void caught_up(struct hub_subscriber *subscriber)
{
	struct hub *hub = subscriber->hub;

	if (!hub->finished || subscriber->flushed)
		return;
	subscriber->flushed = true;
	mux_timer_stop(&subscriber->stall);
	hub->flushed(subscriber);
}

/* False when there is nothing to send. Nobody hears himself. */
static bool find_unsent(struct hub_subscriber *subscriber)
{
	struct hub_cursor *cursor = &subscriber->cursor;
	const struct hub_block *block = cursor->block;

	while (cursor->offset == block->length || block->source == subscriber->id) {
		if (block->source == subscriber->id) {
			subscriber->own -= block->length - cursor->offset;
			cursor_forward(cursor, cursor->position + block->length - cursor->offset);
		}
		if (!cursor_next_block(cursor))
			return false;
		block = cursor->block;
	}
	return true;
}

static void send_piece(struct hub_subscriber *subscriber)
{
	struct hub_cursor *cursor = &subscriber->cursor;
	struct mux_buf *buf = cursor->block->buf;
	const unsigned char *data = cursor->block->data + cursor->offset;
	size_t n = cursor->block->length - cursor->offset;
	bool whole_records = subscriber->hub->policy.slow == HUB_DROP;

	if (subscriber->stream->datagram) {
		whole_records = true;
		n = n < STREAM_DATAGRAM_PIECE ? n : STREAM_DATAGRAM_PIECE;
	}

	/* whole records where there are any, so that a skip seldom has a rest to keep */
	const unsigned char *last = whole_records ? memrchr(data, '\n', n) : NULL;

	if (last)
		n = (size_t)(last + 1 - data);
	subscriber->mid_record = data[n - 1] != '\n';
	subscriber->sending = !stream_send_now(subscriber->stream, buf, data, n, sent);
	if (subscriber->sending)
		subscriber->in_flight = n;
	cursor_forward(cursor, cursor->position + n);
}

static void pump(struct hub_subscriber *subscriber)
{
	if (subscriber->rest && !subscriber->sending)
		send_rest(subscriber);
	while (!subscriber->sending && find_unsent(subscriber))
		send_piece(subscriber);
	set_lagging(subscriber, lag_of(subscriber) >= subscriber->hub->policy.queue);
	if (!subscriber->sending)
		caught_up(subscriber);
}

/* ---- the slow ones ---- */

/*
 * Keeps the bytes from the cursor to `to`, without those the subscriber sent itself: they go first,
 * if there are any. False without memory.
 */
static bool keep_rest(struct hub_subscriber *subscriber, uint64_t to)
{
	const struct hub_cursor *from = &subscriber->cursor;
	struct hub_cursor at = { 0 };
	struct mux_buf *copy = mux_buf_new((size_t)(to - from->position));
	size_t filled = 0;

	if (!copy)
		return false;
	cursor_set(&at, from);
	while (at.position < to) {
		size_t n = at.block->length - at.offset;

		if (n > to - at.position)
			n = (size_t)(to - at.position);
		if (at.block->source != subscriber->id) {
			memcpy(copy->data + filled, at.block->data + at.offset, n);
			filled += n;
		}
		cursor_forward(&at, at.position + n);
		if (at.position < to && !cursor_next_block(&at))
			break;
	}
	cursor_drop(&at);
	copy->size = filled;
	if (filled)
		subscriber->rest = copy;
	else
		mux_buf_unref(copy);
	return true;
}

/* How much of what lies beyond `from` it published itself. */
static uint64_t own_beyond(const struct hub_subscriber *subscriber, const struct hub_cursor *from)
{
	uint64_t own = 0;

	for (const struct hub_block *block = from->block; block; block = block->next)
		if (block->source == subscriber->id)
			own += block->length - (block == from->block ? from->offset : 0);
	return own;
}

/* On to the newest record. One that has been begun is kept to its end and sent first. */
static void skip(struct hub_subscriber *subscriber)
{
	struct hub *hub = subscriber->hub;
	struct hub_cursor at = { 0 };
	uint64_t lines = 0;
	uint64_t skipped;
	uint64_t own_left;

	if (subscriber->cursor.position >= hub->record.position)
		return;
	cursor_set(&at, &subscriber->cursor);
	if (subscriber->mid_record && !subscriber->rest) {
		cursor_past_line(&at, hub->record.position, subscriber->id);
		if (!keep_rest(subscriber, at.position)) {
			cursor_drop(&at);
			cut(subscriber, -ENOMEM);
			return;
		}
	}
	own_left = own_beyond(subscriber, &hub->record);
	skipped = hub->record.position - at.position - (own_beyond(subscriber, &at) - own_left);
	while (at.position < hub->record.position)
		lines += cursor_past_line(&at, hub->record.position, subscriber->id);
	cursor_drop(&at);
	cursor_set(&subscriber->cursor, &hub->record);
	subscriber->own = own_left;
	/* a record without a line end counts too, what it published itself does not */
	subscriber->dropped += lines || !skipped ? lines : 1;
	set_lagging(subscriber, lag_of(subscriber) >= hub->policy.queue);
}

static void deal_with_slow(struct hub *hub)
{
	list_each(link, hub->subscribers) {
		struct hub_subscriber *s = subscriber_of(link);

		if (lag_of(s) < hub->policy.queue)
			continue;
		if (hub->policy.slow == HUB_DROP)
			skip(s);
		else if (hub->policy.slow == HUB_CLOSE)
			cut(s, HUB_LAGS);
	}
}

int hub_publish(struct hub *hub, struct mux_buf *buf, const unsigned char *data, size_t n,
	struct hub_subscriber *source)
{
	if (hub->policy.slow != HUB_WAIT && hub->lagging)
		deal_with_slow(hub);

	int error = append(hub, buf, data, n, source ? source->id : 0);

	if (error)
		return error;
	move_marks(hub, data, n);
	if (source)
		source->own += n;
	list_each(link, hub->subscribers) {
		struct hub_subscriber *s = subscriber_of(link);

		if (link_next)
			stream_expect(subscriber_of(link_next)->stream);
		pump(s);
	}
	tell_room(hub);
	return 0;
}

/* ---- coming and going ---- */

/* Its first callback may be `flushed`, which must not come from hub_subscribe. */
static void begin_late(struct mux_timer *timer)
{
	struct hub_subscriber *subscriber = container_of(timer, struct hub_subscriber, stall);

	watch_stall(subscriber);
	pump(subscriber);
}

void hub_subscribe(struct hub *hub, struct hub_subscriber *subscriber, struct stream *stream)
{
	subscriber->hub = hub;
	subscriber->stream = stream;
	subscriber->id = ++hub->last_id;
	stream->owner = subscriber;
	cursor_set(&subscriber->cursor, &hub->record);
	if (hub->policy.replay && hub->replay.position < hub->record.position) {
		cursor_set(&subscriber->cursor, &hub->replay);
		if (hub->replay.position > 0)
			cursor_past_line(&subscriber->cursor, hub->record.position, 0);
	}
	list_add(&hub->subscribers, &subscriber->link);
	hub->count++;
	if (hub->finished)
		mux_timer_start(hub->mux, &subscriber->stall, 0, begin_late);
	else
		pump(subscriber);
	tell_room(hub);
}

void hub_unsubscribe(struct hub_subscriber *subscriber)
{
	struct hub *hub = subscriber->hub;

	set_lagging(subscriber, false);
	mux_timer_stop(&subscriber->stall);
	cursor_drop(&subscriber->cursor);
	mux_buf_unref(subscriber->rest);
	subscriber->rest = NULL;
	list_remove(&subscriber->link);
	hub->count--;
	tell_room(hub);
}

void hub_finish(struct hub *hub)
{
	hub->finished = true;
	list_each(link, hub->subscribers) {
		struct hub_subscriber *s = subscriber_of(link);

		watch_stall(s);
		pump(s);
	}
}

int hub_open(struct hub *hub, struct mux *mux, const struct hub_policy *policy)
{
	struct hub_cursor start = { 0 };

	hub->mux = mux;
	hub->policy = *policy;
	hub->tail = block_new(BLOCK, 0);
	if (!hub->tail)
		return -ENOMEM;
	start.block = hub->tail;
	cursor_set(&hub->record, &start);
	cursor_set(&hub->replay, &start);
	return 0;
}

void hub_close(struct hub *hub)
{
	cursor_drop(&hub->record);
	cursor_drop(&hub->replay);
	block_unref(hub->tail);
	hub->tail = NULL;
}
