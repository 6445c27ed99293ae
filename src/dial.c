#include "dial.h"

#include "resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STAGGER = 250,    /* "Connection Attempt Delay", RFC 8305, section 5, in milliseconds */
	BACKLOG_WAIT = 10 /* before a full Unix backlog is tried again: nothing announces its end */
};

struct attempt {
	struct dial *dial;
	struct os_address to;
	struct mux_io io;
	struct mux_op op;
	bool open;
};

struct dial {
	struct mux *mux;
	struct address address;
	struct socket_options options;
	dial_done *done; /* NULL once it has been called or the dial was cancelled */
	void *user;
	struct resolve *resolve;
	struct mux_timer deadline;
	struct mux_timer next; /* starts the first attempt, and each that waits its turn */
	struct attempt *attempts;
	size_t count;
	size_t started;
	size_t open; /* attempts whose handle is not closed yet */
	int error;   /* of the attempt that failed last */
};

static void start_attempt(struct dial *dial);

static void next_due(struct mux_timer *timer)
{
	start_attempt(container_of(timer, struct dial, next));
}

static void free_if_over(struct dial *dial)
{
	if (dial->done || dial->open)
		return;
	free(dial->attempts);
	free(dial);
}

static void attempt_closed(struct mux_io *io)
{
	struct attempt *attempt = container_of(io, struct attempt, io);

	attempt->dial->open--;
	free_if_over(attempt->dial);
}

static void close_attempt(struct attempt *attempt)
{
	if (attempt->open)
		mux_close(&attempt->io, attempt_closed);
	attempt->open = false;
}

/* Ends everything still under way. The dial lives on until its handles are closed. */
static void stop(struct dial *dial)
{
	dial->done = NULL;
	mux_release(dial->mux);
	mux_timer_stop(&dial->deadline);
	mux_timer_stop(&dial->next);
	if (dial->resolve)
		resolve_cancel(dial->resolve);
	dial->resolve = NULL;
	for (size_t i = 0; i < dial->started; i++)
		close_attempt(&dial->attempts[i]);
}

static void finish(struct dial *dial, int error, mux_fd fd, const struct os_address *peer)
{
	dial_done *done = dial->done;

	stop(dial);
	done(dial->user, error, fd, peer);
	free_if_over(dial);
}

static void attempt_done(struct mux_op *op, ssize_t result)
{
	struct attempt *attempt = container_of(op, struct attempt, op);
	struct dial *dial = attempt->dial;

	if (result == -ECANCELED || !dial->done)
		return;
	if (result == 0) {
		attempt->open = false;
		dial->open--;
		finish(dial, 0, mux_detach(&attempt->io), &attempt->to);
		return;
	}
	close_attempt(attempt);
	dial->error = (int)result;
	if (result == -EAGAIN) {
		dial->started--;
		mux_timer_start(dial->mux, &dial->next, BACKLOG_WAIT, next_due);
		return;
	}
	if (dial->started < dial->count) {
		mux_timer_start(dial->mux, &dial->next, 0, next_due);
		return;
	}
	for (size_t i = 0; i < dial->count; i++)
		if (dial->attempts[i].open)
			return; /* another may still succeed */
	finish(dial, dial->error, -1, NULL);
}

static int open_attempt(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;
	mux_fd fd = socket_dialler(dial->address.scheme, &attempt->to, &dial->options);

	if (fd < 0)
		return fd;

	int error = mux_attach(dial->mux, &attempt->io, fd, OS_SOCKET);

	if (error) {
		os_close(fd, OS_SOCKET);
		return error;
	}
	attempt->open = true;
	dial->open++;
	mux_connect(&attempt->io, &attempt->op, &attempt->to, attempt_done);
	return 0;
}

static void start_attempt(struct dial *dial)
{
	while (dial->started < dial->count) {
		int error = open_attempt(&dial->attempts[dial->started++]);

		if (error == 0) {
			if (dial->started < dial->count)
				mux_timer_start(dial->mux, &dial->next, STAGGER, next_due);
			return;
		}
		dial->error = error;
	}
	for (size_t i = 0; i < dial->count; i++)
		if (dial->attempts[i].open)
			return;
	finish(dial, dial->error, -1, NULL);
}

static int take_addresses(struct dial *dial, const struct os_address *found, size_t count)
{
	dial->attempts = calloc(count, sizeof(*dial->attempts));
	if (!dial->attempts)
		return -ENOMEM;
	dial->count = count;
	dial->started = 0;
	for (size_t i = 0; i < count; i++) {
		dial->attempts[i].dial = dial;
		dial->attempts[i].to = found[i];
	}
	return 0;
}

static void resolved(void *user, int error, const struct os_address *found, size_t count)
{
	struct dial *dial = user;

	dial->resolve = NULL;
	if (!error)
		error = take_addresses(dial, found, count);
	if (error)
		finish(dial, error, -1, NULL);
	else
		start_attempt(dial);
}

static void look_up(struct dial *dial)
{
	int error;

	if (!resolve_is_quick(&dial->address)) {
		dial->resolve = resolve_start(dial->mux, &dial->address, resolved, dial, &error);
		if (!dial->resolve)
			finish(dial, error, -1, NULL);
		return;
	}

	struct os_address *found = NULL;
	size_t count = 0;

	error = resolve_now(&dial->address, false, &found, &count);
	resolved(dial, error, found, count);
	free(found);
}

static void begin(struct mux_timer *timer)
{
	look_up(container_of(timer, struct dial, next));
}

static void deadline_passed(struct mux_timer *timer)
{
	finish(container_of(timer, struct dial, deadline), -ETIME, -1, NULL);
}

struct dial *dial_start(struct mux *mux, const struct address *address,
	const struct socket_options *options, uint64_t deadline, dial_done *done, void *user)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->mux = mux;
	dial->address = *address;
	dial->options = *options;
	dial->done = done;
	dial->user = user;
	mux_hold(mux);
	if (deadline)
		mux_timer_start(mux, &dial->deadline, deadline, deadline_passed);
	mux_timer_start(mux, &dial->next, 0, begin); /* never calls back from inside the start */
	return dial;
}

void dial_cancel(struct dial *dial)
{
	stop(dial);
	free_if_over(dial);
}
