/*
 * Handles that nothing can wait for (OS_BLOCKING: Windows' console and pipes): a thread of its own
 * does the blocking call and posts its end to the loop. One call at a time, and only when an
 * operation asks for it, so that nothing is read from a stdin that nobody wanted.
 *
 * The bytes pass through the pump's own buffer, since a buffer's count of references belongs to the
 * loop's thread. A thread that sits in a read cannot be ended, only left: it then closes the
 * descriptor and frees the pump itself, whenever the call returns.
 */
#include "mux_loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PUMP_SIZE = 64 * 1024 };

enum pump_state {
	PUMP_IDLE,
	PUMP_READING, /* the thread is in the call, or on its way there */
	PUMP_WRITING,
	PUMP_READ, /* and `result` has yet to be collected */
	PUMP_WRITTEN,
};

struct pump {
	struct mux *mux;
	struct mux_io *io; /* the loop's; NULL once it has been closed */
	mux_fd fd;
	struct mux_task ended;
	bool started; /* there is a thread */
	pthread_t thread;
	bool disowned;   /* the write's operation has been cancelled */
	size_t consumed; /* bytes of a read that have been collected */

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t asked;
	enum pump_state state;
	bool left;       /* by the loop: the thread is to end */
	bool posted;     /* `ended` is on its way */
	unsigned owners; /* the loop, the thread, and `ended` under way */
	ssize_t result;
	size_t length;
	unsigned char bytes[PUMP_SIZE];
};

/* Called with the lock held, and lets go of it. */
static void disown(struct pump *pump)
{
	bool last = --pump->owners == 0;

	pthread_mutex_unlock(&pump->lock);
	if (!last)
		return;
	if (pump->fd >= 0)
		os_close(pump->fd, OS_BLOCKING);
	pthread_cond_destroy(&pump->asked);
	pthread_mutex_destroy(&pump->lock);
	free(pump);
}

static void *run(void *argument)
{
	struct pump *pump = argument;

	pthread_mutex_lock(&pump->lock);
	for (;;) {
		while (pump->state != PUMP_READING && pump->state != PUMP_WRITING && !pump->left)
			pthread_cond_wait(&pump->asked, &pump->lock);
		if (pump->left)
			break;

		enum pump_state state = pump->state;
		ssize_t result;

		pthread_mutex_unlock(&pump->lock);
		if (state == PUMP_READING)
			result = os_read(pump->fd, OS_BLOCKING, pump->bytes, PUMP_SIZE);
		else
			result = os_write(pump->fd, OS_BLOCKING, pump->bytes, pump->length);
		pthread_mutex_lock(&pump->lock);
		pump->result = result;
		pump->state = state == PUMP_READING ? PUMP_READ : PUMP_WRITTEN;
		if (pump->left)
			break;
		pump->posted = true;
		pump->owners++;
		mux_post(pump->mux, &pump->ended);
	}
	disown(pump);
	return NULL;
}

static void call_ended(struct mux_task *task)
{
	struct pump *pump = container_of(task, struct pump, ended);
	struct mux_io *io = pump->io;
	unsigned event = 0;

	pthread_mutex_lock(&pump->lock);
	pump->posted = false;
	if (pump->left)
		mux_release(pump->mux);
	else
		event = pump->state == PUMP_READ ? MUX_READ : MUX_WRITE;
	disown(pump);
	if (event)
		mux_io_ready(io, event);
}

/* Give the thread a call to make. */
static int begin(struct pump *pump, enum pump_state state)
{
	int error = 0;

	pthread_mutex_lock(&pump->lock);
	if (!pump->started) {
		/* its own error may be EAGAIN, which has a meaning here */
		error = pthread_create(&pump->thread, NULL, run, pump) == 0 ? 0 : -ENOMEM;
		if (!error) {
			pump->started = true;
			pump->owners++;
		}
	}
	if (!error) {
		pump->state = state;
		pump->disowned = false;
		pump->consumed = 0;
		pthread_cond_signal(&pump->asked);
	}
	pthread_mutex_unlock(&pump->lock);
	return error;
}

