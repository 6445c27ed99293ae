/* Many streams into one: what each of them receives is written to `out`, a piece at a time. */
#ifndef MUXCAT_FUNNEL_H
#define MUXCAT_FUNNEL_H

#include "stream.h"

struct funnel;
struct funnel_source;

/* All of it is written: the source may receive more, or go. */
typedef void funnel_written(struct funnel_source *source);

/* `out` failed: nothing more is written, and no source hears of what it has put in. */
typedef void funnel_failed(struct funnel *funnel, int error);

struct funnel_source {
	/* ---- */
	struct funnel_source *next;
	struct mux_buf *buf;
	const unsigned char *data;
	size_t length;
	bool waiting; /* in the funnel: its memory must stay until `written` */
};

struct funnel {
	void *owner;
	funnel_written *written;
	funnel_failed *failed;
	struct stream *out; /* its `owner` is this funnel */
	/* ---- */
	struct funnel_source *first; /* the one whose bytes are being written */
	struct funnel_source **last;
	bool broken;
};

/* The caller has set `owner` and the callbacks. */
void funnel_open(struct funnel *funnel, struct stream *out);

/* Drops what is waiting. */
void funnel_close(struct funnel *funnel);

/*
 * Write what `source` has received, which then is `waiting` until `written`, from the loop. 0, or
 * -ENOMEM or -EPIPE if the funnel is broken.
 */
int funnel_put(struct funnel *funnel, struct funnel_source *source, struct mux_buf *buf,
	const unsigned char *data, size_t length);

#endif
