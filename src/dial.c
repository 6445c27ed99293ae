#include "dial.h"

#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STAGGER = 250, /* "Connection Attempt Delay", RFC 8305, section 5, in milliseconds */
	HANDSHAKE_LIMIT = 30 * 1000, /* for TLS where no deadline was given */
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
	struct tls_context *tls;
	struct tls_stream *handshake; /* with the peer that was reached */
	struct os_address peer;       /* it */
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

/* It may be connected by now: a peer shall not take it for a stream of nothing. */
static void close_attempt(struct attempt *attempt)
{
	if (attempt->open) {
		os_reset_on_close(attempt->io.fd, true);
		mux_close(&attempt->io, attempt_closed);
	}
	attempt->open = false;
}

static void close_attempts(struct dial *dial)
{
	for (size_t i = 0; i < dial->started; i++)
		close_attempt(&dial->attempts[i]);
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
	close_attempts(dial);
	if (dial->handshake)
		stream_reset(tls_stream(dial->handshake), 0, NULL);
	dial->handshake = NULL;
}

static void finish(struct dial *dial, const struct dialled *dialled)
{
	dial_done *done = dial->done;

	stop(dial);
	done(dial->user, dialled);
	free_if_over(dial);
}

static void fail(struct dial *dial, int error)
{
	struct dialled dialled = { .error = error, .why = resolve_error(error) };

	finish(dial, &dialled);
}

/* ---- the peer that was reached first ---- */

static void shaken_hands(struct tls_stream *tls, int error)
{
	struct dial *dial = tls_owner(tls);
	struct dialled dialled = { error, NULL, { -1, tls, &dial->peer, dial->address.scheme } };
	char why[TLS_TEXT] = "";

	dial->handshake = NULL;
	if (error) {
		snprintf(why, sizeof(why), "%s", tls_why(tls));
		stream_close(tls_stream(tls), NULL); /* with the alert that tells it why */
	}
	dialled.why = why;
	finish(dial, &dialled);
}

static void deadline_passed(struct mux_timer *timer)
{
	fail(container_of(timer, struct dial, deadline), -ETIME);
}

static void reached(struct dial *dial, mux_fd fd, const struct os_address *peer)
{
	struct dialled dialled = { 0, NULL, { fd, NULL, peer, dial->address.scheme } };
	const char *host = dial->address.host;
	int error;

	if (!dial->tls) {
		finish(dial, &dialled);
		return;
	}
	mux_timer_stop(&dial->next);
	close_attempts(dial);
	dial->peer = *peer;
	if (!mux_timer_armed(&dial->deadline))
		mux_timer_start(dial->mux, &dial->deadline, HANDSHAKE_LIMIT, deadline_passed);
	if (!*host && !address_is_local(&dial->address))
		host = "localhost"; /* whom a port alone means */
	dial->handshake =
		tls_open(dial->tls, dial->mux, fd, *host ? host : NULL, shaken_hands, dial, &error);
	if (!dial->handshake) {
		os_close(fd, OS_SOCKET);
		fail(dial, error);
	}
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
		reached(dial, mux_detach(&attempt->io), &attempt->to);
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
	fail(dial, dial->error);
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
	fail(dial, dial->error);
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
		fail(dial, error);
	else
		start_attempt(dial);
}

static void look_up(struct dial *dial)
{
	int error;

	if (!resolve_is_quick(&dial->address)) {
		dial->resolve = resolve_start(dial->mux, &dial->address, resolved, dial, &error);
		if (!dial->resolve)
			fail(dial, error);
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

struct dial *dial_start(struct mux *mux, const struct address *address,
	const struct socket_options *options, struct tls_context *tls, uint64_t deadline,
	dial_done *done, void *user)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->mux = mux;
	dial->address = *address;
	dial->options = *options;
	dial->tls = address->tls ? tls : NULL;
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
