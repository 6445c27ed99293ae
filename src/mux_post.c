/*
 * What other threads and signal handlers tell a loop: a stack of tasks that is pushed without a
 * lock, and a descriptor that wakes the loop to take it.
 */
#include "mux_loop.h"

#include <errno.h>

void mux_post(struct mux *mux, struct mux_task *task)
{
	if (atomic_exchange(&task->queued, true))
		return;
	task->next = atomic_load(&mux->posted);
	while (!atomic_compare_exchange_weak(&mux->posted, &task->next, task))
		;
	if (mux->backend->wake)
		mux->backend->wake(mux->state);
	else
		os_wake(&mux->waker);
}

void mux_run_posted(struct mux *mux)
{
	struct mux_task *oldest = NULL;
	struct mux_task *newest;

	if (!atomic_load_explicit(&mux->posted, memory_order_relaxed))
		return;
	newest = atomic_exchange(&mux->posted, NULL);

	while (newest) {
		struct mux_task *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct mux_task *next = oldest->next;

		atomic_store(&oldest->queued, false);
		oldest->run(oldest);
		oldest = next;
	}
}

static void woken(struct mux_op *op, ssize_t result)
{
	struct mux *mux = op->io->mux;

	if (result == -ECANCELED)
		return;
	mux_recv(&mux->waker_io, &mux->waker_op, woken);
}

void mux_hear_posts(struct mux *mux)
{
	mux_recv(&mux->waker_io, &mux->waker_op, woken);
}
