/*
 * The loop and the operations, written once for all readiness backends.
 *
 * A writing operation is tried when it is submitted; a reading one is parked first, because its
 * bytes are most often still on their way. What would block stays in its handle's slot until the
 * backend calls the handle ready. What has ended waits in the `completed` list, from which the loop
 * makes the callbacks after each event, so that a buffer that was sent on at once is free again
 * before the next receive needs one.
 *
 * Interest is computed from the two slots only when the loop is about to wait: a handle that
 * receives, sends and receives again between two waits costs no system call for it.
 */
#include "mux_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What one receive takes at most: as much as a pipe holds, and any datagram. */
enum { RECEIVE_SIZE = 64 * 1024 };

/* How many accepts or datagrams one event may bring before the other handles have their turn. */
enum { EVENT_BUDGET = 64 };

static const struct mux_backend *const backends[] = { &mux_epoll, &mux_poll, &mux_select };
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

/* ---- lists ---- */

static void mark_changed(struct mux_io *io)
{
	if (io->changed)
		return;
	io->changed = true;
	io->next_changed = io->mux->changed;
	io->mux->changed = io;
}

static void mark_runnable(struct mux_io *io)
{
	if (io->runnable)
		return;
	io->runnable = true;
	io->next_runnable = io->mux->runnable;
	io->mux->runnable = io;
}

/* The operation has ended: out of its handle's slot, and to the callbacks to make. */
static void complete(struct mux_op *op, ssize_t result)
{
	struct mux_io *io = op->io;

	assert(op == io->reading || op == io->writing);
	if (op == io->reading)
		io->reading = NULL;
	else
		io->writing = NULL;
	mark_changed(io);
	op->result = result;
	op->next = NULL;
	*io->mux->completed_tail = op;
	io->mux->completed_tail = &op->next;
}

static void deliver(struct mux *mux)
{
	struct mux_op *op;

	while ((op = mux->completed)) {
		bool holds = op->kind == MUX_SEND || op->kind == MUX_SENDTO;
		struct mux_buf *held = holds ? op->buf : NULL;

		mux->completed = op->next;
		if (!mux->completed)
			mux->completed_tail = &mux->completed;
		op->outstanding = false;
		op->done(op, op->result);
		mux_buf_unref(held);
	}
}

/* ---- submitting ---- */

static void submit(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
	struct os_address *address, mux_done *done)
{
	assert(!io->closing && !op->outstanding);
	op->outstanding = true;
	op->kind = kind;
	op->io = io;
	op->done = done;
	op->address = address;
	op->buf = NULL;
	op->data = NULL;
	op->moved = 0;
}

static void submit_reading(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
	struct os_address *address, mux_done *done)
{
	assert(!io->reading);
	submit(io, op, kind, address, done);
	io->reading = op;
	if (io->ready & MUX_READ)
		mark_runnable(io);
	else
		mark_changed(io);
}

static void submit_writing(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
	struct os_address *address, mux_done *done)
{
	assert(!io->writing);
	submit(io, op, kind, address, done);
	io->writing = op;
	mark_changed(io);
}

void mux_accept(struct mux_io *io, struct mux_op *op, struct os_address *peer, mux_done *done)
{
	submit_reading(io, op, MUX_ACCEPT, peer, done);
}

void mux_recv(struct mux_io *io, struct mux_op *op, mux_done *done)
{
	submit_reading(io, op, MUX_RECV, NULL, done);
}

void mux_recvfrom(struct mux_io *io, struct mux_op *op, struct os_address *from, mux_done *done)
{
	submit_reading(io, op, MUX_RECVFROM, from, done);
}

void mux_connect(struct mux_io *io, struct mux_op *op, struct os_address *to, mux_done *done)
{
	submit_writing(io, op, MUX_CONNECT, to, done);

	int error = os_connect(io->fd, to);

	if (error != -EINPROGRESS)
		complete(op, error);
}

static void try_send(struct mux_op *op)
{
	struct mux_io *io = op->io;

	while (op->moved < op->length) {
		ssize_t n =
			os_write(io->fd, io->kind, op->data + op->moved, op->length - op->moved);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			complete(op, n);
			return;
		}
		op->moved += (size_t)n;
		io->moved_at = io->mux->now;
		if (io->kind == OS_SHARED && op->moved < op->length)
			return; /* readiness promised this one write, not a second */
	}
	complete(op, (ssize_t)op->length);
}

