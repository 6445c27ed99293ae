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

struct mux_backend {
	const char *name;
	bool has_edge;
	mux_fd descriptor_limit; /* the first descriptor too high for it; 0: none is */

	/* Make the state for one loop: *state, 0; or a negative errno. */
	int (*open)(void **state);
	void (*close)(void *state);

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
};

/*
 * For the backends: io is ready for `events`. A hang-up is MUX_READ | MUX_WRITE; over an edge also
 * MUX_SHORT_READS, as is urgent data: recv(2) stops before both, and no further edge comes.
 */
void mux_io_ready(struct mux_io *io, unsigned events);

extern const struct mux_backend mux_select;
extern const struct mux_backend mux_poll;
extern const struct mux_backend mux_epoll;

#endif
