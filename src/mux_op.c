/*
 * The operations, written once for everything that can stand under a handle: submit, then try.
 *
 * A writing operation is tried when it is submitted; a reading one is parked first, because its
 * bytes are most often still on their way. What would block stays in its handle's slot until the
 * handle is called ready, and is tried again then.
 */
#include "mux_loop.h"

#include <assert.h>
#include <errno.h>

/*
 * What one receive takes at most: any datagram, and few enough bytes to be in the processor's cache
 * still when they are sent on. In bulk, as much as one wake can bring of a pipe.
 */
enum { RECEIVE_SIZE = 64 * 1024, BULK_SIZE = 512 * 1024 };

/* How many accepts or datagrams one event may bring before the other handles have their turn. */
enum { EVENT_BUDGET = 64 };

/* ---- the end of an operation ---- */

static inline void vacate_writing(struct mux_io *io)
{
	io->writing = NULL;
	if ((io->wanted & MUX_WRITE) && !io->edge)
		mux_mark_changed(io);
}

/* The operation has ended: out of its handle's slot, and to the callbacks to make. */
void mux_complete(struct mux_op *op, ssize_t result)
{
	struct mux_io *io = op->io;

	assert(op == io->reading || op == io->writing);
	if (op == io->reading) {
		io->reading = NULL;
		mux_mark_changed(io);
	} else {
		vacate_writing(io);
	}
	op->result = result;
	op->next = NULL;
	*io->mux->completed_tail = op;
	io->mux->completed_tail = &op->next;
}

void mux_deliver(struct mux *mux)
{
	struct mux_op *op;

	while ((op = mux->completed)) {
		struct mux_buf *held = op->kind >= MUX_SEND ? op->buf : NULL;

		mux->completed = op->next;
		if (!mux->completed)
			mux->completed_tail = &mux->completed;
		op->outstanding = false;
		op->done(op, op->result);
		mux_buf_unref(held);
	}
}

/* ---- submitting ---- */