static void try_sendto(struct mux_op *op)
{
	ssize_t n = os_sendto(op->io->fd, op->data, op->length, op->address);

	/* no event tells when a Unix peer has room again, but of the one it is connected to */
	if (n == -EAGAIN && !(op->address && op->address->u.any.sa_family == AF_UNIX))
		return;
	if (n >= 0) {
		op->moved = (size_t)n;
		op->io->moved_at = op->io->mux->now;
	}
	complete(op, n);
}

/* Take hold of the bytes of an operation that could not end at once. */
static void keep_parked(struct mux_op *op, struct mux_buf *buf)
{
	if (op->io->writing != op) {
		op->buf = mux_buf_ref(buf);
		return;
	}
	op->buf = mux_buf_keep(buf, &op->data, op->length);
	if (!op->buf)
		complete(op, -ENOMEM);
}

void mux_send(struct mux_io *io, struct mux_op *op, struct mux_buf *buf, const unsigned char *data,
	size_t length, mux_done *done)
{
	submit_writing(io, op, MUX_SEND, NULL, done);
	op->data = data;
	op->length = length;
	if (io->kind != OS_SHARED)
		try_send(op);
	keep_parked(op, buf);
}

void mux_sendto(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	const unsigned char *data, size_t length, struct os_address *to, mux_done *done)
{
	submit_writing(io, op, MUX_SENDTO, to, done);
	op->data = data;
	op->length = length;
	try_sendto(op);
	keep_parked(op, buf);
}

void mux_cancel(struct mux_op *op)
{
	if (op->io && (op == op->io->reading || op == op->io->writing))
		complete(op, -ECANCELED);
}

bool mux_op_outstanding(const struct mux_op *op)
{
	return op->outstanding;
}

/* ---- readiness ---- */

/* Nothing is left: from here on the backend has to tell. */
static void drained(struct mux_io *io)
{
	io->ready &= (unsigned char)~MUX_READ;
	mark_changed(io);
}

static void accept_ready(struct mux_io *io)
{
	for (int budget = EVENT_BUDGET; budget && io->reading; budget--) {
		struct mux_op *op = io->reading;
		mux_fd fd = os_accept(io->fd, op->address);

		if (fd == -EAGAIN) {
			drained(io);
			return;
		}
		if (fd == -ECONNABORTED)
			continue;
		op->accepted = fd;
		complete(op, fd < 0 ? fd : 0);
		deliver(io->mux);
	}
	if (io->edge && io->reading) /* the budget ended before the backlog did */
		mark_runnable(io);
}

/* False when nothing was there. */
static bool receive_once(struct mux_io *io)
{
	struct mux *mux = io->mux;
	struct mux_op *op = io->reading;
	ssize_t n;

	if (!mux->lent && !(mux->lent = mux_buf_new(RECEIVE_SIZE))) {
		complete(op, -ENOMEM);
		return false;
	}

	struct mux_buf *buf = mux->lent;

	if (op->kind == MUX_RECV)
		n = os_read(io->fd, io->kind, buf->data, buf->size);
	else
		n = os_recvfrom(io->fd, buf->data, buf->size, op->address);
	if (n == -EAGAIN) {
		drained(io);
		return false;
	}
	/*
	 * On an edge-triggered stream a short read means that nothing is left (epoll(7)), unless
	 * an end or urgent data has been announced: no further edge would come for what is behind.
	 */
	if (io->edge && op->kind == MUX_RECV && n > 0 && (size_t)n < buf->size && !io->short_reads)
		io->ready &= (unsigned char)~MUX_READ;
	if (n > 0)
		io->moved_at = mux->now;
	op->buf = buf;
	op->data = buf->data;
	complete(op, n);
	deliver(mux);
	if (buf->refs > 1) { /* somebody keeps it: the next receive gets another */
		mux_buf_unref(buf);
		mux->lent = NULL;
	}
	return true;
}

static void readable(struct mux_io *io)
{
	switch (io->reading->kind) {
	case MUX_ACCEPT:
		accept_ready(io);
		break;
	case MUX_RECV:
		receive_once(io);
		break;
	default:
		for (int budget = EVENT_BUDGET; budget && io->reading; budget--)
			if (!receive_once(io))
				break;
		break;
	}
}

