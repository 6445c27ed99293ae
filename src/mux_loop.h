/* The inside of a loop, for mux.c, mux_op.c, mux_timer.c, mux_post.c, mux_ready.c and mux_pump.c only. */
#ifndef MUXCAT_MUX_LOOP_H
#define MUXCAT_MUX_LOOP_H

#include "mux_backend.h"

/* The calls of a handle that only a thread can wait for (OS_BLOCKING). */
extern const struct mux_calls mux_pump_calls;

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
	struct mux_buf *lent_bulk;

	size_t handles; /* attached, the waker aside */
	size_t holds;

	_Atomic(struct mux_task *) posted;
	struct os_waker waker;
	struct mux_io waker_io;
	struct mux_op waker_op;
};

/* The operation has ended: out of its handle's slot, and to the callbacks to make. */
void mux_complete(struct mux_op *op, ssize_t result);

/* The same for one that has not ended by itself. */
void mux_fail(struct mux_op *op, int error);

/* Makes the callbacks of what has ended. */
void mux_deliver(struct mux *mux);

/* Tries what is outstanding on a handle that is ready for `events`. */
void mux_try(struct mux_io *io, unsigned events);

static inline void mux_mark_changed(struct mux_io *io)
{
	if (io->changed)
		return;
	io->changed = true;
	io->next_changed = io->mux->changed;
	io->mux->changed = io;
}

static inline void mux_mark_runnable(struct mux_io *io)
{
	if (io->runnable)
		return;
	io->runnable = true;
	io->next_runnable = io->mux->runnable;
	io->mux->runnable = io;
}

/* Runs the tasks that have been posted: between events, since a task may well receive. */
void mux_run_posted(struct mux *mux);

/* Begins to hear of what is posted; the waker is attached. */
void mux_hear_posts(struct mux *mux);

/* Makes room for a loop's first timers: 0 or -ENOMEM. */
int mux_timers_open(struct mux *mux);

/* Runs the callbacks of the timers that are due at mux->now. */
void mux_timers_run(struct mux *mux);

/* Milliseconds to the next timer, -1 if none is armed. */
int mux_timers_wait(const struct mux *mux);

#endif
