/*
 * One writer, many readers: what is published goes to every subscriber.
 *
 * A message is stored once, in a chain of reference-counted blocks, however many read it. Each
 * subscriber is a cursor in the chain; a block is freed when the last cursor has left it. A
 * subscriber that lags by more than the queue's size is dealt with when the next message comes,
 * as the policy says: the writer waits, or the subscriber skips whole records, or is cut off.
 *
 * A record is a line. One longer than the queue counts as ended there, or a source without line
 * ends could neither be skipped nor joined.
 */
#ifndef MUXCAT_HUB_H
#define MUXCAT_HUB_H

#include "list.h"
#include "stream.h"

enum hub_slow { HUB_WAIT, HUB_DROP, HUB_CLOSE };

struct hub_policy {
	enum hub_slow slow;
	uint64_t queue; /* bytes a subscriber may lag */
	uint64_t stall; /* milliseconds without progress after which one that holds up is cut off */
	uint64_t replay; /* bytes that a late subscriber gets of what was before */
};

/* Why a subscriber was cut off that lagged under HUB_CLOSE: no errno value, which a send may have. */
enum { HUB_LAGS = -20005 };

struct hub;
struct hub_subscriber;
struct hub_block;

/* There is room again: publish on. */
typedef void hub_room(struct hub *hub);

/* Everything published has been sent, and hub_finish was called. Called once. */
typedef void hub_flushed(struct hub_subscriber *subscriber);

/*
 * The subscriber is out: its stream failed with `error`, or was too slow (-ETIME under HUB_WAIT and after
 * hub_finish, HUB_LAGS under HUB_CLOSE), or could not be kept to whole records (-ENOMEM under HUB_DROP). It has
 * been unsubscribed; its owner closes the stream.
 */
typedef void hub_cut(struct hub_subscriber *subscriber, int error);

/* A place in the chain, which it keeps alive from there on. */
struct hub_cursor {
	struct hub_block *block;
	size_t offset;
	uint64_t position; /* in bytes since the first that was published */
};

struct hub_subscriber {
	struct stream *stream; /* its `owner` is this subscriber */
	uint64_t id;           /* counted from 1 */
	uint64_t dropped;      /* records skipped under HUB_DROP */
	/* ---- */
	struct hub *hub;
	struct list_link link;
	struct hub_cursor cursor; /* behind what has been given to the stream */
	size_t in_flight;         /* bytes given to the stream whose callback is to come */
	struct mux_buf *rest;     /* of a record begun before a skip: goes first */
	struct mux_timer stall;
	uint64_t stall_mark;
	unsigned still; /* looks since the stream has taken something */
	uint64_t own;   /* bytes beyond the cursor that it published itself: no lag */
	bool sending;
	bool mid_record;
	bool lagging;
	bool flushed;
};

struct hub {
	void *owner;
	hub_room *room;
	hub_flushed *flushed;
	hub_cut *cut;
	size_t count; /* subscribers */
	/* ---- */
	struct mux *mux;
	struct hub_policy policy;
	struct list_link *subscribers;
	struct hub_block *tail;
	struct hub_cursor record; /* where the newest record begins */
	struct hub_cursor replay; /* one byte before the replay's first, to tell if it is a start */
	uint64_t head;            /* bytes published */
	uint64_t last_id;
	size_t lagging;
	bool full; /* hub_has_room was false: `room` is owed */
	bool finished;
};

/* The caller has set `owner` and the callbacks. 0 or -ENOMEM. */
int hub_open(struct hub *hub, struct mux *mux, const struct hub_policy *policy);

/* Every subscriber must be gone. */
void hub_close(struct hub *hub);

/* Subscribe `stream`, from the newest record's start or the replay's. Zeroed memory is expected. */
void hub_subscribe(struct hub *hub, struct hub_subscriber *subscriber, struct stream *stream);

/* End a subscription; nothing is called back. An outstanding send must be cancelled by a close. */
void hub_unsubscribe(struct hub_subscriber *subscriber);

/*
 * Publish `n` bytes at `data` in `buf`, to all but `source` (may be NULL). 0 or -ENOMEM; then some
 * of it is lost. `cut` (under HUB_CLOSE) and `room` may come from inside.
 */
int hub_publish(struct hub *hub, struct mux_buf *buf, const unsigned char *data, size_t n,
	struct hub_subscriber *source);

/* Is something published that its stream has not taken? */
bool hub_is_behind(const struct hub_subscriber *subscriber);

/* May more be published? If not, `room` is called once it may; until then the answer is no. */
bool hub_has_room(struct hub *hub);

/*
 * Nothing more comes: `flushed` is called for each subscriber that has everything, from inside for those
 * that have it already.
 */
void hub_finish(struct hub *hub);

#endif