static void writable(struct mux_io *io)
{
	struct mux_op *op = io->writing;

	switch (op->kind) {
	case MUX_CONNECT:
		complete(op, os_connect_result(io->fd));
		break;
	case MUX_SEND:
		try_send(op);
		break;
	default:
		try_sendto(op);
		break;
	}
	deliver(io->mux);
}

/* Once a turn, as soon as the wait is over; not at all while no timer asks for it. */
static void read_clock(struct mux *mux)
{
	if (mux->waited && mux->timers)
		mux->now = os_now();
	mux->waited = false;
}

void mux_io_ready(struct mux_io *io, unsigned events)
{
	read_clock(io->mux);
	if (io->closing)
		return;
	if (io->edge) {
		io->ready |= events & MUX_READ;
		if (events & MUX_SHORT_READS)
			io->short_reads = true;
	}
	if ((events & MUX_READ) && io->reading)
		readable(io);
	if ((events & MUX_WRITE) && io->writing)
		writable(io);
}

static void run_runnable(struct mux *mux)
{
	struct mux_io *io = mux->runnable;

	mux->runnable = NULL;
	while (io) {
		struct mux_io *next = io->next_runnable;

		io->runnable = false;
		if (io->reading && (io->ready & MUX_READ))
			readable(io);
		io = next;
	}
}

/* ---- before waiting ---- */

static void fail_outstanding(struct mux_io *io, int error)
{
	if (io->reading)
		complete(io->reading, error);
	if (io->writing)
		complete(io->writing, error);
}

static void apply_interest(struct mux_io *io)
{
	struct mux *mux = io->mux;
	unsigned interest = (io->reading ? MUX_READ : 0) | (io->writing ? MUX_WRITE : 0);

	if (io->kind == OS_FILE)
		interest = 0; /* always ready: runs without waiting */
	else if (io->edge && (interest || io->wanted))
		interest = MUX_READ | MUX_WRITE; /* once, and for as long as it is open */
	if (io->closing)
		interest = 0;
	if (interest == io->wanted)
		return;

	int error = mux->backend->want(mux->state, io, interest);

	if (error == 0) {
		io->wanted = (unsigned char)interest;
	} else if (error == -EPERM) { /* epoll(7) refuses what is always ready */
		io->kind = OS_FILE;
		io->edge = false;
		io->ready = MUX_READ;
		if (io->writing)
			writable(io);
		if (io->reading)
			mark_runnable(io);
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
			os_close(io->fd);
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
		deliver(mux);
		apply_changes(mux);
		if (!mux->completed)
			close_handles(mux);
	} while (mux->completed || mux->changed);
}

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
		deliver(mux);
		mux_timers_run(mux);
		deliver(mux);
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
	/*
	 * Files are always ready. Of a FIFO that was opened anew, poll(2) does not report an end
	 * that was there before, so it is read until nothing is left before it is waited for.
	 */
	io->ready = kind == OS_FILE || kind == OS_NONBLOCKING ? MUX_READ : 0;
	io->moved_at = mux->now;
	io->slot = -1;
	mux->handles++;
	return 0;
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
		io->mux->backend->want(io->mux->state, io, 0);
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
	mark_changed(io);
}

mux_fd mux_descriptor_limit(const struct mux *mux)
{
	return mux->backend->descriptor_limit;
}

uint64_t mux_now(const struct mux *mux)
{
	return mux->now;
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
	*error = backend->open(&mux->state);
	if (*error)
		goto fail;
	*error = os_waker_open(&mux->waker);
	if (*error)
		goto fail_backend;
	*error = mux_attach(mux, &mux->waker_io, mux->waker.read_end, OS_NONBLOCKING);
	if (*error)
		goto fail_waker;
	mux->handles = 0;
	mux_hear_posts(mux);
	return mux;

fail_waker:
	os_waker_close(&mux->waker);
fail_backend:
	backend->close(mux->state);
fail:
	free(mux);
	return NULL;
}

void mux_free(struct mux *mux)
{
	assert(!mux->handles && !mux->holds);
	mux->backend->close(mux->state);
	os_waker_close(&mux->waker);
	mux_buf_unref(mux->lent);
	free(mux->heap);
	free(mux);
}
