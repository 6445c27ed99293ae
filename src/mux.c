/*
 * The loop: what has ended is called back, what has changed is watched anew, what was closed is
 * closed, and then it waits.
 *
 * Interest is computed from a handle's two slots only when the loop is about to wait: a handle that
 * receives, sends and receives again between two waits costs no system call for it.
 */
#include "mux_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct mux_backend *const backends[] = { MUX_BACKENDS };
enum { BACKENDS = sizeof(backends) / sizeof(backends[0]) };

const char *const *mux_backends(void)
{
	static const char *names[BACKENDS + 1];

	for (size_t i = 0; i < BACKENDS; i++)
		names[i] = backends[i]->name;
	return names;
}

static const struct mux_backend *find_backend(const char *name)
{
	for (size_t i = 0; i < BACKENDS; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

bool mux_backend_has_edge(const char *name)
{
	const struct mux_backend *backend = find_backend(name);

	return backend && backend->has_edge;
}

/* Once a turn, as soon as the wait is over; not at all while no timer asks for it. */
static void read_clock(struct mux *mux)
{
	if (mux->waited && mux->timers)
		mux->now = os_now();
	mux->waited = false;
}

static void run_runnable(struct mux *mux)
{
	struct mux_io *io = mux->runnable;

	mux->runnable = NULL;
	while (io) {
		struct mux_io *next = io->next_runnable;

		io->runnable = false;
		if (io->ready & MUX_READ)
			mux_try(io, MUX_READ);
		io = next;
	}
}

/* ---- before waiting ---- */

static void fail_outstanding(struct mux_io *io, int error)
{
	if (io->reading)
		mux_fail(io->reading, error);
	if (io->writing)
		mux_fail(io->writing, error);
}

static unsigned interest_of(const struct mux_io *io)
{
	bool known_ready = !io->one_shot && (io->ready & MUX_READ);
	unsigned interest =
		(io->reading && !known_ready ? MUX_READ : 0) | (io->writing ? MUX_WRITE : 0);

	if (io->closing ||
		io->kind == OS_FILE) /* a file is always ready: it runs without waiting */
		return 0;
	if (io->edge && (interest || io->wanted))
		return MUX_READ | MUX_WRITE; /* once, and for as long as it is open */
	if (io->one_shot)
		interest |= io->wanted; /* it is under way, and its end will come */
	return interest;
}

static void apply_interest(struct mux_io *io)
{
	unsigned interest = interest_of(io);

	if (interest == io->wanted)
		return;

	int error = io->calls->want(io, interest);

	if (error == 0) {
		io->wanted = (unsigned char)interest;
	} else if (error == -EPERM) { /* epoll(7) refuses what is always ready */
		io->kind = OS_FILE;
		io->edge = false;
		io->ready = MUX_READ;
		mux_try(io, MUX_WRITE);
		if (io->reading)
			mux_mark_runnable(io);
	} else {
		fail_outstanding(io, error);
	}
}

static void apply_changes(struct mux *mux)
{
	struct mux_io *io;

	while ((io = mux->changed)) {
		mux->changed = io->next_changed;
		io->changed = false;
		apply_interest(io);
	}
}

/* Nothing refers to a closing handle any more but, perhaps, the list of runnable ones. */
static void close_handles(struct mux *mux)
{
	struct mux_io *io = mux->closing;

	mux->closing = NULL;
	while (io) {
		struct mux_io *next = io->next_closing;

		if (io->runnable) {
			io->next_closing = mux->closing;
			mux->closing = io;
		} else {
			io->calls->close(io);
			mux->handles--;
			if (io->closed)
				io->closed(io);
		}
		io = next;
	}
}

static void settle(struct mux *mux)
{
	do {
		mux_deliver(mux);
		apply_changes(mux);
		if (!mux->completed)
			close_handles(mux);
	} while (mux->completed || mux->changed);
}

/* ---- what the backend tells ---- */

/*
 * Most often the callbacks leave a handle as it was: then it is taken off the list at once, and not
 * brought into the cache again after all the others. It may be gone, and is then on no list.
 */
static void forget_unchanged(struct mux *mux, struct mux_io *io)
{
	if (mux->changed != io || interest_of(io) != io->wanted)
		return;
	mux->changed = io->next_changed;
	io->changed = false;
}

void mux_io_ready(struct mux_io *io, unsigned events)
{
	struct mux *mux = io->mux;

	read_clock(mux);
	if (io->closing)
		return;
	if (io->edge) {
		io->ready |= events & MUX_READ;
		if (events & MUX_SHORT_READS)
			io->short_reads = true;
	}
	if (io->one_shot) {
		io->wanted &= (unsigned char)~events;
		mux_mark_changed(io);
	}
	mux_try(io, events);
	forget_unchanged(mux, io);
}

/* ---- a turn ---- */

int mux_run(struct mux *mux)
{
	for (;;) {
		settle(mux);
		if (!mux->handles && !mux->holds)
			return 0;

		int timeout = mux->runnable || mux->closing ? 0 : mux_timers_wait(mux);
		int error;

		mux->waited = true;
		error = mux->backend->wait(mux->state, timeout);
		if (error)
			return error;
		read_clock(mux);
		mux_run_posted(mux);
		mux_deliver(mux);
		mux_timers_run(mux);
		mux_deliver(mux);
		run_runnable(mux);
	}
}

void mux_hold(struct mux *mux)
{
	mux->holds++;
}

void mux_release(struct mux *mux)
{
	assert(mux->holds);
	mux->holds--;
}

/* ---- handles, and the loop's own life ---- */

static const struct mux_calls *calls_for(const struct mux *mux, enum os_kind kind)
{
	if (kind == OS_BLOCKING)
		return &mux_pump_calls;
	return kind == OS_SOCKET && mux->backend->calls ? mux->backend->calls : &mux_ready_calls;
}

int mux_attach(struct mux *mux, struct mux_io *io, mux_fd fd, enum os_kind kind)
{
	mux_fd limit = mux->backend->descriptor_limit;

	if (limit && fd >= limit)
		return -EMFILE;
	memset(io, 0, sizeof(*io));
	io->mux = mux;
	io->fd = fd;
	io->kind = kind;
	io->edge = mux->edge && kind == OS_SOCKET;
	io->calls = calls_for(mux, kind);
	io->one_shot = io->calls->one_shot;
	/*
	 * Files are always ready. Of a FIFO that was opened anew, poll(2) does not report an end
	 * that was there before, so it is read until nothing is left before it is waited for.
	 */
	io->ready = kind == OS_FILE || kind == OS_NONBLOCKING ? MUX_READ : 0;
	io->moved_at = mux->now;
	io->slot = -1;

	int error = io->calls->attach ? io->calls->attach(io) : 0;

	if (!error)
		mux->handles++;
	return error;
}

mux_fd mux_detach(struct mux_io *io)
{
	struct mux_io **link = &io->mux->changed;

	assert(!io->reading && !io->writing && !io->closing && !io->runnable);
	if (io->changed) {
		while (*link != io)
			link = &(*link)->next_changed;
		*link = io->next_changed;
	}
	if (io->wanted)
		io->calls->want(io, 0);
	if (io->calls->detach)
		io->calls->detach(io);
	io->mux->handles--;
	return io->fd;
}

void mux_close(struct mux_io *io, mux_closed *closed)
{
	assert(!io->closing);
	fail_outstanding(io, -ECANCELED);
	io->closing = true;
	io->closed = closed;
	io->next_closing = io->mux->closing;
	io->mux->closing = io;
	mux_mark_changed(io);
}

mux_fd mux_descriptor_limit(const struct mux *mux)
{
	return mux->backend->descriptor_limit;
}

uint64_t mux_now(const struct mux *mux)
{
	return mux->now;
}

/* At once, and for good: a loop that could not watch it later would hear of nothing any more. */
static int watch_waker(struct mux *mux)
{
	struct mux_io *io = &mux->waker_io;
	int error = mux_attach(mux, io, mux->waker.read_end, OS_NONBLOCKING);

	if (error)
		return error;
	mux->handles--;
	io->ready = 0;
	error = io->calls->want(io, MUX_READ);
	if (!error)
		io->wanted = MUX_READ;
	return error;
}

struct mux *mux_new(const char *name, bool edge, int *error)
{
	const struct mux_backend *backend = find_backend(name);
	struct mux *mux = calloc(1, sizeof(*mux));

	if (!mux || !backend) {
		*error = mux ? -EINVAL : -ENOMEM;
		free(mux);
		return NULL;
	}
	mux->backend = backend;
	mux->edge = edge;
	mux->completed_tail = &mux->completed;
	*error = mux_timers_open(mux);
	if (*error)
		goto fail;
	*error = backend->open(&mux->state);
	if (*error)
		goto fail;
	if (backend->wake)
		return mux;
	*error = os_waker_open(&mux->waker);
	if (*error)
		goto fail_backend;
	*error = watch_waker(mux);
	if (*error)
		goto fail_waker;
	mux_hear_posts(mux);
	return mux;

fail_waker:
	os_waker_close(&mux->waker);
fail_backend:
	backend->close(mux->state);
fail:
	free(mux->heap);
	free(mux);
	return NULL;
}

void mux_free(struct mux *mux)
{
	assert(!mux->handles && !mux->holds);
	mux->backend->close(mux->state);
	if (!mux->backend->wake)
		os_waker_close(&mux->waker);
	mux_buf_unref(mux->lent);
	mux_buf_unref(mux->lent_bulk);
	free(mux->heap);
	free(mux);
}