static enum pump_state state_of(struct pump *pump)
{
	enum pump_state state;

	pthread_mutex_lock(&pump->lock);
	state = pump->state;
	pthread_mutex_unlock(&pump->lock);
	return state;
}

static int pump_attach(struct mux_io *io)
{
	struct pump *pump = calloc(1, sizeof(*pump));

	if (!pump)
		return -ENOMEM;
	pthread_mutex_init(&pump->lock, NULL);
	pthread_cond_init(&pump->asked, NULL);
	pump->mux = io->mux;
	pump->io = io;
	pump->fd = io->fd;
	pump->ended.run = call_ended;
	pump->owners = 1;
	io->under = pump;
	return 0;
}

/* A thread that is idle is waited for, so that the descriptor is closed and the thread is gone. */
static void pump_close(struct mux_io *io)
{
	struct pump *pump = io->under;
	bool idle;

	pthread_mutex_lock(&pump->lock);
	idle = pump->state != PUMP_READING && pump->state != PUMP_WRITING;
	pump->left = true;
	if (pump->posted)
		mux_hold(pump->mux); /* until it has run: it refers to the loop */
	pthread_cond_signal(&pump->asked);
	pthread_mutex_unlock(&pump->lock);
	if (pump->started && idle)
		pthread_join(pump->thread, NULL);
	else if (pump->started)
		pthread_detach(pump->thread);
	pthread_mutex_lock(&pump->lock);
	disown(pump);
}

/* The descriptor stays open; no call may have been made. */
static void pump_detach(struct mux_io *io)
{
	struct pump *pump = io->under;

	assert(!pump->started);
	pump->fd = -1;
	pump_close(io);
}

static int pump_want(struct mux_io *io, unsigned interest)
{
	struct pump *pump = io->under;

	if (!(interest & ~io->wanted & MUX_READ))
		return 0; /* a write was begun by its try */
	switch (state_of(pump)) {
	case PUMP_IDLE:
		return begin(pump, PUMP_READING);
	case PUMP_READ: /* for a receive that was cancelled */
		mux_io_ready_at_once(io);
		return 0;
	default:
		return 0;
	}
}

static ssize_t pump_read(struct mux_io *io, void *into, size_t size)
{
	struct pump *pump = io->under;

	if (state_of(pump) != PUMP_READ)
		return -EAGAIN;
	if (pump->result <= 0) {
		pump->state = PUMP_IDLE;
		return pump->result;
	}

	size_t rest = (size_t)pump->result - pump->consumed;
	size_t n = rest < size ? rest : size;

	memcpy(into, pump->bytes + pump->consumed, n);
	pump->consumed += n;
	if (n == rest)
		pump->state = PUMP_IDLE; /* ours to write: the thread has nothing to do */
	return (ssize_t)n;
}

static ssize_t pump_write(struct mux_io *io, const struct mux_op *op)
{
	struct pump *pump = io->under;
	size_t rest = op->length - op->moved;
	enum pump_state state = state_of(pump);
	int error;

	if (state == PUMP_WRITTEN) {
		pump->state = state = PUMP_IDLE;
		if (!pump->disowned)
			return pump->result;
	}
	if (state != PUMP_IDLE)
		return -EAGAIN;
	pump->length = rest < PUMP_SIZE ? rest : PUMP_SIZE;
	memcpy(pump->bytes, op->data + op->moved, pump->length);
	error = begin(pump, PUMP_WRITING);
	return error ? error : -EAGAIN;
}

static void pump_cancelled(struct mux_io *io, const struct mux_op *op)
{
	struct pump *pump = io->under;

	if (op == io->writing)
		pump->disowned = true;
}

const struct mux_calls mux_pump_calls = {
	.one_shot = true,
	.attach = pump_attach,
	.detach = pump_detach,
	.want = pump_want,
	.close = pump_close,
	.read = pump_read,
	.write = pump_write,
	.cancelled = pump_cancelled,
};
