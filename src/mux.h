/*
 * The multiplexing core: completion, not readiness.
 *
 * Submit an operation on a handle and get exactly one callback, from the loop and never from inside
 * the submit. That is what IOCP gives; over select, poll and epoll the core does it by trying, then
 * parking until the handle is ready.
 *
 *	struct mux *loop = mux_new("epoll", false, &error);
 *	mux_attach(loop, &io, fd, OS_SOCKET);
 *	mux_recv(&io, &op, received);           -> received(&op, n) with op.data, lent
 *	mux_run(loop);                          returns when nothing is left to wait for
 *
 * Handles, operations and timers live in the caller's memory and must stay there until their last
 * callback. One reading operation (accept, recv, recvfrom) and one writing operation (connect,
 * send, sendto) at most are outstanding on a handle: there is no queue in the core, and whoever
 * does not ask does not get.
 *
 * Results are >= 0 or a negative errno value. Times are milliseconds, lengths are bytes. A loop
 * belongs to one thread; mux_post is the one call that others may make.
 */
#ifndef MUXCAT_MUX_H
#define MUXCAT_MUX_H

#include "os.h"

#include <stdatomic.h>

struct mux;
struct mux_op;
struct mux_io;
struct mux_timer;
struct mux_task;

/* The object of `type` whose `member` is at `pointer`. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

typedef void mux_done(struct mux_op *op, ssize_t result);
typedef void mux_closed(struct mux_io *io);
typedef void mux_expired(struct mux_timer *timer);
typedef void mux_task_fn(struct mux_task *task);

/*
 * A reference-counted piece of memory. Once it is shared its published bytes never change. The
 * receive callback is lent one: it is valid during the callback, and longer for whoever takes a
 * reference.
 */
struct mux_buf {
	unsigned refs;
	size_t size;
	struct os_pages *pages; /* of a file, in place of `data` (mux_in_bulk); or NULL */
	unsigned char *data;    /* begins a cache line: the kernel copies it quicker */
};

/* A buffer of `size` bytes with one reference, or NULL when memory is short. */
struct mux_buf *mux_buf_new(size_t size);
struct mux_buf *mux_buf_ref(struct mux_buf *buf);
void mux_buf_unref(struct mux_buf *buf); /* NULL is allowed */

/*
 * The next pages of a file as a buffer with one reference, or *mapped is NULL: as os_map_next, with
 * -ENOMEM when memory is short.
 */
ssize_t mux_buf_map(struct mux_buf **mapped, const unsigned char **data, mux_fd fd);

/*
 * A reference to the `length` bytes at `*data` inside `buf`, for keeping: buf itself, or, when they
 * are few in a big buffer, a small copy (and *data moves there). NULL when memory is short.
 */
struct mux_buf *mux_buf_keep(struct mux_buf *buf, const unsigned char **data, size_t length);

enum mux_op_kind {
	MUX_ACCEPT,
	MUX_CONNECT,
	MUX_RECV,
	MUX_RECVFROM,
	MUX_RECV_DATAGRAMS,
	MUX_SEND, /* from here on they hold a buffer */
	MUX_SENDTO,
	MUX_SEND_DATAGRAMS,
};

/*
 * One operation; zeroed memory is one that was never submitted. It may be submitted again from its
 * callback on, not before, also when it has been cancelled. The fields above the line are for the
 * callback to read, the rest is the core's.
 */
struct mux_op {
	struct mux_buf *buf;       /* recv: lent for the callback; send: held until it */
	const unsigned char *data; /* the bytes received, or to send */
	size_t moved;    /* send: bytes (or datagrams) gone so far, for whoever watches progress */
	mux_fd accepted; /* accept: the new descriptor, the callback's to keep or close */
	union {
		struct os_address
			*address; /* accept, recvfrom: the caller's room for the peer (may be
					       NULL); connect, sendto: the target, kept till the end */
		struct os_datagram *datagrams;
	};
	/* ---- */
	struct mux_io *io;
	mux_done *done;
	struct mux_op *next;
	size_t length; /* bytes, or datagrams */
	ssize_t result;
	enum mux_op_kind kind;
	bool outstanding; /* submitted, and its callback has not begun */
};

