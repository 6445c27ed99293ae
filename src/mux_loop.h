/* The inside of a loop, for mux.c, mux_timer.c and mux_post.c only. */
#ifndef MUXCAT_MUX_LOOP_H
#define MUXCAT_MUX_LOOP_H

#include "mux_backend.h"

struct mux {
	const struct mux_backend *backend;
	void *state;
	bool edge;
	bool waited; /* since `now` was read */
	uint64_t now;

	struct mux_timer **heap; /* by key, the soonest at [1] */
	size_t timers;
	size_t heap_room;

	struct mux_op *completed; /* callbacks to make, oldest first */
	struct mux_op **completed_tail;
	struct mux_io *changed;  /* interest to be looked at before waiting */
	struct mux_io *runnable; /* to be tried without waiting */
	struct mux_io *closing;
	struct mux_buf *lent; /* what the next receive reads into */

	size_t handles; /* attached, the waker aside */
	size_t holds;

	_Atomic(struct mux_task *) posted;
	struct os_waker waker;
	struct mux_io waker_io;
	struct mux_op waker_op;
};

/* Begins to run what is posted; the waker is attached. */
void mux_hear_posts(struct mux *mux);

/* Runs the callbacks of the timers that are due at mux->now. */
void mux_timers_run(struct mux *mux);

/* Milliseconds to the next timer, -1 if none is armed. */
int mux_timers_wait(const struct mux *mux);

#endif
