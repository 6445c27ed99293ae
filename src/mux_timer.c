/*
 * Timers: a binary heap of pointers to the callers' timers. An idle timeout moves later at every
 * byte, so moving later only changes `due`; the heap stays ordered by `key`, and a timer that comes
 * to its key before it is due sinks to its new place then.
 */
#include "mux_loop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* A loop's own timers, and those of a few connections: who has that many has them without fail. */
enum { ROOM = 64 };

static void place(struct mux *mux, struct mux_timer *timer, size_t position)
{
	mux->heap[position] = timer;
	timer->position = position;
}

static void sift_up(struct mux *mux, struct mux_timer *timer)
{
	size_t at = timer->position;

	for (; at > 1 && mux->heap[at / 2]->key > timer->key; at /= 2)
		place(mux, mux->heap[at / 2], at);
	place(mux, timer, at);
}

static void sift_down(struct mux *mux, struct mux_timer *timer)
{
	size_t at = timer->position;

	for (size_t child; (child = 2 * at) <= mux->timers; at = child) {
		if (child < mux->timers && mux->heap[child + 1]->key < mux->heap[child]->key)
			child++;
		if (mux->heap[child]->key >= timer->key)
			break;
		place(mux, mux->heap[child], at);
	}
	place(mux, timer, at);
}

static bool grow(struct mux *mux, size_t room)
{
	struct mux_timer **heap = realloc(mux->heap, room * sizeof(*heap));

	if (!heap)
		return false;
	mux->heap = heap;
	mux->heap_room = room;
	return true;
}

int mux_timers_open(struct mux *mux)
{
	return grow(mux, ROOM) ? 0 : -ENOMEM;
}

static void insert(struct mux *mux, struct mux_timer *timer)
{
	/* a deadline that silently never comes would be a lie */
	if (mux->timers + 1 >= mux->heap_room && !grow(mux, 2 * mux->heap_room)) {
		fputs("muxcat: out of memory\n", stderr);
		abort();
	}
	timer->mux = mux;
	timer->position = ++mux->timers;
	sift_up(mux, timer);
}

void mux_timer_start(struct mux *mux, struct mux_timer *timer, uint64_t delay, mux_expired *expired)
{
	if (mux->timers == 0) /* the turn's clock is only read while there are timers */
		mux->now = os_now();
	timer->expired = expired;
	timer->due = mux->now + delay;
	if (!timer->position) {
		timer->key = timer->due;
		insert(mux, timer);
	} else if (timer->due < timer->key) {
		timer->key = timer->due;
		sift_up(mux, timer);
	}
}

void mux_timer_stop(struct mux_timer *timer)
{
	struct mux *mux = timer->mux;
	size_t position = timer->position;

	if (!position)
		return;
	timer->position = 0;

	struct mux_timer *last = mux->heap[mux->timers--];

	if (last != timer) {
		last->position = position;
		sift_up(mux, last);
		sift_down(mux, last);
	}
}

bool mux_timer_armed(const struct mux_timer *timer)
{
	return timer->position != 0;
}

void mux_timers_run(struct mux *mux)
{
	/* Each at most once a turn: one that arms itself anew for now must not keep the loop. */
	for (size_t left = mux->timers; left && mux->timers; left--) {
		struct mux_timer *timer = mux->heap[1];

		if (timer->key > mux->now)
			return;
		if (timer->due > timer->key) { /* it was moved later */
			timer->key = timer->due;
			sift_down(mux, timer);
			continue;
		}
		mux_timer_stop(timer);
		timer->expired(timer);
	}
}

int mux_timers_wait(const struct mux *mux)
{
	if (!mux->timers)
		return -1;

	uint64_t key = mux->heap[1]->key;

	if (key <= mux->now)
		return 0;
	return key - mux->now > INT_MAX ? INT_MAX : (int)(key - mux->now);
}