/* A handle: a descriptor in a loop. Only `fd`, `mux` and `moved_at` are for others to read. */
struct mux_io {
	struct mux *mux;
	mux_fd fd;
	enum os_kind kind;
	const struct mux_calls *calls; /* how it is watched and its bytes moved */
	struct mux_op *reading;        /* the outstanding operations, or NULL */
	struct mux_op *writing;
	uint64_t moved_at; /* mux_now() when a byte last moved, either way */
	struct mux_io *next_changed;
	unsigned char wanted; /* what the backend watches for: MUX_READ | MUX_WRITE */
	unsigned char ready;  /* known to be ready, without asking the backend */
	bool edge : 1;        /* registered edge-triggered */
	bool one_shot : 1;    /* what it waits for is asked for anew each time */
	bool short_reads : 1; /* edge: a short read no longer means that nothing is left */
	bool changed : 1;     /* on the list of handles whose interest is to be looked at */
	bool runnable : 1;    /* on the list of handles to try without waiting */
	bool closing : 1;
	bool bulk : 1;  /* mux_in_bulk */
	bool grows : 1; /* if it is a pipe, and full */
	int slot;       /* the backend's: where it keeps this handle */
	/* ---- seldom looked at ---- */
	void *under; /* what those calls keep of it */
	mux_closed *closed;
	struct mux_io *next_runnable;
	struct mux_io *next_closing;
};

/* ---- the loop ---- */

/* The names of this build's backends, the default first, NULL at the end. */
const char *const *mux_backends(void);
bool mux_backend_has_edge(const char *name);

/*
 * A loop on the backend `name` (one of mux_backends), edge-triggered if `edge`. NULL and *error on
 * failure. mux_free wants every handle closed.
 */
struct mux *mux_new(const char *name, bool edge, int *error);
void mux_free(struct mux *mux);

/*
 * Runs callbacks until no handle is attached and nothing held; a timer alone does not keep it. 0,
 * or what failed.
 */
int mux_run(struct mux *mux);

/* Milliseconds, read once a turn: the time at which this turn began. */
uint64_t mux_now(const struct mux *mux);

/* Keeps mux_run running while something is under way that has no handle, as a look-up's thread. */
void mux_hold(struct mux *mux);
void mux_release(struct mux *mux);

/* ---- handles ---- */

/*
 * Put `fd` into the loop as `io`, whose memory need not be initialised. On success the fd is the
 * handle's. Fails with -EMFILE when the backend cannot hold so high a descriptor (select's
 * FD_SETSIZE); the fd is then still the caller's.
 */
int mux_attach(struct mux *mux, struct mux_io *io, mux_fd fd, enum os_kind kind);

/*
 * Take the descriptor out again, open; nothing may be outstanding on the handle. From a callback of
 * this handle's only, since the turn's batch may hold an event for it otherwise.
 */
mux_fd mux_detach(struct mux_io *io);

/*
 * Cancel what is outstanding (each operation still gets its callback), and at the end of the turn
 * close the descriptor and call `closed` (may be NULL); not before may io's memory be reused.
 */
void mux_close(struct mux_io *io, mux_closed *closed);

/* The handles with a descriptor at or above this cannot be attached; 0 means no limit. */
mux_fd mux_descriptor_limit(const struct mux *mux);

/* ---- operations ---- */

/* Result 0: op->accepted is a connected, non-blocking descriptor from op->address. */
void mux_accept(struct mux_io *io, struct mux_op *op, struct os_address *peer, mux_done *done);

/* Result 0: connected. -EAGAIN: a Unix socket's backlog is full (connect(2)); try again later. */
void mux_connect(struct mux_io *io, struct mux_op *op, struct os_address *to, mux_done *done);