static inline void submit(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
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

static inline void submit_reading(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
	struct os_address *address, mux_done *done)
{
	assert(!io->reading);
	submit(io, op, kind, address, done);
	io->reading = op;
	if (io->ready & MUX_READ)
		mux_mark_runnable(io);
	else
		mux_mark_changed(io);
}

static inline void submit_writing(struct mux_io *io, struct mux_op *op, enum mux_op_kind kind,
	struct os_address *address, mux_done *done)
{
	assert(!io->writing);
	submit(io, op, kind, address, done);
	io->writing = op;
}

void mux_accept(struct mux_io *io, struct mux_op *op, struct os_address *peer, mux_done *done)
{
	submit_reading(io, op, MUX_ACCEPT, peer, done);
}

void mux_recv(struct mux_io *io, struct mux_op *op, mux_done *done)
{
	submit_reading(io, op, MUX_RECV, NULL, done);
}

void mux_in_bulk(struct mux_io *io)
{
	io->bulk = io->grows = io->kind != OS_SOCKET;
}

void mux_recvfrom(struct mux_io *io, struct mux_op *op, struct os_address *from, mux_done *done)
{
	submit_reading(io, op, MUX_RECVFROM, from, done);
}

void mux_connect(struct mux_io *io, struct mux_op *op, struct os_address *to, mux_done *done)
{
	submit_writing(io, op, MUX_CONNECT, to, done);

	int error = io->calls->connect(io, to);

	if (error == -EINPROGRESS)
		mux_mark_changed(io);
	else
		mux_complete(op, error);
}

/* A pipe in bulk is full: true if it may hold more from now on. Once; it may have been no pipe. */
static bool grow(struct mux_io *io)
{
	if (!io->grows)
		return false;
	io->grows = false;
	os_enlarge_pipe(io->fd);
	return true;
}

/* What the result of a send means if a file's pages were sent: those that are gone are EFAULT. */
static ssize_t with_pages(const struct mux_op *op, ssize_t result)
{
	if (!os_pages_are_whole(op->buf->pages))
		return MUX_SHORTENED;
	return result == -EFAULT ? MUX_UNREADABLE : result;
}

/* All of it, an error, or -EAGAIN: the rest is still to go. */
static ssize_t send_rest(struct mux_op *op)
{
	struct mux_io *io = op->io;

	while (op->moved < op->length) {
		ssize_t n = io->calls->write(io, op);

		if (n == -EAGAIN && grow(io))
			continue;
		if (n < 0)
			return n == -EAGAIN || !op->buf->pages ? n : with_pages(op, n);
		op->moved += (size_t)n;
		io->moved_at = io->mux->now;
		if (io->kind == OS_SHARED && op->moved < op->length)
			return -EAGAIN; /* readiness promised this one write, not a second */
	}
	return op->buf->pages ? with_pages(op, (ssize_t)op->length) : (ssize_t)op->length;
}

static void try_send(struct mux_op *op)
{
	ssize_t result = send_rest(op);

	if (result != -EAGAIN)
		mux_complete(op, result);
}

/* No event tells when a Unix peer has room again, but of the one that the socket is connected to. */
static bool is_told_of_room(const struct os_address *to)
{
	return !to || to->u.any.sa_family != AF_UNIX;
}

static void try_sendto(struct mux_op *op)
{
	ssize_t n = op->io->calls->sendto(op->io, op);

	if (n == -EAGAIN && is_told_of_room(op->address))
		return;
	if (n >= 0) {
		op->moved = (size_t)n;
		op->io->moved_at = op->io->mux->now;
	}
	mux_complete(op, n);
}

/* What could not be sent at once may wait for long: it keeps little of a big buffer. */
static void park(struct mux_op *op)
{
	struct mux_buf *buf = op->buf;

	mux_mark_changed(op->io);
	op->buf = mux_buf_keep(buf, &op->data, op->length);
	if (op->buf)
		mux_buf_unref(buf);
	else
		op->buf = buf;
}

/* Not in the operation itself, which most often is not needed and may be far from the processor. */
static struct mux_op first_try(
	struct mux_io *io, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	return (struct mux_op){ .io = io, .buf = buf, .data = data, .length = length };
}

static ssize_t send_at_once(struct mux_op *first)
{
	assert(!first->io->closing && !first->io->writing);
	return first->io->kind == OS_SHARED ? -EAGAIN : send_rest(first);
}

static void go_on(struct mux_op *op, const struct mux_op *first, ssize_t result, mux_done *done)
{
	submit_writing(first->io, op, MUX_SEND, NULL, done);
	op->buf = mux_buf_ref(first->buf);
	op->data = first->data;
	op->length = first->length;
	op->moved = first->moved;
	if (result == -EAGAIN)
		park(op);
	else
		mux_complete(op, result);
}

void mux_send(struct mux_io *io, struct mux_op *op, struct mux_buf *buf, const unsigned char *data,
	size_t length, mux_done *done)
{
	struct mux_op first = first_try(io, buf, data, length);

	go_on(op, &first, send_at_once(&first), done);
}

bool mux_send_now(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	const unsigned char *data, size_t length, mux_done *done)
{
	struct mux_op first = first_try(io, buf, data, length);
	ssize_t result = send_at_once(&first);

	if (result != (ssize_t)length) {
		go_on(op, &first, result, done);
		return false;
	}
	vacate_writing(io);
	return true;
}

void mux_sendto(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	const unsigned char *data, size_t length, struct os_address *to, mux_done *done)
{
	submit_writing(io, op, MUX_SENDTO, to, done);
	op->data = data;
	op->length = length;
	op->buf = mux_buf_ref(buf);
	try_sendto(op);
	if (io->writing == op)
		park(op);
}

void mux_recv_datagrams(struct mux_io *io, struct mux_op *op, struct os_datagram *datagrams,
	size_t count, mux_done *done)
{
	submit_reading(io, op, MUX_RECV_DATAGRAMS, NULL, done);
	op->datagrams = datagrams;
	op->length = count;
}

/* The next of them, where each has a call of its own. */
static ssize_t send_next(const struct mux_op *op)
{
	struct os_datagram *datagram = op->datagrams + op->moved;
	struct mux_op one = *op;
	ssize_t n;

	one.data = datagram->data;
	one.length = (size_t)datagram->length;
	one.address = &datagram->peer;
	n = op->io->calls->sendto(op->io, &one);
	return n < 0 ? n : 1;
}

static void try_send_datagrams(struct mux_op *op)
{
	struct mux_io *io = op->io;

	while (op->moved < op->length) {
		ssize_t n = io->calls->send_datagrams ? io->calls->send_datagrams(io, op)
						      : send_next(op);

		if (n == -EAGAIN && is_told_of_room(&op->datagrams[op->moved].peer))
			return;
		if (n > 0)
			io->moved_at = io->mux->now;
		op->moved += n > 0 ? (size_t)n : 1;
	}
	mux_complete(op, (ssize_t)op->length);
}

void mux_send_datagrams(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	struct os_datagram *datagrams, size_t count, mux_done *done)
{
	submit_writing(io, op, MUX_SEND_DATAGRAMS, NULL, done);
	op->buf = mux_buf_ref(buf);
	op->datagrams = datagrams;
	op->length = count;
	try_send_datagrams(op);
	if (io->writing == op)
		mux_mark_changed(io);
}

void mux_fail(struct mux_op *op, int error)
{
	struct mux_io *io = op->io;

	if (io->calls->cancelled)
		io->calls->cancelled(io, op);
	mux_complete(op, error);
}

void mux_cancel(struct mux_op *op)
{
	if (op->io && (op == op->io->reading || op == op->io->writing))
		mux_fail(op, -ECANCELED);
}

bool mux_op_outstanding(const struct mux_op *op)
{
	return op->outstanding;
}

/* ---- trying ---- */

/* Nothing is left: from here on the backend has to tell. */
static void drained(struct mux_io *io)
{
	io->ready &= (unsigned char)~MUX_READ;
	mux_mark_changed(io);
}

static void accept_ready(struct mux_io *io)
{
	for (int budget = EVENT_BUDGET; budget && io->reading; budget--) {
		struct mux_op *op = io->reading;
		mux_fd fd = io->calls->accept(io, op->address);

		if (fd == -EAGAIN) {
			drained(io);
			return;
		}
		if (fd == -ECONNABORTED)
			continue;
		op->accepted = fd;
		mux_complete(op, fd < 0 ? fd : 0);
		mux_deliver(io->mux);
	}
	if (io->edge && io->reading) /* the budget ended before the backlog did */
		mux_mark_runnable(io);
}

/* What the next receive of this handle reads into, or NULL when memory is short. */
static struct mux_buf **lend(struct mux_io *io)
{
	struct mux_buf **lent = io->bulk ? &io->mux->lent_bulk : &io->mux->lent;

	if (!*lent)
		*lent = mux_buf_new(io->bulk ? BULK_SIZE : RECEIVE_SIZE);
	return *lent ? lent : NULL;
}

static void received(struct mux_op *op, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct mux *mux = op->io->mux;

	if (n > 0)
		op->io->moved_at = mux->now;
	if (n >= RECEIVE_SIZE) /* all that a pipe holds */
		grow(op->io);
	op->buf = buf;
	op->data = data;
	mux_complete(op, n);
	mux_deliver(mux);
}

/* A file's own pages in place of a buffer's; false: it is to be read. */
static bool lend_pages(struct mux_io *io)
{
	const unsigned char *data;
	struct mux_buf *buf;
	ssize_t n = mux_buf_map(&buf, &data, io->fd);

	if (n < 0)
		return false;
	received(io->reading, buf, data, n);
	mux_buf_unref(buf);
	return true;
}

/* False when nothing was there. */
static bool receive_once(struct mux_io *io)
{
	struct mux_op *op = io->reading;
	struct mux_buf **lent;
	ssize_t n;

	if (io->bulk && io->kind == OS_FILE && lend_pages(io))
		return true;
	lent = lend(io);
	if (!lent) {
		mux_complete(op, -ENOMEM);
		return false;
	}

	struct mux_buf *buf = *lent;

	if (op->kind == MUX_RECV)
		n = io->calls->read(io, buf->data, buf->size);
	else
		n = io->calls->recvfrom(io, buf->data, buf->size, op->address);
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
	received(op, buf, buf->data, n);
	if (buf->refs > 1) { /* somebody keeps it: the next receive gets another */
		mux_buf_unref(buf);
		*lent = NULL;
	}
	return true;
}

/*
 * Datagrams that come faster than one turn takes them: the handle is not watched meanwhile. With a
 * watcher the kernel would call epoll back for every one that comes or has been sent.
 */
static void leave_unwatched(struct mux_io *io)
{
	if (!io->reading || io->one_shot)
		return;
	io->ready |= MUX_READ;
	mux_mark_runnable(io);
	mux_mark_changed(io);
}

static void receive_some(struct mux_io *io)
{
	for (int budget = EVENT_BUDGET; budget && io->reading; budget--)
		if (!receive_once(io))
			return;
	leave_unwatched(io);
}

/* As many as there are, where each has a call of its own. */
static ssize_t receive_each(const struct mux_op *op)
{
	struct mux_io *io = op->io;
	size_t n = 0;

	for (; n < op->length; n++) {
		struct os_datagram *into = &op->datagrams[n];

		into->length = io->calls->recvfrom(io, into->data, into->size, &into->peer);
		if (into->length < 0 && into->length != -EMSGSIZE)
			return n ? (ssize_t)n : into->length;
	}
	return (ssize_t)n;
}

/* False when no more are there, or it will be told of them. */
static bool receive_batch(struct mux_io *io)
{
	struct mux_op *op = io->reading;
	size_t room = op->length;
	ssize_t n =
		io->calls->recv_datagrams ? io->calls->recv_datagrams(io, op) : receive_each(op);
	bool all = n < (ssize_t)room && !io->edge;

	if (n == -EAGAIN || all)
		drained(io);
	if (n == -EAGAIN)
		return false;
	if (n > 0)
		io->moved_at = io->mux->now;
	mux_complete(op, n);
	mux_deliver(io->mux);
	return !all;
}

static void receive_batches(struct mux_io *io)
{
	for (int budget = EVENT_BUDGET; budget > 0 && io->reading; budget -= OS_DATAGRAMS)
		if (!receive_batch(io))
			return;
	leave_unwatched(io);
}

static void readable(struct mux_io *io)
{
	if (io->one_shot) { /* used up, whether it was told or found at once */
		io->ready = 0;
		io->wanted &= (unsigned char)~MUX_READ;
	}
	switch (io->reading->kind) {
	case MUX_ACCEPT:
		accept_ready(io);
		break;
	case MUX_RECV:
		receive_once(io);
		break;
	case MUX_RECV_DATAGRAMS:
		receive_batches(io);
		break;
	default:
		receive_some(io);
		break;
	}
}

static void writable(struct mux_io *io)
{
	struct mux_op *op = io->writing;

	switch (op->kind) {
	case MUX_CONNECT:
		mux_complete(op, io->calls->connect_result(io));
		break;
	case MUX_SEND:
		try_send(op);
		break;
	case MUX_SEND_DATAGRAMS:
		try_send_datagrams(op);
		break;
	default:
		try_sendto(op);
		break;
	}
	mux_deliver(io->mux);
}

void mux_try(struct mux_io *io, unsigned events)
{
	if ((events & MUX_READ) && io->reading)
		readable(io);
	if ((events & MUX_WRITE) && io->writing)
		writable(io);
}

void mux_io_ready_at_once(struct mux_io *io)
{
	io->ready |= MUX_READ;
	mux_mark_runnable(io);
}
