/*
 * What an event mechanism provides to mux.c. A readiness backend knows interest and waiting, and
 * nothing of operations. Each backend file holds these functions in this order.
 */
#ifndef MUXCAT_MUX_BACKEND_H
#define MUXCAT_MUX_BACKEND_H

#include "mux.h"

enum {
	MUX_READ = 1,
	MUX_WRITE = 2,
	MUX_SHORT_READS = 4, /* edge: a read may be short and yet leave something unread */
};

/*
 * What stands under a handle. Each call is one try that never blocks and returns what the os_
 * function of its name does. -EAGAIN is "not now": for a readiness backend until the handle is
 * ready; where a system completes operations (IOCP, a thread) the call has begun one, and the try
 * after mux_io_ready collects it.
 */
struct mux_calls {
	bool one_shot; /* mux_io_ready ends the interest that it reports; `want` is not called with less */

	/* To begin and end with a handle; NULL: nothing is to be done. */
	int (*attach)(struct mux_io *io);
	void (*detach)(struct mux_io *io);

	int (*want)(struct mux_io *io, unsigned interest); /* see struct mux_backend */
	void (*close)(struct mux_io *io);
	mux_fd (*accept)(struct mux_io *io, struct os_address *peer);
	int (*connect)(struct mux_io *io, const struct os_address *to);
	int (*connect_result)(struct mux_io *io);
	ssize_t (*read)(struct mux_io *io, void *into, size_t size);
	ssize_t (*recvfrom)(struct mux_io *io, void *into, size_t size, struct os_address *from);

	/* As op says; NULL: one by one, by the others. How many, at least one, or a negative errno. */
	ssize_t (*recv_datagrams)(struct mux_io *io, const struct mux_op *op);
	ssize_t (*send_datagrams)(struct mux_io *io, const struct mux_op *op);

	/* From op->data + op->moved on; a call that goes on takes its own reference to op->buf. */
	ssize_t (*write)(struct mux_io *io, const struct mux_op *op);
	ssize_t (*sendto)(struct mux_io *io, const struct mux_op *op);

	/* op is called back now, whatever goes on: its result is nobody's. NULL: nothing does. */
	void (*cancelled)(struct mux_io *io, const struct mux_op *op);
};

extern const struct mux_calls mux_ready_calls;

struct mux_backend {
	const char *name;
	bool has_edge;
	mux_fd descriptor_limit; /* the first descriptor too high for it; 0: none is */

	/* Make the state for one loop: *state, 0; or a negative errno. */
	int (*open)(void **state);
	void (*close)(void *state);

	/* How a socket's bytes move; NULL: by mux_ready_calls, and `want` watches. */
	const struct mux_calls *calls;

	/*
	 * Watch io for `interest` in place of io->wanted; either may be 0, which is "not at all":
	 * not even a hang-up is reported then, or an unread one would spin the loop. Never called
	 * from inside wait. -EPERM: this descriptor cannot be watched because it is always ready.
	 */
	int (*want)(void *state, struct mux_io *io, unsigned interest);

	/*
	 * Wait up to `timeout` milliseconds (-1: for ever) and call mux_io_ready once for each
	 * ready handle. A signal ends it early with 0.
	 */
	int (*wait)(void *state, int timeout);

	/* End a wait, from any thread or signal handler. NULL: the loop's waker does it. */
	void (*wake)(void *state);
};

/*
 * For the backends: io is ready for `events`. A hang-up is MUX_READ | MUX_WRITE; over an edge also
 * MUX_SHORT_READS, as is urgent data: recv(2) stops before both, and no further edge comes.
 */
void mux_io_ready(struct mux_io *io, unsigned events);

/* The same where nobody may be waiting: a receive is tried before the loop waits again. */
void mux_io_ready_at_once(struct mux_io *io);

extern const struct mux_backend mux_select;
extern const struct mux_backend mux_poll;
extern const struct mux_backend mux_epoll;
extern const struct mux_backend mux_iocp;

#endif