/* Result n > 0: op->data holds n bytes in op->buf, lent. 0: end of file. */
void mux_recv(struct mux_io *io, struct mux_op *op, mux_done *done);

/*
 * For what is only sent on, at both its ends: a pipe that is full grows, and mux_recv takes more of it
 * at a time; of a big regular file mux_recv lends the pages as they are mapped (mmap(2)), which saves
 * the copy. Only mux_send may look at those, since a file that somebody shortens loses pages (SIGBUS).
 * The send of them then ends with MUX_SHORTENED, and some of the last bytes may have gone as zeros; or
 * with MUX_UNREADABLE if the disk failed.
 */
void mux_in_bulk(struct mux_io *io);
enum { MUX_SHORTENED = -20000, MUX_UNREADABLE = -20004 };

/*
 * Send all of the `length` bytes at `data`, which lies in `buf`; the core holds its own reference.
 * Result `length`, or an error after op->moved bytes.
 */
void mux_send(struct mux_io *io, struct mux_op *op, struct mux_buf *buf, const unsigned char *data,
	size_t length, mux_done *done);

/*
 * mux_send for one who has nothing to do but go on: true, all has gone, and `done` will not be called.
 * False: as mux_send. The callback of a send comes after those of all that were submitted before it,
 * when what belongs to it has left the processor's cache again.
 */
bool mux_send_now(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	const unsigned char *data, size_t length, mux_done *done);

/*
 * One datagram. Result 0 is an empty datagram, not an end; -EMSGSIZE: it was too long, and is lost.
 * A NULL `to` is the connected peer; -EAGAIN: a Unix peer's queue or our buffer is full, and
 * nothing will tell when it is not.
 */
void mux_recvfrom(struct mux_io *io, struct mux_op *op, struct os_address *from, mux_done *done);
void mux_sendto(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	const unsigned char *data, size_t length, struct os_address *to, mux_done *done);

/*
 * Several datagrams at a time, by fewer system calls: `count` is OS_DATAGRAMS at most. Received, the
 * result is how many have come. Sent, it is `count`, and what could not be sent is lost. `datagrams` and
 * their data are the caller's, and are kept until the callback; those to be sent lie in `buf`.
 */
void mux_recv_datagrams(struct mux_io *io, struct mux_op *op, struct os_datagram *datagrams,
	size_t count, mux_done *done);
void mux_send_datagrams(struct mux_io *io, struct mux_op *op, struct mux_buf *buf,
	struct os_datagram *datagrams, size_t count, mux_done *done);

/*
 * Ask for op's end: it still calls back, with -ECANCELED or, if it was quicker, its result. Nothing
 * happens to an operation that is not outstanding.
 */
void mux_cancel(struct mux_op *op);

/* Has `op` been submitted, and its callback not begun? */
bool mux_op_outstanding(const struct mux_op *op);

/* ---- timers ---- */

/* One-shot. Zeroed memory is a stopped timer. The last four fields are the core's. */
struct mux_timer {
	mux_expired *expired;
	uint64_t due;
	uint64_t key;
	struct mux *mux;
	size_t position; /* in the heap, counted from 1; 0 is stopped */
};

/* Arms or moves `timer` to `delay` from now. Moving it later costs no heap operation. */
void mux_timer_start(
	struct mux *mux, struct mux_timer *timer, uint64_t delay, mux_expired *expired);
void mux_timer_stop(struct mux_timer *timer);
bool mux_timer_armed(const struct mux_timer *timer);

/* ---- from other threads and signal handlers ---- */

/* Run `task->run(task)` in the loop's thread. A task that is queued already is not queued twice. */
struct mux_task {
	mux_task_fn *run;
	struct mux_task *next;
	atomic_bool queued;
};
void mux_post(struct mux *mux, struct mux_task *task);

#endif
