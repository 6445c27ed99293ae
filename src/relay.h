/*
 * Two streams joined, each direction on its own: `left` to `right` and `right` to `left`. Data,
 * back-pressure and end of file of one direction never wait for the other.
 *
 * The relay does not own the streams: it says when it is done and why, and its owner closes them.
 */
#ifndef MUXCAT_RELAY_H
#define MUXCAT_RELAY_H

#include "stream.h"

/* Which way: an index into flow[]. */
enum relay_way { RELAY_RIGHTWARD, RELAY_LEFTWARD };

enum relay_reason {
	RELAY_ENDED,  /* both ways came to their end, or all that was asked for */
	RELAY_FAILED, /* see error, failed and failed_sending */
	RELAY_IDLE,   /* nothing moved on `right` for idle_timeout */
};

struct relay;
typedef void relay_done(struct relay *relay);
typedef void relay_ended(struct relay *relay, enum relay_way way);

struct relay_policy {
	relay_ended *ended;    /* told when a way's end has been passed on; may be NULL */
	bool closed[2];        /* this way is not used at all: neither data nor end */
	bool discard[2];       /* this way is read and dropped */
	bool no_shutdown;      /* the end of left's input is not passed on to right */
	bool end_on_right_eof; /* right's end ends the relay, once what was received is written out */
	bool end_on_left_eof;  /* left's end, once it has been passed on, ends the relay */
	int64_t linger;        /* after left's end: milliseconds until the relay ends, -1 never;
	                           a datagram right must have been silent for that long */
	uint64_t idle_timeout; /* milliseconds, 0 none */
};

struct relay_flow {
	struct relay *relay;
	struct stream *from;
	struct stream *to;   /* NULL: discard */
	struct mux_buf *buf; /* what is being sent on, while there is more than one piece */
	const unsigned char *data;
	size_t rest;
	size_t piece;     /* a datagram's length at most */
	unsigned stalled; /* seconds for which `to` has taken nothing */
	bool over;
};

struct relay {
	void *owner;
	relay_done *done;
	enum relay_reason reason;
	int error; /* negative errno of the failure that came first */
	struct stream *failed;
	bool failed_sending;
	bool lingered; /* RELAY_ENDED by the linger, rather than by ends of file */
	bool stopped;  /* RELAY_ENDED by relay_drain */
	/* ---- */
	struct mux *mux;
	struct stream *left;
	struct stream *right;
	struct relay_policy policy;
	struct relay_flow flow[2];
	struct mux_timer timer; /* the linger */
	struct mux_timer stall; /* since only what has been received is to be sent */
	bool draining;
	bool finished;
};

/* Join them. `done` is called once, from the loop; the relay touches nothing afterwards. */
void relay_start(struct relay *relay, struct stream *left, struct stream *right,
	const struct relay_policy *policy, relay_done *done, void *owner);

/*
 * Stop receiving and end once what has been received is written out; with -ETIMEDOUT when a peer that it
 * is for takes nothing for 10 seconds. Whoever reads our stdout has all the time it wants.
 */
void relay_drain(struct relay *relay);

#endif
